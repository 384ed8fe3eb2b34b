//! The most frequent words of the last 30 seconds.
//!
//! ```text
//! cargo run --release --example top_k_count -- --k 5
//! ```

use dstream::prelude::*;

#[dstream::params]
struct TopParams {
    /// How many words to keep
    #[arg(long, default_value_t = 10)]
    k: usize,
}

/// The most frequent words of the last 30 seconds.
#[dstream::job(interval = "1s")]
fn top_k_count(params: &TopParams) {
    let lines = source::text("generate://words?rate=100000");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let windowed = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "30s", "1s");
    let top = windowed.top_k(params.k, |(_, count)| count);
    top.print();
}

dstream::main!(top_k_count);
