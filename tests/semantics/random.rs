//! One job with every stateful operator, on random input, partitions, threads and restarts, compared with an
//! interpreter on whole lists that knows no panes, partitions or blocks.

use std::collections::BTreeMap;

use dstream::prelude::*;
use dstream::testing::{Error, Run};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

#[dstream::job]
fn everything() {
    let left = source::text("none");
    let right = source::text("none");
    let all = left.union(right);
    let ones = all.flat_map(|line| words(line)).map(|word| (word, 1i64));
    let counts = ones.reduce_by_key(|a, b| a + b);
    let running = counts.running_reduce(|a, b| a + b);
    let inverse = ones.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "5s", "1s");
    let plain = ones.reduce_by_key_and_window(|a, b| a + b, "5s", "1s");
    let slow = counts.reduce_by_key_and_window(|a, b| a.max(b), "6s", "3s");
    let top = inverse.top_k(3, |(_, n)| n);
    let joined = counts.join(running).filter(|(_, (now, _))| now > 1);
    let lines = all.window("4s", "2s").count();
    let once = all.flat_map(|line| words(line)).distinct();
    let values = all.window("4s", "2s").flat_map(|line| words(line)).count_by_value();
    let lefts =
        left.flat_map(|line| words(line)).map(|word| (word, 1i64)).reduce_by_key(|a, b| a + b);
    let outer = lefts.left_outer_join(right.flat_map(|line| words(line)).count_by_value());
    let longest = left.map(|line| line.len() as u64).reduce(|a, b| a.max(b));
    running.save("none:");
    inverse.save("none:");
    plain.save("none:");
    slow.save("none:");
    top.save("none:");
    joined.save("none:");
    lines.save("none:");
    longest.save("none:");
    once.save("none:");
    values.save("none:");
    outer.save("none:");
}

type Counts = BTreeMap<String, i64>;

/// The batches of a stream.
type Batches = Vec<Vec<String>>;

fn counted<'l>(lines: impl Iterator<Item = &'l String>) -> Counts {
    let mut counts = Counts::new();
    for word in lines.flat_map(|line| line.split_ascii_whitespace()) {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// The interpreter: everything up to one batch, from the start.
struct Expected<'b> {
    left: &'b [Vec<String>],
    right: &'b [Vec<String>],
}

impl Expected<'_> {
    /// The lines of batch n, from 1; empty past the end.
    fn lines(&self, n: usize) -> impl Iterator<Item = &String> {
        self.left.get(n - 1).into_iter().chain(self.right.get(n - 1)).flatten()
    }

    /// Words of batches `from` to `to`, counted.
    fn counts(&self, from: usize, to: usize) -> Counts {
        counted((from..=to).flat_map(|n| self.lines(n)))
    }

    /// The first batch of a window of that length ending with batch n.
    fn first(n: usize, length: usize) -> usize {
        (n + 1).saturating_sub(length).max(1)
    }

    fn window(&self, n: usize, length: usize) -> Counts {
        self.counts(Self::first(n, length), n)
    }

    /// Per word, its greatest count in a batch of the window.
    fn greatest(&self, n: usize, length: usize) -> Counts {
        let mut greatest = Counts::new();
        for (word, count) in (Self::first(n, length)..=n).flat_map(|n| self.counts(n, n)) {
            let best = greatest.entry(word).or_default();
            *best = count.max(*best);
        }
        greatest
    }
}

fn words_of(batches: usize) -> impl Strategy<Value = Batches> {
    let line = prop::collection::vec("[a-e]{1,2}|z{20}", 0..5).prop_map(|words| words.join(" "));
    prop::collection::vec(prop::collection::vec(line, 0..4), 0..batches)
}

fn fails(error: Error) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_stream_agrees_with_the_interpreter(
        left in words_of(14),
        right in words_of(14),
        partitions in 1u32..6,
        threads in 1u32..4,
        restarts in prop::collection::btree_set(1u64..14, 0..3),
    ) {
        let batches = left.len().max(right.len());
        let run = Run::new(everything)
            .input("left", left.clone())
            .input("right", right.clone())
            .partitions(partitions)
            .threads(threads);
        let done = restarts.into_iter().fold(run, Run::restart_after).run().map_err(fails)?;
        let expected = Expected { left: &left, right: &right };
        for n in 1..=batches {
            let published = |output: &str| -> Result<Vec<(String, i64)>, TestCaseError> {
                done.sorted(output, n as u64).map_err(fails)
            };
            let sorted = |counts: Counts| counts.into_iter().collect::<Vec<_>>();
            let (now, ever) = (expected.counts(n, n), expected.counts(1, n));
            let touched = |counts: &Counts| -> Counts {
                counts.iter().filter(|(word, _)| now.contains_key(*word))
                    .map(|(word, count)| (word.clone(), *count)).collect()
            };
            prop_assert_eq!(published("running")?, sorted(touched(&ever)));
            prop_assert_eq!(published("inverse")?, sorted(expected.window(n, 5)));
            prop_assert_eq!(published("plain")?, sorted(expected.window(n, 5)));
            let slow = if n % 3 == 0 { expected.greatest(n, 6) } else { Counts::new() };
            prop_assert_eq!(published("slow")?, sorted(slow));

            let mut top = sorted(expected.window(n, 5));
            top.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
            top.truncate(3);
            prop_assert_eq!(done.records::<(String, i64)>("top", n as u64).map_err(fails)?, top);

            let joined: Vec<(String, (i64, i64))> = now.iter().filter(|(_, count)| **count > 1)
                .map(|(word, count)| (word.clone(), (*count, ever[word]))).collect();
            prop_assert_eq!(
                done.sorted::<(String, (i64, i64))>("joined", n as u64).map_err(fails)?, joined
            );
            let once: Vec<String> = now.keys().cloned().collect();
            prop_assert_eq!(done.sorted::<String>("once", n as u64).map_err(fails)?, once);
            let values = if n % 2 == 0 { expected.window(n, 4) } else { Counts::new() };
            let values: Vec<(String, u64)> =
                values.into_iter().map(|(word, count)| (word, count as u64)).collect();
            prop_assert_eq!(done.sorted::<(String, u64)>("values", n as u64).map_err(fails)?, values);
            let side = |side: &[Vec<String>]| counted(side.get(n - 1).into_iter().flatten());
            let others = side(&right);
            let outer: Vec<(String, (i64, Option<u64>))> = side(&left).into_iter()
                .map(|(word, count)| {
                    let other = others.get(&word).map(|count| *count as u64);
                    (word, (count, other))
                }).collect();
            prop_assert_eq!(
                done.sorted::<(String, (i64, Option<u64>))>("outer", n as u64).map_err(fails)?, outer
            );
            let numbers = |output: &str| done.records::<u64>(output, n as u64).map_err(fails);
            let spanned = (Expected::first(n, 4)..=n).flat_map(|n| expected.lines(n)).count();
            let lines = if n % 2 == 0 { vec![spanned as u64] } else { vec![] };
            prop_assert_eq!(numbers("lines")?, lines);
            let longest = left.get(n - 1).and_then(|lines| lines.iter().map(String::len).max());
            prop_assert_eq!(numbers("longest")?, longest.map(|n| n as u64).into_iter().collect::<Vec<_>>());
        }
    }
}
