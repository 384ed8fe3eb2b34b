//! Lines that stay in their file until a task reads them.
//!
//! The file is opened anew for each read, so that lineage is a path and two positions, and no
//! number of small files can use up the descriptors. What is read must be what was cut: a file that
//! is gone, was replaced or has shrunk is an error that names it.
//!
//! Another process needs no more than the range, as long as a name stays with its file. The name of
//! a file that is followed may be another's a moment later (logs are rotated), so it travels with
//! its [`Mark`]; or its lines do, where they are few or the name is not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::held::Opened;
use super::list::{self, Identity, Mark};
use super::{data, header, names};
use crate::source::form::{Form, mark_len};
use crate::source::framing::Frames;
use crate::source::lines::{self, Guarded, PIECE, TORN_HEAD};
use crate::source::{Framing, Piece, Range, SourceError};

/// A plain file that was cut.
#[derive(Debug, Clone)]
pub(super) struct PlainFile {
    pub(super) path: PathBuf,
    pub(super) split: Arc<str>,
    /// Which file it is; set when it is first opened.
    pub(super) identity: OnceLock<Identity>,
    /// What another process knows of it.
    pub(super) mark: Option<Mark>,
    pub(super) header: Option<Arc<str>>,
    /// Where its records end.
    pub(super) framing: Framing,
    /// Records longer than this are dead letters.
    pub(super) max_line: u64,
    /// Its name may be another file's before it is read.
    pub(super) followed: bool,
}

/// Up to this size, new content of a followed file travels as bytes: what was appended since the last batch, as a
/// rule. A backlog is read by its name and [`Mark`], as no process shall hold all of it.
const CARRIED: u64 = 4 << 20;

/// Whole lines of a plain file.
#[derive(Debug, Clone)]
pub(in crate::source) struct Stored {
    pub(super) file: Arc<PlainFile>,
    /// Held open, because the file may be renamed or removed before it is read.
    pub(super) handle: Option<Arc<File>>,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What another process needs to read lines of a file.
#[derive(Debug)]
pub(in crate::source) enum Elsewhere {
    /// Their range.
    Range,
    /// More than that.
    Named(Named),
    /// The lines themselves: their file has no name, or may lose it.
    Bytes,
}

/// What is known of lines beside where they are.
#[derive(Debug)]
pub(in crate::source) struct About {
    pub(in crate::source) header: Option<Arc<str>>,
    pub(in crate::source) max_line: u64,
    pub(in crate::source) framing: Framing,
}

/// Lines of a file that another process knows by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Named {
    pub(in crate::source) split: Arc<str>,
    pub(in crate::source) end: u64,
    mark: Option<Mark>,
}

impl Stored {
    pub(in crate::source) fn len(&self) -> u64 {
        self.end - self.start
    }

    pub(in crate::source) fn range(&self) -> Range {
        Range { split: self.file.split.clone(), start: self.start, end: self.end }
    }

    /// Lines of a file of that name, which another process has cut.
    pub(in crate::source) fn named(named: Named, start: u64, about: About) -> Self {
        let About { header, max_line, framing } = about;
        let file = PlainFile {
            path: names::path(&named.split),
            split: named.split,
            identity: OnceLock::new(),
            followed: named.mark.is_some(),
            mark: named.mark,
            header,
            framing,
            max_line,
        };
        Self { file: Arc::new(file), handle: None, start, end: named.end }
    }

    /// What another process needs to read it.
    pub(in crate::source) fn elsewhere(&self) -> Elsewhere {
        let file = &*self.file;
        let is_named = file.path == names::path(&file.split);
        if !is_named || file.followed && self.handle.is_some() && self.len() <= CARRIED {
            return Elsewhere::Bytes;
        }
        if !file.followed {
            return Elsewhere::Range;
        }
        let mark = file.mark.or_else(|| file.identity.get().map(|identity| identity.mark()));
        Elsewhere::Named(Named { split: file.split.clone(), end: self.end, mark })
    }

    /// The same for another process that is told no range.
    pub(in crate::source) fn named_by_range(&self) -> Named {
        Named { split: self.file.split.clone(), end: self.end, mark: self.file.mark }
    }

    pub(in crate::source) fn header(&self) -> Option<&Arc<str>> {
        self.file.header.as_ref()
    }

    pub(in crate::source) fn max_line(&self) -> u64 {
        self.file.max_line
    }

    pub(in crate::source) fn framing(&self) -> Framing {
        self.file.framing
    }

    /// Its bytes, as they stand in the file.
    pub(in crate::source) fn bytes(&self) -> Result<Vec<u8>, SourceError> {
        let file = self.open()?;
        let mut bytes = vec![0; to_usize(self.len())];
        file.read_exact_at(&mut bytes, self.start).map_err(|error| self.file.failed(error))?;
        Ok(bytes)
    }

    fn open(&self) -> Result<Opened, SourceError> {
        self.file.open(self.handle.as_ref(), self.end)
    }

    /// Cuts at the first end of a record at or after `at`; the second half may be empty.
    pub(in crate::source) fn cut(self, at: u64) -> Result<(Self, Option<Self>), SourceError> {
        let file = self.open()?;
        let (within, at) = (self.start..self.end, self.start + at);
        let (end, _) = record_end(&file, self.file.framing, within, at, &mut Vec::new())
            .map_err(|error| self.file.failed(error))?;
        let rest = (end < self.end).then(|| Self { start: end, ..self.clone() });
        Ok((Self { end, ..self }, rest))
    }

    /// Reads all of it, through `buffer`.
    pub(in crate::source) fn read(
        &self,
        buffer: &mut Vec<u8>,
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), SourceError> {
        let file = self.open()?;
        let failed = |error| self.file.failed(error);
        let most = to_usize(self.file.max_line);
        // `buffer[..have]` is the beginning of a record, which stands at `at` in the file.
        let (mut at, mut have, mut frames) = (self.start, 0, Frames::new(self.file.framing));
        buffer.resize(buffer.len().max(PIECE.min(to_usize(self.len()))), 0);
        while at + (have as u64) < self.end {
            let room = to_usize(self.end - at - have as u64).min(buffer.len() - have);
            let got = read_some(&file, &mut buffer[have..have + room], at + have as u64)
                .map_err(failed)?;
            let whole = frames.last_end(&buffer[have..have + got]).map(|end| have + end);
            have += got;
            let end = if at + have as u64 == self.end { Some(have) } else { whole };
            match end {
                Some(end) => {
                    self.file.lines(&buffer[..end], at, each);
                    buffer.copy_within(end..have, 0);
                    at += end as u64;
                    have -= end;
                }
                None if have > most => {
                    let rest = at + have as u64..self.end;
                    let end = go_on(&file, &mut frames, rest, &mut Vec::new()).map_err(failed)?;
                    self.file.torn(&buffer[..have.min(TORN_HEAD)], at, end - at, each);
                    (at, have) = (end, 0);
                }
                None if have == buffer.len() => buffer.resize(have * 2, 0),
                None => {}
            }
        }
        // A buffer that a long line has grown is not kept for the lines after it.
        if buffer.len() > 4 * PIECE {
            *buffer = Vec::new();
        }
        Ok(())
    }
}

/// How files are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// How a file begins.
    pub(super) form: Form,
    pub(super) max_line: u64,
    pub(super) followed: bool,
}

impl PlainFile {
    /// A file of which `limit` bytes can be read, and where the lines after its header begin.
    pub(super) fn of(
        path: &Path,
        file: &File,
        limit: u64,
        reading: Reading,
    ) -> Result<(Self, u64), SourceError> {
        let (header, position) = header::read(path, file, limit, &reading.form)?;
        let metadata = file.metadata().map_err(|error| super::io("read", path, error))?;
        let this = Self {
            path: path.to_owned(),
            split: names::text(path).into(),
            identity: Identity::of(&metadata).into(),
            mark: None,
            header,
            framing: reading.form.framing,
            max_line: reading.max_line,
            followed: reading.followed,
        };
        Ok((this, position))
    }

    /// The same file, of which lines without quotes are read.
    pub(super) fn without_quotes(&self) -> Self {
        Self { framing: self.framing.without_quotes(), ..self.clone() }
    }

    fn lines(&self, bytes: &[u8], position: u64, each: &mut dyn FnMut(Piece<'_>)) {
        self.framing.guard(bytes, self.max_line, &mut |Guarded { at, bytes, torn }| {
            let position = position + at as u64;
            match torn {
                None => each(self.piece(bytes, position, None)),
                Some(length) => self.torn(bytes, position, length, each),
            }
        });
    }

    fn torn(&self, head: &[u8], position: u64, length: u64, each: &mut dyn FnMut(Piece<'_>)) {
        let why = lines::too_long(length, self.max_line);
        each(self.piece(head, position, Some(&why)));
    }

    fn piece<'a>(&'a self, bytes: &'a [u8], position: u64, torn: Option<&'a str>) -> Piece<'a> {
        let (header, framing) = (self.header.as_deref(), self.framing);
        Piece { bytes, split: &self.split, position, numbered: false, header, framing, torn }
    }

    /// Opens it again, to be read up to `end`, unless it is open.
    pub(super) fn open(&self, handle: Option<&Arc<File>>, end: u64) -> Result<Opened, SourceError> {
        let (file, metadata) = match handle {
            Some(file) => {
                let metadata = file.metadata().map_err(|error| self.failed(error))?;
                (Opened::Held(file.clone()), metadata)
            }
            None => {
                let (file, metadata) = list::open(&self.path)?;
                (Opened::Now(file), metadata)
            }
        };
        let identity = Identity::of(&metadata);
        let same = *self.identity.get_or_init(|| identity) == identity
            && self.mark.is_none_or(|mark| mark.is_of(&identity));
        if !same {
            return Err(data(&self.path, "was replaced by another file while it was read"));
        }
        if metadata.len() < end {
            return Err(self.shrank(metadata.len(), end));
        }
        Ok(file)
    }

    fn shrank(&self, is: u64, was: u64) -> SourceError {
        let why = format!("shrank while it was read: it had {was} bytes or more and has {is}");
        data(&self.path, why)
    }

    /// An error of a read; an early end means that the file has shrunk.
    pub(super) fn failed(&self, error: io::Error) -> SourceError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => data(&self.path, "shrank while it was read"),
            _ => super::io("read", &self.path, error),
        }
    }
}

fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Reads at least one byte.
pub(super) fn read_some(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, at) {
            Ok(0) if !buffer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The first end of a record at or after `at`, where one begins at the beginning of `within`; the end of it if there
/// is none before. And whether a quote was found on the way: then others have to look for them too.
pub(super) fn record_end(
    file: &File,
    framing: Framing,
    within: std::ops::Range<u64>,
    at: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<(u64, bool)> {
    if framing.is_by_lines() {
        let end =
            if at < within.end { line_end(file, at, within.end, buffer)? } else { within.end };
        return Ok((end, false));
    }
    let (mut frames, mut from) = (Frames::new(framing), within.start);
    // The end that is wanted may be that of the byte before.
    let target = at.saturating_sub(1).min(within.end);
    buffer.resize(buffer.len().max(PIECE), 0);
    while from < target {
        let size = to_usize(target - from).min(PIECE);
        let got = read_some(file, &mut buffer[..size], from)?;
        frames.last_end(&buffer[..got]);
        from += got as u64;
    }
    let end = go_on(file, &mut frames, from..within.end, buffer)?;
    Ok((end, frames.has_quotes()))
}

/// The next end of a record; the end of `rest` if there is none in it.
fn go_on(
    file: &File,
    frames: &mut Frames,
    rest: std::ops::Range<u64>,
    buffer: &mut Vec<u8>,
) -> io::Result<u64> {
    // Records are short as a rule: look at little first.
    let (mut from, mut window) = (rest.start, 4 << 10);
    while from < rest.end {
        let size = to_usize(rest.end - from).min(window);
        buffer.resize(buffer.len().max(size), 0);
        let got = read_some(file, &mut buffer[..size], from)?;
        if let Some(found) = frames.first_end(&buffer[..got]) {
            return Ok(from + found as u64);
        }
        from += got as u64;
        window = PIECE;
    }
    Ok(rest.end)
}

/// The last end of a record in `within`, at whose beginning one begins; all of the file before `searched` is known to
/// hold none.
pub(super) fn last_record_end(
    file: &File,
    framing: Framing,
    within: std::ops::Range<u64>,
    searched: u64,
) -> io::Result<Option<u64>> {
    if framing.is_by_lines() {
        return last_line_end(file, searched.max(within.start), within.end);
    }
    let (mut frames, mut from, mut last) = (Frames::new(framing), within.start, None);
    let mut buffer = vec![0; PIECE];
    while from < within.end {
        let size = to_usize(within.end - from).min(PIECE);
        let got = read_some(file, &mut buffer[..size], from)?;
        let skip = if from == 0 { mark_len(&buffer[..got]) } else { 0 };
        let end = frames.last_end(&buffer[skip..got]);
        last = end.map(|end| from + (skip + end) as u64).or(last);
        from += got as u64;
    }
    Ok(last)
}

/// The last line end after `from`, looked for from the end.
fn last_line_end(file: &File, from: u64, end: u64) -> io::Result<Option<u64>> {
    let mut buffer = Vec::new();
    let mut before = end;
    while before > from {
        let size = (before - from).min(PIECE as u64);
        let at = before - size;
        buffer.resize(to_usize(size), 0);
        file.read_exact_at(&mut buffer, at)?;
        if let Some(found) = lines::last_line_end(&buffer) {
            return Ok(Some(at + found as u64));
        }
        before = at;
    }
    Ok(None)
}

/// The first line end at or after `at`; `end` if there is none before it.
fn line_end(file: &File, at: u64, end: u64, buffer: &mut Vec<u8>) -> io::Result<u64> {
    // Lines are short as a rule: look at little first.
    let (mut from, mut window) = (at.saturating_sub(1), 4 << 10);
    while from < end {
        let size = to_usize(end - from).min(window);
        buffer.resize(buffer.len().max(size), 0);
        let got = read_some(file, &mut buffer[..size], from)?;
        if let Some(found) = lines::line_end(&buffer[..got], 0) {
            return Ok(from + found as u64);
        }
        from += got as u64;
        window = PIECE;
    }
    Ok(end)
}
