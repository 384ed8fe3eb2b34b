//! A struct of several fields without names.

use dstream::prelude::*;

#[derive(Record)]
struct Pair(String, u64);

fn main() {}
