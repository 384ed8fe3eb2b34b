//! An operator that works per batch, on the results of windows.

#[dstream::job]
fn job() {
    let numbers = source::json::<u64>("file:numbers").event_time(|n| n, "1s");
    let counts = numbers.map(|n| (n, 1u64)).reduce_by_key_and_window(|a, b| a + b, "1min");
    counts.reduce_by_key(|a, b| a + b).print();
}

dstream::main!(job);
