//! A job whose function panics for lines that are not numbers: `tests/end_to_end` checks the error.

/// The numbers of its lines, and their sum.
#[dstream::job(interval = "1s")]
fn panics() {
    let lines = source::text("none");
    let numbers = lines.map(|line| line.parse::<u64>().expect("every line is a number"));
    let sum = numbers.reduce(|a, b| a + b);
    numbers.save("none:");
    sum.save("none:");
}

dstream::main!(panics);
