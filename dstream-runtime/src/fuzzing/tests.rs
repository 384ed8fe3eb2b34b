//! A fixed number of cases for each target, the same every time. `DSTREAM_FUZZ=N` runs N of each.

use super::mutate::{self, Chance};
use super::{Target, memory, targets};

/// Cases of each target: a fraction of a second in a debug build.
const CASES: usize = if cfg!(miri) { 12 } else { 20_000 };

/// Largest allocation of a case besides some memory per byte: serde reserves 1 MiB for lists that only claim
/// to be long.
const MOST: usize = 2 << 20;
const MOST_PER_BYTE: usize = 256;

/// Prints the case that panicked.
struct Case<'c>(&'static str, usize, &'c [u8]);

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(name, number, bytes) = self;
            eprintln!("case {number} of `{name}`: b\"{}\"", bytes.escape_ascii());
        }
    }
}

fn cases() -> usize {
    let asked = std::env::var("DSTREAM_FUZZ").ok();
    asked.and_then(|number| number.parse().ok()).unwrap_or(CASES)
}

fn run(target: &Target, number: usize, bytes: &[u8]) {
    let case = Case(target.name, number, bytes);
    let largest = memory::largest(|| (target.run)(bytes));
    let most = MOST + MOST_PER_BYTE * bytes.len();
    assert!(largest <= most, "{} bytes made it ask for {largest}", bytes.len());
    drop(case);
}

fn fuzz(name: &str) {
    let target = targets().into_iter().find(|target| target.name == name).expect("it is listed");
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| run(&target, 0, seed));
    let mut chance = Chance::new(name);
    for number in 1..=cases().div_ceil(target.share) {
        run(&target, number, &mutate::next(&mut chance, &seeds));
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { fuzz(stringify!($name)); })*

        #[test]
        fn every_target_has_a_test() {
            let names: Vec<_> = targets().iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

tests! {
    frames
    handshakes
    messages
    blocks
    notes
    saved_states
    journals
    tokens
    identities
    source_urls
    carried_inputs
    positions
    decoders
    framings
    outputs
    options
}

#[test]
fn a_request_for_much_memory_is_noticed() {
    assert!(memory::largest(|| drop(Vec::<u8>::with_capacity(8 << 20))) >= 8 << 20);
    assert!(memory::largest(|| drop(vec![0u8; 10])) < 100);
}

#[test]
fn cases_are_the_same_every_time_and_not_the_seeds_alone() {
    let seeds = vec![b"one".to_vec(), b"two".to_vec()];
    let draw = || {
        let mut chance = Chance::new("x");
        (0..100).map(|_| mutate::next(&mut chance, &seeds)).collect::<Vec<_>>()
    };
    assert_eq!(draw(), draw());
    assert!(draw().iter().filter(|case| !seeds.contains(case)).count() > 50);
}
