//! Joins.

use dstream::testing::Run;

use crate::{Tested, every};

#[dstream::job]
fn joined() {
    let left = source::text("none");
    let right = source::text("none");
    let l = left.key_by(|line| line.len() as u64);
    let r = right.map(|line| (line.len() as u64, line.starts_with('x')));
    let both = l.join(r);
    let counts = left.map(|w| (w, 1u64)).reduce_by_key(|a, b| a + b);
    let sums = right.map(|w| (w, 2u64)).reduce_by_key(|a, b| a + b);
    let narrow = counts.join(sums).map_values(|(a, b)| a * 100 + b);
    both.save("none:");
    narrow.save("none:");
}

#[test]
fn duplicate_keys_give_the_cross_product() -> Tested {
    let (left, right) = (vec!["aa", "bb", "c", "dddd"], vec!["xx", "yy", "z", "www"]);
    let mut expected = Vec::new();
    for l in &left {
        for r in right.iter().filter(|r| r.len() == l.len()) {
            expected.push((l.len() as u64, ((*l).to_owned(), r.starts_with('x'))));
        }
    }
    expected.sort();
    every(|partitions| {
        let done = Run::new(joined)
            .input("left", [left.clone(), vec!["only"]])
            .input("right", [right.clone()])
            .partitions(partitions)
            .run()?;
        assert_eq!(done.sorted::<(u64, (String, bool))>("both", 1)?, expected);
        assert!(done.records::<(u64, (String, bool))>("both", 2)?.is_empty());
        Ok(())
    })
}

#[test]
fn streams_reduced_by_the_same_key_are_joined_where_they_are() -> Tested {
    every(|partitions| {
        let done = Run::new(joined)
            .input("left", [vec!["a", "b", "a"]])
            .input("right", [vec!["a", "c"]])
            .partitions(partitions)
            .run()?;
        assert_eq!(done.sorted::<(String, u64)>("narrow", 1)?, [("a".to_owned(), 202)]);
        Ok(())
    })
}

#[dstream::job]
fn left_joined() {
    let left = source::text("none");
    let right = source::text("none");
    let l = left.key_by(|line| line.len() as u64);
    let r = right.map(|line| (line.len() as u64, line.starts_with('x')));
    let both = l.left_outer_join(r);
    let counts = left.map(|w| (w, 1u64)).reduce_by_key(|a, b| a + b);
    let sums = right.map(|w| (w, 2u64)).reduce_by_key(|a, b| a + b);
    let narrow = counts.left_outer_join(sums).map_values(|(a, b)| a * 100 + b.unwrap_or(0));
    let recent = l.window("2s").left_outer_join(r.window("2s"));
    both.save("none:");
    narrow.save("none:");
    recent.save("none:");
}

type Joined = (u64, (String, Option<bool>));

/// What the left outer join of two lists is.
fn left_outer(left: &[&str], right: &[&str]) -> Vec<Joined> {
    let mut expected = Vec::new();
    for l in left {
        let mut found = right.iter().filter(|r| r.len() == l.len()).peekable();
        let none = found.peek().is_none().then_some(None);
        for r in none.into_iter().chain(found.map(|r| Some(r.starts_with('x')))) {
            expected.push((l.len() as u64, ((*l).to_owned(), r)));
        }
    }
    expected.sort();
    expected
}

#[test]
fn a_left_outer_join_keeps_what_has_no_right_side() -> Tested {
    let left = [vec!["aa", "bb", "c", "dddd"], vec!["only"], vec![], vec!["c"]];
    let right = [vec!["xx", "yy", "z", "www"], vec![], vec!["lone"], vec!["q", "x"]];
    every(|partitions| {
        let done = Run::new(left_joined)
            .input("left", left.clone())
            .input("right", right.clone())
            .partitions(partitions)
            .run()?;
        for batch in 0..4 {
            let both = done.sorted::<Joined>("both", batch as u64 + 1)?;
            assert_eq!(both, left_outer(&left[batch], &right[batch]), "batch {batch}");
            let window =
                |side: &[Vec<&'static str>; 4]| side[batch.saturating_sub(1)..=batch].concat();
            let recent = done.sorted::<Joined>("recent", batch as u64 + 1)?;
            assert_eq!(recent, left_outer(&window(&left), &window(&right)), "batch {batch}");
        }
        Ok(())
    })
}

#[test]
fn a_left_outer_join_of_reduced_streams_is_made_where_they_are() -> Tested {
    every(|partitions| {
        let done = Run::new(left_joined)
            .input("left", [vec!["a", "b", "a"]])
            .input("right", [vec!["a", "c"]])
            .partitions(partitions)
            .run()?;
        let expected = [("a".to_owned(), 202), ("b".to_owned(), 100)];
        assert_eq!(done.sorted::<(String, u64)>("narrow", 1)?, expected);
        Ok(())
    })
}

/// A table, and records that are to meet it: what the refusal of a bounded stream joined with a live one suggests.
#[dstream::job]
fn enriched() {
    let pages = source::text("none");
    let views = source::text("none");
    let titles = pages.map(|page| (page.split(' ').next().unwrap_or_default(), (page, 0u64)));
    let seen = views.map(|url| (url, ("", 1u64)));
    let both = titles.union(seen);
    let known = both.running_reduce(|a, b| (if a.0.is_empty() { b.0 } else { a.0 }, a.1 + b.1));
    let state = titles.running_reduce(|a, _| a);
    let joined = state.join(seen);
    known.save("none:");
    joined.save("none:");
}

#[test]
fn a_table_is_met_by_every_record_if_both_are_united_and_reduced() -> Tested {
    every(|partitions| {
        let done = Run::new(enriched)
            .input("pages", [vec!["/a first", "/b second"]])
            .input("views", [vec!["/a"], vec!["/b", "/c", "/b"], vec!["/a"]])
            .partitions(partitions)
            .run()?;
        let known = |batch| done.sorted::<(String, (String, u64))>("known", batch);
        let page = |url: &str, page: &str, n| (url.to_owned(), (page.to_owned(), n));
        assert_eq!(known(1)?, [page("/a", "/a first", 1), page("/b", "/b second", 0)]);
        assert_eq!(known(2)?, [page("/b", "/b second", 2), page("/c", "", 1)]);
        assert_eq!(known(3)?, [page("/a", "/a first", 2)]);
        // A join with the state alone does not: it emits only the keys of a batch.
        let paired =
            |batch| done.records::<(String, ((String, u64), (String, u64)))>("joined", batch);
        assert_eq!((paired(1)?.len(), paired(2)?.len(), paired(3)?.len()), (1, 0, 0));
        Ok(())
    })
}
