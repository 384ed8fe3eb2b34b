//! Operators that have no form over windows of event time.

#[derive(dstream::Record)]
struct Hit {
    at: u64,
    page: String,
}

#[dstream::job]
fn not_reduced() {
    let hits = dstream::source::json::<Hit>("hits.json").event_time(|hit| hit.at, "10s");
    let pages = hits.map(|hit| (hit.page, 1u64));
    let minutes = pages.window("1min");
    minutes.print();
    minutes.sort_by(|(_, n)| n).print();
    minutes.join(pages.session("30min")).print();
    minutes.union(minutes).count().print();
    minutes.window("1h").count().print();
    minutes.filter(|(_, n)| n > 0).running_reduce(|a, b| a + b).print();
}

#[dstream::job]
fn no_times() {
    let hits = dstream::source::json::<Hit>("hits.json");
    hits.map(|hit| (hit.page, 1u64)).session("30min").reduce_by_key(|a, b| a + b).print();
}

dstream::main!(not_reduced, no_times);
