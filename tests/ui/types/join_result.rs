//! The records of a join are pairs of a key and a pair.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let ones = lines.map(|line| (line, 1u64));
    let sizes = lines.map(|line| (line, line.len() as u64));
    ones.join(sizes).map(|(word, one, size)| (word, one + size)).print();
}

dstream::main!(job);
