//! The paper's running count of views per page.
//!
//! ```text
//! cargo run --release --example page_views
//! cargo run --release --example page_views -- --source views=tcp://127.0.0.1:9000 --sink counts=csv+stdout:
//! ```

use dstream::prelude::*;

/// One page view, as the web tier logs it.
#[derive(Record)]
struct PageView {
    url: String,
    user: u64,
}

/// Views per page since the start.
#[dstream::job(interval = "1s")]
fn page_views() {
    let views = source::json::<PageView>("generate://page_views?rate=100000");
    let ones = views.map(|view| (view.url, 1u64));
    let counts = ones.running_reduce(|a, b| a + b);
    counts.save("none:");
}

dstream::main!(page_views);
