//! `map_partitions` is given all records of a partition, not one.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    lines.map_partitions(|line| line.split(" ")).print();
}

dstream::main!(job);
