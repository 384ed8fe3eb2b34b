//! Logs rotated by real tools while a job follows them: its output is everything ever written, compared by
//! `sort`.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::job::{Job, Running, shell};

/// `grep` of lines with an `x` in the logs of a directory, to standard output.
fn grep(dir: &Path, options: &str) -> Job {
    let source = format!("file://{}?follow{options}", dir.display());
    let job = Job::example("grep").source("lines", source).sink("matches", "stdout:");
    let job = job.args(["--pattern", "x", "--interval", "20ms"]);
    job.args(["--log", "json", "--summary", "json"])
}

/// A log being written, and everything written to it.
struct Log<'d> {
    dir: &'d Path,
    next: usize,
}

impl Log<'_> {
    /// Appends lines.
    fn write(&mut self, count: usize) {
        let (from, to) = (self.next + 1, self.next + count);
        self.next = to;
        shell(self.dir, &format!("seq -f 'x %g' {from} {to} | tee -a ../all >> app.log"));
    }

    /// Waits until the job has output all of it.
    fn wait(&self, job: &mut Running) {
        let all = self.next;
        job.wait(&format!("{all} lines"), |job| job.out.len() >= all);
    }

    /// Stops the job and compares its output with what was written.
    fn check(&self, job: Running) -> Vec<String> {
        job.signal(Signal::TERM);
        let done = job.end().code(0);
        let all = self.dir.with_file_name("all");
        let out = self.dir.with_file_name("out");
        let lines = &done.out[..done.out.len() - 1];
        fs::write(&out, lines.join("\n") + "\n").expect("there is room");
        let (all, out) = (all.display(), out.display());
        let differ = shell(self.dir, &format!("sort {all} > a; sort {out} > b; diff a b || true"));
        assert_eq!(differ, "", "{}", done.said());
        assert_eq!(done.summary()["records"], self.next);
        assert_eq!(done.summary()["sources"][0]["lost_bytes"], 0);
        done.err.iter().filter(|line| line.contains("warning")).cloned().collect()
    }
}

fn logs() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).expect("there is room");
    (dir, logs)
}

#[test]
fn logs_are_rotated_in_every_way_while_they_are_read() {
    let (_dir, logs) = logs();
    let mut log = Log { dir: &logs, next: 0 };
    log.write(1000);
    let mut job = grep(&logs, "").start();
    for (at, rotate) in [
        "mv app.log app.log.1",
        "mv app.log.1 app.log.2; mv app.log app.log.1; touch app.log",
        "mv app.log app.log.3; gzip app.log.3",
        "cp app.log app.log.4; : > app.log",
        "gzip app.log.4; mv app.log.3.gz app.log.9.gz",
        "mv app.log app.log-20261130; gzip app.log-20261130",
        "cp -a app.log away; rm app.log; mv away app.log",
        "cp app.log .app.log.x; mv .app.log.x app.log",
        "gunzip app.log.9.gz",
    ]
    .into_iter()
    .enumerate()
    {
        log.write(100 * at + 1);
        log.wait(&mut job);
        // Unread lines may or may not be left.
        log.write(7 * (at % 3));
        shell(&logs, rotate);
        log.write(3);
        log.wait(&mut job);
    }
    log.check(job);
}

#[test]
fn logrotate_rotates_them() {
    if Command::new("logrotate").arg("--version").output().is_err() {
        return dstream_tests::not_run("logrotate", "it is not installed");
    }
    for way in
        ["create", "copytruncate", "create\ndateext\ndateformat -%s", "nocreate\ndelaycompress"]
    {
        let (dir, logs) = logs();
        let config = format!(
            "{}/app.log {{\nrotate 20\n{}\n{way}\n}}\n",
            logs.display(),
            if way == "copytruncate" { "nocompress" } else { "compress" }
        );
        fs::write(dir.path().join("conf"), config).expect("there is room");
        let mut log = Log { dir: &logs, next: 0 };
        log.write(10);
        let mut job = grep(&logs, "").start();
        for round in 1..=4 {
            log.write(2000 * round);
            if round % 2 == 0 {
                log.wait(&mut job);
            }
            // Names of the same second exist once.
            let older = "for f in app.log-[0-9]*; do if [ -e $f ]; then mv $f old-$$-$f; fi; done";
            shell(&logs, older);
            shell(dir.path(), "chmod 644 conf; chmod 755 logs; logrotate -f -s ./state ./conf");
            log.write(5);
            log.wait(&mut job);
        }
        log.check(job);
    }
}

#[test]
fn a_large_log_is_compressed_while_it_is_read() {
    let (_dir, logs) = logs();
    let mut log = Log { dir: &logs, next: 0 };
    log.write(400_000);
    let mut job = grep(&logs, "").start();
    log.wait(&mut job);
    log.write(1000);
    shell(&logs, "mv app.log app.log.1");
    log.write(10);
    // Reading it takes many batches.
    shell(&logs, "gzip -9 app.log.1");
    log.write(10);
    log.wait(&mut job);
    log.check(job);
}

#[test]
fn what_cannot_be_read_is_counted_and_does_not_end_the_job() {
    let (_dir, logs) = logs();
    let mut log = Log { dir: &logs, next: 0 };
    log.write(10);
    shell(
        &logs,
        "ln -s nowhere dangling; echo x | gzip | head -c 15 > torn.gz; printf 'x half' > gone.log",
    );
    let mut job = grep(&logs, "&settle=20ms").start();
    log.wait(&mut job);
    shell(&logs, "rm gone.log");
    job.wait("what is lost", |job| job.err.iter().any(|line| line.contains("gone.log: is gone")));
    log.write(10);
    log.wait(&mut job);
    job.signal(Signal::TERM);
    let done = job.end().code(0);
    let source = &done.summary()["sources"][0];
    assert_eq!((&source["lost_bytes"], &source["unreadable_files"]), (&6.into(), &2.into()));
    for name in ["dangling", "torn.gz", "gone.log"] {
        let said = done.err.iter().filter(|line| line.contains("warning") && line.contains(name));
        assert_eq!(said.count(), 1, "{name}: {}", done.said());
    }
    // It ends if asked to.
    let stops = grep(&logs, "&on_file_error=stop").run();
    stops.code(1).says(&["dangling"]);
}
