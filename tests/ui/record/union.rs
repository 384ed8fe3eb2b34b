//! A union.

use dstream::prelude::*;

#[derive(Record)]
union Bits {
    whole: u64,
    half: u32,
}

fn main() {}
