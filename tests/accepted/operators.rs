//! Operator functions: across modules, of several streams, calling each other.

use dstream::testing::Run;

use crate::{Tested, first};

mod words {
    use dstream::prelude::*;

    /// Words with at least `least` letters.
    #[dstream::operator]
    pub(crate) fn long_words(lines: Stream<String>, least: usize) -> Stream<String> {
        let all = lines.flat_map(|line| words(line));
        all.filter(|word| word.len() >= least)
    }

    pub(crate) mod counts {
        use dstream::prelude::*;

        /// The number of occurrences of each record.
        #[dstream::operator]
        pub(crate) fn frequencies(records: Stream<String>) -> Stream<(String, u64)> {
            records.map(|record| (record, 1u64)).reduce_by_key(|a, b| a + b)
        }
    }
}

use dstream::prelude::*;
use words::counts::frequencies;
use words::long_words;

/// The keys of both streams, with both numbers.
#[dstream::operator]
fn shared(left: Stream<String>, right: Stream<String>) -> Stream<(String, (u64, u64))> {
    let l = frequencies(left);
    let r = frequencies(right);
    l.join(r)
}

#[dstream::job]
fn common_words() {
    let left = source::text("none");
    let right = source::text("none");
    let least = 2;
    let a = long_words(left, least);
    let b = words::long_words(right, 1 + 1);
    let both = shared(a, b.filter(|word| word != "and"));
    let twice = frequencies(long_words(left.union(right), 3));
    both.save("none:");
    twice.save("none:");
}

#[test]
fn operators_of_operators() -> Tested {
    let done = Run::new(common_words)
        .input("left", [vec!["the cat and a dog", "the end"]])
        .input("right", [vec!["and the a dog dog"]])
        .run()?;
    let text = |text: &str| text.to_owned();
    assert_eq!(
        first::<(String, (u64, u64))>(&done, "both")?,
        [(text("dog"), (1, 2)), (text("the"), (2, 1))]
    );
    assert_eq!(
        first::<(String, u64)>(&done, "twice")?,
        [(text("and"), 2), (text("cat"), 1), (text("dog"), 3), (text("end"), 1), (text("the"), 3)]
    );
    Ok(())
}
