//! Fields that are no records.

use dstream::prelude::*;

#[derive(Record)]
struct Visit {
    url: String,
    spent: std::path::PathBuf,
    tags: std::collections::HashMap<String, u64>,
}

fn main() {}
