//! Joins with tables: every record meets all that the table has of its key, whichever batch brought it.

use std::collections::BTreeMap;

use dstream::testing::{Done, Run};

use crate::{Tested, every};

#[dstream::job]
fn with_tables() {
    let pages = table::csv::<(u64, String)>("none?header=false");
    let named = pages.filter(|(_, name)| name != "hidden").map_values(|name| name.to_uppercase());
    let views = source::csv::<(u64, u64)>("none?header=false");
    let joined = views.join(named);
    let outer = views.left_outer_join(named);
    let rest = views.subtract_by_key(named);
    let updates = source::csv::<(u64, u64)>("none?header=false");
    let last = updates.latest_by_key();
    let current = views.left_outer_join(last);
    let short = updates.latest_by_key(expire_after = "2s");
    let recent = views.join(short);
    let gone = views.subtract_by_key(short);
    joined.save("none:");
    outer.save("none:");
    rest.save("none:");
    current.save("none:");
    last.save("none:");
    recent.save("none:");
    gone.save("none:");
}

type Pair = (u64, u64);

fn pages() -> Vec<(u64, String)> {
    let page = |i: u64| match i % 7 {
        3 => (i % 20, "hidden".to_owned()),
        _ => (i % 20, format!("page {i}, of {}", i % 3)),
    };
    (0..33).map(page).collect()
}

/// Batches of views and of updates; some are empty.
fn batches(seed: u64) -> Vec<Vec<Pair>> {
    let batch = |n: u64| match (n * seed) % 4 {
        2 => vec![],
        _ => (0..(n * seed) % 9).map(|i| ((n * 5 + i * seed) % 26, n * 100 + i)).collect(),
    };
    (1..=12).map(batch).collect()
}

fn run(partitions: u32) -> Run<impl dstream::__private::Job> {
    Run::new(with_tables)
        .input("pages", [pages()])
        .input("views", batches(7))
        .input("updates", batches(5))
        .partitions(partitions)
}

/// The rows of a key in the table.
fn rows(key: u64) -> Vec<String> {
    let of = pages().into_iter().filter(|(k, name)| *k == key && name != "hidden");
    of.map(|(_, name)| name.to_uppercase()).collect()
}

/// The last value of a key up to a batch, and the batch that brought it.
fn last(key: u64, batch: usize) -> Option<(u64, usize)> {
    let all = batches(5).into_iter().enumerate().take(batch);
    let mut all = all.flat_map(|(at, pairs)| pairs.into_iter().map(move |pair| (at + 1, pair)));
    all.rfind(|(_, (k, _))| *k == key).map(|(at, (_, v))| (v, at))
}

fn sorted<T: Ord>(records: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut records: Vec<T> = records.into_iter().collect();
    records.sort();
    records
}

/// Compares all outputs of a batch with lists.
fn check(done: &Done, batch: usize) -> Tested {
    let views = batches(7)[batch - 1].clone();
    let at = batch as u64;
    let joined = views.iter().flat_map(|(k, v)| rows(*k).into_iter().map(|row| (*k, (*v, row))));
    assert_eq!(done.sorted::<(u64, (u64, String))>("joined", at)?, sorted(joined), "{batch}");
    let outer = views.iter().flat_map(|(k, v)| {
        let rows = rows(*k);
        let none = rows.is_empty().then_some(None);
        none.into_iter().chain(rows.into_iter().map(Some)).map(|row| (*k, (*v, row)))
    });
    assert_eq!(done.sorted::<(u64, (u64, Option<String>))>("outer", at)?, sorted(outer));
    let rest = views.iter().filter(|(k, _)| rows(*k).is_empty()).copied();
    assert_eq!(done.sorted::<Pair>("rest", at)?, sorted(rest), "{batch}");
    let current = views.iter().map(|(k, v)| (*k, (*v, last(*k, batch).map(|(v, _)| v))));
    assert_eq!(done.sorted::<(u64, (u64, Option<u64>))>("current", at)?, sorted(current));
    let changes: BTreeMap<u64, u64> = batches(5)[batch - 1].iter().copied().collect();
    assert_eq!(done.sorted::<Pair>("last", at)?, sorted(changes), "{batch}");
    // Of an interval of 1 s each: forgotten more than 2 s after the batch that touched the key.
    let recent = |k| last(k, batch).filter(|(_, at)| batch - at <= 2);
    let met = views.iter().filter_map(|(k, v)| Some((*k, (*v, recent(*k)?.0))));
    assert_eq!(done.sorted::<(u64, (u64, u64))>("recent", at)?, sorted(met), "{batch}");
    let gone = views.iter().filter(|(k, _)| recent(*k).is_none()).copied();
    assert_eq!(done.sorted::<Pair>("gone", at)?, sorted(gone), "{batch}");
    Ok(())
}

#[test]
fn every_record_meets_all_of_the_table() -> Tested {
    every(|partitions| {
        let done = run(partitions).run()?;
        (1..=12).try_for_each(|batch| check(&done, batch))
    })
}

#[test]
fn a_restart_changes_nothing() -> Tested {
    every(|partitions| {
        for batch in 1..12 {
            let done = run(partitions).restart_after(batch).run()?;
            (1..=12).try_for_each(|batch| check(&done, batch))?;
        }
        Ok(())
    })
}

#[dstream::job]
fn timed() {
    let names = table::csv::<(u64, String)>("none?header=false");
    let views = source::csv::<(u64, u64)>("none?header=false");
    let at = views.event_time(|(_, at)| at, "1s");
    let counts = at
        .join(names)
        .map(|(_, (_, name))| (name, 1u64))
        .reduce_by_key_and_window(|a, b| a + b, "10s");
    let after = counts.map_values(|n| n * 2).left_outer_join(names.map(|(_, name)| (name, 7u64)));
    after.map(|(name, (n, _)), ctx| (name, n, ctx.window().start)).save("none:");
}

#[test]
fn records_keep_their_times_and_windows() -> Tested {
    every(|partitions| {
        let names = vec![(1u64, "a".to_owned()), (2, "b".to_owned()), (1, "c".to_owned())];
        let views: Vec<Vec<Pair>> = (0..20u64)
            .map(|n| (0..5).map(|i| ((n + i) % 4, n * 2_000 + 7 * i)).collect())
            .collect();
        let done = Run::new(timed)
            .input("names", [names.clone()])
            .input("views", views.clone())
            .partitions(partitions)
            .run()?;
        let mut expected: BTreeMap<(u64, String), u64> = BTreeMap::new();
        for (k, at) in views.iter().flatten() {
            for (_, name) in names.iter().filter(|(key, _)| key == k) {
                *expected.entry((at / 10_000 * 10_000, name.clone())).or_default() += 2;
            }
        }
        let expected =
            sorted(expected.into_iter().map(|((start, name), n)| (name, n, start as i64)));
        let mut all = Vec::new();
        for batch in 1..=done.batches() {
            all.extend(done.records::<(String, u64, i64)>("after.map", batch)?);
        }
        assert_eq!(sorted(all), expected);
        Ok(())
    })
}
