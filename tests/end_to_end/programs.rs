//! Random programs over files, as one process and on three workers: every output of every batch is what the interpreter
//! of `tests/programs` says.

use std::fs;
use std::path::Path;

use crate::job::Job;
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

/// Records of a batch of each source, and batches.
const SIZE: (usize, usize) = (7, 12);

/// The batches of a source; records are out of order by up to 2.5 seconds.
fn side(random: &mut Random) -> Vec<Vec<Record>> {
    let mut record = |n: usize| Record {
        key: functions::key(random.below(5) as i64, 9).to_owned(),
        value: random.below(25) as i64 - 6,
        at: n as i64 * 1000 - random.below(2500) as i64,
    };
    (1..=SIZE.1).map(|n| (0..SIZE.0).map(|_| record(n)).collect()).collect()
}

fn write(path: &Path, batches: &[Vec<Record>]) {
    let line = |record: &Record| format!("{} {} {}\n", record.key, record.value, record.at);
    let text: String = batches.iter().flatten().map(line).collect();
    fs::write(path, text).expect("there is room");
}

type Pairs = Vec<(String, i64)>;

/// What a directory has of batch n.
fn published(dir: &Path) -> Vec<Pairs> {
    let pair = |line: &&str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        let key = record["key"].as_str().expect("a key").to_owned();
        (key, record["value"].as_i64().expect("a value"))
    };
    let mut batches = vec![Pairs::new(); SIZE.1];
    if dir.exists() {
        for (time, parts) in Published::read(dir).0 {
            let lines: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
            batches[time as usize / 1000 - 1] = lines.iter().map(pair).collect();
        }
    }
    batches
}

/// Runs a program on files, and compares what it published.
fn check(seed: u64, workers: &str) {
    let program = Program::draw(seed);
    let mut random = Random::new(seed);
    let input = Input { left: side(&mut random), right: side(&mut random) };
    let dir = tempfile::tempdir().expect("a directory");
    let mut job = Job::example("programs").current_dir(dir.path()).args([
        "--job",
        &format!("program_{seed}"),
        "--workers",
        workers,
        "--partitions",
        "3",
    ]);
    for (name, batches) in [("left", &input.left), ("right", &input.right)] {
        write(&dir.path().join(name), batches);
        if program.reads(name) {
            let options = format!("batch_records={}&windows=batches&join=batch", SIZE.0);
            job = job.source(name, format_args!("{name}?{options}"));
        }
    }
    let saved: Vec<usize> =
        (0..program.nodes.len()).filter(|index| program.nodes[*index].saved).collect();
    let out = |index: usize| dir.path().join(format!("s{index}"));
    for index in &saved {
        job = job.files(&format!("s{index}"), "json", &out(*index));
    }
    let ended = job.run().code(0);
    let meaning = meaning(&program, &input, None);
    for index in saved {
        let batches = published(&out(index)).into_iter().zip(&meaning.streams[index]);
        for (n, (mut is, expected)) in (1..).zip(batches) {
            let mut expected: Pairs =
                expected.iter().map(|record| (record.key.clone(), record.value)).collect();
            if !program.nodes[index].facts.sorted {
                is.sort();
                expected.sort();
            }
            assert_eq!(is, expected, "program {seed}, s{index}, batch {n}: {}", ended.said());
        }
    }
}

#[test]
fn random_programs_in_one_process_agree_with_the_interpreter() {
    SEEDS.iter().for_each(|seed| check(*seed, "0"));
}

#[test]
fn random_programs_on_three_workers_agree_with_the_interpreter() {
    SEEDS.iter().for_each(|seed| check(*seed, "3"));
}
