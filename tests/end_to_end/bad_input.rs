//! Invalid input: readable records are processed, and the rest is reported.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::job::{Job, binary, shell};
use crate::published::Published;
use crate::text;

/// A directory with one file.
fn dir_with(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(name), bytes).expect("there is room");
    dir
}

fn grep(dir: &Path, source: &str, pattern: &str) -> Job {
    let job = Job::example("grep").current_dir(dir).source("lines", source);
    job.files("matches", "text", &dir.join("out")).args(["--pattern", pattern])
}

#[test]
fn lines_that_are_not_utf8_are_set_aside() {
    let dir = dir_with("mixed.txt", b"one a\nnot \xff\xfe a\ntwo a\n\xc3\nthree a\n");
    let job = grep(dir.path(), "mixed.txt", "a").args(["--summary", "json"]);
    let done = job.files("lines.dead", "json", &dir.path().join("dead")).run().code(0);
    let done = done.says(&["sets a record aside", "mixed.txt:6"]);
    assert_eq!(done.summary()["sources"][0]["dead_letters"], 2);
    let published = Published::read(&dir.path().join("out"));
    assert_eq!(published.lines(), ["one a", "two a", "three a"]);
    let dead = Published::read(&dir.path().join("dead"));
    let dead: Vec<Value> =
        dead.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&dead[0]["position"], &dead[1]["position"]), (&json!(6), &json!(21)));
    assert_eq!(dead[0]["text"], "not \u{fffd}\u{fffd} a");
}

#[test]
fn a_torn_archive_gives_its_good_part_and_then_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let lines: Vec<_> = (0..20_000).map(|n| format!("line {n} {}", n * n % 977)).collect();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all((lines.join("\n") + "\n").as_bytes()).expect("memory takes it");
    let packed = packed.finish().expect("memory takes it");
    fs::write(dir.path().join("whole.gz"), &packed).expect("there is room");
    fs::write(dir.path().join("torn.gz"), &packed[..packed.len() / 2]).expect("there is room");

    grep(dir.path(), "whole.gz?batch_records=1000", "").run().code(0);
    let whole = Published::read(&dir.path().join("out"));
    assert_eq!(whole.lines(), lines);
    fs::remove_dir_all(dir.path().join("out")).expect("it is there");

    let done = grep(dir.path(), "torn.gz?batch_records=1000", "").run();
    done.code(1).says(&["error: source `lines`", "torn.gz", "truncated", "start the job again"]);
    let good = Published::read(&dir.path().join("out"));
    let (good, whole) = (good.batches(), whole.batches());
    assert!(good.len() >= 4, "about half was good: {} batches", good.len());
    // The end of the file cuts the last batch short.
    let (last, before) = good.split_last().expect("there are some");
    assert_eq!(before, &whole[..before.len()]);
    assert!(whole[before.len()].starts_with(last), "{last:?}");
}

#[test]
fn paths_that_lead_nowhere_are_named() {
    let dir = dir_with("file.txt", b"a\n");
    fs::create_dir(dir.path().join("empty")).expect("there is room");
    let cases = [
        ("missing.txt", "missing.txt"),
        ("missing/*.txt", "missing/*.txt"),
        ("empty", "empty"),
        ("file.txt/more", "file.txt/more"),
    ];
    for (path, named) in cases {
        let done = grep(dir.path(), path, "a").run();
        done.code(1).says(&["error: source `lines`", named]);
    }
    let job = Job::example("grep").current_dir(dir.path()).source("lines", "file.txt");
    let done = job.sink("matches", "text+file://file.txt").run();
    done.code(1).says(&["error: output `matches`", "file.txt"]);
}

/// Whether this process may read every file.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let dir = dir_with("secret.txt", b"a\n");
    let job = dir.path().join("grep");
    fs::copy(binary("grep"), &job).expect("there is room");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    mode(dir.path(), 0o755);
    fs::create_dir(dir.path().join("locked")).expect("there is room");
    mode(&dir.path().join("secret.txt"), 0o000);
    mode(&dir.path().join("locked"), 0o000);
    let command = || {
        if !is_root() {
            return Command::new(&job);
        }
        // Root may read every file, so run as another user.
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&job);
        other
    };
    if is_root() && Command::new("setpriv").arg("--version").output().is_err() {
        let why = "root may read everything, and there is no setpriv to run as another user";
        return dstream_tests::not_run("setpriv", why);
    }
    let run = |source: &str| {
        let job = Job::of(command()).current_dir(dir.path());
        job.source("lines", source).sink("matches", "stdout:").args(["--pattern", "a"]).run()
    };
    run("secret.txt").code(1).says(&["error: source `lines`", "secret.txt", "ermission denied"]);
    run("locked").code(1).says(&["error: source `lines`", "locked", "ermission denied"]);
    let job = Job::of(command()).current_dir(dir.path()).source("lines", "grep");
    let done = job.files("matches", "text", &dir.path().join("locked")).run();
    done.code(1).says(&["error: output `matches`", "locked", "ermission denied"]);
}

/// JSON lines of page views: one is cut off, one has a string for a number.
const VIEWS: &str = concat!(
    "{\"url\":\"/a\",\"user\":1}\n",
    "{\"url\":\"/a\",\"us\n",
    "{\"url\":\"/b\",\"user\":\"two\"}\n",
    "{\"url\":\"/a\",\"user\":3}\n",
);

#[test]
fn malformed_records_are_counted_and_kept() {
    let dir = dir_with("views.json", VIEWS.as_bytes());
    let dead = dir.path().join("dead");
    let job = Job::example("page_views").current_dir(dir.path()).source("views", "views.json");
    let job =
        job.files("counts", "csv", &dir.path().join("out")).files("views.dead", "json", &dead);
    let done = job.args(["--summary", "json"]).run().code(0);
    let source = &done.summary()["sources"][0];
    assert_eq!((&source["records"], &source["dead_letters"]), (&json!(2), &json!(2)), "{source}");
    assert_eq!(Published::read(&dir.path().join("out")).lines(), ["/a,2"]);
    let letters = Published::read(&dead);
    let letters: Vec<Value> =
        letters.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected = [(22, "{\"url\":\"/a\",\"us"), (38, "{\"url\":\"/b\",\"user\":\"two\"}")];
    assert_eq!(letters.len(), expected.len());
    for (letter, (position, text)) in letters.iter().zip(expected) {
        assert_eq!((&letter["position"], &letter["text"]), (&json!(position), &json!(text)));
        assert_eq!(letter["split"], "views.json");
        assert!(letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{letter}");
    }
}

#[test]
fn a_malformed_record_stops_the_job_that_asks_for_it() {
    let dir = dir_with("views.json", VIEWS.as_bytes());
    let job = Job::example("page_views").current_dir(dir.path());
    let job = job.source("views", "views.json?batch_records=1&on_error=stop");
    let done = job.files("counts", "csv", &dir.path().join("out")).run();
    let place = "`views`: source::json at examples/page_views.rs:";
    done.code(1).says(&["error: ", place, "views.json at 22", "on_error=skip"]);
    // Records before it are published.
    assert_eq!(Published::read(&dir.path().join("out")).lines(), ["/a,1"]);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_a_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = text::Random(3);
    let part: Vec<u8> = (0..1 << 16).map(|_| b'a' + random.below(26) as u8).collect();
    let mut text = b"before\n".to_vec();
    while text.len() < 100 << 20 {
        text.extend_from_slice(&part);
        text.extend_from_slice(text.len().to_string().as_bytes());
    }
    text.extend_from_slice(b" needle\nafter\nneedle");
    fs::write(dir.path().join("text.txt"), text).expect("there is room");
    grep(dir.path(), "text.txt", "needle").run().code(0);
    let out = dir.path().join("out");
    assert_eq!(Published::read(&out).lines().len(), 2);
    // Compares without printing.
    shell(dir.path(), "grep needle text.txt > expected.txt; cat out/*/part-* | cmp - expected.txt");
}
