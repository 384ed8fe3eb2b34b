//! An option that fields do not have.

use dstream::prelude::*;

#[derive(Record)]
struct PageView {
    #[record(renamed = "user")]
    name: String,
    #[record(rename = 3)]
    user: u64,
}

fn main() {}
