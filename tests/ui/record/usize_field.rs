//! A field of the machine's word size.

use dstream::prelude::*;

#[derive(Record)]
struct Visit {
    url: String,
    clicks: usize,
}

fn main() {}
