//! A job that can be made as slow as a test needs it: `tests/end_to_end` sends it more than it can process.

use std::hint::black_box;

/// Does `rounds` rounds of arithmetic: about a nanosecond each.
fn toil(rounds: u64) -> u64 {
    let mut state = rounds | 1;
    for _ in 0..rounds {
        state = black_box(state ^ (state << 13) ^ (state >> 7));
    }
    state
}

/// What a line `KEY ROUNDS …` costs.
fn cost(line: &str) -> u64 {
    line.split(' ').nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(0)
}

/// Lines `KEY ROUNDS …`, counted by key since the start; each takes that many rounds of arithmetic.
#[dstream::job(interval = "250ms")]
fn work() {
    let lines = source::text("none");
    let worked = lines.map(|line| (line.split(' ').next().unwrap_or(line), toil(cost(line)) | 1));
    let counts = worked.map_values(|state| state.min(1)).running_reduce(|a, b| a + b);
    counts.save("none:");
}

dstream::main!(work);
