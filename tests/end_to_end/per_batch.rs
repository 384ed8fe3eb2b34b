//! `grep` and `word_count` give the results of the system's tools, per batch, for any number of partitions,
//! and always the same bytes.

use std::path::Path;

use tempfile::TempDir;

use crate::job::{Job, shell};
use crate::published::{Published, assert_same_trees};
use crate::text;

/// Lines per batch, for about a dozen batches.
fn batch_lines() -> usize {
    text::bytes() / 700
}

/// A directory with `text.txt` and its batches from `split`: `batch.0000`, …
fn input() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    text::write(&dir.path().join("text.txt"), text::bytes());
    shell(dir.path(), &format!("split -d -a 4 -l {} text.txt batch.", batch_lines()));
    dir
}

/// The output of a script for each batch.
fn per_batch(dir: &Path, script: &str) -> Vec<Vec<String>> {
    let script = format!("for file in batch.*; do {script}; echo end-of-batch; done");
    let mut batches = vec![Vec::new()];
    for line in shell(dir, &script).lines() {
        match (line, batches.last_mut()) {
            ("end-of-batch", _) => batches.push(Vec::new()),
            (line, Some(batch)) => batch.push(line.to_owned()),
            (_, None) => {}
        }
    }
    batches.pop();
    batches
}

/// Options that make a file one batch.
fn in_one_batch(dir: &Path) -> String {
    format!("{}?batch=1024GiB", dir.join("text.txt").display())
}

/// Options that split a file into batches of several inputs.
fn in_batches(dir: &Path) -> String {
    format!("{}?batch_records={}&split=64KiB", dir.join("text.txt").display(), batch_lines())
}

#[test]
fn grep_gives_the_lines_that_grep_gives() {
    const PATTERN: &str = "toé";
    let input = input();
    let whole = shell(input.path(), &format!("grep {PATTERN} text.txt"));
    let whole: Vec<_> = whole.lines().collect();
    let batches = per_batch(input.path(), &format!("{{ grep {PATTERN} $file || true; }}"));
    assert!(whole.len() > 100 && batches.len() > 5, "the test says something");
    for partitions in ["1", "2", "8"] {
        let out = tempfile::tempdir().expect("a directory");
        let run = |url: &str, into: &Path| {
            let job = Job::example("grep").source("lines", url).files("matches", "text", into);
            job.args(["--pattern", PATTERN, "--partitions", partitions]).run().code(0);
        };
        let (one, many) = (out.path().join("one"), out.path().join("many"));
        run(&in_one_batch(input.path()), &one);
        assert!(Published::read(&one).batches() == [&whole[..]], "{partitions} partitions, whole");
        run(&in_batches(input.path()), &many);
        assert!(Published::read(&many).batches() == batches, "{partitions} partitions, batches");
    }
}

/// The words of a file with their counts, as `WORD TAB NUMBER`, sorted.
fn uniq(file: &str) -> String {
    format!(
        r#"tr -s '[:space:]' '\n' < {file} | sed '/^$/d' | sort | uniq -c | awk '{{ print $2 "\t" $1 }}' | sort"#
    )
}

#[test]
fn word_count_gives_the_counts_that_sort_and_uniq_give() {
    let input = input();
    let whole = shell(input.path(), &uniq("text.txt"));
    let whole: Vec<_> = whole.lines().collect();
    let batches = per_batch(input.path(), &uniq("$file"));
    assert!(whole.len() > 1000 && batches.len() > 5, "the test says something");
    for partitions in ["1", "2", "8"] {
        let out = tempfile::tempdir().expect("a directory");
        let run = |url: &str, into: &Path| {
            let job = Job::example("word_count").source("lines", url).files("counts", "text", into);
            job.args(["--partitions", partitions]).run().code(0);
        };
        let (one, many) = (out.path().join("one"), out.path().join("many"));
        run(&in_one_batch(input.path()), &one);
        assert!(Published::read(&one).sorted() == [&whole[..]], "{partitions} partitions, whole");
        run(&in_batches(input.path()), &many);
        assert!(Published::read(&many).sorted() == batches, "{partitions} partitions, batches");
    }
}

#[test]
fn two_runs_give_the_same_bytes_on_any_number_of_threads() {
    let input = tempfile::tempdir().expect("a directory");
    let text = text::write(&input.path().join("text.txt"), text::bytes() / 4);
    let batches = format!("batch_records={}&windows=batches", batch_lines() / 4);
    let url = format!("{}?{batches}&split=16KiB", text.display());
    let out = tempfile::tempdir().expect("a directory");
    for job in ["word_count", "grep"] {
        let run = |cores: &str, into: &str| {
            let into = out.path().join(job).join(into);
            let names: &[_] = if job == "grep" { &["matches"] } else { &["counts", "windowed"] };
            let job = Job::example(job).source("lines", &url).args(["--cores", cores]);
            let bind = |job: Job, name: &&str| job.files(name, "csv", &into.join(name));
            names.iter().fold(job, bind).run().code(0);
            into
        };
        let first = run("1", "first");
        assert_same_trees(&first, &run("2", "second"));
        assert_same_trees(&first, &run("5", "third"));
    }
}
