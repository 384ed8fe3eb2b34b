//! A struct with parameters.

use dstream::prelude::*;

#[derive(Record)]
struct Tagged<T> {
    tag: String,
    value: T,
}

#[derive(Record)]
struct Line<'a> {
    text: &'a str,
}

fn main() {}
