//! Arguments accepted as functions.

use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, first};

/// A visit.
#[derive(Record, Debug, Clone, PartialEq)]
struct Visit {
    page: String,
    from: Option<String>,
    tags: Vec<String>,
    seconds: u64,
}

fn visit(page: &str, from: Option<&str>, seconds: u64) -> Visit {
    let tags = vec!["a".to_owned(), page.to_owned()];
    Visit { page: page.to_owned(), from: from.map(str::to_owned), tags, seconds }
}

fn long(line: &str) -> bool {
    line.len() > 2
}

fn add(a: u64, b: u64) -> u64 {
    a + b
}

mod text {
    pub(super) fn halves(line: &str) -> impl Iterator<Item = &str> {
        let (left, right) = line.split_at(line.len() / 2);
        [left, right].into_iter()
    }
}

/// A matcher, like a compiled regular expression.
#[derive(Clone)]
struct Matcher {
    needle: String,
}

impl Matcher {
    fn new(needle: &str) -> Self {
        Self { needle: needle.to_owned() }
    }

    fn is_match(&self, line: &str) -> bool {
        line.contains(&self.needle)
    }
}

#[dstream::job]
fn functions() {
    let lines = source::text("none");
    // Paths.
    let kept = lines.filter(long);
    let pieces = lines.flat_map(text::halves);
    let lengths = lines.map(str::trim).map(|line| line.len() as u64).reduce(add);
    let upper = lines.map(str::to_uppercase);
    // Blocks, `move`, `return`, nested closures, annotations.
    let counted = lines.map(move |line| {
        let vowels = line.chars().filter(|c| "aeiou".contains(*c)).count();
        (line, vowels as u64)
    });
    let early = lines.filter_map(|line| {
        if line.is_empty() {
            return None;
        }
        line.split(' ').map(|word| word.len() as u64).max()
    });
    let annotated = lines.map(|line: &str| -> (u64, String) { (1, line.to_owned()) });
    kept.save("none:");
    pieces.save("none:");
    lengths.save("none:");
    upper.save("none:");
    counted.save("none:");
    early.save("none:");
    annotated.save("none:");
}

#[test]
fn paths_blocks_and_annotations() -> Tested {
    let done = Run::new(functions).input("lines", [vec!["ab", "abc d", ""]]).run()?;
    assert_eq!(first::<String>(&done, "kept")?, ["abc d"]);
    assert_eq!(first::<String>(&done, "pieces")?, ["", "", "a", "ab", "b", "c d"]);
    assert_eq!(first::<u64>(&done, "lengths")?, [7]);
    assert_eq!(first::<String>(&done, "upper")?, ["", "AB", "ABC D"]);
    assert_eq!(
        first::<(String, u64)>(&done, "counted")?,
        [(String::new(), 0), ("ab".to_owned(), 1), ("abc d".to_owned(), 1)]
    );
    assert_eq!(first::<u64>(&done, "early")?, [2, 3]);
    assert_eq!(first::<(u64, String)>(&done, "annotated")?.len(), 3);
    Ok(())
}

#[dstream::job]
fn patterns() {
    let visits = source::json::<Visit>("none");
    // A pattern of the view, and nested tuples.
    let nested =
        visits.map(|VisitRef { page, from, seconds, .. }| ((page, from), (seconds, (1u64, true))));
    let sums = nested.reduce_by_key(|(a, (n, _)), (b, (m, _))| (a + b, (n + m, false)));
    let flat =
        sums.map(|((page, from), (seconds, (n, _)))| (page, from.unwrap_or("-"), seconds / n));
    // `Option`s and records as keys.
    let by_from = visits.map(|v| (v.from, v.seconds)).reduce_by_key(|a, b| a.max(b));
    let tags = visits.flat_map(|v| v.tags).map(|tag| (tag, 1u64)).reduce_by_key(|a, b| a + b);
    let whole = visits.key_by(|v| (v.page, v.from.is_some())).map_values(|v| v.seconds);
    let best = visits.top_k(1, |v| (v.seconds, v.page));
    flat.save("none:");
    by_from.save("none:");
    tags.save("none:");
    whole.save("none:");
    best.save("none:");
}

#[test]
fn patterns_and_keys() -> Tested {
    let visits = vec![visit("x", None, 4), visit("x", None, 6), visit("y", Some("x"), 8)];
    let done = Run::new(patterns).input("visits", [visits.clone()]).run()?;
    let text = |text: &str| text.to_owned();
    assert_eq!(
        first::<(String, String, u64)>(&done, "flat")?,
        [(text("x"), text("-"), 5), (text("y"), text("x"), 8)]
    );
    assert_eq!(
        first::<(Option<String>, u64)>(&done, "by_from")?,
        [(None, 6), (Some(text("x")), 8)]
    );
    assert_eq!(
        first::<(String, u64)>(&done, "tags")?,
        [(text("a"), 3), (text("x"), 2), (text("y"), 1)]
    );
    assert_eq!(first::<((String, bool), u64)>(&done, "whole")?.len(), 3);
    assert_eq!(first::<Visit>(&done, "best")?, visits[2..]);
    Ok(())
}

/// Parameters of `captures`.
#[dstream::params]
struct Words {
    /// What a line must contain
    #[arg(long, default_value = "b")]
    needle: String,
    /// What to put before it
    #[arg(long, default_value = "> ")]
    prefix: String,
}

#[dstream::job]
fn captures(params: &Words) {
    let matcher = Matcher::new(&params.needle);
    let table = [3u64, 5, 7];
    let limit = table.iter().sum::<u64>();
    let lines = source::text("none");
    let found = lines.filter(|line| matcher.is_match(line));
    let marked = found.map(|line| format!("{}{line} {limit}", params.prefix));
    let missing = lines.filter(move |line| !matcher.is_match(line));
    let sums = lines
        .map(|line| (line.len() as u64 % 2, table[line.len() % 3]))
        .reduce_by_key(|a, b| (a + b).min(limit));
    marked.save("none:");
    missing.save("none:");
    sums.save("none:");
}

#[test]
fn values_are_captured_and_parameters_borrowed() -> Tested {
    let done = Run::new(captures).input("lines", [vec!["ab", "c", "b"]]).run()?;
    assert_eq!(first::<String>(&done, "marked")?, ["> ab 15", "> b 15"]);
    assert_eq!(first::<String>(&done, "missing")?, ["c"]);
    assert_eq!(first::<(u64, u64)>(&done, "sums")?, [(0, 7), (1, 10)]);
    Ok(())
}
