//! State that forgets: exactly in the first batch in which a key is older than its time, whatever the partitions and
//! wherever the job is restarted. Judged by maps that are scanned whole.

use std::collections::BTreeMap;

use dstream::record::Record;
use dstream::testing::{Done, Error, Run};

use crate::{Tested, published};

#[dstream::job]
fn forgetful() {
    let lines = source::text("none");
    let ones = lines.map(|line| (line, 1u64));
    let sums = ones.running_reduce(|a, b| a + b, expire_after = "3s");
    let again = ones.reduce_by_key(|a, b| a + b).running_reduce(|a, b| a + b, expire_after = "7s");
    let last = lines.key_by(|line| line.len() as u64).latest_by_key(expire_after = "2s");
    let always = lines.key_by(|line| line.len() as u64).latest_by_key();
    let seen = lines.distinct_within("3s");
    let firsts = lines.distinct_by(|line| line.len() as u64, expire_after = "2500ms");
    let ever = lines.distinct_by(|line| line.len() as u64);
    let counted = ones.reduce_by_key(|a, b| a + b).distinct_within("4s");
    counted.save("none:");
    sums.save("none:");
    again.save("none:");
    last.save("none:");
    always.save("none:");
    seen.save("none:");
    firsts.save("none:");
    ever.save("none:");
}

const BATCHES: u64 = 40;

/// Lines whose keys come often, seldom, or once; with runs of empty batches.
fn input() -> Vec<Vec<String>> {
    let mut seed = 11u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let batch = |t: u64| {
        let records = match t {
            1 => 120,
            13..=19 | 25 | 26 => 0,
            _ => draw(9),
        };
        (0..records)
            .map(|i| match t {
                1 => format!("many {i}{}", ".".repeat(i as usize % 5)),
                _ => format!("key {}{}", draw(14), ".".repeat(draw(20) as usize)),
            })
            .collect()
    };
    (1..=BATCHES).map(batch).collect()
}

/// A map that forgets what was touched more than `ms` before.
struct Forgetting<K, V> {
    ms: u64,
    map: BTreeMap<K, (V, u64)>,
}

impl<K: Ord, V> Forgetting<K, V> {
    fn new(ms: u64) -> Self {
        Self { ms, map: BTreeMap::new() }
    }

    fn forget(&mut self, now: u64) {
        let ms = self.ms;
        self.map.retain(|_, (_, touched)| now - *touched <= ms);
    }
}

/// The sum of each key in the batch, merged with what is known.
fn sums(input: &[Vec<String>], ms: u64) -> Vec<Vec<(String, u64)>> {
    let mut known = Forgetting::<String, u64>::new(ms);
    let batch = |(now, batch): (u64, &Vec<String>)| {
        known.forget(now);
        for line in batch {
            let (sum, touched) = known.map.entry(line.clone()).or_insert((0, now));
            (*sum, *touched) = (*sum + 1, now);
        }
        let of_now = known.map.iter().filter(|(_, (_, touched))| *touched == now);
        of_now.map(|(key, (sum, _))| (key.clone(), *sum)).collect()
    };
    (1..).map(|t| t * 1000).zip(input).map(batch).collect()
}

fn last(input: &[Vec<String>]) -> Vec<Vec<(u64, String)>> {
    let batch = |batch: &Vec<String>| {
        let last: BTreeMap<u64, String> =
            batch.iter().map(|line| (line.len() as u64, line.clone())).collect();
        last.into_iter().collect()
    };
    input.iter().map(batch).collect()
}

/// The first line of each key that is not known.
fn firsts<K: Ord>(
    input: &[Vec<String>],
    ms: u64,
    renews: bool,
    key: impl Fn(&String) -> K,
) -> Vec<Vec<String>> {
    let mut known = Forgetting::<K, ()>::new(ms);
    let batch = |(now, batch): (u64, &Vec<String>)| {
        known.forget(now);
        let mut found = Vec::new();
        for line in batch {
            if let Some((_, touched)) = known.map.get_mut(&key(line)) {
                *touched = if renews { now } else { *touched };
            } else {
                known.map.insert(key(line), ((), now));
                found.push(line.clone());
            }
        }
        found.sort();
        found
    };
    (1..).map(|t| t * 1000).zip(input).map(batch).collect()
}

/// How often each line is in a batch, unless that is known.
fn counted(input: &[Vec<String>], ms: u64) -> Vec<Vec<(String, u64)>> {
    let mut known = Forgetting::<(String, u64), ()>::new(ms);
    let batch = |(now, batch): (u64, &Vec<String>)| {
        known.forget(now);
        let mut counts = BTreeMap::new();
        for line in batch {
            *counts.entry(line.clone()).or_insert(0u64) += 1;
        }
        let new = counts.into_iter().filter(|pair| !known.map.contains_key(pair));
        let new: Vec<(String, u64)> = new.collect();
        known.map.extend(new.iter().map(|pair| (pair.clone(), ((), now))));
        new
    };
    (1..).map(|t| t * 1000).zip(input).map(batch).collect()
}

fn check(done: &Done, input: &[Vec<String>]) -> Tested {
    fn is<R: Record + PartialEq + std::fmt::Debug>(
        done: &Done,
        output: &str,
        expected: &[Vec<R>],
    ) -> Result<(), Error> {
        for (batch, (found, expected)) in
            (1..).zip(published::<R>(done, output, BATCHES)?.iter().zip(expected))
        {
            assert_eq!(found, expected, "{output}, batch {batch}");
        }
        Ok(())
    }
    let of_length = |line: &String| line.len();
    is(done, "sums", &sums(input, 3000))?;
    is(done, "counted", &counted(input, 4000))?;
    is(done, "again", &sums(input, 7000))?;
    is(done, "last", &last(input))?;
    is(done, "always", &last(input))?;
    is(done, "seen", &firsts(input, 3000, false, String::clone))?;
    is(done, "firsts", &firsts(input, 2500, true, of_length))?;
    is(done, "ever", &firsts(input, u64::MAX, true, of_length))
}

#[test]
fn keys_are_forgotten_exactly_when_their_time_is_over() -> Tested {
    let input = input();
    for partitions in [1, 3, 8] {
        let run = || Run::new(forgetful).input("lines", input.clone()).partitions(partitions);
        check(&run().run()?, &input)?;
        // In front of, in and behind what expires, and often enough that changes are saved upon changes.
        for restarts in [&[3, 4, 5, 9][..], &[7, 14, 18], &[20, 24, 31]] {
            let run = restarts.iter().fold(run(), |run, batch| run.restart_after(*batch));
            check(&run.run()?, &input)?;
        }
    }
    Ok(())
}

#[test]
fn a_key_at_the_edge_of_its_time_is_known_and_one_behind_it_is_not() -> Tested {
    let at = |batches: &[u64]| -> Vec<Vec<&str>> {
        (1..=12).map(|t| if batches.contains(&t) { vec!["a"] } else { vec![] }).collect()
    };
    let sum = |batches: &[u64], last: u64| -> Result<u64, Error> {
        let done = Run::new(forgetful).input("lines", at(batches)).run()?;
        Ok(done.records::<(String, u64)>("sums", last)?[0].1)
    };
    assert_eq!(sum(&[1, 4], 4)?, 2, "exactly three seconds later");
    assert_eq!(sum(&[1, 5], 5)?, 1, "more than that");
    assert_eq!(sum(&[1, 4, 7, 10], 10)?, 4, "each touch counts anew");
    let seen = Run::new(forgetful).input("lines", at(&[1, 3, 4, 5, 6, 8, 9])).run()?;
    let emitted: Vec<u64> =
        (1..=12).filter(|t| seen.lines("seen", *t).is_ok_and(|lines| !lines.is_empty())).collect();
    assert_eq!(emitted, [1, 5, 9], "those in between prolong nothing");
    Ok(())
}
