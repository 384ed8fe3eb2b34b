//! Several mistakes in one record.

use dstream::prelude::*;

#[derive(Record)]
struct Visit<T> {
    #[record(rename = "url")]
    page: &'static str,
    url: String,
    #[record(skipped)]
    value: T,
}

fn main() {}
