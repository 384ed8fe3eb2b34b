//! Writes the random programs of the test `programs` as Rust, to be compiled as a user's would be.
//!
//! `DSTREAM_PROGRAMS` says how many, `DSTREAM_PROGRAMS_SEED` from which seed on.

#[path = "programs/language.rs"]
mod language;
#[path = "programs/random.rs"]
mod random;
#[path = "programs/rust_text.rs"]
mod rust_text;

use std::path::Path;
use std::{env, fs};

use language::Program;

/// Those of the binary for `end_to_end`.
const BINARY: std::ops::Range<u64> = 0..12;

/// How many programs one build has.
const PROGRAMS: u64 = 64;

fn number(variable: &str, default: u64) -> u64 {
    println!("cargo:rerun-if-env-changed={variable}");
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Programs that are jobs of one binary.
fn binary() -> String {
    let name = |seed: u64| format!("program_{seed}");
    let jobs: String =
        BINARY.map(|seed| rust_text::job(&Program::draw(seed), &name(seed))).collect();
    let names: Vec<String> = BINARY.map(name).collect();
    format!("{jobs}dstream::main!({});\n", names.join(", "))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=programs");
    let (first, count) = (number("DSTREAM_PROGRAMS_SEED", 0), number("DSTREAM_PROGRAMS", PROGRAMS));
    let seeds = || first..first + count;
    let mut text = String::new();
    for seed in seeds() {
        text += &rust_text::job(&Program::draw(seed), &format!("program_{seed}"));
    }
    text += "/// Each program, by the seed that it was drawn from.\n";
    text += "static PROGRAMS: &[(u64, Runs)] = &[\n";
    for seed in seeds() {
        text += &format!("    ({seed}, |setup| setup.run(program_{seed})),\n");
    }
    text += "];\n";
    let out = env::var("OUT_DIR")?;
    let write = |name: &str, text: &str| fs::write(Path::new(&out).join(name), text);
    write("programs.rs", &text)?;
    write("binary.rs", &binary())?;
    let seeds: Vec<u64> = BINARY.collect();
    write(
        "binary_seeds.rs",
        &format!("/// The programs of the binary.\nconst SEEDS: &[u64] = &{seeds:?};\n"),
    )?;
    Ok(())
}
