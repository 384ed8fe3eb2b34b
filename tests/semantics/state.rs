//! State over batches.

use std::collections::BTreeMap;

use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every, pairs};

#[dstream::job]
fn running() {
    let lines = source::text("none");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, 1u64));
    let counts = ones.running_reduce(|a, b| a + b);
    let first = lines.key_by(|line| line.len() as u32).running_reduce(|old, _| old);
    let twice = counts.map_values(|n| n * 2).running_reduce(|a, b| a.max(b));
    counts.save("none:");
    first.save("none:");
    twice.save("none:");
}

#[test]
fn a_running_reduction_emits_the_keys_that_a_batch_touched() -> Tested {
    let batches = [vec!["a b a"], vec![], vec!["b c"], vec!["a"]];
    every(|partitions| {
        let run = Run::new(running).input("lines", batches.clone()).partitions(partitions);
        let done = run.run()?;
        let counts = |batch| done.sorted::<(String, u64)>("counts", batch);
        assert_eq!(counts(1)?, pairs(&[("a", 2), ("b", 1)]));
        assert!(counts(2)?.is_empty());
        assert_eq!(counts(3)?, pairs(&[("b", 2), ("c", 1)]));
        assert_eq!(counts(4)?, pairs(&[("a", 3)]));
        assert_eq!(done.sorted::<(String, u64)>("twice", 4)?, pairs(&[("a", 6)]));
        Ok(())
    })
}

#[test]
fn the_previous_value_is_the_first_argument() -> Tested {
    let done = Run::new(running).input("lines", [vec!["xx", "yy"], vec!["zz"]]).run()?;
    assert_eq!(done.sorted::<(u32, String)>("first", 1)?, [(2, "xx".to_owned())]);
    assert_eq!(done.sorted::<(u32, String)>("first", 2)?, [(2, "xx".to_owned())]);
    Ok(())
}

#[test]
fn state_is_the_fold_of_all_input() -> Tested {
    let batch = |n: u64| -> Vec<String> {
        (0..50).map(|i| format!("w{} w{}", (n * 7 + i * i) % 23, (n + i) % 11)).collect()
    };
    let batches: Vec<_> = (1..=20).map(batch).collect();
    let mut totals = BTreeMap::new();
    for word in batches.iter().flatten().flat_map(|line| line.split(' ')) {
        *totals.entry(word.to_owned()).or_insert(0u64) += 1;
    }
    every(|partitions| {
        let run = Run::new(running).input("lines", batches.clone()).partitions(partitions);
        let done = run.threads(3).run()?;
        let mut last = BTreeMap::new();
        for batch in 1..=20 {
            last.extend(done.records::<(String, u64)>("counts", batch)?);
        }
        assert_eq!(last, totals);
        Ok(())
    })
}
