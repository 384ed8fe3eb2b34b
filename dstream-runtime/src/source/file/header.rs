//! The beginning of a file: a byte order mark, and the header row where there is one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{data, stored};
use crate::source::SourceError;
use crate::source::form::{Form, MAX_HEADER, mark_len};

/// The header of a file of which `limit` bytes can be read, and where its records begin.
pub(super) fn read(
    path: &Path,
    file: &File,
    limit: u64,
    form: &Form,
) -> Result<(Option<Arc<str>>, u64), SourceError> {
    let failed = |error| super::io("read", path, error);
    let mark = mark(file, limit).map_err(failed)?;
    if !form.looks_at_first() {
        return Ok((None, mark));
    }
    // An empty file has no header to be wrong.
    if limit == mark {
        return Ok((None, mark));
    }
    let within = mark..limit.min(MAX_HEADER);
    let (end, _) = stored::record_end(file, form.framing, within, mark + 1, &mut Vec::new())
        .map_err(failed)?;
    let mut row = vec![0; usize::try_from(end - mark).unwrap_or_default()];
    file.read_exact_at(&mut row, mark).map_err(failed)?;
    match parse(path, &row, form)? {
        Some(header) => Ok((Some(header), end)),
        None => Ok((None, mark)),
    }
}

/// How many of the first bytes are a byte order mark.
fn mark(file: &File, limit: u64) -> io::Result<u64> {
    let mut first = [0; 3];
    if limit < first.len() as u64 {
        return Ok(0);
    }
    file.read_exact_at(&mut first, 0)?;
    Ok(mark_len(&first) as u64)
}

/// The header row as text, without its line end; `None` if it is none.
pub(super) fn parse(path: &Path, row: &[u8], form: &Form) -> Result<Option<Arc<str>>, SourceError> {
    let header = form.header(row).map_err(|why| data(path, why));
    if header.is_ok() && row.len() as u64 >= MAX_HEADER {
        let why = format!("has no header: its first row is longer than {MAX_HEADER} bytes");
        return Err(data(path, why));
    }
    header
}
