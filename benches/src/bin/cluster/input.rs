//! Files that are read as fast as possible, repeatedly.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use dstream_bench::data;

/// A file with `rows` lines of words, created if missing.
pub(crate) fn words(dir: &Path, rows: u64) -> Result<PathBuf, Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    let path = fs::canonicalize(dir)?.join(format!("words-{rows}"));
    if !path.exists() {
        // Written under another name until complete.
        let making = path.with_extension("making");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&making)?);
        data::write_words(rows, 1, &mut out)?;
        out.flush()?;
        fs::rename(making, &path)?;
    }
    Ok(path)
}

/// A directory with `times` names for that file: more input than memory.
pub(crate) fn again(path: &Path, times: usize) -> Result<PathBuf, Box<dyn Error>> {
    let dir = path.with_extension(format!("x{times}"));
    fs::create_dir_all(&dir)?;
    for number in 0..times {
        match fs::hard_link(path, dir.join(format!("{number:04}"))) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    Ok(dir)
}
