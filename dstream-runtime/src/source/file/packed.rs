//! Records that can only be read from the start on: those of compressed files, of JSON that is not one value per
//! line, and of pipes.
//!
//! What a batch takes is what the decoder has made; what it made beyond that waits. A damaged file
//! gives all whole lines before the damage, and then an error that says where it is. A pipe may pause: what
//! has come by then is taken.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::content::{Later, Returns};
use super::cursor::Taken;
use super::unpack::{OtherData, Unpack};
use super::{Want, data, header, io as io_error, names};
use crate::host::limits;
use crate::source::decode::{LONE_RETURNS, has_lone_return};
use crate::source::form::{Form, MARK, MAX_HEADER, mark_len};
use crate::source::framing::{Frames, Unfolded};
use crate::source::lines::{self, PIECE, TORN_HEAD};
use crate::source::part::{Held, Part, Torn};
use crate::source::{Framing, SourceError};

/// A compressed file, or a pipe, on its way through the decoder.
pub(in crate::source) struct Packed {
    path: PathBuf,
    /// How long the file was when it was opened.
    size: u64,
    split: Arc<str>,
    /// What it may begin with, until that has been taken.
    form: Option<Form>,
    header: Option<Arc<str>>,
    framing: Framing,
    max_line: u64,
    /// Text of which nothing has been taken: it may have no line feed at all.
    untouched: bool,
    decoder: Box<dyn Read + Send>,
    /// Compressed bytes read so far.
    consumed: Arc<AtomicU64>,
    /// Position of `buffer` in the decompressed data.
    position: u64,
    /// Decoded and not taken.
    buffer: Vec<u8>,
    /// Nothing has come for now.
    paused: bool,
    ended: bool,
    failed: Option<SourceError>,
}

/// How many files are open in decoders.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

/// A file that counts as open.
struct Counted(File);

impl Counted {
    fn new(file: File) -> Self {
        COUNTED.fetch_add(1, Ordering::Relaxed);
        Self(file)
    }
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNTED.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Packed {
    /// Whether a file of this name is compressed.
    pub(super) fn is_packed(path: &Path) -> bool {
        path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz") || is_zstd(path))
    }

    /// The records of a compressed file, which is opened again when the first of them are asked for: of many
    /// files only those are open that are being read.
    pub(super) fn open(path: &Path, metadata: &Metadata, form: Form, max_line: u64) -> Self {
        let consumed = Arc::new(AtomicU64::new(0));
        let decoder = Later::new(path, metadata, consumed.clone());
        let mut this = Self::new(path.to_owned(), Box::new(decoder), consumed, form, max_line);
        this.size = metadata.len();
        this
    }

    /// The records of a compressed file that is open, and may have no name any more.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub(super) fn of(
        path: &Path,
        file: File,
        form: Form,
        max_line: u64,
    ) -> Result<Self, SourceError> {
        let size = file.metadata().map_err(|error| io_error("open", path, error))?.len();
        let consumed = Arc::new(AtomicU64::new(0));
        let input = BufReader::with_capacity(PIECE, Counted::new(file));
        let decoder = Unpack::new(input, consumed.clone());
        let this = Self::new(path.to_owned(), Box::new(decoder), consumed, form, max_line);
        Ok(Self { size, ..this })
    }

    /// Whether one more may be held open until it is read; if not, it is better opened by its name then.
    pub(super) fn may_hold() -> bool {
        COUNTED.load(Ordering::Relaxed) < limits::most_held() / 2
    }

    /// Data that `decoder` gives, which may pause: it says [`io::ErrorKind::WouldBlock`] then.
    pub(in crate::source) fn new(
        path: PathBuf,
        decoder: Box<dyn Read + Send>,
        consumed: Arc<AtomicU64>,
        form: Form,
        max_line: u64,
    ) -> Self {
        let decoder = match form.json {
            Some(outer) => Box::new(Unfolded::new(decoder, outer)),
            None => decoder,
        };
        Self {
            size: 0,
            split: names::text(&path).into(),
            path,
            form: Some(form),
            header: None,
            framing: form.framing,
            max_line,
            untouched: form.is_text(),
            decoder,
            consumed,
            position: 0,
            buffer: Vec::new(),
            paused: false,
            ended: false,
            failed: None,
        }
    }

    /// Takes the byte order mark and the header, if there are any; false if they are not there yet.
    fn begin(&mut self) -> Result<bool, SourceError> {
        let Some(form) = self.form else { return Ok(true) };
        while !self.ended && !self.has_first(&form) {
            if std::mem::take(&mut self.paused) {
                return Ok(false);
            }
            self.decode();
        }
        self.form = None;
        let mark = mark_len(&self.buffer);
        self.buffer.drain(..mark);
        self.position = mark as u64;
        if !form.looks_at_first() || self.buffer.is_empty() {
            return Ok(true);
        }
        let end = self.framing.first(&self.buffer);
        match header::parse(&self.path, &self.buffer[..end], &form) {
            Ok(header) => self.header = header,
            Err(error) => {
                // Without its header none of it can be read.
                self.buffer.clear();
                self.end(Some(error.clone()));
                return Err(error);
            }
        }
        if self.header.is_some() {
            self.buffer.drain(..end);
            self.position += end as u64;
        }
        Ok(true)
    }

    /// Whether enough has come to tell what it begins with.
    fn has_first(&self, form: &Form) -> bool {
        let bytes = &self.buffer;
        let has_mark = bytes.len() >= MARK.len() || !MARK.starts_with(bytes);
        let has_row = || {
            bytes.len() as u64 > MAX_HEADER
                || self.framing.record_end(bytes, mark_len(bytes) + 1).is_some()
        };
        has_mark && (!form.looks_at_first() || has_row())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Decodes all of it.
    ///
    /// # Errors
    /// When it is not whole, or damaged.
    pub(super) fn decode_all(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        loop {
            each(&self.buffer);
            self.position += self.buffer.len() as u64;
            self.buffer.clear();
            match &self.failed {
                Some(error) => return Err(error.clone()),
                None if self.ended => return Ok(()),
                None => self.decode(),
            }
        }
    }

    /// Where the next lines begin in the decompressed data.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes on from `position`, which was reached before, perhaps by another process: what comes before
    /// it is decoded and dropped.
    pub(super) fn skip_to(&mut self, position: u64) -> Result<(), SourceError> {
        if position == 0 {
            // Records begin with the first byte: there is neither a mark nor a header.
            self.form = None;
            return Ok(());
        }
        self.begin()?;
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
                let torn = self.torn()?;
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
        let begun = self.begin().unwrap_or(true);
        if begun && self.buffer.is_empty() && !self.ended {
            self.decode();
        }
        !self.buffer.is_empty() || self.failed.is_some()
    }

    /// Whether all has been taken. Looks for more if it is not known.
    pub(in crate::source) fn is_over(&mut self) -> bool {
        let more = self.has_more();
        self.paused = false;
        self.ended && !more
    }

    /// Takes whole records: at most what is wanted, perhaps less. `None` at the end, and when nothing whole has
    /// come before a pause.
    pub(in crate::source) fn take(&mut self, want: Want) -> Result<Option<Taken>, SourceError> {
        if !self.begin()? {
            return Ok(None);
        }
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
                    0 => self.give_torn()?,
                    _ => self.give(line, seen),
                }));
            }
            if self.ended {
                return self.give_last(line, seen);
            }
            if std::mem::take(&mut self.paused) {
                return Ok((line > 0).then(|| self.give(line, seen)));
            }
            self.decode();
        }
    }

    /// The beginning of a line that will not come whole, for a reason.
    pub(in crate::source) fn unfinished(&mut self, why: &str) -> Option<Taken> {
        let length = self.buffer.len() as u64;
        let torn = Some(Torn { length, why: why.into() });
        let held = Held { torn, ..self.lines(self.buffer.len()) };
        (length > 0).then_some(Taken { part: Part::Held(held), bytes: length, lines: 1 })
    }

    /// What is left when nothing more comes.
    fn give_last(&mut self, line: usize, seen: u64) -> Result<Option<Taken>, SourceError> {
        if self.untouched && line == 0 && self.failed.is_none() && has_lone_return(&self.buffer) {
            return Err(self.refuse());
        }
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
        self.untouched &= end == 0;
        let rest = self.buffer.split_off(end);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let mut held = Held::new(self.split.clone(), self.position, bytes);
        held.header.clone_from(&self.header);
        held.framing = self.framing;
        held.max_line = self.max_line;
        self.position += end as u64;
        held
    }

    fn give_torn(&mut self) -> Result<Taken, SourceError> {
        let held = self.torn()?;
        let length = held.torn.as_ref().map_or(0, |torn| torn.length);
        Ok(Taken { part: Part::Held(held), bytes: length, lines: 1 })
    }

    /// Takes the head of a line that is too long, and skips the rest of it.
    ///
    /// # Errors
    /// When it has carriage returns and is all that there is.
    fn torn(&mut self) -> Result<Held, SourceError> {
        let untouched = std::mem::take(&mut self.untouched);
        let head = self.buffer[..self.buffer.len().min(TORN_HEAD)].to_vec();
        let (mut length, mut frames) = (0, Frames::new(self.framing));
        let mut returns = Returns::default();
        loop {
            if let Some(end) = frames.first_end(&self.buffer) {
                self.buffer.drain(..end);
                length += end as u64;
                break;
            }
            if untouched {
                returns.feed(&self.buffer);
            }
            length += self.buffer.len() as u64;
            self.buffer.clear();
            if self.ended {
                if returns.are_lone() && self.failed.is_none() {
                    return Err(self.refuse());
                }
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
        Ok(held)
    }

    /// Text whose lines end with carriage returns alone.
    #[cold]
    fn refuse(&mut self) -> SourceError {
        let error = data(&self.path, LONE_RETURNS);
        self.buffer.clear();
        self.end(Some(error.clone()));
        error
    }

    /// Decodes some more into the buffer: what one read gives, since the next one may wait for a slow writer.
    fn decode(&mut self) {
        let start = self.buffer.len();
        self.buffer.resize(start + PIECE, 0);
        let read = self.decoder.read(&mut self.buffer[start..]);
        self.buffer.truncate(start + read.as_ref().map_or(0, |got| *got));
        match read {
            Ok(0) => self.end(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.paused = true,
            Err(error) => {
                let failed = match error.downcast::<SourceError>() {
                    Ok(error) => error,
                    Err(error) if error.raw_os_error().is_some() => {
                        io_error("read", &self.path, error)
                    }
                    Err(error) => data(&self.path, self.why(&error)),
                };
                self.end(Some(failed));
            }
        }
    }

    /// Nothing more comes, and why. A file that has been read is closed.
    fn end(&mut self, failed: Option<SourceError>) {
        (self.ended, self.failed) = (true, failed);
        self.decoder = Box::new(io::empty());
    }

    /// What is wrong with the data.
    fn why(&self, error: &io::Error) -> String {
        let consumed = self.consumed.load(Ordering::Relaxed);
        if error.get_ref().is_some_and(|inner| inner.is::<OtherData>()) {
            return format!(
                "has other data after its compressed data, from byte {consumed} on. All before it was read; \
                 cut it off (`truncate -s {consumed}`), or put it into a file of its own"
            );
        }
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof => "is truncated",
            _ => "is damaged",
        };
        let decoded = self.position + self.buffer.len() as u64;
        format!("{kind} near byte {consumed}, byte {decoded} of the decompressed data: {error}")
    }
}

fn is_zstd(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zst"))
}
