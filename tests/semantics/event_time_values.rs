//! Event-time windows over whole streams and over values, compared with an interpreter that looks at every record for
//! every window.

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
    let timed = hits.event_time(|hit| hit.at, "10s");
    let numbers = timed.map(|hit| hit.n);
    let of_sums = numbers.reduce_by_window(|a, b| a + b, "1min");
    let of_greatest = numbers.reduce_by_window(|a, b| a.max(b), "1min", "25s");
    let of_gaps = numbers.reduce_by_window(|a, b| a + b, |a, b| a - b, "7s", "30s");
    let of_counts = numbers.count_by_window("1min", "25s");
    let of_pages = timed.map(|hit| hit.page).count_by_value_and_window("1min", "25s");
    let of_hours = of_sums.reduce_by_window(|a, b| a.max(b), "1h");
    let of_top = of_pages.top_k(1, |(_, n)| n);
    let sums = of_sums.map(|n, ctx| (ctx.window().start, ctx.window().end, "", n));
    let greatest = of_greatest.map(|n, ctx| (ctx.window().start, ctx.window().end, "", n));
    let gaps = of_gaps.map(|n, ctx| (ctx.window().start, ctx.window().end, "", n));
    let counts = of_counts.map(|n, ctx| (ctx.window().start, ctx.window().end, "", n));
    let hours = of_hours.map(|n, ctx| (ctx.window().start, ctx.window().end, "", n));
    let pages = of_pages.map(|(p, n), ctx| (ctx.window().start, ctx.window().end, p, n));
    let top = of_top.map(|(p, n), ctx| (ctx.window().start, ctx.window().end, p, n));
    sums.save("none:");
    greatest.save("none:");
    gaps.save("none:");
    counts.save("none:");
    hours.save("none:");
    pages.save("none:");
    top.save("none:");
}

/// An event: time, page, value.
type Event = (i64, String, u64);

/// By start and end of a window, and key.
type Results = BTreeMap<(i64, i64, String), u64>;

const OUTPUTS: [&str; 7] = ["sums", "greatest", "gaps", "counts", "hours", "pages", "top"];

/// Deterministic events, out of order by at most 10 s against what came before.
fn events(count: u64) -> Vec<Event> {
    let event = |i: u64| {
        let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        // A quiet time of some windows in the middle.
        let base = -200_000 + i as i64 * 700 + if i > count / 2 { 390_000 } else { 0 };
        (base - (mixed % 10_001) as i64, format!("p{}", mixed % 5), mixed % 11)
    };
    (0..count).map(event).collect()
}

/// All windows of some length and slide, each over the events that fall into it.
fn windows(events: &[Event], length: i64, slide: i64, merge: fn(u64, u64) -> u64) -> Results {
    let mut results = Results::new();
    let mut start = (-300_000 - length).div_euclid(slide) * slide;
    while start < 4_000_000 {
        for (_, key, n) in events.iter().filter(|(at, ..)| (start..start + length).contains(at)) {
            let merged = results.entry((start, start + length, key.clone()));
            merged.and_modify(|m| *m = merge(*m, *n)).or_insert(*n);
        }
        start += slide;
    }
    results
}

/// The most frequent page of each window; of equal ones, the first.
fn best(pages: &Results) -> Results {
    let mut best: BTreeMap<(i64, i64), (&String, u64)> = BTreeMap::new();
    for ((start, end, page), n) in pages {
        let of = best.entry((*start, *end)).or_insert((page, *n));
        if *n > of.1 {
            *of = (page, *n);
        }
    }
    best.into_iter().map(|((start, end), (page, n))| ((start, end, page.clone()), n)).collect()
}

fn expected(events: &[Event]) -> [Results; 7] {
    let add: fn(u64, u64) -> u64 = |a, b| a + b;
    let of_all = |n: fn(u64) -> u64| -> Vec<Event> {
        events.iter().map(|(at, _, of)| (*at, String::new(), n(*of))).collect()
    };
    let (numbers, ones) = (of_all(|n| n), of_all(|_| 1));
    let pages: Vec<Event> = events.iter().map(|(at, page, _)| (*at, page.clone(), 1)).collect();
    let sums = windows(&numbers, 60_000, 60_000, add);
    let minutes = sums.iter().map(|((_, end, key), n)| (end - 1, key.clone(), *n));
    let minutes: Vec<Event> = minutes.collect();
    let pages = windows(&pages, 60_000, 25_000, add);
    let top = best(&pages);
    [
        sums,
        windows(&numbers, 60_000, 25_000, u64::max),
        windows(&numbers, 7_000, 30_000, add),
        windows(&ones, 60_000, 25_000, add),
        windows(&minutes, 3_600_000, 3_600_000, u64::max),
        pages,
        top,
    ]
}

/// What an output published: one result per window and key, whatever the batch.
fn published(done: &Done, output: &str) -> Results {
    let mut results = Results::new();
    for line in (1..=done.batches()).flat_map(|b| done.lines(output, b).unwrap_or_default()) {
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        let bound = |name: &str| record[name].as_i64().unwrap();
        let key = (bound("_0"), bound("_1"), record["_2"].as_str().unwrap().to_owned());
        let twice = results.insert(key, record["_3"].as_u64().unwrap());
        assert!(twice.is_none(), "{output}: {line} is there twice");
    }
    results
}

#[test]
fn any_order_within_the_slack_and_any_batches_give_the_same_windows() -> Tested {
    let events = events(900);
    let expected = expected(&events);
    every(|partitions| {
        for per_batch in [1000, 97, 10] {
            let batches: Vec<_> = events.chunks(per_batch).map(<[Event]>::to_vec).collect();
            let run = Run::new(by_event_time).input("hits", batches).partitions(partitions);
            let done = run.run()?;
            for (output, results) in OUTPUTS.iter().zip(&expected) {
                assert_eq!(&published(&done, output), results, "{output}");
            }
            assert_eq!(done.late(), 0);
        }
        Ok(())
    })
}

#[test]
fn a_restart_changes_nothing() -> Tested {
    let events = events(200);
    let batches: Vec<_> = events.chunks(20).map(<[Event]>::to_vec).collect();
    let lines = |done: &Done| {
        let all = OUTPUTS.iter().flat_map(|o| (1..=done.batches()).map(move |b| (o, b)));
        all.map(|(output, b)| done.lines(output, b).unwrap_or_default()).collect::<Vec<_>>()
    };
    every(|partitions| {
        let run = || Run::new(by_event_time).input("hits", batches.clone()).partitions(partitions);
        let whole = lines(&run().run()?);
        assert!(whole.iter().flatten().count() > 50);
        let often = (1..10).fold(run(), Run::restart_after);
        assert_eq!(lines(&often.run()?), whole);
        Ok(())
    })
}

#[test]
fn what_is_late_is_left_out_and_counted_by_each_operator() -> Tested {
    let batches: Vec<Vec<(i64, &str, u64)>> = vec![
        vec![(1_000, "a", 1), (2_000, "b", 2)],
        // The watermark is 190,000: what is in the first minute is late for all operators but that of hours.
        vec![(200_000, "a", 4)],
        vec![(3_000, "a", 8)],
    ];
    every(|partitions| {
        let run = Run::new(by_event_time).input("hits", batches.clone()).partitions(partitions);
        let done = run.run()?;
        let sums = BTreeMap::from([
            ((0, 60_000, String::new()), 3),
            ((180_000, 240_000, String::new()), 4),
        ]);
        assert_eq!(published(&done, "sums"), sums);
        // `sums`, `greatest`, `gaps`, `counts` and `pages`.
        assert_eq!(done.late(), 5);
        Ok(())
    })
}
