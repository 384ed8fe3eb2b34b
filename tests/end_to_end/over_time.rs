//! Windows and running state over many batches, compared with interpreters of whole batches.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::job::Job;
use crate::published::Published;
use crate::text;

/// The window of `word_count` and `top_k_count`.
const WINDOW: usize = 30;
/// More batches than a window spans.
const BATCHES: usize = 45;

type Counts<'t> = BTreeMap<&'t str, u64>;

/// A text, with the number of lines per batch.
struct Input {
    dir: TempDir,
    text: String,
    lines: usize,
}

impl Input {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = text::write(&dir.path().join("text.txt"), text::bytes() / 16);
        let text = fs::read_to_string(path).expect("it was just written");
        let lines = text.lines().count().div_ceil(BATCHES);
        Self { dir, text, lines }
    }

    fn url(&self) -> String {
        let batches = format!("batch_records={}&windows=batches", self.lines);
        format!("{}/text.txt?{batches}", self.dir.path().display())
    }

    /// The counts of the words in the window, at the end of each batch.
    fn windows(&self) -> Vec<Counts<'_>> {
        let lines: Vec<_> = self.text.lines().collect();
        let batches: Vec<_> = lines.chunks(self.lines).collect();
        let window = |end: usize| {
            let mut counts = Counts::new();
            let lines = batches[end.saturating_sub(WINDOW)..end].iter().copied().flatten();
            for word in lines.flat_map(|line| line.split_ascii_whitespace()) {
                *counts.entry(word).or_default() += 1;
            }
            counts
        };
        (1..=batches.len()).map(window).collect()
    }
}

fn line<K: std::fmt::Display>((key, value): (K, u64)) -> String {
    format!("{key}\t{value}")
}

#[test]
fn a_window_counts_the_words_of_its_batches() {
    let input = Input::new();
    let windows = input.windows();
    assert!(windows.len() > WINDOW + 5);
    let lines = |window: Counts<'_>| window.into_iter().map(line).collect();
    let mut expected: Vec<Vec<String>> = windows.into_iter().map(lines).collect();
    expected.iter_mut().for_each(|window| window.sort_unstable());
    for partitions in ["1", "8"] {
        let out = tempfile::tempdir().expect("a directory");
        let job = Job::example("word_count").source("lines", input.url());
        let job = job.files("windowed", "text", out.path());
        job.args(["--partitions", partitions]).run().code(0);
        assert!(Published::read(out.path()).sorted() == expected, "{partitions} partitions");
    }
}

/// The most frequent words of each window; equal counts in alphabetical order.
fn top(input: &Input, k: usize) -> Vec<Vec<String>> {
    let top = |window: Counts<'_>| {
        let mut all: Vec<_> = window.into_iter().collect();
        all.sort_by_key(|(_, count)| Reverse(*count));
        all.into_iter().take(k).map(line).collect()
    };
    input.windows().into_iter().map(top).collect()
}

#[test]
fn the_top_of_each_window_is_printed_and_saved() {
    let input = Input::new();
    for k in [1, 25] {
        let out = tempfile::tempdir().expect("a directory");
        let job = || {
            let job = Job::example("top_k_count").source("lines", input.url());
            job.args(["--k".to_owned(), k.to_string()])
        };
        job().files("top", "text", out.path()).run().code(0);
        assert_eq!(Published::read(out.path()).batches(), top(&input, k));
    }
    // `print` shows ten.
    let mut printed = Vec::new();
    for (batch, top) in (1..).zip(top(&input, 10)) {
        printed.push(format!("top at {}000 ms:", batch));
        printed.extend(top);
    }
    let done = Job::example("top_k_count").source("lines", input.url()).run().code(0);
    assert_eq!(done.out, printed);
}

#[test]
fn views_per_page_run_over_all_batches() {
    const LINES: u64 = 1200;
    let dir = tempfile::tempdir().expect("a directory");
    let views = text::page_views(&dir.path().join("views.json"), 20 * LINES - 7);
    let views_text = fs::read_to_string(&views).expect("it was just written");
    let mut totals = BTreeMap::<String, u64>::new();
    let mut expected = Vec::new();
    for batch in views_text.lines().collect::<Vec<_>>().chunks(LINES as usize) {
        let mut touched = BTreeMap::new();
        for view in batch {
            let view: Value = serde_json::from_str(view).expect("it is JSON");
            let url = view["url"].as_str().expect("it has a URL");
            let total = totals.entry(url.to_owned()).or_default();
            *total += 1;
            touched.insert(url.to_owned(), *total);
        }
        let mut lines: Vec<_> = touched.into_iter().map(line).collect();
        lines.sort_unstable();
        expected.push(lines);
    }
    for partitions in ["1", "2", "8"] {
        let out = tempfile::tempdir().expect("a directory");
        let url = format!("{}?batch_records={LINES}&split=4KiB", views.display());
        let job = Job::example("page_views").source("views", url);
        let job = job.files("counts", "text", out.path()).args(["--partitions", partitions]);
        job.run().code(0);
        assert!(Published::read(out.path()).sorted() == expected, "{partitions} partitions");
    }
}
