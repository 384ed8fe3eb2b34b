//! A field that a view does not have.

use dstream::prelude::*;

#[derive(Record)]
struct PageView {
    url: String,
    user: u64,
    seconds: f64,
}

#[dstream::job]
fn job() {
    let views = source::json::<PageView>("file:views");
    views.map(|view| (view.ulr, 1u64)).print();
}

dstream::main!(job);
