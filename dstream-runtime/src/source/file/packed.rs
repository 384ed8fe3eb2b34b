//! Compressed files, decoded by the cutter.
//!
//! What a batch takes is what the decoder has made; what it made beyond that waits. A damaged file
//! gives all whole lines before the damage, and then an error that says where it is.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::cursor::Taken;
use super::{Want, data, header, io as io_error};
use crate::source::SourceError;
use crate::source::lines::{self, PIECE, TORN_HEAD};
use crate::source::part::{Held, Part, Torn};

/// A compressed file on its way through the decoder.
pub(super) struct Packed {
    path: PathBuf,
    split: Arc<str>,
    header: Option<Arc<str>>,
    max_line: u64,
    decoder: Box<dyn Read + Send>,
    /// Compressed bytes read so far.
    consumed: Arc<AtomicU64>,
    /// Position of `buffer` in the decompressed data.
    position: u64,
    /// Decoded and not taken.
    buffer: Vec<u8>,
    ended: bool,
    failed: Option<SourceError>,
}

impl Packed {
    /// Whether a file of this name is compressed.
    pub(super) fn is_packed(path: &Path) -> bool {
        path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz") || is_zstd(path))
    }

    pub(super) fn open(
        path: &Path,
        file: File,
        header: bool,
        max_line: u64,
    ) -> Result<Self, SourceError> {
        let consumed = Arc::new(AtomicU64::new(0));
        let input = BufReader::with_capacity(PIECE, Counted { file, consumed: consumed.clone() });
        let decoder: Box<dyn Read + Send> = if is_zstd(path) {
            let decoder = zstd::stream::read::Decoder::with_buffer(input);
            Box::new(decoder.map_err(|error| io_error("decode", path, error))?)
        } else {
            Box::new(MultiGzDecoder::new(input))
        };
        let mut this = Self {
            path: path.to_owned(),
            split: path.display().to_string().into(),
            header: None,
            max_line,
            decoder,
            consumed,
            position: 0,
            buffer: Vec::new(),
            ended: false,
            failed: None,
        };
        if header {
            this.take_header()?;
        }
        Ok(this)
    }

    fn take_header(&mut self) -> Result<(), SourceError> {
        // This decodes as much as a header may be long.
        self.decode();
        let end = lines::line_end(&self.buffer, 0).unwrap_or(self.buffer.len());
        let row: Vec<u8> = self.buffer.drain(..end).collect();
        self.header = Some(header::parse(&self.path, &row)?);
        self.position = end as u64;
        Ok(())
    }

    /// Whether there is more, or an error to tell.
    pub(super) fn has_more(&mut self) -> bool {
        if self.buffer.is_empty() && !self.ended {
            self.decode();
        }
        !self.buffer.is_empty() || self.failed.is_some()
    }

    /// Takes whole lines: at most what is wanted, perhaps less. `None` at the end.
    pub(super) fn take(&mut self, want: Want) -> Result<Option<Taken>, SourceError> {
        // Beginning of the line that is not whole yet; line ends before it; where to look on.
        let (mut line, mut seen, mut from) = (0, 0, 0);
        loop {
            let fresh = &self.buffer[from..];
            match want {
                Want::Bytes(bytes) => {
                    let at = usize::try_from(bytes).unwrap_or(usize::MAX).max(from + 1);
                    if let Some(end) = lines::line_end(&self.buffer, at) {
                        return Ok(Some(self.give(end, 0)));
                    }
                }
                Want::Lines(wanted) => {
                    let count = lines::count(fresh);
                    if seen + count >= wanted {
                        let end = lines::nth_line_end(fresh, wanted - seen).unwrap_or(fresh.len());
                        return Ok(Some(self.give(from + end, wanted)));
                    }
                    seen += count;
                }
            }
            line = lines::last_line_end(fresh).map_or(line, |end| from + end);
            from = self.buffer.len();
            if (from - line) as u64 > self.max_line {
                return Ok(Some(match line {
                    0 => self.give_torn(),
                    _ => self.give(line, seen),
                }));
            }
            if self.ended {
                return self.give_last(line, seen);
            }
            self.decode();
        }
    }

    /// What is left when nothing more comes.
    fn give_last(&mut self, line: usize, seen: u64) -> Result<Option<Taken>, SourceError> {
        let (end, lines) = match self.failed {
            // The line in which the damage lies is not whole.
            Some(_) => (line, seen),
            None => (self.buffer.len(), seen + u64::from(line < self.buffer.len())),
        };
        match (&self.failed, end) {
            (Some(error), 0) => Err(error.clone()),
            (None, 0) => Ok(None),
            _ => Ok(Some(self.give(end, lines))),
        }
    }

    fn give(&mut self, end: usize, lines: u64) -> Taken {
        let rest = self.buffer.split_off(end);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let mut held = Held::new(self.split.clone(), self.position, bytes);
        held.header.clone_from(&self.header);
        held.max_line = self.max_line;
        self.position += end as u64;
        Taken { part: Part::Held(held), bytes: end as u64, lines }
    }

    /// Gives the head of a line that is too long, and skips the rest of it.
    fn give_torn(&mut self) -> Taken {
        let head = self.buffer[..self.buffer.len().min(TORN_HEAD)].to_vec();
        let mut length = 0;
        loop {
            if let Some(end) = lines::line_end(&self.buffer, 0) {
                self.buffer.drain(..end);
                length += end as u64;
                break;
            }
            length += self.buffer.len() as u64;
            self.buffer.clear();
            if self.ended {
                break;
            }
            self.decode();
        }
        let mut held = Held::new(self.split.clone(), self.position, head);
        held.torn = Some(Torn { length, why: lines::too_long(length, self.max_line).into() });
        self.position += length;
        Taken { part: Part::Held(held), bytes: length, lines: 1 }
    }

    /// Decodes some more into the buffer.
    fn decode(&mut self) {
        match (&mut self.decoder).take(4 * PIECE as u64).read_to_end(&mut self.buffer) {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) => {
                self.ended = true;
                let consumed = self.consumed.load(Ordering::Relaxed);
                let decoded = self.position + self.buffer.len() as u64;
                let kind = match error.kind() {
                    io::ErrorKind::UnexpectedEof => "is truncated",
                    _ => "is damaged",
                };
                let why = format!(
                    "{kind} near byte {consumed}, byte {decoded} of the decompressed data: {error}"
                );
                self.failed = Some(data(&self.path, why));
            }
        }
    }
}

fn is_zstd(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zst"))
}

/// Counts what is read of a file.
struct Counted {
    file: File,
    consumed: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read(buffer)?;
        self.consumed.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}
