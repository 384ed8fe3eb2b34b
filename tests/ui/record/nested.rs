//! A field whose type is a struct that is not marked.

use dstream::prelude::*;

struct Address {
    street: String,
}

#[derive(Record)]
struct Person {
    name: String,
    home: Address,
    work: Option<Address>,
    former: Vec<(u64, Address)>,
}

fn main() {}
