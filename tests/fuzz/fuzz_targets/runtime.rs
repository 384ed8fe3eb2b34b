//! One target of the runtime: the one that `DSTREAM_TARGET` names.
#![no_main]

use std::sync::OnceLock;

use dstream_runtime::fuzzing::{Target, targets};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    let name = std::env::var("DSTREAM_TARGET").unwrap_or_default();
    let known = targets();
    match known.iter().find(|target| target.name == name) {
        Some(target) => *target,
        None => {
            let names: Vec<&str> = known.iter().map(|target| target.name).collect();
            panic!("set DSTREAM_TARGET to one of {}", names.join(", "));
        }
    }
}

fuzz_target!(|bytes: &[u8]| (TARGET.get_or_init(target).run)(bytes));
