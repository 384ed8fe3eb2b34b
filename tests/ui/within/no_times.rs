//! A join by event time of a stream whose records have none, or have lost them.

#[dstream::job]
fn job() {
    let a = source::csv::<(String, i64)>("file:a.csv");
    let b = source::csv::<(String, i64)>("file:b.csv").event_time(|(_, at)| at, "1s");
    a.join_within(b, "-5m", "1m").print();
    b.left_outer_join_within(a, "-5m", "1m").print();
    b.reduce_by_key(|a, _| a).full_outer_join_within(b, "-5m", "1m").print();
}

dstream::main!(job);
