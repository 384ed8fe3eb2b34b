//! Windows of event time, compared with a simple interpreter that looks at every record for every window.

use std::collections::BTreeMap;

use dstream::prelude::*;
use dstream::testing::{Done, Run};

use crate::{Tested, every};

#[derive(Record)]
struct Hit {
    at: i64,
    page: String,
    n: u64,
}

#[dstream::job]
fn by_event_time() {
    let hits = source::csv::<Hit>("none?header=false");
    let pages = hits.event_time(|hit| hit.at, "10s").map(|hit| (hit.page, hit.n));
    let tumbling = pages.reduce_by_key_and_window(|a, b| a + b, "1min");
    let sliding = pages.reduce_by_key_and_window(|a, b| a + b, "1min", "25s");
    let gaps = pages.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "7s", "30s");
    let big = pages.filter(|(_, n)| n > 3).reduce_by_key_and_window(|a, b| a.max(b), "1min");
    let hours = tumbling.map_values(|n| n + 1).reduce_by_key_and_window(|a, b| a + b, "1h");
    let top = tumbling.top_k(2, |(_, n)| n);
    let within =
        hits.event_time(|hit| hit.at, "10s").map(|hit, ctx| (ctx.event_time() - hit.at, 1u64));
    let starts = within.reduce_by_key_and_window(|a, b| a + b, "1min");
    let shown = starts.map(|(zero, n), ctx| (ctx.window().start, ctx.window().end, zero, n));
    shown.save("none:");
    tumbling.save("none:");
    top.save("none:");
    sliding.save("none:");
    gaps.save("none:");
    big.save("none:");
    hours.save("none:");
}

/// A window's start, a key, and what was reduced, in the order in which windows close.
type Results = BTreeMap<(i64, String), u64>;

/// An event: time, page, value.
type Event = (i64, String, u64);

/// Deterministic events, out of order by at most `slack` against what came before.
fn events(count: u64, slack: i64) -> Vec<Event> {
    let mut events = Vec::new();
    for i in 0..count {
        let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        let base = -200_000 + i as i64 * 700 + if i > count / 2 { 90_000 } else { 0 };
        let at = base - (mixed % (slack as u64 + 1)) as i64;
        events.push((at, format!("p{}", mixed % 5), mixed % 11));
    }
    events
}

/// All windows of some length and slide, each over the events that fall into it.
fn windows(
    events: &[Event],
    length: i64,
    slide: i64,
    merge: fn(u64, u64) -> u64,
) -> BTreeMap<(i64, String), u64> {
    let (first, last) = (-300_000, 4_000_000);
    let mut results = Results::new();
    let mut start = first / slide * slide - slide;
    while start < last {
        for (at, page, n) in events {
            if (start..start + length).contains(at) {
                let merged = results.entry((start, page.clone()));
                merged.and_modify(|m| *m = merge(*m, *n)).or_insert(*n);
            }
        }
        start += slide;
    }
    results
}

/// Milliseconds of a date as outputs write it.
fn millis(date: &str) -> i64 {
    let said = std::process::Command::new("date").args(["-u", "+%s%3N", "-d", date]).output();
    String::from_utf8(said.unwrap().stdout).unwrap().trim().parse().unwrap()
}

/// What an output published: per window and key exactly one result, whatever the batch.
fn published(done: &Done, output: &str, length: i64, partitions: u32) -> Results {
    let mut results = Results::new();
    let mut dates: BTreeMap<String, i64> = BTreeMap::new();
    for batch in 1..=done.batches() {
        let mut last = i64::MIN;
        for line in done.lines(output, batch).unwrap_or_default() {
            let record: serde_json::Value = serde_json::from_str(&line).unwrap();
            let mut date = |name: &str| {
                let date = record[name].as_str().unwrap().to_owned();
                *dates.entry(date).or_insert_with_key(|date| millis(date))
            };
            let (start, end) = (date("window_start"), date("window_end"));
            assert_eq!(end - start, length, "{line}");
            // A partition closes windows in order.
            assert!(partitions > 1 || last <= start, "{line}");
            last = start;
            let key = record["key"].as_str().unwrap().to_owned();
            let twice = results.insert((start, key), record["value"].as_u64().unwrap());
            assert!(twice.is_none(), "{output}: {line} is there twice");
        }
    }
    results
}

const ADD: fn(u64, u64) -> u64 = |a, b| a + b;

fn expected(events: &[Event]) -> [(&'static str, i64, Results); 5] {
    let tumbling = windows(events, 60_000, 60_000, ADD);
    let results = tumbling.iter().map(|((start, key), n)| (start + 59_999, key.clone(), n + 1));
    let results: Vec<Event> = results.collect();
    let big: Vec<Event> = events.iter().filter(|event| event.2 > 3).cloned().collect();
    [
        ("tumbling", 60_000, tumbling),
        ("sliding", 60_000, windows(events, 60_000, 25_000, ADD)),
        ("gaps", 7_000, windows(events, 7_000, 30_000, ADD)),
        ("big", 60_000, windows(&big, 60_000, 60_000, u64::max)),
        ("hours", 3_600_000, windows(&results, 3_600_000, 3_600_000, ADD)),
    ]
}

/// The greatest of each window; of equal ones, those with the least keys.
fn top(results: &Results, k: usize) -> Results {
    let mut windows: BTreeMap<i64, Vec<(u64, &str)>> = BTreeMap::new();
    for ((start, key), n) in results {
        windows.entry(*start).or_default().push((*n, key));
    }
    let mut best = Results::new();
    for (start, mut of) in windows {
        of.sort_by_key(|(n, key)| (std::cmp::Reverse(*n), *key));
        best.extend(of.into_iter().take(k).map(|(n, key)| ((start, key.to_owned()), n)));
    }
    best
}

#[test]
fn records_within_the_slack_give_what_sorted_ones_give_in_any_batches() -> Tested {
    let events = events(900, 10_000);
    let expected = expected(&events);
    every(|partitions| {
        for per_batch in [1000, 97, 10] {
            let batches: Vec<_> = events.chunks(per_batch).map(<[Event]>::to_vec).collect();
            let run = Run::new(by_event_time).input("hits", batches).partitions(partitions);
            let done = run.run()?;
            for (output, length, results) in &expected {
                assert_eq!(&published(&done, output, *length, partitions), results, "{output}");
            }
            assert_eq!(published(&done, "top", 60_000, 1), top(&expected[0].2, 2));
            for line in
                (1..=done.batches()).flat_map(|b| done.lines("shown", b).unwrap_or_default())
            {
                let record: serde_json::Value = serde_json::from_str(&line).unwrap();
                let date = |name: &str| millis(record[name].as_str().unwrap());
                let bounds = (record["_0"].as_i64().unwrap(), record["_1"].as_i64().unwrap());
                assert_eq!(bounds, (date("window_start"), date("window_end")), "{line}");
                assert_eq!(record["_2"], 0, "{line}");
            }
            assert_eq!(done.late(), 0);
        }
        Ok(())
    })
}

#[test]
fn a_restart_changes_nothing() -> Tested {
    let events = events(300, 10_000);
    let batches: Vec<_> = events.chunks(20).map(<[Event]>::to_vec).collect();
    let bytes = |done: &Done| {
        let outputs = ["tumbling", "sliding", "gaps", "big", "hours", "top"].into_iter();
        let all = outputs.flat_map(|output| (1..=done.batches()).map(move |b| (output, b)));
        all.map(|(output, b)| done.lines(output, b).unwrap_or_default()).collect::<Vec<_>>()
    };
    every(|partitions| {
        let run = || Run::new(by_event_time).input("hits", batches.clone()).partitions(partitions);
        let whole = bytes(&run().run()?);
        assert!(whole.iter().flatten().count() > 50);
        for batch in 1..15 {
            assert_eq!(bytes(&run().restart_after(batch).run()?), whole, "after batch {batch}");
        }
        let often = (1..15).fold(run(), Run::restart_after);
        assert_eq!(bytes(&often.run()?), whole, "after every batch");
        assert_eq!(bytes(&run().memory(0).restart_after(7).run()?), whole, "from files");
        Ok(())
    })
}

#[test]
fn a_window_closes_with_the_watermark_and_what_comes_later_is_counted() -> Tested {
    let batches: Vec<Vec<(i64, &str, u64)>> = vec![
        vec![(0, "a", 1), (59999, "a", 2), (60000, "a", 4)],
        // The watermark is 60,000 now: the first window closes.
        vec![(70000, "a", 8)],
        // Late by all windows, by none, and by some of those that slide.
        vec![(59999, "a", 16), (60000, "a", 32), (49999, "a", 64)],
        vec![(200000, "b", 128)],
        vec![],
    ];
    every(|partitions| {
        let run = Run::new(by_event_time).input("hits", batches.clone()).partitions(partitions);
        let done = run.run()?;
        let counts = (1..=5).map(|batch| done.lines("tumbling", batch).unwrap_or_default());
        let counts: Vec<Vec<String>> = counts.collect();
        let minute = |start: &str, end: &str, rest: &str| {
            let date = |minute| format!("1970-01-01T00:0{minute}:00.000Z");
            let (start, end) = (date(start), date(end));
            vec![format!(r#"{{"window_start":"{start}","window_end":"{end}",{rest}}}"#)]
        };
        let expected = [
            vec![],
            minute("0", "1", r#""key":"a","value":3"#),
            vec![],
            minute("1", "2", r#""key":"a","value":44"#),
            minute("3", "4", r#""key":"b","value":128"#),
        ];
        assert_eq!(counts, expected);
        // By each of the three operators with windows of a minute 2 of them; by sliding windows, which end at
        // 60,000 and 85,000, none; by those with gaps, from 30,000 to 37,000 and from 60,000, none: two are in none.
        assert_eq!(done.late(), 6);
        Ok(())
    })
}

#[test]
fn several_splits_are_as_slow_as_the_slowest() -> Tested {
    let left: Vec<Vec<(i64, &str, u64)>> = vec![
        vec![(0, "a", 1), (100000, "a", 1)],
        vec![(200000, "a", 1)],
        vec![],
        vec![(210000, "a", 1)],
    ];
    let right: Vec<Vec<(i64, &str, u64)>> =
        vec![vec![(5000, "a", 1)], vec![(80000, "a", 1)], vec![(81000, "a", 1)], vec![]];
    every(|partitions| {
        let run = Run::new(united)
            .input("left", left.clone())
            .input("right", right.clone())
            .partitions(partitions);
        let done = run.run()?;
        let lines = |batch| done.lines("counts", batch).unwrap_or_default();
        let of: Vec<usize> = (1..=4).map(|batch| lines(batch).len()).collect();
        // The watermarks are -5,000, 70,000, 71,000; then both have ended.
        assert_eq!(of, [0, 1, 0, 2]);
        assert!(lines(2)[0].ends_with(r#""key":"a","value":2}"#), "{:?}", lines(2));
        assert_eq!(done.late(), 0);
        Ok(())
    })
}

#[dstream::job]
fn united() {
    // Its first watermark comes later than its first records: nothing is known before.
    let left = source::csv::<Hit>("none?header=false");
    let right = source::csv::<Hit>("none?header=false");
    let left_hits = left.event_time(|hit| hit.at, "10s").map(|hit| (hit.page, hit.n));
    let right_hits = right.event_time(|hit| hit.at, "10s").map(|hit| (hit.page, hit.n));
    let hits = left_hits.union(right_hits);
    let counts = hits.map_values(|n| n).reduce_by_key_and_window(|a, b| a + b, "1min");
    counts.save("none:");
}
