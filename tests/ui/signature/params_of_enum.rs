//! `#[dstream::params]` on something else than a struct.

#[dstream::params]
enum Params {
    Fast,
    Slow,
}

fn main() {}
