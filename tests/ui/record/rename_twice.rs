//! Two fields of one name in CSV and JSON.

use dstream::prelude::*;

#[derive(Record)]
struct PageView {
    #[record(rename = "user")]
    name: String,
    user: u64,
}

fn main() {}
