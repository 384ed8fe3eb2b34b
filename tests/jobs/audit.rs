//! Jobs for tests/end_to_end: counts of records in each format, operators over time, outputs in files.

use dstream::prelude::*;

/// A row, and an object.
#[derive(Record)]
struct Event {
    key: String,
    n: u64,
}

/// The number itself; panics for 13.
fn lucky(n: u64) -> u64 {
    assert_ne!(n, 13, "unlucky");
    n
}

/// Lines `KEY N`; lines without a number are kept.
#[dstream::job(interval = "50ms")]
fn texts() {
    let events = source::text("none");
    let taken = events.map(|line| {
        let n = line.rsplit(' ').next().and_then(|n| n.parse().ok());
        (line, lucky(n.unwrap_or_default()))
    });
    taken.save("none:");
}

#[dstream::job(interval = "50ms")]
fn rows() {
    let events = source::csv::<Event>("none");
    let taken = events.map(|event| (event.key, lucky(event.n)));
    taken.save("none:");
}

#[dstream::job(interval = "50ms")]
fn objects() {
    let events = source::json::<Event>("none");
    let taken = events.map(|event| (event.key, lucky(event.n)));
    taken.save("none:");
}

/// Two streams, joined and united.
#[dstream::job(interval = "50ms")]
fn pairs() {
    let left = source::text("none");
    let right = source::text("none");
    let lefts = left.map(|line| (line, 1u64));
    let both = lefts.join(right.map(|line| (line, 2u64)));
    let all = left.union(right);
    both.save("none:");
    all.save("none:");
}

/// A stream joined with itself.
#[dstream::job(interval = "50ms")]
fn selves() {
    let lines = source::text("none");
    let lengths = lines.map(|line| (line.len() as u64, line));
    let both = lengths.filter(|(_, line)| line.starts_with('a')).join(lengths);
    both.save("none:");
}

/// Windows of one of two streams: over one batch, over several, and of counts.
#[dstream::job(interval = "1s")]
fn spans() {
    let timed = source::text("none");
    let other = source::text("none");
    let second = timed.window("1s").count();
    let minute = timed.map(|line| (line, 1u64)).running_reduce(|a, b| a + b).window("1m", "10s");
    let plain = other.count();
    second.save("none:");
    minute.save("none:");
    plain.save("none:");
}

/// Names with a time, and what follows each from 3 seconds before to 10 seconds after.
#[dstream::job(interval = "20ms")]
fn within() {
    let starts = source::csv::<(String, i64)>("none?header=false");
    let ends = source::csv::<(String, i64)>("none?header=false");
    let started = starts.event_time(|(_, at)| at, "2s");
    let ended = ends.event_time(|(_, at)| at, "2s");
    let met = started.left_outer_join_within(ended, "-3s", "10s");
    let rows = met.map(|(name, (start, end))| (name, start, end.unwrap_or(-1)));
    rows.save("none:");
}

dstream::main!(texts, rows, objects, pairs, selves, spans, within);
