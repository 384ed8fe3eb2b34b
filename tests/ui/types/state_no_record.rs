//! A state that is no record.

use dstream::prelude::*;

struct Own(u64);

#[dstream::job]
fn job() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.track(|word, n, sum: &mut State<Own>| { sum.set(Own(n)); Some((word, n)) }).print();
}

dstream::main!(job);
