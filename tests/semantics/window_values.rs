//! Windows that keep values or lists of their batches, and windows of a number of batches, compared with the batches
//! that each spans; and their states after restarts.

use std::collections::BTreeMap;

use dstream::testing::{Done, Run};

use crate::{Tested, every};

#[dstream::job]
fn values() {
    let lines = source::text("none");
    let numbers = lines.map(|line| line.len() as u64);
    let pairs = lines.map(|line| (line.len() as u64, line));
    let sums = numbers.reduce_by_window(|a, b| a + b, "3s");
    let inverse = numbers.reduce_by_window(|a, b| a + b, |a, b| a - b, "3s");
    let greatest = numbers.reduce_by_window(|a, b| a.max(b), "4s", "2s");
    let gaps = numbers.reduce_by_window(|a, b| a + b, |a, b| a - b, "1s", "3s");
    let counts = lines.count_by_window("3s");
    let slow_counts = lines.count_by_window("4s", "2s");
    let gap_counts = lines.count_by_window("1s", "3s");
    let each = lines.count_by_value_and_window("3s");
    let slow_each = lines.count_by_value_and_window("4s", "2s");
    let gap_each = lines.count_by_value_and_window("1s", "3s");
    let groups = pairs.group_by_key_and_window("3s");
    let slow_groups = pairs.group_by_key_and_window("4s", "2s");
    let reduced = pairs.reduce_by_key(|a, b| if a < b { a } else { b });
    let few = reduced.group_by_key_and_window("3s");
    let rows = lines.window_batches(3);
    let slow_rows = lines.window_batches(4, 2).count();
    let nested = numbers.reduce_by_window(|a, b| a + b, "2s", "2s").count_by_window("4s");
    sums.save("none:");
    inverse.save("none:");
    greatest.save("none:");
    gaps.save("none:");
    counts.save("none:");
    slow_counts.save("none:");
    gap_counts.save("none:");
    each.save("none:");
    slow_each.save("none:");
    gap_each.save("none:");
    groups.save("none:");
    slow_groups.save("none:");
    few.save("none:");
    rows.save("none:");
    slow_rows.save("none:");
    nested.save("none:");
}

/// Batches of lines; several in a row are empty, the first ones too, and lines come back.
fn batches() -> Vec<Vec<&'static str>> {
    let text = "||a bb a|ccc a||||bb bb dddd|a|ccc ccc a|||||||a a|";
    text.split('|').map(|batch| batch.split_ascii_whitespace().collect()).collect()
}

type Batches = [Vec<&'static str>];

/// The lines of a window that ends with a batch, in order; nothing where it does not emit.
fn spanned(
    batches: &Batches,
    end: usize,
    length: usize,
    slide: usize,
) -> Option<Vec<&'static str>> {
    end.is_multiple_of(slide).then(|| batches[end.saturating_sub(length)..end].concat())
}

fn sum(lines: &[&str]) -> Option<u64> {
    lines.iter().map(|line| line.len() as u64).reduce(|a, b| a + b)
}

fn each(lines: &[&str]) -> Vec<(String, u64)> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry((*line).to_owned()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn groups(lines: &[&str]) -> Vec<(u64, Vec<String>)> {
    let mut groups: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in lines {
        groups.entry(line.len() as u64).or_default().push((*line).to_owned());
    }
    groups.into_iter().collect()
}

fn one<T>(value: Option<T>) -> Vec<T> {
    value.into_iter().collect()
}

#[test]
fn windows_of_values_agree_with_their_records() -> Tested {
    let batches = batches();
    every(|partitions| {
        let done = Run::new(values).input("lines", batches.clone()).partitions(partitions).run()?;
        for end in 1..=batches.len() {
            let at = end as u64;
            let window = |length, slide| spanned(&batches, end, length, slide);
            let number = |output: &str| done.records::<u64>(output, at);
            let sum_of = |length, slide| one(window(length, slide).and_then(|lines| sum(&lines)));
            assert_eq!(number("sums")?, sum_of(3, 1), "sums of batch {end}");
            assert_eq!(number("inverse")?, sum_of(3, 1), "inverse of batch {end}");
            assert_eq!(number("gaps")?, sum_of(1, 3), "gaps of batch {end}");
            let greatest = window(4, 2).and_then(|l| l.iter().map(|line| line.len() as u64).max());
            assert_eq!(number("greatest")?, one(greatest), "greatest of batch {end}");
            for (output, length, slide) in
                [("counts", 3, 1), ("slow_counts", 4, 2), ("gap_counts", 1, 3), ("slow_rows", 4, 2)]
            {
                // A number for every slide from the first one on, 0 included.
                let count = window(length, slide).map(|lines| lines.len() as u64);
                assert_eq!(number(output)?, one(count), "{output} of batch {end}");
            }
            for (output, length, slide) in [("each", 3, 1), ("slow_each", 4, 2), ("gap_each", 1, 3)]
            {
                let wanted = window(length, slide).map(|lines| each(&lines)).unwrap_or_default();
                let found = done.sorted::<(String, u64)>(output, at)?;
                assert_eq!(found, wanted, "{output} of batch {end}");
            }
            for (output, length, slide) in [("groups", 3, 1), ("slow_groups", 4, 2)] {
                let wanted = window(length, slide).map(|lines| groups(&lines)).unwrap_or_default();
                let found = done.sorted::<(u64, Vec<String>)>(output, at)?;
                assert_eq!(found, wanted, "{output} of batch {end}");
            }
            let firsts: Vec<Vec<&str>> = batches[end.saturating_sub(3)..end]
                .iter()
                .map(|lines| {
                    let mut least: BTreeMap<usize, &str> = BTreeMap::new();
                    for line in lines {
                        let found = least.entry(line.len()).or_insert(line);
                        *found = (*found).min(line);
                    }
                    least.into_values().collect()
                })
                .collect();
            let found = done.sorted::<(u64, Vec<String>)>("few", at)?;
            assert_eq!(found, groups(&firsts.concat()), "few of batch {end}");
            let mut rows = window(3, 1).unwrap_or_default();
            rows.sort_unstable();
            assert_eq!(done.sorted::<String>("rows", at)?, rows, "rows of batch {end}");
            // A window of windows: how many of the last two of 2 s were not empty.
            let nested = end.is_multiple_of(2).then(|| {
                let full = |end: usize| {
                    end > 0 && !batches[end.saturating_sub(2)..end].concat().is_empty()
                };
                u64::from(full(end)) + u64::from(end > 2 && full(end - 2))
            });
            assert_eq!(number("nested")?, one(nested), "nested of batch {end}");
        }
        Ok(())
    })
}

const OUTPUTS: [&str; 16] = [
    "sums",
    "inverse",
    "greatest",
    "gaps",
    "counts",
    "slow_counts",
    "gap_counts",
    "each",
    "slow_each",
    "gap_each",
    "groups",
    "slow_groups",
    "few",
    "rows",
    "slow_rows",
    "nested",
];

/// Everything that all outputs published.
fn bytes(done: &Done) -> Vec<(&'static str, u64, Vec<String>)> {
    let batches = (1..=done.batches()).flat_map(|batch| OUTPUTS.map(|output| (output, batch)));
    batches
        .map(|(output, batch)| (output, batch, done.lines(output, batch).unwrap_or_default()))
        .collect()
}

#[test]
fn a_restart_finds_their_states() -> Tested {
    let batches = batches();
    every(|partitions| {
        let run = || Run::new(values).input("lines", batches.clone()).partitions(partitions);
        let whole = bytes(&run().run()?);
        assert!(
            whole
                .iter()
                .all(|(output, ..)| whole.iter().any(|(o, _, l)| o == output && !l.is_empty()))
        );
        for batch in [1, 4, 9, 12] {
            assert_eq!(bytes(&run().restart_after(batch).run()?), whole, "after batch {batch}");
        }
        let often = (1..batches.len() as u64).fold(run(), Run::restart_after);
        assert_eq!(bytes(&often.run()?), whole, "after every batch");
        Ok(())
    })
}

#[dstream::job]
fn floats() {
    let lines = source::text("none");
    let values = lines.map(|line| line.parse::<f64>().unwrap_or(f64::NAN));
    let sums = values.reduce_by_window(|a, b| a + b, |a, b| a - b, "3s");
    sums.save("none:");
}

#[test]
fn sums_of_floats_over_a_window_equal_a_recomputation() -> Tested {
    let numbers = ["1e16", "1", "-1e16", "0.1", "0.2", "0.3", "1e-9"];
    let parsed: Vec<f64> = numbers.iter().filter_map(|n| n.parse().ok()).collect();
    every(|partitions| {
        let run = Run::new(floats).input("lines", numbers.map(|n| vec![n])).partitions(partitions);
        let done = run.run()?;
        for end in 1..=parsed.len() {
            let sum = parsed[end.saturating_sub(3)..end].iter().copied().reduce(|a, b| a + b);
            let found = done.records::<f64>("sums", end as u64)?;
            assert_eq!(found.first().map(|sum| sum.to_bits()), sum.map(f64::to_bits));
        }
        Ok(())
    })
}
