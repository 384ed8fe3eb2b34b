//! Sets of numbers that have few gaps, such as everything that has been reported so far.

use serde::{Deserialize, Serialize};

/// A set of numbers, kept as the runs without gaps that it is made of: from the first, up to before the
/// second.
///
/// Invariant: runs are not empty, do not touch, and are in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSet {
    runs: Vec<(u64, u64)>,
}

impl RangeSet {
    /// All numbers there are, but for the last, which is no number of anything.
    #[must_use]
    pub fn all() -> Self {
        Self { runs: vec![(0, u64::MAX)] }
    }

    /// Whether it has this number.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let after = self.runs.partition_point(|run| run.0 <= number);
        after > 0 && number < self.runs[after - 1].1
    }

    /// Adds a number; whether it was not there.
    pub fn insert(&mut self, number: u64) -> bool {
        let after = self.runs.partition_point(|run| run.0 <= number);
        if after > 0 && number < self.runs[after - 1].1 {
            return false;
        }
        let Some(end) = number.checked_add(1) else { return false };
        let joins_before = after > 0 && self.runs[after - 1].1 == number;
        let joins_after = self.runs.get(after).is_some_and(|run| run.0 == end);
        match (joins_before, joins_after) {
            (true, true) => self.runs[after - 1].1 = self.runs.remove(after).1,
            (true, false) => self.runs[after - 1].1 = end,
            (false, true) => self.runs[after].0 = number,
            (false, false) => self.runs.insert(after, (number, end)),
        }
        true
    }

    /// Adds all numbers that another set has.
    pub fn join(&mut self, other: &Self) {
        let mut runs: Vec<(u64, u64)> = self.runs.iter().chain(&other.runs).copied().collect();
        runs.sort_unstable();
        self.runs.clear();
        for (from, to) in runs {
            match self.runs.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => self.runs.push((from, to)),
            }
        }
    }

    /// The runs without gaps that it is made of: from the first, up to before the second.
    pub fn runs(&self) -> impl Iterator<Item = std::ops::Range<u64>> {
        self.runs.iter().map(|(from, to)| *from..*to)
    }

    /// How many numbers it has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.runs.iter().map(|(from, to)| to - from).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// One more than the highest.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.1)
    }

    /// Whether it can be what it says that it is: read from somewhere, it may be anything.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let ordered = self.runs.windows(2).all(|two| two[0].1 < two[1].0);
        ordered && self.runs.iter().all(|run| run.0 < run.1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_has_what_was_inserted(numbers in proptest::collection::vec(0..40_u64, 0..60)) {
            let (mut spans, mut expected) = (RangeSet::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(spans.insert(number), expected.insert(number));
                prop_assert!(spans.is_sound());
                for number in 0..42 {
                    prop_assert_eq!(spans.contains(number), expected.contains(&number));
                }
                prop_assert_eq!(spans.end(), expected.last().map_or(0, |last| last + 1));
            }
        }

        #[test]
        fn sets_that_are_joined_have_what_any_of_them_has(
            all in proptest::collection::vec(proptest::collection::vec(0..40_u64, 0..30), 2)
        ) {
            let set = |numbers: &Vec<u64>| {
                let mut spans = RangeSet::default();
                for number in numbers {
                    spans.insert(*number);
                }
                spans
            };
            let mut joined = set(&all[0]);
            joined.join(&set(&all[1]));
            prop_assert_eq!(&joined, &set(&all.concat()));
            prop_assert!(joined.is_sound());
        }
    }

    #[test]
    fn the_last_number_is_none() {
        let mut spans = RangeSet::default();
        assert!(!spans.insert(u64::MAX) && spans == RangeSet::default());
        assert!(RangeSet::all().contains(0) && RangeSet::all().is_sound());
        assert!(!RangeSet { runs: vec![(3, 3)] }.is_sound());
        assert!(!RangeSet { runs: vec![(5, 7), (7, 9)] }.is_sound());
    }
}
