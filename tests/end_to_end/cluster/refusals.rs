//! Outputs that refuse batches: the job waits, then gives up, and after a restart the output equals one
//! without faults, once.
//!
//! The job is halted by its unread standard output. Then the directory of its other output is moved away,
//! and the next batch is refused.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::crew::{Cluster, Tap};
use crate::job::{Job, Running};
use crate::published::{Tree, assert_part_of, tree};

const WORDS: &str = "generate://words?records=20000&batch_records=500&windows=batches";

fn of_words(job: Job, dir: &Path) -> Job {
    let job = job.source("lines", WORDS).sink("windowed", "csv+stdout:?header=false");
    job.files("counts", "csv", dir)
}

/// Moves published batches to another directory, and removes the empty one; returns them.
fn take_away(out: &Path, to: &Path) -> Tree {
    fs::create_dir(to).expect("there is room");
    loop {
        for entry in fs::read_dir(out).expect("it is a directory") {
            let entry = entry.expect("it can be listed");
            // Unfinished batches have other names.
            if !entry.file_name().to_string_lossy().starts_with('_') {
                fs::rename(entry.path(), to.join(entry.file_name())).expect("it is whole");
            }
        }
        // Another batch may have been published meanwhile.
        match fs::remove_dir(out) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            result => break result.expect("it is empty"),
        }
    }
    tree(to)
}

/// A job with a refused batch, and what it published before.
struct Refused {
    cluster: Cluster,
    job: Running,
    before: Tree,
}

impl Refused {
    /// Starts a job and moves the directory of its output away.
    fn start(args: &[&str]) -> Self {
        let cluster = Cluster::new("word_count");
        let mut job = Self::job(&cluster, args).unread().start();
        let mut tap = Tap::on(&mut job);
        // Enough batches for saved states that count.
        tap.read(20_000);
        let before = take_away(&cluster.path("out"), &cluster.path("before"));
        std::thread::spawn(move || tap.read_all());
        Self { cluster, job, before }
    }

    fn job(cluster: &Cluster, args: &[&str]) -> Job {
        let job = Job::example("word_count").args(["--log", "json"]).args(args);
        let job = match args.contains(&"--workers") {
            true => job.args(["--state".as_ref(), cluster.state().as_os_str()]),
            false => job,
        };
        of_words(job, &cluster.path("out"))
    }

    /// Waits until the refusal is reported.
    fn is_said(&mut self) {
        let said = self.job.event_with("warning", |event| {
            event["message"].as_str().is_some_and(|text| text.contains("output `counts` refuses"))
        });
        let text = said["message"].as_str().unwrap_or_default();
        assert!(text.contains("was removed") && text.contains("tried again"), "{text}");
    }

    /// Creates the directory again.
    fn repair(&self) {
        fs::create_dir(self.cluster.path("out")).expect("it is gone");
    }

    /// Checks the output of both runs.
    #[track_caller]
    fn assert_complete(cluster: &Cluster, mut found: Tree) {
        let before = found.len();
        found.extend(tree(&cluster.path("out")));
        assert!(before > 0 && found.len() > before, "{before} files of {} before", found.len());
        let expected = cluster.path("expected");
        of_words(Job::example("word_count"), &expected).run().code(0);
        let expected = tree(&expected);
        assert_part_of(&expected, &found);
        assert_eq!(found.len(), expected.len());
    }
}

const CLUSTER: [&str; 4] = ["--workers", "2", "--checkpoint", "50ms"];

#[test]
fn a_job_waits_for_an_output_and_goes_on_when_it_is_there_again() {
    for args in [&[][..], &CLUSTER] {
        let mut refused = Refused::start(&[args, &["--sink-patience", "10m"]].concat());
        refused.is_said();
        if !args.is_empty() {
            let status =
                refused.cluster.status_with("tries", |s| s["refused"]["tries"].as_u64() > Some(1));
            assert_eq!(status["refused"]["output"], "counts", "{status}");
            let text = refused.cluster.ask(&["status"]).code(0).out.join("\n");
            assert!(text.contains("output `counts` has refused batch"), "{text}");
        }
        refused.repair();
        let Refused { cluster, job, before } = refused;
        job.end().code(0).says(&["output `counts` has taken batch"]);
        Refused::assert_complete(&cluster, before);
    }
}

/// Creates the directory and starts the job again, which resumes.
#[track_caller]
fn goes_on(cluster: &Cluster, before: Tree) {
    fs::create_dir(cluster.path("out")).expect("it is gone");
    let done = Refused::job(cluster, &CLUSTER).run().code(0);
    done.says(&["\"event\":\"resumed\""]);
    Refused::assert_complete(cluster, before);
}

#[test]
fn a_job_gives_up_in_the_end_and_its_state_is_intact() {
    let mut refused = Refused::start(&[&CLUSTER[..], &["--sink-patience", "300ms"]].concat());
    refused.is_said();
    let Refused { cluster, job, before } = refused;
    let done = job.end().code(1);
    done.says(&[
        "output `counts` (examples/word_count.rs:",
        "tries: cannot",
        "start the job again",
    ]);
    goes_on(&cluster, before);
}

#[test]
fn a_job_that_waits_for_an_output_can_be_ended_at_once() {
    let mut refused = Refused::start(&[&CLUSTER[..], &["--sink-patience", "10m"]].concat());
    refused.is_said();
    refused.cluster.ask(&["stop", "--now"]).code(0);
    let Refused { cluster, job, before } = refused;
    job.end();
    goes_on(&cluster, before);
}
