//! Random programs over files, as one process, on three workers, and killed and started again: every output of every batch
//! is what the interpreter of `tests/programs` says.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::job::{Ended, Job};
use crate::published::Published;

#[path = "../programs/functions.rs"]
mod functions;
#[path = "../programs/interpreter.rs"]
mod interpreter;
#[path = "../programs/language.rs"]
mod language;
#[path = "../programs/mistakes.rs"]
mod mistakes;
#[path = "../programs/random.rs"]
mod random;

use interpreter::{Input, Record, meaning};
use language::Program;
use random::Random;

include!(concat!(env!("OUT_DIR"), "/binary_seeds.rs"));

/// Records of a batch of each source.
const RECORDS: usize = 7;

/// The batches of a source; records are out of order by up to 2.5 seconds.
fn side(random: &mut Random, batches: usize) -> Vec<Vec<Record>> {
    let mut record = |n: usize| Record {
        key: functions::key(random.below(5) as i64, 9).to_owned(),
        value: random.below(25) as i64 - 6,
        at: n as i64 * 1000 - random.below(2500) as i64,
    };
    (1..=batches).map(|n| (0..RECORDS).map(|_| record(n)).collect()).collect()
}

fn write(path: &Path, batches: &[Vec<Record>]) {
    let line = |record: &Record| format!("{} {} {}\n", record.key, record.value, record.at);
    let text: String = batches.iter().flatten().map(line).collect();
    fs::write(path, text).expect("there is room");
}

type Pairs = Vec<(String, i64)>;

/// What a directory has of each batch.
fn published(dir: &Path, batches: usize) -> Vec<Pairs> {
    let pair = |line: &&str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        let key = record["key"].as_str().expect("a key").to_owned();
        (key, record["value"].as_i64().expect("a value"))
    };
    let mut batches = vec![Pairs::new(); batches];
    if dir.exists() {
        for (time, parts) in Published::read(dir).0 {
            let lines: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
            let batch = time as usize / 1000;
            batches.resize(batches.len().max(batch), Pairs::new());
            batches[batch - 1] = lines.iter().map(pair).collect();
        }
    }
    batches
}

/// A program, and what its sources hold, in a directory.
struct Case {
    seed: u64,
    program: Program,
    input: Input,
    batches: usize,
    dir: tempfile::TempDir,
}

impl Case {
    fn draw(seed: u64, batches: usize) -> Self {
        let mut random = Random::new(seed);
        let (left, right) = (side(&mut random, batches), side(&mut random, batches));
        let dir = tempfile::tempdir().expect("a directory");
        write(&dir.path().join("left"), &left);
        write(&dir.path().join("right"), &right);
        let (program, input) = (Program::draw(seed), Input { left, right, after: 0 });
        Self { seed, program, input, batches, dir }
    }

    fn saved(&self) -> impl Iterator<Item = usize> {
        (0..self.program.nodes.len()).filter(|index| self.program.nodes[*index].saved)
    }

    fn out(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("s{index}"))
    }

    /// The job, with all its sources and outputs.
    fn job(&self) -> Job {
        let job = format!("program_{}", self.seed);
        let job = Job::example("programs").args(["--job", &job, "--partitions", "3"]);
        let mut job = job.current_dir(self.dir.path());
        for name in ["left", "right"].into_iter().filter(|name| self.program.reads(name)) {
            let options = format!("batch_records={RECORDS}&windows=batches&join=batch");
            job = job.source(name, format_args!("{name}?{options}"));
        }
        self.saved()
            .fold(job, |job, index| job.files(&format!("s{index}"), "json", &self.out(index)))
    }

    /// The input, and batches without any after it.
    fn input_up_to(&self, batches: usize) -> Input {
        let after = batches - self.batches;
        let filled = |side: &[Vec<Record>]| [side, &vec![Vec::new(); after]].concat();
        Input { left: filled(&self.input.left), right: filled(&self.input.right), after }
    }

    /// Compares what was published with what the program means.
    fn check(&self, ended: &Ended) {
        for index in self.saved() {
            // Windows go on without input until all of it was in a result.
            let slide = self.program.nodes[index].facts.slide as usize;
            let batches = self.batches.next_multiple_of(slide);
            let published = published(&self.out(index), batches);
            assert_eq!(published.len(), batches, "program {}, s{index}", self.seed);
            let published = published.into_iter();
            let meaning = meaning(&self.program, &self.input_up_to(batches), None);
            for (n, (mut is, expected)) in (1..).zip(published.zip(&meaning.streams[index])) {
                let mut expected: Pairs =
                    expected.iter().map(|record| (record.key.clone(), record.value)).collect();
                if !self.program.nodes[index].facts.sorted {
                    is.sort();
                    expected.sort();
                }
                let said = ended.said();
                assert_eq!(is, expected, "program {}, s{index}, batch {n}: {said}", self.seed);
            }
        }
    }
}

#[test]
fn random_programs_in_one_process_agree_with_the_interpreter() {
    for seed in SEEDS {
        let case = Case::draw(*seed, 12);
        case.check(&case.job().run().code(0));
    }
}

#[test]
fn random_programs_on_three_workers_agree_with_the_interpreter() {
    for seed in SEEDS {
        let case = Case::draw(*seed, 12);
        case.check(&case.job().args(["--workers", "3"]).run().code(0));
    }
}

#[test]
fn random_programs_that_are_killed_agree_with_the_interpreter() {
    // Batches that are published of all outputs.
    let published = |case: &Case| -> usize {
        let entries = case.saved().filter_map(|index| fs::read_dir(case.out(index)).ok()).flatten();
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
        names.filter(|name| !name.as_encoded_bytes().starts_with(b"_")).count()
    };
    let mut resumed = 0;
    for seed in SEEDS {
        let case = Case::draw(*seed, 60);
        let job = || {
            let job = case.job().args(["--state", "state", "--checkpoint", "20ms"]);
            job.args(["--log", "json"])
        };
        for batches in [3, 8, 1] {
            let running = job().start();
            // Until it ends, or has published this many more.
            let more = published(&case) + batches;
            while published(&case) < more && !running.ends_within(Duration::from_millis(1)) {}
            running.signal(Signal::KILL);
            running.end();
        }
        let ended = job().run().code(0);
        resumed += usize::from(ended.err.iter().any(|line| line.contains("\"resumed\"")));
        case.check(&ended);
    }
    assert!(resumed * 2 > SEEDS.len(), "the test says something");
}
