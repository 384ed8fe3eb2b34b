//! Two functions of a key that return different records.

use dstream::prelude::*;

#[dstream::job]
fn job() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.track(|word, n, sum: &mut State<u64>| { sum.set(n); Some(word) }, timeout = "1h", on_timeout = |_, sum| Some(sum)).print();
}

dstream::main!(job);
