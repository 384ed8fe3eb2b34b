//! A struct without fields.

use dstream::prelude::*;

#[derive(Record)]
struct Nothing;

#[derive(Record)]
struct Empty {}

fn main() {}
