//! Operators on a single batch.

use std::collections::{BTreeMap, BTreeSet};

use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every, pairs, published};

#[dstream::job]
fn narrow() {
    let lines = source::text("none");
    let long = lines.filter(|line| line.len() > 2);
    let upper = long.map(|line| line.to_uppercase());
    let numbers = lines.filter_map(|line| line.parse::<i64>().ok());
    let letters = lines.flat_map(|line| line.chars());
    let by_length = lines.key_by(|line| line.len());
    let halves = by_length.map_values(|line| (line, line.len() % 2 == 0));
    upper.save("none:");
    numbers.save("none:");
    letters.save("none:");
    by_length.save("none:");
    halves.save("none:");
}

#[test]
fn narrow_operators_keep_the_order_of_records() -> Tested {
    every(|partitions| {
        let done = Run::new(narrow)
            .input("lines", [vec!["abc", "7", "-12", "é€"]])
            .partitions(partitions)
            .run()?;
        assert_eq!(done.records::<String>("upper", 1)?, ["ABC", "-12", "É€"]);
        assert_eq!(done.records::<i64>("numbers", 1)?, [7, -12]);
        assert_eq!(
            done.records::<char>("letters", 1)?,
            ['a', 'b', 'c', '7', '-', '1', '2', 'é', '€']
        );
        let keyed = done.records::<(usize, String)>("by_length", 1)?;
        assert_eq!(keyed[3], (5, "é€".to_owned()));
        let halves = done.records::<(usize, (String, bool))>("halves", 1)?;
        assert_eq!(halves[1], (1, ("7".to_owned(), false)));
        Ok(())
    })
}

#[dstream::job]
fn totals() {
    let lines = source::text("none");
    let count = lines.count();
    let longest = lines.map(|line| line.len() as u64).reduce(|a, b| a.max(b));
    let count_of_counts = count.map(|n| n * 10);
    let last = lines.reduce(|a, b| if a > b { a } else { b });
    count.save("none:");
    longest.save("none:");
    count_of_counts.save("none:");
    last.save("none:");
}

#[test]
fn reduce_of_an_empty_batch_is_nothing_and_its_count_is_zero() -> Tested {
    every(|partitions| {
        let done = Run::new(totals)
            .input("lines", [vec!["a", "ccc", "bb"], vec![], vec!["dd"]])
            .batches(4)
            .partitions(partitions)
            .run()?;
        assert_eq!(published::<u64>(&done, "count", 4)?, [[3], [0], [1], [0]]);
        assert_eq!(published::<u64>(&done, "longest", 4)?, [vec![3], vec![], vec![2], vec![]]);
        assert_eq!(published::<u64>(&done, "count_of_counts", 4)?, [[30], [0], [10], [0]]);
        assert_eq!(done.records::<String>("last", 1)?, ["ccc"]);
        Ok(())
    })
}

#[dstream::job]
fn counting() {
    let lines = source::text("none");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let counts = ones.reduce_by_key(|a, b| a + b);
    let often = counts.filter(|(_, n)| n > 1);
    let recounted = often.map(|(word, n)| (word.len() as u32, n)).reduce_by_key(|a, b| a + b);
    counts.save("none:");
    often.save("none:");
    recounted.save("none:");
}

#[test]
fn reduce_by_key_counts_each_batch_on_its_own() -> Tested {
    let batches = [vec!["a b a", "c  a\tb"], vec!["", "b"], vec![]];
    let mut expected = Vec::new();
    for batch in &batches {
        let mut counts = BTreeMap::new();
        for word in batch.iter().flat_map(|line| line.split_ascii_whitespace()) {
            *counts.entry(word.to_owned()).or_insert(0u64) += 1;
        }
        expected.push(counts.into_iter().collect::<Vec<_>>());
    }
    every(|partitions| {
        let run = Run::new(counting).input("lines", batches.clone()).partitions(partitions);
        let done = run.run()?;
        assert_eq!(published::<(String, u64)>(&done, "counts", 3)?, expected);
        assert_eq!(done.sorted::<(String, u64)>("often", 1)?, pairs(&[("a", 3), ("b", 2)]));
        assert_eq!(done.sorted::<(u32, u64)>("recounted", 1)?, [(1, 5)]);
        Ok(())
    })
}

#[dstream::job]
fn strings() {
    let lines = source::text("none");
    let joined = lines
        .map(|line| (line.len() % 2 == 0, line))
        .reduce_by_key(|a, b| if a > b { a } else { b });
    let all = lines.key_by(|_| 0u8).reduce_by_key(|a, b| format!("{a}+{b}"));
    joined.save("none:");
    all.save("none:");
}

#[test]
fn values_that_own_memory_are_reduced_too() -> Tested {
    every(|partitions| {
        let input = [vec!["bb", "a", "aa", "ccc", "a very long line that fits nowhere inline"]];
        let done = Run::new(strings).input("lines", input).partitions(partitions).run()?;
        assert_eq!(
            done.sorted::<(bool, String)>("joined", 1)?,
            [(false, "ccc".to_owned()), (true, "bb".to_owned())]
        );
        let all = done.records::<(u8, String)>("all", 1)?;
        assert_eq!(all, [(0, "bb+a+aa+ccc+a very long line that fits nowhere inline".to_owned())]);
        Ok(())
    })
}

#[dstream::job]
fn united() {
    let left = source::text("none");
    let right = source::text("none");
    let both = left.union(right);
    let counts = both.map(|word| (word, 1u64)).reduce_by_key(|a, b| a + b);
    let total = both.count();
    let direct = left.map(|w| (w, 1u64)).union(right.map(|w| (w, 10u64)));
    let sums = direct.reduce_by_key(|a, b| a + b);
    both.save("none:");
    counts.save("none:");
    total.save("none:");
    sums.save("none:");
}

#[test]
fn a_union_has_the_records_of_both() -> Tested {
    every(|partitions| {
        let done = Run::new(united)
            .input("left", [vec!["a", "b"], vec!["c"]])
            .input("right", [vec!["b"]])
            .partitions(partitions)
            .run()?;
        assert_eq!(done.sorted::<String>("both", 1)?, ["a", "b", "b"]);
        assert_eq!(done.sorted::<(String, u64)>("counts", 1)?, pairs(&[("a", 1), ("b", 2)]));
        assert_eq!(done.sorted::<(String, u64)>("counts", 2)?, pairs(&[("c", 1)]));
        assert_eq!(done.records::<u64>("total", 2)?, [1]);
        assert_eq!(done.sorted::<(String, u64)>("sums", 1)?, pairs(&[("a", 1), ("b", 11)]));
        Ok(())
    })
}

#[dstream::params]
struct Limit {
    /// How many
    #[arg(long, default_value_t = 3)]
    k: usize,
}

#[dstream::job]
fn best(params: &Limit) {
    let lines = source::text("none");
    let counts = lines.map(|word| (word, 1u64)).reduce_by_key(|a, b| a + b);
    let top = counts.top_k(params.k, |(_, n)| n);
    let longest = lines.top_k(1, |line| line.len() as f64);
    top.save("none:");
    longest.save("none:");
}

#[test]
fn the_top_is_the_same_however_records_are_spread() -> Tested {
    let words = "d a b c b c d d e f b e".split(' ').collect::<Vec<_>>();
    every(|partitions| {
        let run = Run::new(best).params(Limit { k: 3 }).partitions(partitions);
        let done = run.input("lines", [words.clone(), vec![]]).run()?;
        // Equal counts are in the order of records.
        assert_eq!(
            done.records::<(String, u64)>("top", 1)?,
            pairs(&[("b", 3), ("d", 3), ("c", 2)])
        );
        assert!(done.records::<(String, u64)>("top", 2)?.is_empty());
        assert_eq!(done.records::<String>("longest", 1)?, ["a"]);
        Ok(())
    })
}

#[dstream::job]
fn values() {
    let lines = source::text("none");
    let words = lines.flat_map(|line| words(line));
    let once = words.distinct();
    let counted = words.count_by_value();
    let pairs = words.map(|word| (word.len() as u8, word));
    let once_by_key = pairs.distinct();
    // Where the keys lie in their partitions already.
    let reduced = pairs.reduce_by_key(|a, b| if a < b { a } else { b });
    let once_reduced = reduced.union(reduced).distinct();
    let counted_pairs = reduced.union(reduced).count_by_value();
    let rejoined = counted.join(words.map(|word| (word, 1u64)).reduce_by_key(|a, b| a + b));
    let recent = words.window("2s").distinct();
    let recently = words.window("2s").count_by_value();
    once.save("none:");
    counted.save("none:");
    once_by_key.save("none:");
    once_reduced.save("none:");
    counted_pairs.save("none:");
    rejoined.save("none:");
    recent.save("none:");
    recently.save("none:");
}

#[test]
fn equal_records_are_made_one_or_counted() -> Tested {
    let batches = [vec!["b a b", "cc b"], vec!["a", "dd"], vec![], vec!["cc cc"]];
    let words = |from: usize, to: usize| {
        let lines = batches[from..=to].iter().flatten();
        let mut counts = BTreeMap::<String, u64>::new();
        for word in lines.flat_map(|line| line.split(' ')) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
        counts
    };
    every(|partitions| {
        let done = Run::new(values).input("lines", batches.clone()).partitions(partitions).run()?;
        for at in 0..batches.len() {
            let batch = at as u64 + 1;
            let (now, recent) = (words(at, at), words(at.saturating_sub(1), at));
            let once = |of: &BTreeMap<String, u64>| of.keys().cloned().collect::<Vec<_>>();
            let sorted = |of: &BTreeMap<String, u64>| of.clone().into_iter().collect::<Vec<_>>();
            assert_eq!(done.sorted::<String>("once", batch)?, once(&now));
            assert_eq!(done.sorted::<String>("recent", batch)?, once(&recent));
            let counts = |output| done.sorted::<(String, u64)>(output, batch);
            assert_eq!(counts("counted")?, sorted(&now));
            assert_eq!(counts("recently")?, sorted(&recent));
            let twice = now.iter().map(|(word, n)| (word.clone(), (*n, *n))).collect::<Vec<_>>();
            assert_eq!(done.sorted::<(String, (u64, u64))>("rejoined", batch)?, twice);

            let by_length: BTreeSet<(u8, String)> =
                now.keys().map(|word| (word.len() as u8, word.clone())).collect();
            let least: Vec<(u8, String)> = [1, 2]
                .into_iter()
                .filter_map(|n| by_length.iter().find(|(length, _)| *length == n).cloned())
                .collect();
            let once_by_key = done.sorted::<(u8, String)>("once_by_key", batch)?;
            assert_eq!(once_by_key, by_length.into_iter().collect::<Vec<_>>());
            assert_eq!(done.sorted::<(u8, String)>("once_reduced", batch)?, least);
            let counted: Vec<_> = least.into_iter().map(|pair| (pair, 2)).collect();
            assert_eq!(done.sorted::<((u8, String), u64)>("counted_pairs", batch)?, counted);
        }
        Ok(())
    })
}
