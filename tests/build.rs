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

/// How many programs one build has.
const PROGRAMS: u64 = 64;

fn number(variable: &str, default: u64) -> u64 {
    println!("cargo:rerun-if-env-changed={variable}");
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
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
    fs::write(Path::new(&out).join("programs.rs"), text)?;
    Ok(())
}
