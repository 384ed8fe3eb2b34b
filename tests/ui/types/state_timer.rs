//! A timer without a function for it.

use dstream::prelude::*;

#[dstream::job]
fn job() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.track(|word, n, sum: &mut State<u64>, ctx| { sum.set(n); ctx.timer(5); Some(word) }).print();
}

dstream::main!(job);
