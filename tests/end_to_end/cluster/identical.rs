//! One, two or four workers give the output of one process, for every input: files of all kinds,
//! directories, generators, and unreadable records.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::job::Job;
use crate::published::{Published, assert_same_trees};
use crate::text;

/// Runs a job without workers and with 1, 2 and 4. `bind` adds its sources, and sinks below a directory.
fn same_on_any_number_of_workers(bind: impl Fn(&Path) -> Job) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let run = |workers: &str| {
        let out = dir.path().join(workers);
        (bind(&out).args(["--workers", workers]).run().code(0).out, out)
    };
    let (lines, local) = run("0");
    for workers in ["1", "2", "4"] {
        let (found, out) = run(workers);
        assert_eq!(found, lines, "standard output with {workers} workers");
        if local.exists() {
            assert_same_trees(&local, &out);
        }
    }
    dir
}

fn write_gz(path: &Path, bytes: &[u8]) {
    let mut packed =
        GzEncoder::new(File::create(path).expect("there is room"), Compression::fast());
    packed.write_all(bytes).expect("there is room");
    packed.finish().expect("there is room");
}

fn write_zst(path: &Path, bytes: &[u8]) {
    let packed = zstd::encode_all(bytes, 1).expect("memory takes it");
    fs::write(path, packed).expect("there is room");
}

#[test]
fn grep_of_a_directory_of_many_small_files() {
    let input = tempfile::tempdir().expect("a directory");
    let all = text::write(&input.path().join("all"), 1 << 20);
    let all = fs::read_to_string(all).expect("it is text");
    let lines: Vec<_> = all.lines().collect();
    let few = input.path().join("few");
    fs::create_dir(&few).expect("there is room");
    for (n, some) in lines.chunks(lines.len() / 150).enumerate() {
        fs::write(few.join(format!("{n:04}.txt")), some.join("\n")).expect("there is room");
    }
    let dir = same_on_any_number_of_workers(|out| {
        let source = format!("{}?batch_records=1500", few.display());
        let job = Job::example("grep").source("lines", source).args(["--pattern", "toé"]);
        job.files("matches", "text", out)
    });
    let found = Published::read(&dir.path().join("4"));
    let expected: Vec<_> = lines.iter().copied().filter(|line| line.contains("toé")).collect();
    assert!(expected.len() > 100, "the test says something");
    assert_eq!(found.lines(), expected);
}

#[test]
fn word_count_of_compressed_files_with_large_results() {
    let input = tempfile::tempdir().expect("a directory");
    let plain = text::write(&input.path().join("1.txt"), text::bytes() / 8);
    let bytes = fs::read(plain).expect("it is there");
    write_gz(&input.path().join("2.txt.gz"), &bytes);
    write_zst(&input.path().join("3.txt.zst"), &bytes);
    same_on_any_number_of_workers(|out| {
        let batches = "batch=700KiB&split=64KiB&windows=batches";
        let source = format!("{}?{batches}", input.path().display());
        let job = Job::example("word_count").source("lines", source);
        let job = job.files("counts", "csv", &out.join("counts"));
        job.files("windowed", "json", &out.join("windowed"))
    });
}

#[test]
fn top_k_count_of_a_generator_in_any_number_of_partitions() {
    for partitions in ["1", "3", "16"] {
        same_on_any_number_of_workers(|_| {
            let batches = "batch_records=2500&windows=batches";
            let source = format!("generate://words?records=40000&words=400&{batches}");
            let job = Job::example("top_k_count").source("lines", source);
            job.args(["--partitions", partitions, "--k", "7"])
        });
    }
}

#[test]
fn page_views_some_of_which_cannot_be_read() {
    let input = tempfile::tempdir().expect("a directory");
    let path = text::page_views(&input.path().join("views.json"), 8000);
    let mut broken = String::new();
    for (n, line) in fs::read_to_string(&path).expect("it is text").lines().enumerate() {
        // Some lines are cut off.
        broken.push_str(if n % 37 == 5 { &line[..7] } else { line });
        broken.push('\n');
    }
    fs::write(&path, &broken).expect("there is room");
    write_gz(&input.path().join("views.json.gz"), broken.as_bytes());
    let dir = same_on_any_number_of_workers(|out| {
        let source = format!("{}/*.json*?batch_records=900&split=16KiB", input.path().display());
        let job = Job::example("page_views").source("views", source);
        let job = job.files("counts", "csv", &out.join("counts"));
        job.files("views.dead", "json", &out.join("dead"))
    });
    let letters = Published::read(&dir.path().join("4/dead"));
    assert_eq!(letters.lines().len(), 2 * 8000_usize.div_ceil(37), "every one is kept");
}

#[test]
fn an_error_of_the_job_is_the_same_on_workers() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("numbers.txt"), "1\n2\nthree\n4\n").expect("there is room");
    let job = |name: &str| Job::example(name).current_dir(dir.path()).args(["--workers", "2"]);
    let done = job("panics").source("lines", "numbers.txt?batch_records=2").run().code(1);
    let done = done.says(&["error: ", "`numbers`: map at tests/jobs/panics.rs:", "batch 2"]);
    done.says(&["every line is a number"]);

    fs::write(dir.path().join("views.json"), "{\"url\":\"/a\",\"user\":1}\n{\"url\":\n")
        .expect("there is room");
    let done = job("page_views").source("views", "views.json?on_error=stop").run().code(1);
    done.says(&["error: ", "`views`: source::json at examples/page_views.rs:", "views.json at 22"]);

    let missing = job("grep").source("lines", "missing.txt").run();
    missing.code(1).says(&["error: source `lines`", "missing.txt"]);
}
