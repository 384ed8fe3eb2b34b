//! How far a file has been taken.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::list;
use super::packed::Packed;
use super::stored::{self, PlainFile, Reading, Stored};
use super::{Want, content, data, names};
use crate::source::SourceError;
use crate::source::form::Form;
use crate::source::framing::Frames;
use crate::source::lines::PIECE;
use crate::source::part::Part;

/// What was taken of a file.
pub(in crate::source) struct Taken {
    pub(in crate::source) part: Part,
    pub(in crate::source) bytes: u64,
    /// How many records, only where a number of them is wanted.
    pub(in crate::source) lines: u64,
}

/// How far a file has been taken, for another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Where the next lines begin: a byte, of the decompressed data if it is compressed.
    pub(super) offset: u64,
    /// How long the file was; it may have become longer, but not shorter.
    pub(super) size: u64,
}

/// A position in a file.
pub(super) enum Cursor {
    Plain(Plain),
    Packed(Box<Packed>),
    /// A compressed file that has been read.
    Done,
    /// A followed file that has carriage returns, and no line feed so far.
    Unended,
}

/// A position in a plain file, which is taken up to a limit.
pub(super) struct Plain {
    pub(super) file: Arc<PlainFile>,
    /// Open where it may be renamed at any time; otherwise it is opened for each cut.
    pub(super) handle: Option<Arc<File>>,
    pub(super) position: u64,
    pub(super) limit: u64,
}

impl Cursor {
    /// Opens a whole file.
    pub(super) fn open(path: &Path, form: Form, max_line: u64) -> Result<Self, SourceError> {
        let (file, metadata) = list::open(path)?;
        list::has_its_size(path, &file, &metadata)?;
        if content::is_decoded(path, &file, &form)? {
            let packed = Packed::open(path, &metadata, form, max_line);
            return Ok(Self::Packed(Box::new(packed)));
        }
        if form.is_text() {
            content::has_line_feeds(path, &file)?;
        }
        let (limit, followed) = (metadata.len(), false);
        let file = PlainFile::of(path, &file, limit, Reading { form, max_line, followed })?;
        Ok(Self::Plain(Plain::new(file, limit)))
    }

    /// Goes on in a file that another process has begun.
    pub(super) fn resume(
        path: &Path,
        form: Form,
        max_line: u64,
        begun: Begun,
    ) -> Result<Self, SourceError> {
        let mut cursor = Self::open(path, form, max_line)?;
        match &mut cursor {
            Self::Plain(plain) => plain.resume(begun)?,
            Self::Packed(packed) => {
                not_smaller(path, packed.size(), begun.size)?;
                packed.skip_to(begun.offset)?;
            }
            Self::Done | Self::Unended => {}
        }
        Ok(cursor)
    }

    /// The file, and how far it has been taken; `None` once that is all of it.
    pub(super) fn begun(&self) -> Option<(&Path, Begun)> {
        match self {
            Self::Plain(plain) => {
                let begun = Begun { offset: plain.position, size: plain.limit };
                Some((&plain.file.path, begun))
            }
            Self::Packed(packed) => {
                let begun = Begun { offset: packed.position(), size: packed.size() };
                Some((packed.path(), begun))
            }
            Self::Done | Self::Unended => None,
        }
    }

    /// Whether there is more; for a compressed file that means decoding some of it.
    pub(super) fn has_more(&mut self) -> bool {
        let more = match self {
            Self::Plain(plain) => return plain.position < plain.limit,
            Self::Packed(packed) => packed.has_more(),
            Self::Unended => return false,
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
            Self::Done | Self::Unended => Ok(None),
        }
    }
}

impl Plain {
    /// A file of which `limit` bytes can be taken, header included.
    pub(super) fn new((file, position): (PlainFile, u64), limit: u64) -> Self {
        Self { file: Arc::new(file), handle: None, position, limit }
    }

    /// Goes on where another process has stopped.
    fn resume(&mut self, Begun { offset, size }: Begun) -> Result<(), SourceError> {
        let path = &self.file.path;
        not_smaller(path, self.limit, size)?;
        let handle = self.file.open(None, size)?;
        let begins = self.position <= offset && offset <= size;
        let is_first = offset == self.position;
        if !begins || offset < size && !is_first && !begins_line(path, &handle, offset)? {
            return Err(changed(path, offset));
        }
        (self.position, self.limit) = (offset, size);
        Ok(())
    }

    /// Goes on under the name that the file has now.
    pub(super) fn rename(&mut self, path: &Path) {
        if self.file.path != path {
            self.file = Arc::new(PlainFile {
                path: path.to_owned(),
                split: names::text(path).into(),
                ..PlainFile::clone(&self.file)
            });
        }
    }

    fn take(&mut self, want: Want, buffer: &mut Vec<u8>) -> Result<Option<Taken>, SourceError> {
        if self.position >= self.limit {
            return Ok(None);
        }
        let handle = self.file.open(self.handle.as_ref(), self.limit)?;
        let found = match want {
            Want::Bytes(bytes) => {
                let at = self.position.saturating_add(bytes).min(self.limit);
                let within = self.position..self.limit;
                stored::record_end(&handle, self.file.framing, within, at, buffer)
                    .map(|(end, quotes)| (end, 0, quotes))
            }
            Want::Lines(lines) => self.lines_end(&handle, lines, buffer),
        };
        let (end, lines, quotes) = found.map_err(|error| self.file.failed(error))?;
        let start = std::mem::replace(&mut self.position, end);
        // Where no quote is, no second look for one is needed.
        let known = quotes || self.file.framing.is_by_lines();
        let file = if known { self.file.clone() } else { Arc::new(self.file.without_quotes()) };
        let part = Part::Stored(Stored { file, handle: self.handle.clone(), start, end });
        Ok(Some(Taken { part, bytes: end - start, lines }))
    }

    /// The end of the `wanted`th record from here, or of the last one, how many there are, and whether there may
    /// be a quote among them.
    fn lines_end(
        &self,
        handle: &File,
        wanted: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<(u64, u64, bool)> {
        buffer.resize(buffer.len().max(PIECE), 0);
        let (mut at, mut seen, mut frames) = (self.position, 0, Frames::new(self.file.framing));
        while at < self.limit {
            let size = usize::try_from(self.limit - at).unwrap_or(PIECE).min(PIECE);
            let got = stored::read_some(handle, &mut buffer[..size], at)?;
            let bytes = &buffer[..got];
            let mut before = frames.clone();
            let count = frames.count(bytes);
            if seen + count >= wanted {
                let end = before.nth_end(bytes, wanted - seen).unwrap_or(got);
                return Ok((at + end as u64, wanted, before.has_quotes()));
            }
            seen += count;
            at += got as u64;
        }
        Ok((at, seen + u64::from(frames.is_within()), frames.has_quotes()))
    }
}

fn not_smaller(path: &Path, is: u64, was: u64) -> Result<(), SourceError> {
    if is >= was {
        return Ok(());
    }
    let why = format!("shrank while nothing read it: from {was} to {is} bytes");
    Err(data(path, why))
}

/// Whether a line begins at `offset`.
fn begins_line(path: &Path, file: &File, offset: u64) -> Result<bool, SourceError> {
    begins_line_io(file, offset).map_err(|error| super::io("read", path, error))
}

/// The same.
pub(super) fn begins_line_io(file: &File, offset: u64) -> io::Result<bool> {
    let Some(before) = offset.checked_sub(1) else {
        return Ok(true);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, before)?;
    Ok(byte == *b"\n")
}

/// The error about a file that is another one than before.
pub(super) fn changed(path: &Path, offset: u64) -> SourceError {
    let why = format!("is not what it was: no line begins at byte {offset} any more");
    data(path, why)
}
