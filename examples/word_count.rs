//! Words, counted per batch and over a sliding window of 30 seconds.
//!
//! ```text
//! cargo run --release --example word_count
//! cargo run --release --example word_count -- --source lines=book.txt --sink counts=csv+file://out/counts
//! ```

use dstream::prelude::*;

/// Counts words.
#[dstream::job(interval = "1s")]
fn word_count() {
    let lines = source::text("generate://words?rate=100000");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let counts = ones.reduce_by_key(|a, b| a + b);
    let windowed = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "30s", "1s");
    counts.save("none:");
    windowed.save("none:");
}

dstream::main!(word_count);
