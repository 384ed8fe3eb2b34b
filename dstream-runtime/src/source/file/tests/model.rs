//! Logs that are written and rotated at random, and what is read of them.

use std::collections::BTreeMap;
use std::process::Command;

use super::follow::append;
use super::rotated::Reader;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Whole lines.
    Append(usize),
    /// A line without its end, and then its end.
    Half,
    Look,
    Restart,
    Rename,
    RenameAndCompress,
    CopyAndTruncate {
        look: bool,
    },
    /// What was not read is gone.
    Truncate,
    CopyBack,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..40_usize).prop_map(Step::Append),
        1 => Just(Step::Append(4000)),
        2 => Just(Step::Half),
        6 => Just(Step::Look),
        3 => Just(Step::Restart),
        2 => Just(Step::Rename),
        2 => Just(Step::RenameAndCompress),
        2 => any::<bool>().prop_map(|look| Step::CopyAndTruncate { look }),
        1 => Just(Step::Truncate),
        1 => Just(Step::CopyBack),
    ];
    proptest::collection::vec(step, 1..40)
}

struct World {
    dir: tempfile::TempDir,
    reader: Reader,
    next: usize,
    written: Vec<String>,
    /// Lines that were truncated away and had not been read.
    truncated: Vec<String>,
    /// Lines of the log as it is.
    current: Vec<String>,
    half: bool,
    /// A content was truncated of which no line had been read: the reader cannot know of it.
    silent: bool,
}

impl World {
    fn sh(&self, script: &str) {
        let mut command = Command::new("sh");
        let output = command.args(["-euc", script]).current_dir(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    fn line(&mut self) -> String {
        self.next += 1;
        let line = format!("line {} {}", self.next, "x".repeat(self.next * 7 % 30));
        self.written.push(line.clone());
        self.current.push(line.clone());
        line
    }

    fn append(&self, text: &str) {
        append(&self.dir.path().join("log"), text);
    }

    fn end_half(&mut self) {
        if std::mem::take(&mut self.half) {
            self.append(" end\n");
        }
    }

    fn shift(&mut self) {
        self.end_half();
        self.append("");
        self.sh("for i in 8 7 6 5 4 3 2 1; do for e in '' .gz; do \
                 if [ -e log.$i$e ]; then mv log.$i$e log.$((i+1))$e; fi; done; done");
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(count) => {
                self.end_half();
                let lines: Vec<String> = (0..*count).map(|_| self.line() + "\n").collect();
                self.append(&lines.concat());
            }
            Step::Half if !self.half => {
                let line = self.line();
                self.append(&line);
                let whole = line + " end";
                for lines in [&mut self.written, &mut self.current] {
                    *lines.last_mut().unwrap() = whole.clone();
                }
                self.half = true;
            }
            Step::Half => self.end_half(),
            Step::Look => drop(self.reader.cut_here()),
            Step::Restart => {
                // A process that ends before it has reported a loss reports nothing, and the next one has not seen it.
                self.silent |= !self.truncated.is_empty() && self.reader.warnings.is_empty();
                drop(self.reader.cut());
            }
            Step::Rename => {
                self.shift();
                self.sh("mv log log.1");
                self.current.clear();
            }
            Step::RenameAndCompress => {
                self.shift();
                self.sh("mv log log.1; gzip -c log.1 > log.1.gz; rm log.1");
                self.current.clear();
            }
            Step::CopyAndTruncate { look } => {
                self.shift();
                self.sh("cp log log.1");
                if *look {
                    self.reader.cut_here();
                }
                self.sh(": > log");
                self.current.clear();
            }
            Step::Truncate => {
                self.end_half();
                let read: std::collections::HashSet<&String> = self.reader.lines.iter().collect();
                let lost = self.current.iter().filter(|line| !read.contains(line));
                self.silent |= !self.current.iter().any(|line| read.contains(line));
                self.truncated.extend(lost.cloned());
                self.append("");
                self.sh(": > log");
                self.current.clear();
            }
            Step::CopyBack => {
                self.end_half();
                self.append("");
                self.sh("cp -a log away; rm log; mv away log");
            }
        }
    }

    fn check(mut self) {
        self.end_half();
        for _ in 0..3 {
            self.reader.cut_here();
        }
        self.reader.stop();
        let mut counts = BTreeMap::new();
        for line in &self.reader.lines {
            *counts.entry(line.clone()).or_insert(0) += 1;
        }
        for line in &self.written {
            let lost = self.truncated.contains(line);
            match counts.remove(line) {
                Some(1) => {}
                None if lost => {
                    let said = !self.reader.warnings.is_empty() || self.silent;
                    assert!(said, "{line} was lost silently");
                }
                count => panic!("{line} was read {count:?} times: {:?}", self.reader.warnings),
            }
        }
        assert_eq!(counts, BTreeMap::new(), "they were never written");
        self.reader.check_inputs();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_read_once_or_said_to_be_lost(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let reader = Reader::new(dir.path(), "settle=1h", true);
        let (written, truncated, current) = (Vec::new(), Vec::new(), Vec::new());
        let (next, half, silent) = (0, false, false);
        let mut world = World { dir, reader, next, written, truncated, current, half, silent };
        for step in &steps {
            world.step(step);
        }
        world.check();
    }
}
