//! Followed files that change while no master reads them: the next master resumes with the rest, or refuses
//! with a cure that keeps the state.

use std::net::SocketAddr;

use super::crew::{ANY, Cluster, all_end};
use super::restarts::kill;
use crate::job::{Job, Running, shell};
use crate::published::Published;

/// A cluster with logs beside its state.
struct Logs(Cluster);

impl Logs {
    fn new() -> Self {
        let this = Self(Cluster::new("word_count"));
        std::fs::create_dir(this.0.path("logs")).expect("there is room");
        this
    }

    fn shell(&self, script: &str) {
        shell(&self.0.path("logs"), script);
    }

    /// A master of `word_count` over a directory, with that checkpoint interval.
    fn master(&self, logs: &str, every: &str) -> Job {
        let source = format!("file://{}?follow&settle=50ms", self.0.path(logs).display());
        let job = self.0.master_at(ANY, 1).args(["--checkpoint", every, "--interval", "1s"]);
        job.source("lines", source).files("counts", "csv", &self.0.path("out"))
    }

    fn start(&self, job: Job) -> (Running, Vec<Running>, SocketAddr) {
        let mut master = job.start();
        let at = master.listening();
        (master, self.0.crew(&["w1"], at), at)
    }

    /// Waits until the master has published a number of records.
    fn published(&self, records: u64) {
        let enough = |status: &serde_json::Value| status["sources"][0]["records"] == records;
        self.0.status_with("records", enough);
    }

    /// The published count of each word.
    fn counts(&self) -> Vec<(String, u64)> {
        let published = Published::read(&self.0.path("out"));
        let mut counts = std::collections::BTreeMap::new();
        for line in published.lines() {
            let (word, count) = line.rsplit_once(',').expect("two columns");
            let Ok(count) = count.parse::<u64>() else { continue };
            *counts.entry(word.to_owned()).or_insert(0) += count;
        }
        counts.into_iter().collect()
    }

    fn end(master: Running, crew: Vec<Running>) {
        master.signal(rustix::process::Signal::TERM);
        master.end().code(0);
        all_end(crew);
    }
}

fn counted(words: &[(&str, u64)]) -> Vec<(String, u64)> {
    words.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

#[test]
fn logs_that_are_rotated_while_no_master_reads_them() {
    let logs = Logs::new();
    logs.shell("printf 'a\\nb\\n' > log; printf 'c\\n' > other");
    let (master, crew, _) = logs.start(logs.master("logs", "100ms"));
    logs.published(3);
    kill(master);
    crew.into_iter().for_each(kill);
    // Renamed, compressed and extended; copied and truncated; copied back.
    logs.shell("echo d >> log; mv log log.1; gzip log.1; printf 'e\\n' > log");
    logs.shell("echo f >> other; cp other other.1; printf 'g\\nh\\ni\\n' > other");
    let (master, crew, _) = logs.start(logs.master("logs", "100ms"));
    logs.published(6);
    Logs::end(master, crew);
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|word| (word, 1));
    assert_eq!(logs.counts(), counted(&all));
}

#[test]
fn another_directory_is_refused_and_may_be_accepted() {
    let logs = Logs::new();
    logs.shell("echo a > log; mkdir ../wrong; echo b > ../wrong/log");
    let (master, crew, _) = logs.start(logs.master("logs", "100ms"));
    logs.published(1);
    kill(master);
    crew.into_iter().for_each(kill);
    let refused = logs.master("wrong", "100ms").run().code(1);
    refused.says(&["/logs`", "/wrong`", "--accept-source lines"]);
    let wrong = logs.master("wrong", "100ms").args(["--accept-source", "line"]).run();
    wrong.code(2).says(&["there is no source `line`"]);
    let accepted = logs.master("wrong", "100ms").args(["--accept-source", "lines"]);
    let (master, crew, _) = logs.start(accepted);
    logs.published(1);
    Logs::end(master, crew);
    assert_eq!(logs.counts(), counted(&[("a", 1), ("b", 1)]));
}

#[test]
fn a_file_that_the_journal_needs_is_gone() {
    let logs = Logs::new();
    logs.shell("echo a > log; echo b > other");
    // No state is saved, so everything must be computed again.
    let (master, crew, _) = logs.start(logs.master("logs", "1h"));
    logs.published(2);
    kill(master);
    crew.into_iter().for_each(kill);
    logs.shell("rm log; echo c >> other");
    let refused = logs.master("logs", "1h").run().code(1);
    refused.says(&["log: is gone", "--skip lines"]);
    let (mut master, crew, _) = logs.start(logs.master("logs", "1h").args(["--skip", "lines"]));
    master.wait("what is given up", |job| {
        job.err.iter().any(|line| line.contains("warning") && line.contains("are given up"))
    });
    logs.published(1);
    kill(master);
    crew.into_iter().for_each(kill);
    // What was given up stays so, without the option: also where the file is there again.
    for script in ["echo d >> other", "echo a > log; echo e >> other"] {
        logs.shell(script);
        let (master, crew, _) = logs.start(logs.master("logs", "1h"));
        logs.published(1);
        kill(master);
        crew.into_iter().for_each(kill);
    }
    // What was published stays, and the rest is read once.
    assert_eq!(logs.counts(), counted(&["a", "b", "c", "d", "e"].map(|word| (word, 1))));
}
