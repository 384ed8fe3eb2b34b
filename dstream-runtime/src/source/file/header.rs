//! The header row of a file: its first line, where the URL or the record says that there is one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{data, stored};
use crate::source::SourceError;

/// A header row is no longer than this.
const MAX_HEADER: u64 = 1 << 20;

/// The header of a file of which `limit` bytes can be read, and where it ends.
pub(super) fn read(path: &Path, file: &File, limit: u64) -> Result<(Arc<str>, u64), SourceError> {
    let failed = |error| super::io("read", path, error);
    let end = stored::line_end(file, 1, limit.min(MAX_HEADER), &mut Vec::new()).map_err(failed)?;
    let mut row = vec![0; usize::try_from(end).unwrap_or_default()];
    file.read_exact_at(&mut row, 0).map_err(failed)?;
    Ok((parse(path, &row)?, end))
}

/// Whether these bytes, which are not a whole line, are more than a header may be.
pub(super) fn is_too_long(bytes: &[u8]) -> bool {
    bytes.len() as u64 >= MAX_HEADER
}

/// The header row as text, without its line end.
pub(super) fn parse(path: &Path, row: &[u8]) -> Result<Arc<str>, SourceError> {
    if row.len() as u64 >= MAX_HEADER {
        let why = format!("has no header: its first line is longer than {MAX_HEADER} bytes");
        return Err(data(path, why));
    }
    let row = row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(row);
    let text =
        std::str::from_utf8(row).map_err(|_| data(path, "has a header that is not UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}
