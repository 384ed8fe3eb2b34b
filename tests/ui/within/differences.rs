//! Differences of times that are none, are too long, or meet nothing.

#[dstream::job]
fn job() {
    let a = source::csv::<(String, i64)>("file:a.csv").event_time(|(_, at)| at, "1s");
    let b = source::csv::<(String, i64)>("file:b.csv").event_time(|(_, at)| at, "1s");
    a.join_within(b, "1m", "-5m").print();
    a.join_within(b, "5 minutes ago", "1m").print();
    a.join_within(b, -5, "1m").print();
    a.join_within(b, "-900000d", "1m").print();
    a.join_within(b, "1m").print();
}

dstream::main!(job);
