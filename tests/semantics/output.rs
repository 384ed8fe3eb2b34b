//! Outputs and operator functions.

use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every, pairs};

/// Words of at least `least` letters, counted.
#[dstream::operator]
fn long_words(lines: Stream<String>, least: usize) -> Stream<(String, u64)> {
    let long = lines.flat_map(|line| words(line)).filter(|word| word.len() >= least);
    long.map(|word| (word, 1u64)).reduce_by_key(|a, b| a + b)
}

mod elsewhere {
    use dstream::prelude::*;

    #[dstream::operator]
    pub(crate) fn doubled(counts: Stream<(String, u64)>) -> Stream<(String, u64)> {
        counts.map_values(|n| n * 2)
    }
}

#[dstream::job]
fn with_operators() {
    let lines = source::text("none");
    let three = long_words(lines, 3);
    let four = elsewhere::doubled(long_words(lines, 4));
    three.save("none:");
    four.save("none:");
    four.print();
}

#[test]
fn operator_functions_are_inlined() -> Tested {
    every(|partitions| {
        let run = Run::new(with_operators).input("lines", [vec!["one three", "four one a"]]);
        let done = run.partitions(partitions).run()?;
        assert_eq!(
            done.sorted::<(String, u64)>("three", 1)?,
            pairs(&[("four", 1), ("one", 2), ("three", 1)])
        );
        assert_eq!(done.sorted::<(String, u64)>("four", 1)?, pairs(&[("four", 2), ("three", 2)]));
        assert_eq!(done.sorted::<(String, u64)>("four_2", 1)?, pairs(&[("four", 2), ("three", 2)]));
        Ok(())
    })
}
