//! A job whose results go to a store of its own: a directory with a file per batch and partition, which is created once.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use dstream::prelude::*;
use dstream::{BatchPart, BatchRows};

/// Words, counted per batch.
#[dstream::params]
struct Store {
    /// The directory. While it has a file `locked`, it takes nothing; one that has a file `broken` is a bug.
    #[arg(long)]
    ledger: String,
}

/// Keeps rows under the key of their batch. What is there already must be the same.
fn keep(dir: &str, part: &BatchPart, rows: BatchRows<'_, (String, u64)>) -> Result<()> {
    let dir = Path::new(dir);
    if dir.join("locked").exists() {
        return Err(Error::new(ErrorKind::WouldBlock, "the ledger is locked"));
    }
    assert!(!dir.join("broken").exists(), "the ledger is broken");
    let text: String = rows.map(|(word, n)| format!("{word} {n}\n")).collect();
    let name = part.to_string().replace('/', "-");
    if let Ok(there) = fs::read_to_string(dir.join(&name)) {
        return match there == text {
            true => Ok(()),
            false => Err(Error::other(format!("{name} has other rows"))),
        };
    }
    let new = dir.join(format!("new-{name}"));
    fs::write(&new, text)?;
    fs::rename(new, dir.join(name))
}

/// Counts of words per batch, in the ledger, and in files.
#[dstream::job(interval = "50ms")]
fn ledger(params: &Store) {
    let lines = source::text("none");
    let words = lines.flat_map(|line| line.split(' ')).map(|word| (word, 1u64));
    let counts = words.reduce_by_key(|a, b| a + b);
    let dir = params.ledger.clone();
    counts.foreach_batch(|part, rows| keep(&dir, part, rows));
}

dstream::main!(ledger);
