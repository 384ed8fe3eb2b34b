//! Operators that are called otherwise in Flink.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    lines.keyBy(|line| line.len()).print();
    pairs.sum(1).print();
    pairs.timeWindow("10s").print();
    lines.connect(lines).print();
    lines.rebalance().print();
}

dstream::main!(job);
