//! Durations that none is.

#[dstream::job]
fn job() {
    let numbers = source::json::<u64>("file:numbers");
    let soon = numbers.event_time(|n| n, "soon").map(|n| (n, 1u64));
    let times = numbers.event_time(|n| n, "0s").map(|n| (n, 1u64));
    times.reduce_by_key_and_window(|a, b| a + b, "0s").print();
    times.reduce_by_key_and_window(|a, b| a + b, "9999999h").print();
    soon.print();
}

dstream::main!(job);
