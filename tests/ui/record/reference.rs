//! Fields that are references.

use dstream::prelude::*;

#[derive(Record)]
struct PageView {
    url: &'static str,
    tags: &'static [u64],
}

fn main() {}
