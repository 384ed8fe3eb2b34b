//! Windows of event time at the edges: extreme times, odd lengths, many panes, streams that meet before and after
//! their times are said. Judged by a scan of all records per window.

use std::collections::{BTreeMap, BTreeSet};

use dstream::prelude::*;
use dstream::testing::{Done, Run};

use crate::{PARTITIONS, Tested, every};

#[derive(Record)]
struct Sample {
    at: i64,
    key: String,
    n: i64,
}

/// A time, a key, a value.
type Event = (i64, String, i64);

#[dstream::operator]
fn summed(samples: Stream<(String, i64)>) -> Stream<(String, i64)> {
    samples.reduce_by_key_and_window(|a, b| a + b, "90ms", "20ms")
}

#[dstream::job]
fn odd() {
    let samples = source::csv::<Sample>("none?header=false");
    let values = samples.event_time(|s| s.at, "100ms").map(|s| (s.key, s.n));
    let again = samples.event_time(|s| s.at, "300ms").map(|s| (s.key, s.n));
    let instants = values.reduce_by_key_and_window(|a, b| a + b, "1ms");
    let in_operator = summed(values);
    let seven = values.reduce_by_key_and_window(|a, b| a.max(b), "7ms", "3ms");
    let gap = values.reduce_by_key_and_window(|a, b| a + b, "3ms", "7ms");
    let both = values.union(again).reduce_by_key_and_window(|a, b| a + b, "50ms", "20ms");
    let first = values.reduce_by_key_and_window(|a, b| a + b, "10ms", "5ms");
    let second =
        first.filter(|(_, n)| n != 5).reduce_by_key_and_window(|a, b| a + b, "30ms", "10ms");
    let third = second.map(|(k, n)| (k, n * 3)).reduce_by_key_and_window(|a, b| a.min(b), "60ms");
    let shown = values.union(again).union(values).map(|(k, n), ctx| (k, n, ctx.event_time()));
    instants.save("none:");
    in_operator.save("none:");
    seven.save("none:");
    gap.save("none:");
    both.save("none:");
    first.save("none:");
    second.save("none:");
    third.save("none:");
    third.top_k(1, |(_, n)| n).save("none:");
    shown.save("none:");
}

type Results = BTreeMap<(i64, String), i64>;

fn windows(events: &[Event], length: i64, slide: i64, merge: fn(i64, i64) -> i64) -> Results {
    let mut results = Results::new();
    for (at, key, n) in events {
        let mut start = at.div_euclid(slide) * slide;
        while start + length > *at {
            let merged = results.entry((start, key.clone()));
            merged.and_modify(|m| *m = merge(*m, *n)).or_insert(*n);
            start -= slide;
        }
    }
    results
}

fn timed(results: &Results, length: i64) -> Vec<Event> {
    results.iter().map(|((start, key), n)| (start + length - 1, key.clone(), *n)).collect()
}

const ADD: fn(i64, i64) -> i64 = |a, b| a + b;

fn expected(events: &[Event]) -> Vec<(&'static str, i64, Results)> {
    let first = windows(events, 10, 5, ADD);
    let kept: Vec<Event> = timed(&first, 10).into_iter().filter(|e| e.2 != 5).collect();
    let second = windows(&kept, 30, 10, ADD);
    let tripled: Vec<Event> =
        timed(&second, 30).into_iter().map(|(t, k, n)| (t, k, n * 3)).collect();
    let third = windows(&tripled, 60, 60, i64::min);
    let both = windows(events, 50, 20, ADD).into_iter().map(|(k, n)| (k, n * 2)).collect();
    vec![
        ("instants", 1, windows(events, 1, 1, ADD)),
        ("in_operator", 90, windows(events, 90, 20, ADD)),
        ("seven", 7, windows(events, 7, 3, i64::max)),
        ("gap", 3, windows(events, 3, 7, ADD)),
        ("both", 50, both),
        ("first", 10, first),
        ("second", 30, second),
        ("third", 60, third),
    ]
}

/// Milliseconds of dates as outputs write them, by `date`.
#[derive(Default)]
struct Dates(BTreeMap<String, i64>);

impl Dates {
    fn millis(&mut self, date: &str) -> i64 {
        if let Some(known) = self.0.get(date) {
            return *known;
        }
        let said = std::process::Command::new("date").args(["-u", "+%s %3N", "-d", date]).output();
        let said = String::from_utf8(said.unwrap().stdout).unwrap();
        let (seconds, rest) = said.trim().split_once(' ').unwrap();
        let millis = seconds.parse::<i64>().unwrap() * 1000 + rest.parse::<i64>().unwrap();
        self.0.insert(date.to_owned(), millis);
        millis
    }
}

/// A result: window start and end, key, value.
type Found = (String, String, String, i64);

/// What an output published, in its order.
fn published(done: &Done, output: &str) -> Vec<Found> {
    let lines = (1..=done.batches()).flat_map(|b| done.lines(output, b).unwrap_or_default());
    let of = |line: String| {
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        let n = record["value"].as_i64().unwrap();
        (text("window_start"), text("window_end"), text("key"), n)
    };
    lines.map(of).collect()
}

/// Checks that an output has published these results, each once.
fn check_one(done: &Done, output: &str, length: i64, wanted: &Results, dates: &mut Dates) {
    let mut found = Results::new();
    for (start, end, key, n) in published(done, output) {
        let (start, end) = (dates.millis(&start), dates.millis(&end));
        assert_eq!(end - start, length, "{output}");
        assert_eq!(found.insert((start, key), n), None, "{output}: twice");
    }
    assert_eq!(&found, wanted, "{output}");
}

fn check(done: &Done, events: &[Event], dates: &mut Dates) {
    for (output, length, wanted) in expected(events) {
        check_one(done, output, length, &wanted, dates);
    }
}

/// Events out of order by at most 100 ms, around 1970 and with leaps.
fn events(count: u64) -> Vec<Event> {
    let mut seed = 7u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut base = -400;
    (0..count)
        .map(|_| {
            base += draw(12) as i64 + if draw(40) == 0 { 500 } else { 0 };
            let key = "k".repeat(draw(41) as usize % 7 * 7);
            (base - draw(101) as i64, key, draw(19) as i64 - 9)
        })
        .collect()
}

#[test]
fn odd_windows_of_streams_that_meet_and_follow_each_other() -> Tested {
    let events = events(260);
    let mut dates = Dates::default();
    for partitions in [1, 3, 8] {
        for per_batch in [300, 41, 7, 1] {
            let batches: Vec<_> = events.chunks(per_batch).map(<[Event]>::to_vec).collect();
            let run = || Run::new(odd).input("samples", batches.clone()).partitions(partitions);
            let whole = run().run()?;
            assert_eq!(whole.late(), 0);
            check(&whole, &events, &mut dates);
            let mut shown = Vec::new();
            for batch in 1..=whole.batches() {
                shown.extend(whole.records::<(String, i64, i64)>("shown", batch)?);
            }
            let said = events.iter().map(|(at, key, n)| (key.clone(), *n, *at));
            let mut wanted: Vec<_> = said.flat_map(|record| vec![record; 3]).collect();
            shown.sort();
            wanted.sort();
            assert_eq!(shown, wanted);
            if per_batch == 7 {
                let bytes = everything(&whole);
                for after in (1..batches.len() as u64).step_by(11) {
                    let again = run().restart_after(after).run()?;
                    assert_eq!(everything(&again), bytes, "after {after}");
                }
                let often = (1..batches.len() as u64).fold(run().memory(0), Run::restart_after);
                assert_eq!(everything(&often.run()?), bytes, "after every batch");
            }
        }
    }
    Ok(())
}

#[dstream::job]
fn extreme() {
    let samples = source::csv::<Sample>("none?header=false");
    let values = samples.event_time(|s| s.at, "1ms").map(|s| (s.key, s.n));
    let years = values.reduce_by_key_and_window(|a, b| a + b, "3650d", "365d");
    let instants = values.reduce_by_key_and_window(|a, b| a + b, "2ms", "1ms");
    let chained = years.reduce_by_key_and_window(|a, b| a + b, "36500d");
    years.save("none:");
    instants.save("none:");
    chained.save("none:");
    values.map(|(k, n), ctx| (k, n, ctx.event_time())).save("none:");
}

#[test]
fn extreme_times_are_counted_once_per_window() -> Tested {
    let batches: Vec<Vec<(i64, &str, i64)>> = vec![
        vec![(i64::MIN, "a", 1), (i64::MIN + 1, "a", 2), (-1, "b", 4), (0, "b", 8)],
        vec![(i64::MAX, "c", 16), (i64::MAX - 1, "c", 32)],
        vec![(0, "late", 1), (i64::MIN, "late", 1), (i64::MAX, "c", 64)],
    ];
    every(|partitions| {
        for restart in [0, 1, 2] {
            let run = Run::new(extreme).input("samples", batches.clone()).partitions(partitions);
            let done = match restart {
                0 => run.run()?,
                n => run.restart_after(n).run()?,
            };
            let sum = |output: &str| -> BTreeMap<String, (usize, i64)> {
                let mut sums = BTreeMap::new();
                for (_, _, key, n) in published(&done, output) {
                    let of = sums.entry(key).or_insert((0, 0));
                    *of = (of.0 + 1, of.1 + n);
                }
                sums
            };
            let of = |all: [(&str, (usize, i64)); 3]| -> BTreeMap<String, (usize, i64)> {
                all.map(|(k, v)| (k.to_owned(), v)).into()
            };
            assert_eq!(
                sum("instants"),
                of([("a", (2, 6)), ("b", (3, 24)), ("c", (2, 224))]),
                "{:?}",
                published(&done, "instants")
            );
            assert_eq!(
                sum("years"),
                of([("a", (10, 30)), ("b", (11, 120)), ("c", (10, 1120))]),
                "{:?}",
                published(&done, "years")
            );
            assert_eq!(done.late(), 4);
        }
        Ok(())
    })
}

#[dstream::job]
fn met_before() {
    let left = source::csv::<Sample>("none?header=false");
    let right = source::csv::<Sample>("none?header=false");
    let all = left.union(right);
    let counts = all
        .event_time(|s| s.at, "10ms")
        .map(|s| (s.key, s.n))
        .reduce_by_key_and_window(|a, b| a + b, "100ms");
    let distinct = all.map(|s| (s.at, s.key, s.n)).distinct();
    let after = distinct.event_time(|(at, _, _)| at, "10ms").map(|(_, key, n)| (key, n));
    let moved = after.reduce_by_key_and_window(|a, b| a + b, "100ms");
    counts.save("none:");
    moved.save("none:");
}

#[test]
fn streams_that_meet_before_their_times_are_said_wait_for_each_other() -> Tested {
    let of = |from: i64, step: i64| -> Vec<Vec<Event>> {
        (0..12i64)
            .map(|b| (0..5).map(|i| (from + b * step + i, format!("k{}", i % 2), b)).collect())
            .collect()
    };
    let (left, right) = (of(0, 300), of(-500, 40));
    let all: Vec<Event> = left.concat().into_iter().chain(right.concat()).collect();
    let set: BTreeSet<Event> = all.iter().cloned().collect();
    let set: Vec<Event> = set.into_iter().collect();
    every(|partitions| {
        let run = Run::new(met_before).input("left", left.clone()).input("right", right.clone());
        let done = run.partitions(partitions).run()?;
        for (output, events) in [("counts", &all), ("moved", &set)] {
            let found: i64 = published(&done, output).iter().map(|r| r.3).sum();
            let wanted: i64 = windows(events, 100, 100, ADD).values().sum();
            assert_eq!(found, wanted, "{output}, late {}", done.late());
        }
        assert_eq!(done.late(), 0);
        Ok(())
    })
}

#[dstream::job]
fn fine() {
    let samples = source::csv::<Sample>("none?header=false");
    let values = samples.event_time(|s| s.at, "1ms").map(|s| (s.key, s.n));
    values.reduce_by_key_and_window(|a, b| a + b, "10s", "1ms").top_k(1, |(_, n)| n).save("none:");
    values.reduce_by_key_and_window(|a, b| a + b, "1ms").save("none:");
}

#[test]
fn many_panes_in_one_batch() -> Tested {
    let events: Vec<Event> = (0..20_000).map(|at| (at, "k".to_owned(), 1)).collect();
    let done = Run::new(fine).input("samples", [events]).partitions(3).run()?;
    let found = published(&done, done.plan().outputs[0].name);
    assert_eq!(found.len(), 20_000 + 9_999);
    Ok(())
}

#[dstream::job]
fn sums_of_floats() {
    let samples = source::csv::<Sample>("none?header=false");
    let values = samples.event_time(|s| s.at, "100ms").map(|s| (s.key, s.n as f64 * 0.1));
    let sums = values.reduce_by_key_and_window(|a, b| a + b, "100ms", "30ms");
    let pairs = values.map_values(|x| (x, 1u64));
    let means = pairs.reduce_by_key_and_window(|a, b| (a.0 + b.0, a.1 + b.1), "100ms", "30ms");
    let plain = values.reduce_by_key_and_window(|a, b| a + b, "100ms");
    let long = sums.reduce_by_key_and_window(|a, b| a + b, "1s", "100ms");
    sums.save("none:");
    means.map_values(|(sum, n)| sum / n as f64).save("none:");
    plain.save("none:");
    long.save("none:");
    long.top_k(2, |(_, sum)| sum as i64).save("none:");
}

/// Everything that all outputs published, batch by batch.
fn everything(done: &Done) -> Vec<Vec<String>> {
    let outputs = done.plan().outputs.iter().map(|output| output.name);
    let all = outputs.flat_map(|output| (1..=done.batches()).map(move |batch| (output, batch)));
    all.map(|(output, batch)| done.lines(output, batch).unwrap_or_default()).collect()
}

#[test]
fn sums_of_floats_are_the_same_to_the_bit_after_restarts() -> Tested {
    let events = events(300);
    let batches: Vec<_> = events.chunks(9).map(<[Event]>::to_vec).collect();
    every(|partitions| {
        let run =
            || Run::new(sums_of_floats).input("samples", batches.clone()).partitions(partitions);
        let whole = everything(&run().run()?);
        assert!(whole.iter().flatten().count() > 500);
        for after in [1, 2, 5, 11, 17, 30] {
            assert_eq!(everything(&run().restart_after(after).run()?), whole, "after {after}");
        }
        let often = (1..batches.len() as u64).fold(run().memory(0), Run::restart_after);
        assert_eq!(everything(&often.run()?), whole, "after every batch");
        Ok(())
    })
}

#[derive(Record)]
struct Own {
    n: i64,
    window_start: i64,
}

#[derive(Record)]
struct Both {
    window_end: i64,
    window_start: i64,
}

#[dstream::job]
fn own_bounds() {
    let samples = source::csv::<Sample>("none?header=false");
    let values = samples.event_time(|s| s.at, "1ms").map(|s| (s.key, s.n));
    let sums = values.reduce_by_key_and_window(|a, b| a + b, "1s");
    let one = sums.map(|(_, n), ctx| Own { n, window_start: ctx.window().start });
    let both =
        sums.map(|_, ctx| Both { window_end: ctx.window().end, window_start: ctx.window().start });
    one.save("none:");
    both.save("none:");
}

#[test]
fn a_field_that_is_called_as_a_bound_of_windows_is_written_once() -> Tested {
    let done = Run::new(own_bounds).input("samples", [[(2500, "a", 7i64)]]).run()?;
    let end = "1970-01-01T00:00:03.000Z";
    let one = format!(r#"{{"window_end":"{end}","n":7,"window_start":2000}}"#);
    assert_eq!(done.lines("one", 1)?, [one]);
    assert_eq!(done.lines("both", 1)?, [r#"{"window_end":3000,"window_start":2000}"#]);
    Ok(())
}

#[dstream::job]
fn of_two() {
    let left = source::csv::<Sample>("none?header=false");
    let right = source::csv::<Sample>("none?header=false");
    let left_values = left.event_time(|s| s.at, "100ms").map(|s| (s.key, s.n));
    let right_values = right.event_time(|s| s.at, "200ms").map(|s| (s.key, s.n));
    let all = left_values.union(right_values);
    let sums = all.reduce_by_key_and_window(|a, b| a + b, "60ms", "40ms");
    let alone = left_values.reduce_by_key_and_window(|a, b| a + b, "60ms");
    let running = sums.running_reduce(|a, b| a + b);
    let later = alone.union(sums).reduce_by_key_and_window(|a, b| a + b, "240ms");
    sums.save("none:");
    alone.save("none:");
    running.save("none:");
    later.save("none:");
}

/// Checks what the job has published, but for when.
fn check_of_two(done: &Done, left: &[Event], right: &[Event], dates: &mut Dates) {
    let all = [left, right].concat();
    let sums = windows(&all, 60, 40, ADD);
    let alone = windows(left, 60, 60, ADD);
    let both = [timed(&alone, 60), timed(&sums, 60)].concat();
    check_one(done, "alone", 60, &alone, dates);
    check_one(done, "later", 240, &windows(&both, 240, 240, ADD), dates);
    check_one(done, "sums", 60, &sums, dates);
    assert_eq!(done.late(), 0);
}

#[test]
fn a_source_that_ends_early_holds_nothing_back_after_restarts_either() -> Tested {
    let (left, right) = (events(20), events(120));
    let batches = |events: &[Event], of: usize| -> Vec<Vec<Event>> {
        events.chunks(of).map(<[Event]>::to_vec).collect()
    };
    let mut dates = Dates::default();
    for (left, right) in [(&left, &right), (&right, &left)] {
        for partitions in [1, 3, 8] {
            let (ls, rs) = (batches(left, 10), batches(right, 10));
            let last = ls.len().max(rs.len()) as u64;
            let run = || {
                let run = Run::new(of_two).input("left", ls.clone()).input("right", rs.clone());
                run.partitions(partitions)
            };
            let whole = run().run()?;
            check_of_two(&whole, left, right, &mut dates);
            let bytes = everything(&whole);
            for after in 1..last {
                let again = run().restart_after(after).run()?;
                assert_eq!(everything(&again), bytes, "after {after}");
            }
            assert_eq!(everything(&(1..last).fold(run(), Run::restart_after).run()?), bytes);
        }
    }
    Ok(())
}

/// The time of a sample; some have none.
fn time(at: i64, n: i64) -> i64 {
    assert_ne!(n, 9, "no time");
    at
}

#[dstream::job]
fn texts() {
    let samples = source::csv::<Sample>("none?header=false&on_panic=dead_letter");
    let dated = samples.event_time(|s| time(s.at, s.n), "100ms");
    let values = dated.map(|s| (s.n % 3, s.key));
    let longest = values.reduce_by_key_and_window(
        |a, b| if a.len() < b.len() { b } else { a },
        "40ms",
        "10ms",
    );
    let all = values.reduce_by_key_and_window(|a, b| format!("{a}{b}"), "50ms");
    longest.map(|(k, text)| (k.to_string(), text.len() as i64)).save("none:");
    all.map(|(k, text)| (k.to_string(), text.len() as i64)).save("none:");
}

#[test]
fn windows_of_texts_leave_out_records_that_have_no_time() -> Tested {
    let events = events(200);
    let timed = events.iter().filter(|(_, _, n)| *n != 9);
    let timed: Vec<Event> =
        timed.map(|(at, key, n)| (*at, (n % 3).to_string(), key.len() as i64)).collect();
    let mut dates = Dates::default();
    for partitions in PARTITIONS {
        for per_batch in [200, 13] {
            let batches = events.chunks(per_batch).map(|batch| {
                let lines = batch.iter().map(|(at, key, n)| format!("{at},{key},{n}\nno,number\n"));
                lines.collect::<String>()
            });
            let run = Run::new(texts).raw("samples", batches).partitions(partitions);
            let run = if per_batch == 13 { run.restart_after(4).restart_after(9) } else { run };
            let done = run.run()?;
            let dead = done.dead_letters("samples")?.len();
            assert_eq!((dead, done.late()), (events.len() * 2 - timed.len(), 0));
            for (output, length, wanted) in [
                ("longest", 40, windows(&timed, 40, 10, i64::max)),
                ("all", 50, windows(&timed, 50, 50, ADD)),
            ] {
                let outputs = done.plan().outputs.iter();
                let name = outputs.map(|o| o.name).find(|name| name.starts_with(output));
                check_one(&done, name.unwrap(), length, &wanted, &mut dates);
            }
        }
    }
    Ok(())
}
