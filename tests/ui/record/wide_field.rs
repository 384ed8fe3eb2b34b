//! A field of 128 bits.

use dstream::prelude::*;

#[derive(Record)]
struct Visit {
    url: String,
    clicks: u128,
}

fn main() {}
