//! Aggregates per batch, window and session, running and of all records, compared with plain Rust on whole lists.

use std::collections::BTreeMap;

use dstream::agg::{Accumulator, Aggregate};
use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every, published};

/// An aggregate of the test's own: the values as a sorted text.
#[derive(Debug, Clone, Copy)]
struct Listed;

/// What it keeps.
#[derive(Record, Debug, Clone, PartialEq)]
struct List {
    values: Vec<u64>,
}

impl Aggregate<u64> for Listed {
    type Acc = List;
    fn begin(&self, value: u64) -> List {
        List { values: vec![value] }
    }
}

impl Accumulator for List {
    type Output = String;
    fn merge(&mut self, other: ListRef<'_>) {
        self.values.extend(other.values.iter());
    }
    fn finish(view: ListRef<'_>) -> String {
        let mut values: Vec<u64> = view.values.iter().collect();
        values.sort_unstable();
        values.iter().map(u64::to_string).collect::<Vec<_>>().join("+")
    }
}

fn listed() -> Listed {
    Listed
}

#[dstream::params]
struct Params {
    /// Which quantile
    #[arg(long, default_value_t = 0.5)]
    quantile: f64,
}

#[dstream::job(interval = "1s")]
fn aggregates(params: &Params) {
    let q = params.quantile;
    let readings = source::csv::<(String, u64)>("none");
    let several = readings.aggregate_by_key(
        agg::count(),
        agg::sum(),
        agg::mean(|n| n as f64 / 10.0),
        agg::min(),
        agg::max_by(|n| (n % 7, n)),
        agg::distinct(|n| n % 3),
        agg::top_k(2, |n| n),
        agg::quantile(q),
    );
    let own = readings.aggregate_by_key(listed());
    let all = readings.aggregate(agg::count(), agg::max(|(key, n)| (n, key)));
    let running = readings.running_aggregate(agg::sum(), agg::max());
    let window = readings.window("3s", "1s").aggregate_by_key(agg::sum(), listed());
    let timed = readings.event_time(|(_, n)| n * 1000, "100s");
    let session = timed.session("5s").aggregate_by_key(agg::count(), listed(|n| n));
    let minutes = timed.window("10s").aggregate(agg::count());
    several.save("none:");
    own.save("none:");
    all.save("none:");
    running.save("none:");
    window.save("none:");
    session.map(|(key, (n, list))| (key, n, list)).save("none:");
    minutes.map(|n| n).save("none:");
}

type Batch = Vec<(String, u64)>;

/// Deterministic readings of four keys, in batches of several sizes, some of them empty.
fn batches() -> Vec<Batch> {
    let mut mixed = 7u64;
    let mut draw = |below: u64| {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        (mixed >> 33) % below
    };
    let reading = |draw: &mut dyn FnMut(u64) -> u64| (format!("k{}", draw(4)), draw(60));
    (0..12).map(|n| (0..(n % 5) * 4).map(|_| reading(&mut draw)).collect()).collect()
}

fn by_key(batches: &[Batch]) -> BTreeMap<String, Vec<u64>> {
    let mut keys: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (key, n) in batches.iter().flatten() {
        keys.entry(key.clone()).or_default().push(*n);
    }
    keys.values_mut().for_each(|values| values.sort_unstable());
    keys
}

fn joined(values: &[u64]) -> String {
    values.iter().map(u64::to_string).collect::<Vec<_>>().join("+")
}

type Several = (u64, u64, f64, u64, u64, u64, Vec<u64>, f64);

fn several(values: &[u64]) -> Several {
    let sum: u64 = values.iter().sum();
    let tenths: Vec<f64> = values.iter().map(|n| *n as f64 / 10.0).collect();
    // Sums of tenths, rounded once: of an exact sum in units of 2^-60.
    let exact: i128 = tenths.iter().map(|x| (x * 2f64.powi(60)) as i128).sum();
    let mean = exact as f64 / 2f64.powi(60) / values.len() as f64;
    let by = values.iter().max_by_key(|n| (*n % 7, **n)).copied().unwrap_or(0);
    let mut thirds: Vec<u64> = values.iter().map(|n| n % 3).collect();
    thirds.sort_unstable();
    thirds.dedup();
    let top = values.iter().rev().take(2).copied().collect();
    let median = values[(values.len() - 1) / 2] as f64;
    (values.len() as u64, sum, mean, values[0], by, thirds.len() as u64, top, median)
}

#[test]
fn aggregates_are_those_of_the_lists_wherever_they_are_merged_and_restarted() -> Tested {
    let batches = batches();
    every(|partitions| {
        for restarts in [&[][..], &[3, 7]] {
            let run =
                Run::new(aggregates).input("readings", batches.clone()).partitions(partitions);
            let done = restarts.iter().copied().fold(run, Run::restart_after).run()?;
            let keyed = published::<(String, Several)>(&done, "several", 12)?;
            let own = published::<(String, String)>(&done, "own", 12)?;
            let windows = published::<(String, (u64, String))>(&done, "window", 12)?;
            let running = published::<(String, (u64, u64))>(&done, "running", 12)?;
            for n in 1..=12 {
                let (now, ever) = (by_key(&batches[n - 1..n]), by_key(&batches[..n]));
                let of = now.iter().map(|(key, values)| (key.clone(), several(values)));
                for ((key, mut is), (expected, mut value)) in keyed[n - 1].iter().cloned().zip(of) {
                    assert!((is.7 - value.7).abs() <= value.7 * 0.01, "{is:?} {value:?}");
                    (is.7, value.7) = (0.0, 0.0);
                    assert_eq!((key, is), (expected, value));
                }
                assert_eq!(keyed[n - 1].len(), now.len());
                let lists = |keys: &BTreeMap<String, Vec<u64>>| -> Vec<(String, String)> {
                    keys.iter().map(|(key, values)| (key.clone(), joined(values))).collect()
                };
                assert_eq!(own[n - 1], lists(&now));
                let spanned = by_key(&batches[n.saturating_sub(3)..n]);
                let spanned = spanned.iter().map(|(key, values)| {
                    (key.clone(), (values.iter().sum::<u64>(), joined(values)))
                });
                assert_eq!(windows[n - 1], spanned.collect::<Vec<_>>());
                let touched = ever.iter().filter(|(key, _)| now.contains_key(*key));
                let touched = touched.map(|(key, values)| {
                    (key.clone(), (values.iter().sum::<u64>(), values[values.len() - 1]))
                });
                assert_eq!(running[n - 1], touched.collect::<Vec<_>>());
                let greatest = batches[n - 1].iter().map(|(key, n)| (*n, key.clone())).max();
                let all = greatest.map(|greatest| (batches[n - 1].len() as u64, greatest));
                let found = done.records::<(u64, (u64, String))>("all", n as u64)?;
                assert_eq!(found, all.into_iter().collect::<Vec<_>>());
            }
            // All close with the end of the input.
            let mut sessions = Vec::new();
            for (key, values) in by_key(&batches) {
                for session in values.chunk_by(|a, b| b - a < 5) {
                    sessions.push((key.clone(), session.len() as u64, joined(session)));
                }
            }
            sessions.sort();
            let lines = (1..=12).flat_map(|n| done.lines("session.map", n).unwrap_or_default());
            let mut found: Vec<(String, u64, String)> = lines
                .map(|line| {
                    let row: serde_json::Value = serde_json::from_str(&line).unwrap();
                    let text = |name: &str| row[name].as_str().unwrap().to_owned();
                    (text("_0"), row["_1"].as_u64().unwrap(), text("_2"))
                })
                .collect();
            found.sort();
            assert_eq!(found, sessions);
            let counted = (1..=12).flat_map(|n| done.lines("minutes.map", n).unwrap_or_default());
            let counted = counted.map(|line| {
                let row: serde_json::Value = serde_json::from_str(&line).unwrap();
                row["value"].as_u64().unwrap_or_else(|| panic!("{line}"))
            });
            assert_eq!(counted.sum::<u64>(), batches.iter().flatten().count() as u64);
        }
        Ok(())
    })
}
