//! How far a file has been taken.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::list::{self, Identity};
use super::packed::Packed;
use super::stored::{self, PlainFile, Stored};
use super::{Want, data};
use crate::source::SourceError;
use crate::source::lines::{self, PIECE};
use crate::source::part::Part;

/// A header row is no longer than this.
const MAX_HEADER: u64 = 1 << 20;

/// What was taken of a file.
pub(super) struct Taken {
    pub(super) part: Part,
    pub(super) bytes: u64,
    /// Only where lines are wanted.
    pub(super) lines: u64,
}

/// A position in a file.
pub(super) enum Cursor {
    Plain(Plain),
    Packed(Box<Packed>),
    /// A compressed file that has been read.
    Done,
}

/// A position in a plain file, which is taken up to a limit.
pub(super) struct Plain {
    file: Arc<PlainFile>,
    /// Open where it may be renamed at any time; otherwise it is opened for each cut.
    pub(super) handle: Option<Arc<File>>,
    pub(super) position: u64,
    pub(super) limit: u64,
}

impl Cursor {
    /// Opens a whole file.
    pub(super) fn open(path: &Path, header: bool, max_line: u64) -> Result<Self, SourceError> {
        let (file, metadata) = list::open(path)?;
        if Packed::is_packed(path) {
            return Ok(Self::Packed(Box::new(Packed::open(path, file, header, max_line)?)));
        }
        let limit = metadata.len();
        Plain::open(path, &file, header, max_line, limit).map(Self::Plain)
    }

    /// Whether there is more; for a compressed file that means decoding some of it.
    pub(super) fn has_more(&mut self) -> bool {
        let more = match self {
            Self::Plain(plain) => return plain.position < plain.limit,
            Self::Packed(packed) => packed.has_more(),
            Self::Done => false,
        };
        if !more {
            *self = Self::Done;
        }
        more
    }

    /// Takes whole lines: at most what is wanted, perhaps less. `None` at the end.
    pub(super) fn take(
        &mut self,
        want: Want,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Taken>, SourceError> {
        match self {
            Self::Plain(plain) => plain.take(want, buffer),
            Self::Packed(packed) => packed.take(want),
            Self::Done => Ok(None),
        }
    }
}

impl Plain {
    /// A file of which `limit` bytes can be taken, header included, which is read now.
    pub(super) fn open(
        path: &Path,
        handle: &File,
        header: bool,
        max_line: u64,
        limit: u64,
    ) -> Result<Self, SourceError> {
        let failed = |error| super::io("read", path, error);
        let (header, position) = if header {
            let end = stored::line_end(handle, 1, limit.min(MAX_HEADER), &mut Vec::new())
                .map_err(failed)?;
            let mut row = vec![0; usize::try_from(end).unwrap_or_default()];
            handle.read_exact_at(&mut row, 0).map_err(failed)?;
            (Some(parse_header(path, &row)?), end)
        } else {
            (None, 0)
        };
        let file = PlainFile {
            path: path.to_owned(),
            split: path.display().to_string().into(),
            identity: Identity::of(&handle.metadata().map_err(failed)?),
            header,
            max_line,
        };
        Ok(Self { file: Arc::new(file), handle: None, position, limit })
    }

    /// Goes on under the name that the file has now.
    pub(super) fn rename(&mut self, path: &Path) {
        if self.file.path != path {
            self.file = Arc::new(PlainFile {
                path: path.to_owned(),
                split: path.display().to_string().into(),
                identity: self.file.identity,
                header: self.file.header.clone(),
                max_line: self.file.max_line,
            });
        }
    }

    fn take(&mut self, want: Want, buffer: &mut Vec<u8>) -> Result<Option<Taken>, SourceError> {
        if self.position >= self.limit {
            return Ok(None);
        }
        let handle = self.file.open(self.handle.as_ref(), self.limit)?;
        let found = match want {
            Want::Bytes(bytes) => match self.position.checked_add(bytes) {
                Some(at) if at < self.limit => {
                    stored::line_end(&handle, at, self.limit, buffer).map(|end| (end, 0))
                }
                _ => Ok((self.limit, 0)),
            },
            Want::Lines(lines) => self.lines_end(&handle, lines, buffer),
        };
        let (end, lines) = found.map_err(|error| self.file.failed(error))?;
        let start = std::mem::replace(&mut self.position, end);
        let part = Part::Stored(Stored {
            file: self.file.clone(),
            handle: self.handle.clone(),
            start,
            end,
        });
        Ok(Some(Taken { part, bytes: end - start, lines }))
    }

    /// The end of the `wanted`th line from here, or of the last one, and how many there are.
    fn lines_end(
        &self,
        handle: &File,
        wanted: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<(u64, u64)> {
        buffer.resize(buffer.len().max(PIECE), 0);
        let (mut at, mut seen, mut unfinished) = (self.position, 0, false);
        while at < self.limit {
            let size = usize::try_from(self.limit - at).unwrap_or(PIECE).min(PIECE);
            let got = stored::read_some(handle, &mut buffer[..size], at)?;
            let bytes = &buffer[..got];
            let count = lines::count(bytes);
            if seen + count >= wanted {
                let end = lines::nth_line_end(bytes, wanted - seen).unwrap_or(got);
                return Ok((at + end as u64, wanted));
            }
            seen += count;
            at += got as u64;
            unfinished = !bytes.ends_with(b"\n");
        }
        Ok((at, seen + u64::from(unfinished)))
    }
}

/// The header row as text, without its line end.
pub(super) fn parse_header(path: &Path, row: &[u8]) -> Result<Arc<str>, SourceError> {
    if row.len() as u64 >= MAX_HEADER {
        let why = format!("has no header: its first line is longer than {MAX_HEADER} bytes");
        return Err(data(path, why));
    }
    let row = row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(row);
    let text =
        std::str::from_utf8(row).map_err(|_| data(path, "has a header that is not UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}
