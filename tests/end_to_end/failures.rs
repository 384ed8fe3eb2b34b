//! Failures while a job runs: a user's function, a port, a disk.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::disk::Disk;
use crate::job::Job;
use crate::published::{Published, assert_same_trees};
use crate::text;

#[test]
fn a_panic_names_its_stream_operator_and_line() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("numbers.txt"), "1\n2\nthree\n4\n").expect("there is room");
    let job = Job::example("panics").source(
        "lines",
        format_args!("{}?batch_records=2", dir.path().join("numbers.txt").display()),
    );
    let out = dir.path().join("out");
    let done = job.files("sum", "text", &out).run().code(1);
    let line = line_of("tests/jobs/panics.rs", "line.parse");
    let place = format!("`numbers`: map at tests/jobs/panics.rs:{line}");
    done.says(&["error: ", &place, "every line is a number", "batch 2", "start the job again"]);
    assert_eq!(Published::read(&out).lines(), ["3"], "the batch before is published");
}

/// The number of the line with a text.
fn line_of(file: &str, text: &str) -> usize {
    let path = dstream_tests::workspace().join(file);
    let source = fs::read_to_string(path).expect("it is there");
    1 + source.lines().position(|line| line.contains(text)).expect("it has the text")
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it has one").to_string();
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state").display().to_string();
    // A job in one process has no other worker that could listen.
    for args in [&[][..], &["--state", &state]] {
        let job = Job::example("grep").source("lines", format_args!("tcp://{address}"));
        let done = job.args(args).run().code(1);
        done.says(&[
            "error: source `lines`",
            "listen on",
            &address,
            "in use",
            "--source lines=URL",
        ]);
    }
}

#[test]
fn a_full_disk_stops_the_job_after_a_while_and_spoils_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = match Disk::mount(&dir.path().join("disk")) {
        Ok(disk) => disk,
        Err(why) => return dstream_tests::not_run("mount", &why),
    };
    let input = text::write(&dir.path().join("text.txt"), 1 << 20);
    let url = format!("{}?batch_records=500", input.display());
    let run = |job: Job, into: &Path| {
        let job = job.source("lines", &url).args(["--log", "json"]);
        job.sink("counts", format_args!("csv+file://{}?header=false", into.display()))
    };
    let (whole, small) = (dir.path().join("whole"), disk.path("out"));
    run(Job::example("word_count"), &whole).run().code(0);
    disk.fill(512 << 10);
    let run_small = |patience: &str| {
        let job = run(disk.example("word_count"), &dir.path().join("disk/out"));
        job.args(["--sink-patience", patience])
    };
    let done = run_small("300ms").run().code(1);
    done.says(&["refuses batch", "output `counts` (", "tries", "is full", "start the job again"]);

    let (before, all) = (Published::read(&small), Published::read(&whole));
    assert!(!before.0.is_empty() && before.0.len() < all.0.len(), "it was full half-way");
    assert!(before.0.iter().eq(all.0.iter().take(before.0.len())), "batches are whole");

    // Given enough room, the job goes on.
    let mut job = run_small("10m").start();
    job.event("warning");
    disk.make_room();
    job.end().code(0).says(&["output `counts` has taken batch"]);
    assert_same_trees(&whole, &small);
}
