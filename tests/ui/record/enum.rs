//! An enum whose variants hold data, and enums of names with mistakes.

use dstream::prelude::*;

#[derive(Record)]
enum Event {
    Click(u64),
    Scroll,
}

#[derive(Record)]
#[record(rename_all = "snakecase")]
enum Twice {
    #[record(rename = "b")]
    A,
    #[record(rename = "b")]
    B,
    #[record(renam = "c")]
    C,
}

fn main() {}
