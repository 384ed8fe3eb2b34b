//! A join by event time of records that are no pairs.

#[dstream::job]
fn job() {
    let a = source::json::<i64>("file:a.json").event_time(|at| at, "1s");
    let b = source::csv::<(String, i64)>("file:b.csv").event_time(|(_, at)| at, "1s");
    a.join_within(b, "-5m", "1m").print();
}

dstream::main!(job);
