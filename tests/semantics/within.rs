//! Joins by event time, compared with a search through all pairs, for records that are shuffled within the slack.

use dstream::record::Record;
use dstream::testing::{Done, Run};

use crate::Tested;

#[dstream::job]
fn within() {
    let a = source::csv::<(i64, String, u64)>("none?header=false");
    let b = source::csv::<(i64, String, u64)>("none?header=false");
    let left = a.event_time(|r| r.0, "10s").map(|(at, key, n)| (key, (at, n)));
    let right = b.event_time(|r| r.0, "4s").map(|(at, key, n)| (key, (at, n)));
    let inner = left.join_within(right, "-5s", "2s");
    let inner_at = inner.map(|(key, (l, r)), ctx| (ctx.event_time(), (key, (l, r))));
    let outer = left.left_outer_join_within(right, "-5s", "2s");
    let full = left.full_outer_join_within(right, "1s", "3s");
    let same = left.join_within(right, "0s", "0s");
    let per_window = full.map(|(key, _)| (key, 1u64)).reduce_by_key_and_window(|a, b| a + b, "10s");
    let counts = per_window.map(|(key, n), ctx| (ctx.window().start, key, n));
    let again = inner.left_outer_join_within(left, "0s", "0s").map(|(key, (a, b))| (key, a, b));
    inner_at.save("none:");
    outer.save("none:");
    full.save("none:");
    same.save("none:");
    counts.save("none:");
    again.save("none:");
}

/// A record: time, key, value.
type Event = (i64, String, u64);
/// The part of it that is a value.
type Value = (i64, u64);

const PARTITIONS: [u32; 3] = [1, 3, 8];

/// Deterministic random numbers.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Batches of events that come up to `slack` out of order; some batches are empty, some keys are rare.
fn batches(draw: &mut Draw, slack: u64) -> Vec<Vec<Event>> {
    let mut base = 1_000_000;
    let mut event = |draw: &mut Draw| {
        base += draw.below(900) as i64;
        let key = if draw.below(5) == 0 { draw.below(40) } else { draw.below(4) };
        // Whole seconds too, so that times are equal.
        let at = base - draw.below(slack) as i64;
        let at = if draw.below(3) == 0 { at.div_euclid(1000) * 1000 } else { at };
        (at.max(base - slack as i64), format!("k{key}"), draw.below(1000))
    };
    (0..12)
        .map(|_| {
            let count = if draw.below(4) == 0 { 0 } else { draw.below(14) };
            (0..count).map(|_| event(draw)).collect()
        })
        .collect()
}

fn run(a: &[Vec<Event>], b: &[Vec<Event>], partitions: u32) -> Run<impl dstream::__private::Job> {
    Run::new(within).input("a", a.to_vec()).input("b", b.to_vec()).partitions(partitions)
}

/// All records of an output, sorted.
fn all<R: Record + Ord>(done: &Done, output: &str) -> Result<Vec<R>, dstream::testing::Error> {
    let mut all = Vec::new();
    for batch in 1..=done.batches() {
        all.extend(done.records::<R>(output, batch)?);
    }
    all.sort();
    Ok(all)
}

fn sorted<T: Ord>(records: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut records: Vec<T> = records.into_iter().collect();
    records.sort();
    records
}

/// The pairs whose times differ by that much, and what is in none.
#[allow(clippy::type_complexity, reason = "three lists")]
fn search(
    a: &[Event],
    b: &[Event],
    earliest: i64,
    latest: i64,
) -> (Vec<(String, (Value, Value))>, Vec<Event>, Vec<Event>) {
    let meets = |l: &Event, r: &Event| l.1 == r.1 && (earliest..=latest).contains(&(r.0 - l.0));
    let value = |event: &Event| (event.0, event.2);
    let pairs = a.iter().flat_map(|l| {
        let met = b.iter().filter(move |r| meets(l, r));
        met.map(move |r| (l.1.clone(), (value(l), value(r))))
    });
    let lefts = a.iter().filter(|l| !b.iter().any(|r| meets(l, r))).cloned();
    let rights = b.iter().filter(|r| !a.iter().any(|l| meets(l, r))).cloned();
    (pairs.collect(), lefts.collect(), rights.collect())
}

fn check(done: &Done, a: &[Event], b: &[Event]) -> Tested {
    let (pairs, lefts, _) = search(a, b, -5_000, 2_000);
    let at = |(l, r): (Value, Value)| l.0.max(r.0);
    let expected = sorted(pairs.iter().map(|(key, pair)| (at(*pair), (key.clone(), *pair))));
    assert_eq!(all::<(i64, (String, (Value, Value)))>(done, "inner_at")?, expected);
    let met = pairs.iter().map(|(key, (l, r))| (key.clone(), (*l, Some(*r))));
    let alone = lefts.into_iter().map(|(at, key, n)| (key, ((at, n), None)));
    let expected = sorted(met.chain(alone));
    assert_eq!(all::<(String, (Value, Option<Value>))>(done, "outer")?, expected);

    let (full, lefts, rights) = search(a, b, 1_000, 3_000);
    let full = full.into_iter().map(|(key, (l, r))| (key, (Some(l), Some(r))));
    let lefts = lefts.into_iter().map(|(at, key, n)| (key, (Some((at, n)), None)));
    let rights = rights.into_iter().map(|(at, key, n)| (key, (None, Some((at, n)))));
    let expected = sorted(full.chain(lefts).chain(rights));
    assert_eq!(all::<(String, (Option<Value>, Option<Value>))>(done, "full")?, expected);
    let mut windows = std::collections::BTreeMap::new();
    for (key, (l, r)) in &expected {
        let at = l.iter().chain(r).map(|(at, _)| *at).max().unwrap_or_default();
        *windows.entry((at.div_euclid(10_000) * 10_000, key.clone())).or_insert(0u64) += 1;
    }
    let windows = sorted(windows.into_iter().map(|((start, key), n)| (start, key, n)));
    assert_eq!(all::<(i64, String, u64)>(done, "counts")?, windows, "nothing of it is late");

    let (same, ..) = search(a, b, 0, 0);
    assert_eq!(all::<(String, (Value, Value))>(done, "same")?, sorted(same));
    // Each pair with the left records of its own time.
    let again = pairs.iter().flat_map(|(key, pair)| {
        let met = a.iter().filter(|l| l.1 == *key && l.0 == at(*pair));
        let met: Vec<Option<Value>> = met.map(|l| Some((l.0, l.2))).collect();
        let met = if met.is_empty() { vec![None] } else { met };
        met.into_iter().map(move |l| (key.clone(), *pair, l))
    });
    let again = sorted(again);
    assert_eq!(all::<(String, (Value, Value), Option<Value>)>(done, "again")?, again);
    assert_eq!(done.late(), 0);
    Ok(())
}

#[test]
fn records_meet_in_whatever_order_and_batches_they_come() -> Tested {
    for seed in 0..12 {
        let mut draw = Draw(seed);
        let (a, b) = (batches(&mut draw, 10_000), batches(&mut draw, 4_000));
        for partitions in PARTITIONS {
            check(&run(&a, &b, partitions).run()?, &a.concat(), &b.concat())?;
        }
    }
    Ok(())
}

#[test]
fn what_is_kept_survives_a_restart_after_any_batch() -> Tested {
    let mut draw = Draw(99);
    let (a, b) = (batches(&mut draw, 10_000), batches(&mut draw, 4_000));
    for partitions in PARTITIONS {
        for batch in 1..12 {
            let done = run(&a, &b, partitions).restart_after(batch).run()?;
            check(&done, &a.concat(), &b.concat())?;
        }
        let often = (1..12).fold(run(&a, &b, partitions), Run::restart_after);
        check(&often.run()?, &a.concat(), &b.concat())?;
    }
    Ok(())
}

#[dstream::job]
fn late() {
    let a = source::csv::<(i64, String)>("none?header=false");
    let b = source::csv::<(i64, String)>("none?header=false");
    let left = a.event_time(|r| r.0, "1s").map(|(at, key)| (key, at));
    let right = b.event_time(|r| r.0, "1s").map(|(at, key)| (key, at));
    left.left_outer_join_within(right, "-2s", "2s").save("none:");
}

#[test]
fn a_record_behind_the_watermark_is_left_out_and_counted() -> Tested {
    let of = |times: &[i64]| times.iter().map(|at| (*at, "k".to_owned())).collect::<Vec<_>>();
    for partitions in PARTITIONS {
        let done = Run::new(late)
            .input("a", [of(&[10_000]), of(&[50_000]), of(&[10_500, 49_500])])
            .input("b", [of(&[10_100]), of(&[50_100]), of(&[48_000, 60_000])])
            .partitions(partitions)
            .run()?;
        // The watermark after two batches is 49000: of the third batch, 10500 and 48000 are late.
        let expected = [(10_000, Some(10_100)), (49_500, Some(50_100)), (50_000, Some(50_100))];
        let expected = expected.map(|pair| ("k".to_owned(), pair));
        let output = "left.left_outer_join_within";
        assert_eq!(all::<(String, (i64, Option<i64>))>(&done, output)?, expected);
        assert_eq!(done.late(), 2);
    }
    Ok(())
}
