//! Windows, compared with a simple interpreter that folds the batches of each window.

use std::collections::BTreeMap;

use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every, published};

#[dstream::job]
fn windows() {
    let lines = source::text("none");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let inverse = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "3s", "1s");
    let plain = ones.reduce_by_key_and_window(|a, b| a + b, "3s", "1s");
    let sliding = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "4s", "2s");
    let gaps = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "1s", "3s");
    let greatest = ones.map(|(word, _)| (word.len() as u64, word)).reduce_by_key_and_window(
        |a, b| if a > b { a } else { b },
        "3s",
        "1s",
    );
    let rows = lines.window("2s", "1s");
    let in_rows = rows.count();
    let nested = inverse.map_values(|n| n * 10).reduce_by_key_and_window(|a, b| a + b, "2s", "2s");
    inverse.save("none:");
    plain.save("none:");
    sliding.save("none:");
    gaps.save("none:");
    greatest.save("none:");
    rows.save("none:");
    in_rows.save("none:");
    nested.save("none:");
}

/// Batches of words, some empty, with keys that come and go.
fn batches() -> Vec<Vec<&'static str>> {
    let text = "a b|a||c a a|b||||d|d d|a b c d|";
    text.split('|').map(|batch| vec![batch]).collect()
}

/// Counts of words over the last `length` batches, at every batch.
fn counts(batches: &[Vec<&str>], length: usize) -> Vec<Vec<(String, u64)>> {
    (1..=batches.len())
        .map(|end| {
            let mut counts = BTreeMap::new();
            let spanned = batches[end.saturating_sub(length)..end].iter().flatten();
            for word in spanned.flat_map(|line| line.split_ascii_whitespace()) {
                *counts.entry(word.to_owned()).or_insert(0) += 1;
            }
            counts.into_iter().collect()
        })
        .collect()
}

/// Only the batches in which a window with that slide emits.
fn every_nth<R>(all: Vec<Vec<R>>, slide: usize) -> Vec<Vec<R>> {
    let keep = |(i, batch): (usize, _)| if (i + 1) % slide == 0 { batch } else { Vec::new() };
    all.into_iter().enumerate().map(keep).collect()
}

#[test]
fn windows_agree_with_a_fold_of_their_batches() -> Tested {
    let batches = batches();
    let n = batches.len() as u64;
    every(|partitions| {
        let run = Run::new(windows).input("lines", batches.clone()).partitions(partitions);
        let done = run.run()?;
        let published = |output| published::<(String, u64)>(&done, output, n);
        assert_eq!(published("inverse")?, counts(&batches, 3), "inverse");
        assert_eq!(published("plain")?, counts(&batches, 3), "plain");
        assert_eq!(published("sliding")?, every_nth(counts(&batches, 4), 2), "sliding");
        assert_eq!(published("gaps")?, every_nth(counts(&batches, 1), 3), "gaps");

        let three = counts(&batches, 3);
        let nested = (0..batches.len())
            .map(|i| {
                let mut sums = BTreeMap::new();
                for (word, count) in three[i.saturating_sub(1)..=i].iter().flatten() {
                    *sums.entry(word.clone()).or_insert(0) += count * 10;
                }
                sums.into_iter().collect()
            })
            .collect();
        assert_eq!(published("nested")?, every_nth(nested, 2), "nested");
        Ok(())
    })
}

#[test]
fn a_window_of_rows_is_the_union_of_its_batches() -> Tested {
    let batches = batches();
    every(|partitions| {
        let run = Run::new(windows).input("lines", batches.clone()).partitions(partitions);
        let done = run.run()?;
        for end in 1..=batches.len() {
            let spanned = &batches[end.saturating_sub(2)..end];
            let mut lines: Vec<_> = spanned.iter().flatten().copied().collect();
            lines.sort_unstable();
            assert_eq!(done.sorted::<String>("rows", end as u64)?, lines);
            assert_eq!(done.records::<u64>("in_rows", end as u64)?, [lines.len() as u64]);
        }
        Ok(())
    })
}

#[test]
fn without_an_inverse_any_function_will_do() -> Tested {
    let batches = batches();
    every(|partitions| {
        let run = Run::new(windows).input("lines", batches.clone()).partitions(partitions);
        let done = run.run()?;
        for end in 1..=batches.len() {
            let spanned = batches[end.saturating_sub(3)..end].iter().flatten();
            let greatest = spanned.flat_map(|line| line.split_ascii_whitespace()).max();
            let expected: Vec<_> = greatest.iter().map(|word| (1, (*word).to_owned())).collect();
            assert_eq!(done.sorted::<(u64, String)>("greatest", end as u64)?, expected);
        }
        Ok(())
    })
}

#[dstream::job]
fn zeros() {
    let lines = source::text("none");
    let numbers = lines.map(|line| ("k", line.parse::<i64>().unwrap_or(0)));
    let sums = numbers.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "2s", "1s");
    sums.save("none:");
}

#[test]
fn a_key_goes_with_its_last_batch_not_when_its_value_is_zero() -> Tested {
    every(|partitions| {
        let done = Run::new(zeros)
            .input("lines", [vec!["5"], vec!["-5"], vec![], vec![]])
            .partitions(partitions)
            .run()?;
        let sums = |batch| done.sorted::<(String, i64)>("sums", batch);
        assert_eq!(sums(2)?, [("k".to_owned(), 0)]);
        assert_eq!(sums(3)?, [("k".to_owned(), -5)]);
        assert!(sums(4)?.is_empty());
        Ok(())
    })
}

#[dstream::job]
fn floats() {
    let lines = source::text("none");
    let values = lines.map(|line| (0u8, line.parse::<f64>().unwrap_or(f64::NAN)));
    let inverse = values.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "3s", "1s");
    inverse.save("none:");
}

#[test]
fn sums_of_floats_equal_a_recomputation() -> Tested {
    let numbers = ["1e16", "1", "-1e16", "0.1", "0.2", "0.3", "1e-9"];
    let done = Run::new(floats).input("lines", numbers.map(|n| vec![n])).partitions(3).run()?;
    let parsed: Vec<f64> = numbers.iter().filter_map(|n| n.parse().ok()).collect();
    for end in 1..=parsed.len() {
        let sum = parsed[end.saturating_sub(3)..end].iter().copied().reduce(|a, b| a + b);
        let got = done.records::<(u8, f64)>("inverse", end as u64)?;
        assert_eq!(got.first().map(|(_, sum)| sum.to_bits()), sum.map(f64::to_bits));
    }
    Ok(())
}
