//! A struct without names.

use dstream::prelude::*;

#[derive(Record)]
struct Pair(String, u64);

fn main() {}
