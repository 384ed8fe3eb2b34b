//! A window of rows by event time.

#[dstream::job]
fn job() {
    let numbers = source::json::<u64>("file:numbers").event_time(|n| n, "1s");
    numbers.window("1min").count().print();
}

dstream::main!(job);
