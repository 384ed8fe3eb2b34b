//! The context is no record.

#[dstream::job]
fn job() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.map(|(word, _), ctx| (word, ctx)).print();
}

dstream::main!(job);
