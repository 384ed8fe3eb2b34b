//! A fixed number of programs, the same every time. `DSTREAM_FUZZ=N` runs N.

use std::fs;
use std::path::Path;

use proc_macro2::TokenStream;

use super::mutate::{self, Chance};
use super::{Call, Macro, calls, expand, operators, program};

/// About two seconds in a debug build.
const CASES: usize = 1_000;

/// Prints the program that panicked.
struct Case<'c>(usize, &'c Call);

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(number, Call { of, attribute, item }) = self;
            eprintln!("case {number}: {of:?} [{attribute}] {item}");
        }
    }
}

/// The programs of this repository, valid and invalid.
fn programs() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = Vec::new();
    let mut folders = ["examples", "tests/ui", "tests/accepted", "tests/semantics"]
        .map(|dir| root.join(dir))
        .to_vec();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a folder of this repository");
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(&path).expect("a text"));
            }
        }
    }
    texts
}

#[test]
fn no_program_makes_the_compiler_panic() {
    let programs = programs();
    programs.iter().for_each(|text| program(text));
    let calls: Vec<Call> = programs.iter().flat_map(|text| calls(text)).collect();
    assert!(calls.len() > 150, "{}", calls.len());
    let operators = operators(&calls);
    let items: Vec<TokenStream> = calls.iter().map(|call| call.item.clone()).collect();
    let pool = mutate::pool(&items);
    let asked = std::env::var("DSTREAM_FUZZ").ok().and_then(|number| number.parse().ok());
    let mut chance = Chance::new(7);
    for number in 1..=asked.unwrap_or(CASES) {
        let mut call = chance.pick(&calls).clone();
        for _ in 0..=chance.below(4) {
            call.item = mutate::change(&mut chance, call.item, &pool);
        }
        match chance.below(16) {
            0 => call.attribute = mutate::change(&mut chance, call.attribute, &pool),
            1 => {
                let all =
                    [Macro::Job, Macro::Operator, Macro::Params, Macro::Record, Macro::Callback];
                call.of = *chance.pick(&all);
            }
            _ => {}
        }
        let case = Case(number, &call);
        expand(&call, &operators);
        drop(case);
    }
}
