//! A wrong record is reported once, where it is: not where it is used.

use dstream::prelude::*;

#[derive(Record)]
struct PageView {
    url: &'static str,
    user: u64,
    #[record(skip)]
    host: String,
}

fn first(view: PageViewRef<'_>) -> &str {
    view.host
}

#[dstream::job]
fn job() {
    let views = source::json::<PageView>("file:views");
    let long = views.filter(|view| view.url.len() > 80);
    let pairs = long.map(|view| (view.url, view.user));
    pairs.reduce_by_key(|a, b| a + b).print();
    long.key_by(|view| view).print();
}

dstream::main!(job);
