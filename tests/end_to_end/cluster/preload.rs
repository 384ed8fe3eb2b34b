//! Libraries that change what the system tells a process. They are written in C, compiled once, and preloaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

/// The library of a source file beside this one.
pub(super) fn library(source: &'static str) -> PathBuf {
    static MADE: Mutex<BTreeMap<&str, (TempDir, PathBuf)>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(source).or_insert_with(|| compiled(source)).1.clone()
}

fn compiled(source: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let library = dir.path().join("preloaded.so");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("end_to_end/cluster").join(source);
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&path);
    let done = cc.status().expect("a C compiler: linking needs one, too");
    assert!(done.success(), "{} does not compile", path.display());
    (dir, library)
}
