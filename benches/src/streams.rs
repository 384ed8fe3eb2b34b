//! The work of [`jobs`](crate::jobs) as a user of dstream writes it, with one output each.

use dstream::prelude::*;

use crate::data;

/// Parameters of grep.
#[dstream::params]
pub struct GrepParams {
    /// The text to look for [default: a word in about one line of 900]
    #[arg(long, default_value_t = data::word(1000))]
    pub pattern: String,
}

/// Lines that contain a pattern.
#[dstream::job(interval = "1s")]
pub fn grep(params: &GrepParams) {
    let pattern = Pattern::new(&params.pattern);
    let lines = source::text("generate://words");
    let matches = lines.filter(|line| pattern.is_in(line));
    matches.save("none:");
}

/// Words, counted per batch.
#[dstream::job(interval = "1s")]
pub fn word_count() {
    let lines = source::text("generate://words");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let counts = ones.reduce_by_key(|a, b| a + b);
    counts.save("none:");
}

/// Words, counted over the last 30 batches.
#[dstream::job(interval = "1s")]
pub fn word_count_window() {
    let lines = source::text("generate://words");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let counts = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "30s", "1s");
    counts.save("none:");
}

/// Words, counted per batch and over the last 30 batches.
#[dstream::job(interval = "1s")]
pub fn word_count_both() {
    let lines = source::text("generate://words");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let counts = ones.reduce_by_key(|a, b| a + b);
    let windowed = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "30s", "1s");
    counts.save("none:");
    windowed.save("none:");
}

/// The most frequent words of the last 30 batches.
#[dstream::job(interval = "1s")]
pub fn top_k_window() {
    let lines = source::text("generate://words");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let windowed = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "30s", "1s");
    let counts = windowed.top_k(10, |(_, count)| count);
    counts.save("none:");
}

/// A request, as a proxy logs it.
#[derive(Record)]
pub struct Visit {
    /// The user.
    pub user_id: u64,
    /// The page.
    pub url: String,
    /// Bytes sent.
    pub bytes: u64,
}

/// Bytes per page and batch.
#[dstream::job(interval = "1s")]
pub fn csv_sum() {
    let lines = source::csv::<Visit>("generate://page_views");
    let bytes = lines.map(|visit| (visit.url, visit.bytes));
    let counts = bytes.reduce_by_key(|a, b| a + b);
    counts.save("none:");
}

/// Lines that begin with their time of sending, counted by that time.
#[dstream::job(interval = "10ms")]
pub fn send_times() {
    let lines = source::text("tcp://127.0.0.1:0");
    let sent = lines.map(|line| (sent_at(line), 1u64));
    let counts = sent.reduce_by_key(|a, b| a + b);
    counts.save("none:");
}

/// The number at the beginning of a line, or 0.
fn sent_at(line: &str) -> u64 {
    line.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}
