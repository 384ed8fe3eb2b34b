//! Random programs on random batches, compared batch by batch with an interpreter of whole lists, for several numbers of
//! partitions and threads, with restarts, and with blocks in memory or in files.
//!
//! The programs are drawn when the test is built (`build.rs`), so that they are compiled as a user's. `DSTREAM_PROGRAMS` (64)
//! and `DSTREAM_PROGRAMS_SEED` say which ones, `DSTREAM_INPUTS` on how many inputs each runs (60: some 100,000 batches in all).

mod functions;
mod interpreter;
mod language;
mod mistakes;
mod random;
mod rust_text;

use std::env;

use dstream::__private::Job;
use dstream::prelude::*;
use dstream::testing::{Done, Error, Run};

use functions::{key, mixed, parsed, seen};
use interpreter::{Input, Meaning, Record as Row, meaning};
use language::{Program, Side};
use mistakes::Mistake;
use random::Random;

/// Runs one program.
type Runs = fn(&Setup) -> Result<Done, Error>;

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// How often each program runs.
const INPUTS: u64 = 60;

/// How a program runs.
#[derive(Debug)]
struct Setup {
    sides: Vec<Side>,
    input: Input,
    partitions: u32,
    threads: u32,
    memory: Option<u64>,
    restarts: Vec<u64>,
}

impl Setup {
    fn draw(program: &Program, random: &mut Random) -> Self {
        let batches =
            if random.below(4) == 0 { 40 + random.below(80) } else { 1 + random.below(18) };
        let dense = random.below(8);
        let mut side = || -> Vec<Vec<Row>> {
            let busy = 1 + random.below(4);
            let rows = |random: &mut Random, n: u64| {
                let count = if random.below(4) < busy { random.below(2 + dense) } else { 0 };
                (0..count).map(|_| row(random, n as i64)).collect()
            };
            (1..=batches).map(|n| rows(random, n)).collect()
        };
        let input = Input { left: side(), right: side(), after: 0 };
        Self {
            sides: program.sides(),
            input,
            partitions: [1, 2, 3, 8][random.below(4) as usize],
            threads: 1 + random.below(3) as u32,
            memory: (random.below(6) == 0).then_some(0),
            restarts: (0..random.below(3)).map(|_| 1 + random.below(batches)).collect(),
        }
    }

    fn run<J: Job>(&self, job: J) -> Result<Done, Error> {
        let mut run = Run::new(job)
            .batches(self.input.left.len() as u64)
            .partitions(self.partitions)
            .threads(self.threads);
        let line = |row: &Row| format!("{} {} {}", row.key, row.value, row.at);
        let lines = |batches: &[Vec<Row>]| -> Vec<Vec<String>> {
            batches.iter().map(|batch| batch.iter().map(line).collect()).collect()
        };
        for side in &self.sides {
            run = match side {
                Side::Left => run.input("left", lines(&self.input.left)),
                Side::Right => run.input("right", lines(&self.input.right)),
            };
        }
        if let Some(bytes) = self.memory {
            run = run.memory(bytes);
        }
        self.restarts.iter().copied().fold(run, Run::restart_after).run()
    }
}

/// A record of batch n: mostly of its time, some a little off, a few far behind.
fn row(random: &mut Random, n: i64) -> Row {
    let off = match random.below(10) {
        0 => random.below(9000) as i64,
        1..=3 => random.below(2500) as i64,
        _ => random.below(900) as i64,
    };
    // On the second now and then: where windows begin and end.
    let at =
        if random.below(4) == 0 { n - off / 1000 } else { n } * 1000 - off % 4000 / 1000 * 1000;
    let at = if random.below(3) == 0 { at } else { n * 1000 - off };
    let key = key(random.below(5) as i64, 9).to_owned();
    // Some values again and again.
    let value =
        if random.below(3) == 0 { random.below(3) as i64 } else { random.below(25) as i64 - 6 };
    Row { key, value, at }
}

type Pairs = Vec<(String, i64)>;

/// What the engine published of each output, batch by batch, and how much was late.
struct Published {
    outputs: Vec<(usize, Vec<Pairs>)>,
    late: u64,
}

fn published(program: &Program, done: &Done) -> Published {
    let pair = |line: &String| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        (record["key"].as_str().unwrap().to_owned(), record["value"].as_i64().unwrap())
    };
    let of = |index: usize| -> Vec<Pairs> {
        let lines = |n| done.lines(&format!("s{index}"), n).unwrap();
        (1..=done.batches()).map(|n| lines(n).iter().map(pair).collect()).collect()
    };
    let saved = (0..program.nodes.len()).filter(|index| program.nodes[*index].saved);
    Published { outputs: saved.map(|index| (index, of(index))).collect(), late: done.late() }
}

/// The first difference between what was published and what a program means.
fn difference(program: &Program, published: &Published, meaning: &Meaning) -> Option<String> {
    for (index, batches) in &published.outputs {
        for (n, (is, expected)) in batches.iter().zip(&meaning.streams[*index]).enumerate() {
            let (mut is, mut expected): (Pairs, Pairs) =
                (is.clone(), expected.iter().map(|row| (row.key.clone(), row.value)).collect());
            if !program.nodes[*index].facts.sorted {
                is.sort();
                expected.sort();
            }
            if is != expected {
                return Some(format!("s{index} in batch {}: {is:?}, expected {expected:?}", n + 1));
            }
        }
        if batches.len() != meaning.streams[*index].len() {
            return Some(format!("s{index} has {} batches", batches.len()));
        }
    }
    let late = (published.late, meaning.late);
    (late.0 != late.1).then(|| format!("{} records are late, expected {}", late.0, late.1))
}

fn inputs() -> u64 {
    env::var("DSTREAM_INPUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(INPUTS)
}

/// Runs some of the programs on inputs of their own.
fn each(
    which: impl Fn(u64) -> bool,
    inputs: u64,
    mut check: impl FnMut(&Program, &Setup, &Published),
) {
    for (seed, run) in PROGRAMS.iter().filter(|(seed, _)| which(*seed)) {
        let program = Program::draw(*seed);
        let mut random = Random::new(seed ^ 0xd57e_a400);
        for _ in 0..inputs {
            let setup = Setup::draw(&program, &mut random);
            let done = match run(&setup) {
                Ok(done) => done,
                Err(error) => {
                    panic!("program {seed}: {error}\n{}\n{setup:?}", text(&program, *seed))
                }
            };
            check(&program, &setup, &published(&program, &done));
        }
    }
}

fn text(program: &Program, seed: u64) -> String {
    rust_text::job(program, &format!("program_{seed}"))
}

fn agrees(program: &Program, setup: &Setup, published: &Published, seed: u64) {
    let meaning = meaning(program, &setup.input, None);
    if let Some(difference) = difference(program, published, &meaning) {
        panic!("{difference}\n{}\n{setup:?}", text(program, seed));
    }
}

/// Checks programs whose seed leaves a rest by four, so that they run side by side.
fn programs_agree(rest: u64) {
    for (seed, _) in PROGRAMS.iter().filter(|(seed, _)| seed % 4 == rest) {
        each(
            |of| of == *seed,
            inputs(),
            |program, setup, published| agrees(program, setup, published, *seed),
        );
    }
}

#[test]
fn programs_agree_with_the_interpreter_0() {
    programs_agree(0);
}

#[test]
fn programs_agree_with_the_interpreter_1() {
    programs_agree(1);
}

#[test]
fn programs_agree_with_the_interpreter_2() {
    programs_agree(2);
}

#[test]
fn programs_agree_with_the_interpreter_3() {
    programs_agree(3);
}

#[test]
fn each_planted_mistake_is_found() {
    let mut missing: Vec<Mistake> = Mistake::ALL.to_vec();
    each(
        |_| true,
        8,
        |program, setup, published| {
            missing.retain(|mistake| {
                let meaning = meaning(program, &setup.input, Some(*mistake));
                difference(program, published, &meaning).is_none()
            });
        },
    );
    assert!(missing.is_empty(), "no program shows {missing:?}");
}
