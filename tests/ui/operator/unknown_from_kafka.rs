//! Operators that are called otherwise in Kafka Streams.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.leftJoin(pairs).print();
    lines.selectKey(|line| line.len()).print();
    lines.branch(|line| line.is_empty()).print();
    pairs.mapValues(|n| n + 1).to("topic");
}

dstream::main!(job);
