//! A state of which nothing says what it is.

#[dstream::job]
fn job() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.track(|word, n, sum| { *sum.or_default() += n; Some((word, n)) }).print();
}

dstream::main!(job);
