//! A key that times out cannot be changed.

use dstream::prelude::*;

#[dstream::job]
fn job() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.track(|word, n, sum: &mut State<u64>| { sum.set(n); Some(word) }, timeout = "1h", on_timeout = |word, sum| { sum.set(0); Some(word) }).print();
}

dstream::main!(job);
