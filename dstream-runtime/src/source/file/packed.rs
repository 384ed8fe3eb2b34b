//! Compressed files, and JSON that is not one value per line, decoded by the cutter.
//!
//! What a batch takes is what the decoder has made; what it made beyond that waits. A damaged file
//! gives all whole lines before the damage, and then an error that says where it is.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::cursor::Taken;
use super::{Want, data, header, io as io_error};
use crate::source::form::{Form, mark_len};
use crate::source::framing::{Frames, Unfold, Unfolded};
use crate::source::lines::{self, PIECE, TORN_HEAD};
use crate::source::part::{Held, Part, Torn};
use crate::source::{Framing, SourceError};

/// So much of JSON is looked at to see whether its first value goes on over lines.
const LOOK: u64 = 1 << 20;

/// A compressed file on its way through the decoder.
pub(super) struct Packed {
    path: PathBuf,
    /// How long the file was when it was opened.
    size: u64,
    split: Arc<str>,
    header: Option<Arc<str>>,
    framing: Framing,
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

    /// Whether a plain file has to be decoded too: JSON, and not one value per line.
    pub(super) fn is_folded(path: &Path, file: &File, form: &Form) -> Result<bool, SourceError> {
        let Some(outer) = form.json else { return Ok(false) };
        let failed = |error| io_error("read", path, error);
        let (mut unfold, mut chunk, mut at) = (Unfold::new(outer), vec![0; 4 << 10], 0);
        while !unfold.is_lines() && at < LOOK {
            let got = file.read_at(&mut chunk, at).map_err(failed)?;
            if got == 0 {
                break;
            }
            unfold.feed(&chunk[..got]);
            if unfold.is_folded() {
                return Ok(true);
            }
            at += got as u64;
            chunk.resize(PIECE, 0);
        }
        Ok(false)
    }

    pub(super) fn open(
        path: &Path,
        file: File,
        form: Form,
        max_line: u64,
    ) -> Result<Self, SourceError> {
        let size = file.metadata().map_err(|error| io_error("read", path, error))?.len();
        let consumed = Arc::new(AtomicU64::new(0));
        let input = BufReader::with_capacity(PIECE, Counted { file, consumed: consumed.clone() });
        let decoder: Box<dyn Read + Send> = if is_zstd(path) {
            let decoder = zstd::stream::read::Decoder::with_buffer(input);
            Box::new(decoder.map_err(|error| io_error("decode", path, error))?)
        } else {
            Box::new(MultiGzDecoder::new(input))
        };
        Self::decoding(path, decoder, (size, consumed), form, max_line)
    }

    /// A file of JSON that is not one value per line: its records have no positions that another could find.
    pub(super) fn folded(
        path: &Path,
        file: File,
        form: Form,
        max_line: u64,
    ) -> Result<Self, SourceError> {
        let size = file.metadata().map_err(|error| io_error("read", path, error))?.len();
        let consumed = Arc::new(AtomicU64::new(0));
        let input = Counted { file, consumed: consumed.clone() };
        Self::decoding(path, Box::new(input), (size, consumed), form, max_line)
    }

    fn decoding(
        path: &Path,
        decoder: Box<dyn Read + Send>,
        (size, consumed): (u64, Arc<AtomicU64>),
        form: Form,
        max_line: u64,
    ) -> Result<Self, SourceError> {
        let decoder = match form.json {
            Some(outer) => Box::new(Unfolded::new(decoder, outer)),
            None => decoder,
        };
        let mut this = Self {
            path: path.to_owned(),
            size,
            split: path.display().to_string().into(),
            header: None,
            framing: form.framing,
            max_line,
            decoder,
            consumed,
            position: 0,
            buffer: Vec::new(),
            ended: false,
            failed: None,
        };
        this.begin(&form)?;
        Ok(this)
    }

    /// Takes the byte order mark and the header, if there are any.
    fn begin(&mut self, form: &Form) -> Result<(), SourceError> {
        // This decodes as much as a header may be long.
        self.decode();
        let mark = mark_len(&self.buffer);
        self.buffer.drain(..mark);
        self.position = mark as u64;
        if !form.looks_at_first() || self.buffer.is_empty() {
            return Ok(());
        }
        let end = self.framing.first(&self.buffer);
        self.header = header::parse(&self.path, &self.buffer[..end], form)?;
        if self.header.is_some() {
            self.buffer.drain(..end);
            self.position += end as u64;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Where the next lines begin in the decompressed data.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes on from `position`, which was reached before, perhaps by another process: what comes before
    /// it is decoded and dropped.
    pub(super) fn skip_to(&mut self, position: u64) -> Result<(), SourceError> {
        let mut left = position.checked_sub(self.position).ok_or_else(|| self.moved(position))?;
        let mut ends = true;
        loop {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            if let Some(last) = self.buffer[..some].last() {
                ends = *last == b'\n';
            }
            self.buffer.drain(..some);
            self.position += some as u64;
            left -= some as u64;
            match &self.failed {
                _ if left == 0 => break,
                Some(error) => return Err(error.clone()),
                None if self.ended => return Err(self.moved(position)),
                None => self.decode(),
            }
        }
        // Only the last line of all may lack its end.
        if ends || !self.has_more() { Ok(()) } else { Err(self.moved(position)) }
    }

    /// The error about a file that is another one than before.
    fn moved(&self, position: u64) -> SourceError {
        let why = format!(
            "is not what it was: no line begins at byte {position} of its decompressed data any more"
        );
        data(&self.path, why)
    }

    /// The next `length` bytes, which were lines of a batch before. One line that is too long is not held
    /// in memory. `None` if lines follow one that is so long: that is known only when it is gone.
    pub(super) fn again(&mut self, length: u64) -> Result<Option<Held>, SourceError> {
        let is_long = |this: &Self| {
            this.buffer.len() as u64 > this.max_line
                && this.framing.record_end(&this.buffer, 0).is_none()
        };
        while (self.buffer.len() as u64) < length && !self.ended {
            if is_long(self) && length > 4 * PIECE as u64 {
                let torn = self.torn();
                let whole = torn.torn.as_ref().is_some_and(|torn| torn.length == length);
                return Ok(whole.then_some(torn));
            }
            self.decode();
        }
        self.exactly(length).map(Some)
    }

    /// The next `length` bytes in memory.
    pub(super) fn exactly(&mut self, length: u64) -> Result<Held, SourceError> {
        while (self.buffer.len() as u64) < length && !self.ended {
            self.decode();
        }
        match usize::try_from(length).ok().filter(|length| *length <= self.buffer.len()) {
            Some(length) => Ok(self.lines(length)),
            None => {
                let end = self.position.saturating_add(length);
                Err(self.failed.clone().unwrap_or_else(|| self.moved(end)))
            }
        }
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
        // Beginning of the record that is not whole yet; ends of records before it; where to look on.
        let (mut line, mut seen, mut from) = (0, 0, 0);
        let mut frames = Frames::new(self.framing);
        loop {
            let fresh = &self.buffer[from..];
            match want {
                Want::Bytes(bytes) => {
                    // The end that is wanted may be that of the byte before.
                    let at =
                        usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(1).max(from);
                    if at < self.buffer.len() {
                        let mut frames = frames.clone();
                        frames.last_end(&self.buffer[from..at]);
                        if let Some(end) = frames.first_end(&self.buffer[at..]) {
                            return Ok(Some(self.give(at + end, 0)));
                        }
                    }
                }
                Want::Lines(wanted) => {
                    let mut before = frames.clone();
                    let count = before.count(fresh);
                    if seen + count >= wanted {
                        let end = frames.nth_end(fresh, wanted - seen).unwrap_or(fresh.len());
                        return Ok(Some(self.give(from + end, wanted)));
                    }
                    seen += count;
                }
            }
            line = frames.last_end(fresh).map_or(line, |end| from + end);
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
        Taken { part: Part::Held(self.lines(end)), bytes: end as u64, lines }
    }

    fn lines(&mut self, end: usize) -> Held {
        let rest = self.buffer.split_off(end);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let mut held = Held::new(self.split.clone(), self.position, bytes);
        held.header.clone_from(&self.header);
        held.framing = self.framing;
        held.max_line = self.max_line;
        self.position += end as u64;
        held
    }

    fn give_torn(&mut self) -> Taken {
        let held = self.torn();
        let length = held.torn.as_ref().map_or(0, |torn| torn.length);
        Taken { part: Part::Held(held), bytes: length, lines: 1 }
    }

    /// Takes the head of a line that is too long, and skips the rest of it.
    fn torn(&mut self) -> Held {
        let head = self.buffer[..self.buffer.len().min(TORN_HEAD)].to_vec();
        let (mut length, mut frames) = (0, Frames::new(self.framing));
        loop {
            if let Some(end) = frames.first_end(&self.buffer) {
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
        held.header.clone_from(&self.header);
        held.framing = self.framing;
        held.max_line = self.max_line;
        held.torn = Some(Torn { length, why: lines::too_long(length, self.max_line).into() });
        self.position += length;
        held
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
