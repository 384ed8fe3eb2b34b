//! Two streams by key: outer joins, `cogroup`, `subtract_by_key`; and operators per record that keep keys.

use std::collections::BTreeMap;
use std::sync::Mutex;

use dstream::testing::Run;

use crate::{Tested, every, published};

#[dstream::job]
fn outer() {
    let left = source::text("none");
    let right = source::text("none");
    let l = left.key_by(|line| line.len() as u64);
    let r = right.map(|line| (line.len() as u64, line.starts_with('x')));
    let rights = l.right_outer_join(r);
    let all = l.full_outer_join(r);
    let groups = l.cogroup(r);
    let rest = l.subtract_by_key(r);
    let recent = l.window("2s").full_outer_join(r.window("2s"));
    rights.save("none:");
    all.save("none:");
    groups.save("none:");
    rest.save("none:");
    recent.save("none:");
}

type Lines = Vec<&'static str>;

/// Batches of both streams: duplicates on both sides, batches that are empty on one side or both.
fn batches() -> ([Lines; 6], [Lines; 6]) {
    let left = [
        vec!["aa", "bb", "c", "dddd", "bb"],
        vec!["only"],
        vec![],
        vec!["c", "c"],
        vec![],
        vec!["eeeee", "aa", "ff", "g"],
    ];
    let right = [
        vec!["xx", "yy", "z", "www", "xx"],
        vec![],
        vec!["lone", "xone"],
        vec!["q", "x"],
        vec![],
        vec!["zzz", "yy", "xxx"],
    ];
    (left, right)
}

type Groups = BTreeMap<u64, (Vec<String>, Vec<bool>)>;

/// The values of both sides per key, in order.
fn groups(left: &[&str], right: &[&str]) -> Groups {
    let mut groups = Groups::new();
    for l in left {
        groups.entry(l.len() as u64).or_default().0.push((*l).to_owned());
    }
    for r in right {
        groups.entry(r.len() as u64).or_default().1.push(r.starts_with('x'));
    }
    groups
}

type Pair = (u64, (Option<String>, Option<bool>));

/// The full outer join of two lists.
fn full(left: &[&str], right: &[&str]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (key, (ls, rs)) in groups(left, right) {
        let some = |ls: Vec<String>| ls.into_iter().map(Some).collect::<Vec<_>>();
        let ls = if ls.is_empty() { vec![None] } else { some(ls) };
        let rs = if rs.is_empty() { vec![None] } else { rs.into_iter().map(Some).collect() };
        for l in &ls {
            pairs.extend(rs.iter().map(|r| (key, (l.clone(), *r))));
        }
    }
    pairs.sort();
    pairs
}

#[test]
fn outer_joins_agree_with_groups_of_whole_lists() -> Tested {
    let (left, right) = batches();
    every(|partitions| {
        let run = Run::new(outer).input("left", left.clone()).input("right", right.clone());
        let done = run.partitions(partitions).run()?;
        for batch in 0..left.len() {
            let (at, l, r) = (batch as u64 + 1, &left[batch], &right[batch]);
            let full_now = full(l, r);
            assert_eq!(done.sorted::<Pair>("all", at)?, full_now, "all of batch {at}");
            let right_now = full_now.into_iter().filter_map(|(key, (l, r))| Some((key, (l, r?))));
            assert_eq!(
                done.sorted::<(u64, (Option<String>, bool))>("rights", at)?,
                right_now.collect::<Vec<_>>(),
                "right of batch {at}"
            );
            let wanted: Vec<_> = groups(l, r).into_iter().collect();
            let found = done.sorted::<(u64, (Vec<String>, Vec<bool>))>("groups", at)?;
            assert_eq!(found, wanted, "groups of batch {at}");
            let mut rest: Vec<(u64, String)> =
                l.iter().map(|l| (l.len() as u64, (*l).to_owned())).collect();
            rest.retain(|(key, _)| r.iter().all(|r| r.len() as u64 != *key));
            rest.sort();
            assert_eq!(done.sorted::<(u64, String)>("rest", at)?, rest, "rest of batch {at}");
            let window = |side: &[Lines]| side[batch.saturating_sub(1)..=batch].concat();
            let recent = full(&window(&left), &window(&right));
            assert_eq!(done.sorted::<Pair>("recent", at)?, recent, "window of batch {at}");
        }
        Ok(())
    })
}

/// The left records come first and in order, then what only the right side has; where everything is in one partition.
#[test]
fn the_order_of_outer_joins() -> Tested {
    let (left, right) = (["b", "aa", "b"], ["zzz", "y", "x", "zzz"]);
    let run = Run::new(outer).input("left", [left]).input("right", [right]);
    let done = run.partitions(1).run()?;
    let all = done.records::<Pair>("all", 1)?;
    let (b, aa) = (Some("b".to_owned()), Some("aa".to_owned()));
    let (no, yes) = (Some(false), Some(true));
    let of_b = [(1, (b.clone(), no)), (1, (b, yes))];
    let mut wanted = of_b.to_vec();
    wanted.push((2, (aa, None)));
    wanted.extend(of_b);
    wanted.extend([(3, (None, no)), (3, (None, no))]);
    assert_eq!(all, wanted);
    Ok(())
}

#[dstream::job]
fn reduced() {
    let left = source::text("none");
    let right = source::text("none");
    let counts = left.map(|w| (w, 1u64)).reduce_by_key(|a, b| a + b);
    let sums = right.map(|w| (w, 2u64)).reduce_by_key(|a, b| a + b);
    let all =
        counts.full_outer_join(sums).map_values(|(a, b)| a.unwrap_or(0) * 100 + b.unwrap_or(0));
    let rest = counts.subtract_by_key(sums).running_reduce(|a, b| a + b);
    all.save("none:");
    rest.save("none:");
}

#[test]
fn reduced_streams_meet_where_they_are() -> Tested {
    every(|partitions| {
        let done = Run::new(reduced)
            .input("left", [vec!["a", "b", "a"], vec!["b", "c"]])
            .input("right", [vec!["a", "c"], vec!["c"]])
            .partitions(partitions)
            .run()?;
        let pairs = |pairs: &[(&str, u64)]| crate::pairs(pairs);
        let all = published::<(String, u64)>(&done, "all", 2)?;
        assert_eq!(all[0], pairs(&[("a", 202), ("b", 100), ("c", 2)]));
        assert_eq!(all[1], pairs(&[("b", 100), ("c", 102)]));
        let rest = published::<(String, u64)>(&done, "rest", 2)?;
        assert_eq!(rest, [pairs(&[("b", 1)]), pairs(&[("b", 2)])]);
        Ok(())
    })
}

/// What `inspect` was shown, in any order.
static SEEN: Mutex<Vec<(String, u64)>> = Mutex::new(Vec::new());

fn see(word: &str, n: u64) {
    if let Ok(mut seen) = SEEN.lock() {
        seen.push((word.to_owned(), n));
    }
}

#[dstream::job]
fn per_record() {
    let lines = source::text("none");
    let ones = lines.map(|line| (line, line.len() as u64));
    let parts = ones.flat_map_values(|n| (0..n).map(move |i| i * n));
    let seen = parts
        .inspect(|(word, n)| see(word, n))
        .inspect(|_| assert!(std::time::Instant::now().elapsed().as_secs() < 3600));
    let sums = seen.reduce_by_key(|a, b| a + b);
    let twice = sums.flat_map_values(|n| [n, n]).reduce_by_key(|a, b| a + b);
    parts.save("none:");
    sums.save("none:");
    twice.save("none:");
}

#[test]
fn values_are_spread_and_shown_in_order() -> Tested {
    every(|partitions| {
        SEEN.lock().expect("no test panicked").clear();
        let done = Run::new(per_record)
            .input("lines", [vec!["abc", "", "de", "abc"], vec![], vec!["f"]])
            .partitions(partitions)
            .run()?;
        let parts = [("abc", 0), ("abc", 3), ("abc", 6), ("de", 0), ("de", 2)];
        let mut first = crate::pairs(&parts);
        first.extend(crate::pairs(&parts[..3]));
        assert_eq!(done.records::<(String, u64)>("parts", 1)?, first);
        let sums = published::<(String, u64)>(&done, "sums", 3)?;
        assert_eq!(sums[0], crate::pairs(&[("abc", 18), ("de", 2)]));
        assert_eq!(sums[1..], [vec![], crate::pairs(&[("f", 0)])]);
        let twice = done.sorted::<(String, u64)>("twice", 1)?;
        assert_eq!(twice, crate::pairs(&[("abc", 36), ("de", 4)]));
        let mut seen = SEEN.lock().expect("no test panicked").clone();
        first.push(("f".to_owned(), 0));
        seen.sort();
        first.sort();
        assert_eq!(seen, first);
        Ok(())
    })
}
