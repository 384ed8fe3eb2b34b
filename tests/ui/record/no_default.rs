//! A field that may be absent, of a type without a default.

use dstream::prelude::*;

#[derive(Record)]
enum Action {
    View,
    Buy,
}

#[derive(Record)]
struct Event {
    url: String,
    #[record(default)]
    action: Action,
}

fn main() {}
