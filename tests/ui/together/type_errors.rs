//! Type errors in three operators, all of them reported.

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
    let urls = views.map(|view| (view.ulr, 1u64));
    let slow = views.filter(|view| view.seconds > "3");
    let users = views.map(|view| view.user.length());
    urls.print();
    slow.print();
    users.print();
}

dstream::main!(job);
