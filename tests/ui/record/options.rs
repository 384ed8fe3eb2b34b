//! Options of fields that do not fit.

use dstream::prelude::*;

#[derive(Record)]
#[record(rename = "visit")]
struct Visit {
    #[record(skip, alias = "link")]
    url: String,
    #[record(alias = "user")]
    name: String,
    user: u64,
    #[record(defualt)]
    clicks: u64,
}

fn main() {}
