//! A function of a key that returns a record, and not an option of one.

use dstream::prelude::*;

#[dstream::job]
fn job() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.track(|word, n, sum: &mut State<u64>| { *sum.or_default() += n; (word, n) }).print();
}

dstream::main!(job);
