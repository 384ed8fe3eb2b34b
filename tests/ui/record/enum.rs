//! An enum.

use dstream::prelude::*;

#[derive(Record)]
enum Event {
    Click,
    Scroll,
}

fn main() {}
