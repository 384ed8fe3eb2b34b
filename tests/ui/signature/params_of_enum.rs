//! `#[dstream::params]` on something else than a struct.

use dstream::prelude::*;

#[dstream::params]
enum Params {
    Fast,
    Slow,
}

fn main() {}
