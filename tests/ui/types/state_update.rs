//! A new state of another type.

#[dstream::job]
fn job() {
    let pairs = source::text("words.txt").map(|w| (w, 1u64));
    pairs.update_state_by_key(|values, sum: Option<u64>| Some(format!("{sum:?}"))).print();
}

dstream::main!(job);
