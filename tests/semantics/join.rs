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
