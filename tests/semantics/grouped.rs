//! Whole groups, whole batches and whole partitions: `group_by_key`, `fold_by_key`, `sort_by`, `zip_with_index`,
//! `sample`, `map_partitions`, compared with plain Rust on whole lists.

use std::collections::{BTreeMap, BTreeSet};

use dstream::testing::Run;

use crate::{Tested, every, published};

/// Lines of some words, the same in every run.
fn lines(batch: u64, n: u64) -> Vec<String> {
    let mut state = batch.wrapping_mul(0x9e37_79b9).wrapping_add(7);
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 23
    };
    (0..n).map(|_| format!("w{} {}", next(), next())).collect()
}

/// Batches, one of them empty, with many records of each key.
fn batches() -> Vec<Vec<String>> {
    [40, 0, 1, 200].into_iter().zip(0..).map(|(n, batch)| lines(batch, n)).collect()
}

/// A line as a pair.
fn pair(line: &str) -> (&str, u64) {
    let (word, n) = line.split_once(' ').unwrap_or((line, "0"));
    (word, n.parse().unwrap_or(0))
}

#[dstream::job]
fn grouped() {
    let lines = source::text("none");
    let init = 1u64;
    let pairs = lines.map(|line| pair(line));
    let groups = pairs.group_by_key();
    let sizes = groups.map_values(|values| values.len() as u64).running_reduce(|a, b| a + b);
    let folded = pairs.fold_by_key(
        (0u64, Vec::<u64>::new()),
        |(sum, list), n| (sum + n, list.iter().chain([n]).collect::<Vec<u64>>()),
        |a, b| (a.0 + b.0, a.1.iter().chain(b.1).collect::<Vec<u64>>()),
    );
    let texts = pairs.fold_by_key("", |acc, _| acc, |a, b| if a.len() > b.len() { a } else { b });
    let greatest = pairs.fold_by_key(init, |acc, n| if n > acc { n } else { acc }, |a, b| a.max(b));
    let again = pairs.reduce_by_key(|a, b| a + b).fold_by_key(0u64, |a, n| a + n, |a, b| a + b);
    groups.save("none:");
    sizes.save("none:");
    folded.save("none:");
    texts.save("none:");
    greatest.save("none:");
    again.save("none:");
}

type Groups = BTreeMap<String, Vec<u64>>;

/// The values of each key, in order.
fn groups(lines: &[String]) -> Groups {
    let mut groups = Groups::new();
    for (word, n) in lines.iter().map(|line| pair(line)) {
        groups.entry(word.to_owned()).or_default().push(n);
    }
    groups
}

/// What becomes of each group.
fn each<T>(groups: &Groups, f: impl Fn(&[u64]) -> T) -> Vec<(String, T)> {
    groups.iter().map(|(word, values)| (word.clone(), f(values))).collect()
}

#[test]
fn groups_and_folds_agree_with_lists() -> Tested {
    let batches = batches();
    every(|partitions| {
        let done =
            Run::new(grouped).input("lines", batches.clone()).partitions(partitions).run()?;
        let mut sizes = BTreeMap::new();
        for (lines, at) in batches.iter().zip(1..) {
            let groups = groups(lines);
            let sum = |values: &[u64]| values.iter().sum::<u64>();
            assert_eq!(
                done.sorted::<(String, Vec<u64>)>("groups", at)?,
                each(&groups, <[u64]>::to_vec)
            );
            for (word, values) in &groups {
                *sizes.entry(word.clone()).or_insert(0) += values.len() as u64;
            }
            let touched = groups.keys().map(|word| (word.clone(), sizes[word]));
            assert_eq!(done.sorted::<(String, u64)>("sizes", at)?, touched.collect::<Vec<_>>());
            assert_eq!(
                done.sorted::<(String, (u64, Vec<u64>))>("folded", at)?,
                each(&groups, |values| (sum(values), values.to_vec()))
            );
            let none = each(&groups, |_| String::new());
            assert_eq!(done.sorted::<(String, String)>("texts", at)?, none);
            let greatest = each(&groups, |values| values.iter().fold(1, |a, b| a.max(*b)));
            assert_eq!(done.sorted::<(String, u64)>("greatest", at)?, greatest);
            assert_eq!(done.sorted::<(String, u64)>("again", at)?, each(&groups, sum));
        }
        Ok(())
    })
}

#[dstream::job]
fn ordered() {
    let lines = source::text("none");
    let pairs = lines.map(|line| pair(line));
    let sorted = pairs.sort_by(|(_, n)| n);
    let ranks = sorted.zip_with_index();
    let floats = pairs.sort_by(|(word, n)| (n as f64 / 7.0, word)).map(|(_, n)| n);
    let numbered = lines.zip_with_index();
    let keyed = pairs.reduce_by_key(|a, b| a + b).zip_with_index();
    sorted.save("none:");
    ranks.save("none:");
    floats.save("none:");
    numbered.save("none:");
    keyed.save("none:");
}

#[test]
fn a_batch_is_sorted_and_numbered_as_a_whole() -> Tested {
    let batches = batches();
    every(|partitions| {
        let done =
            Run::new(ordered).input("lines", batches.clone()).partitions(partitions).run()?;
        for (lines, at) in batches.iter().zip(1..) {
            let mut sorted: Vec<(String, u64)> =
                lines.iter().map(|line| pair(line)).map(|(word, n)| (word.to_owned(), n)).collect();
            sorted.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
            assert_eq!(done.records::<(String, u64)>("sorted", at)?, sorted);
            let ranks: Vec<_> = sorted.iter().cloned().zip(0u64..).collect();
            assert_eq!(done.records::<((String, u64), u64)>("ranks", at)?, ranks);
            let numbers: Vec<u64> = sorted.iter().map(|(_, n)| *n).collect();
            assert_eq!(done.records::<u64>("floats", at)?, numbers);
            let numbered: Vec<_> = lines.iter().cloned().zip(0u64..).collect();
            assert_eq!(done.records::<(String, u64)>("numbered", at)?, numbered);
            // By key the order is another one with other partitions; the numbers are all there, each once.
            let keyed = done.records::<((String, u64), u64)>("keyed", at)?;
            let indices: BTreeSet<u64> = keyed.iter().map(|(_, i)| *i).collect();
            let wanted = groups(lines).len() as u64;
            assert_eq!((keyed.len() as u64, indices), (wanted, (0..wanted).collect()));
        }
        Ok(())
    })
}

#[dstream::params]
struct Shares {
    #[arg(long, default_value_t = 0.25)]
    share: f64,
}

#[dstream::job]
fn sampled(params: &Shares) {
    let lines = source::text("none");
    let seed = 40u64 + 2;
    let some = lines.sample(params.share, seed);
    let more = lines.sample(0.5, seed);
    let others = lines.sample(0.5, 43);
    let none = lines.sample(0.0, 1);
    let all = lines.sample(1.0, 1);
    some.save("none:");
    more.save("none:");
    others.save("none:");
    none.save("none:");
    all.save("none:");
}

#[test]
fn a_sample_follows_from_records_alone() -> Tested {
    let all: Vec<String> = (0..1000).map(|i| format!("record {i}")).collect();
    let backwards: Vec<String> = all.iter().rev().cloned().collect();
    let twice = [all.clone(), all.clone()].concat();
    let alone = Run::new(sampled).input("lines", [all.clone()]).partitions(3).run()?;
    let alone = alone.sorted::<String>("some", 1)?;
    every(|partitions| {
        let input = [all.clone(), backwards.clone(), vec![], twice.clone()];
        let done = Run::new(sampled).input("lines", input).partitions(partitions).run()?;
        let some = published::<String>(&done, "some", 4)?;
        assert!((150..350).contains(&some[0].len()), "{}", some[0].len());
        assert_eq!(some[0], alone, "the number of partitions does not matter");
        assert_eq!(some[0], some[1], "the order does not matter");
        assert!(some[2].is_empty());
        let mut both = [some[0].clone(), some[0].clone()].concat();
        both.sort();
        assert_eq!(some[3], both, "equal records are chosen together");
        let more: BTreeSet<String> = done.records("more", 1)?.into_iter().collect();
        assert!(some[0].iter().all(|record| more.contains(record)));
        let others = done.records::<String>("others", 1)?;
        let shared = others.iter().filter(|record| more.contains(*record)).count();
        assert!((150..350).contains(&shared), "{shared}");
        assert!(done.records::<String>("none", 1)?.is_empty());
        assert_eq!(done.records::<String>("all", 1)?, all);
        Ok(())
    })
}

#[dstream::job]
fn partitions() {
    let lines = source::text("none");
    let numbers = lines.map(|line| pair(line).1);
    let sums = numbers.map_partitions(|rows| [(rows.len() as u64, rows.iter().sum::<u64>())]);
    let total = sums.reduce(|a, b| (a.0 + b.0, a.1 + b.1));
    let ends = lines.map_partitions(|rows| {
        let last = rows.get(rows.len().saturating_sub(1));
        rows.get(0).into_iter().chain(last)
    });
    let counts = lines.map(|line| pair(line)).reduce_by_key(|a, b| a + b);
    let keys = counts.union(counts).map_partitions(|rows| {
        rows.iter().map(|(word, _)| (word, rows.len() as u64)).collect::<Vec<_>>()
    });
    sums.save("none:");
    total.save("none:");
    ends.save("none:");
    keys.save("none:");
}

#[test]
fn a_partition_is_given_whole_and_none_that_is_empty() -> Tested {
    let batches = batches();
    every(|partitions| {
        let run = Run::new(self::partitions).input("lines", batches.clone());
        let done = run.partitions(partitions).run()?;
        for (lines, at) in batches.iter().zip(1..) {
            let sum = lines.iter().map(|line| pair(line).1).sum();
            let wanted = (!lines.is_empty()).then_some((lines.len() as u64, sum));
            assert_eq!(done.records::<(u64, u64)>("total", at)?, Vec::from_iter(wanted));
            let sums = done.records::<(u64, u64)>("sums", at)?;
            assert!(sums.len() <= partitions as usize && sums.iter().all(|(n, _)| *n > 0));
            let ends = done.records::<String>("ends", at)?;
            assert_eq!(ends.len(), 2 * sums.len());
            assert_eq!(ends.first(), lines.first());
            assert_eq!(ends.last(), lines.last());
            // Each key stands twice in one partition, whose size is what all keys of it say.
            let keys = done.sorted::<(String, u64)>("keys", at)?;
            let wanted: Vec<String> =
                groups(lines).into_keys().flat_map(|word| [word.clone(), word]).collect();
            assert_eq!(keys.iter().map(|(word, _)| word.clone()).collect::<Vec<_>>(), wanted);
            let mut sizes = BTreeMap::new();
            for (_, size) in &keys {
                *sizes.entry(*size).or_insert(0u64) += 1;
            }
            assert!(sizes.iter().all(|(size, n)| n.is_multiple_of(*size)), "{sizes:?}");
        }
        Ok(())
    })
}
