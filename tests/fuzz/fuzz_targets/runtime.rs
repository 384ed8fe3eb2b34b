//! The target of the runtime named by `DSTREAM_TARGET`. Its seeds are written to `corpus/TARGET`.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use dstream_runtime::fuzzing::{Target, targets};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("DSTREAM_TARGET").unwrap_or_default();
    let known = targets();
    match known.iter().find(|target| target.name == name) {
        Some(target) => *target,
        None => {
            let names: Vec<&str> = known.iter().map(|target| target.name).collect();
            panic!("set DSTREAM_TARGET to one of {}", names.join(", "));
        }
    }
});

/// Called before the corpus is read.
fn write_seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(TARGET.name);
    fs::create_dir_all(&folder).expect("a folder for the corpus");
    for (number, seed) in (TARGET.seeds)().iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed");
    }
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| (TARGET.run)(bytes));
