//! Lines that contain a pattern.
//!
//! ```text
//! cargo run --release --example grep
//! cargo run --release --example grep -- --pattern error --source lines=/var/log/syslog --sink matches=stdout:
//! ```

use dstream::prelude::*;

#[dstream::params]
struct GrepParams {
    /// What a line must contain
    #[arg(long, default_value = "ba")]
    pattern: String,
}

/// Lines that contain a pattern.
#[dstream::job(interval = "1s")]
fn grep(params: &GrepParams) {
    let pattern = Pattern::new(&params.pattern);
    let lines = source::text("generate://words?rate=100000");
    let matches = lines.filter(|line| pattern.is_in(line));
    matches.save("none:");
}

dstream::main!(grep);
