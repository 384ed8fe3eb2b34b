//! Operators that are called otherwise in Spark Streaming.

#[dstream::job]
fn job() {
    let lines = source::text("file:logs");
    let pairs = lines.map(|line| (line, 1u64));
    pairs.groupByKey().print();
    pairs.updateStateByKey(|new, old| old + new).print();
    pairs.reduceByKey(|a, b| a + b).print();
    lines.foreachRDD(|rdd| rdd.len());
    lines.repartition(8).print();
}

dstream::main!(job);
