//! A live source of files: what is appended to them, and new ones.
//!
//! Each cut lists and measures the files and takes the whole lines that are new; a line without its
//! end waits. A file is known by its inode, so that one that is renamed goes on under its new name.
//! Compressed files do not grow: they are read once and must be moved into place whole.
//!
//! A master that starts again knows files by their inodes too ([`remembered`]), so one that was appended to
//! or renamed meanwhile goes on where it was. What was appended to a file and then removed with it was
//! never seen.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::again::{Again, Opened};
use super::cursor::{self, Cursor, Plain};
use super::list::{self, Identity};
use super::packed::Packed;
use super::remembered::{
    self, Changed, Known, LISTED, Memory, NameHash, Names, Remembered, name_hash,
};
use super::stored::{PlainFile, Reading};
use super::{Config, data};
use crate::source::lines::{self, PIECE};
use crate::source::part::{self, Part};
use crate::source::{Cut, Input, OnError, Position, Range, Source, SourceError};

/// Reads files as they grow.
pub(super) struct GrowingFiles {
    config: Config,
    files: BTreeMap<PathBuf, Growing>,
    /// Known files that no listed path led to.
    missing: Vec<(PathBuf, Growing)>,
    /// What another process knew of files that have not been found yet.
    remembered: Remembered,
    /// So many files are listed in a position.
    listed: usize,
    life: Life,
    failed: Option<SourceError>,
    buffer: Vec<u8>,
    again: Again,
    opened: Opened,
}

/// How often the files are listed before one that cannot be found is believed to be gone.
const LOOKS: usize = 3;

/// So many files are held open from the moment they are measured until they are read, so that they
/// may be renamed meanwhile; a longer backlog is opened by name.
const KEPT: usize = 256;

/// So many names of a file are kept under which something was taken: enough for what may have to be read
/// again, however fast logs are rotated.
const NAMES: usize = 8;

/// How long it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It looks for new data at each cut.
    Live,
    /// It was stopped and looks once more.
    Stopping,
    /// It gives what it has seen.
    Draining,
}

/// One file, and how much of it is known.
struct Growing {
    identity: Identity,
    size: u64,
    changed: Changed,
    /// No line ends after the cursor's limit and before this.
    searched: u64,
    /// What was taken of it, under which names.
    names: Names,
    /// `None` until its first line is whole.
    cursor: Option<Cursor>,
}

impl Growing {
    fn new(identity: Identity) -> Self {
        let (changed, names) = ((0, 0), Names::new());
        Self { identity, size: 0, changed, searched: 0, names, cursor: None }
    }

    /// A file of which another process has read something.
    fn remembered(
        path: &Path,
        identity: Identity,
        size: u64,
        memory: Memory,
    ) -> Result<Self, SourceError> {
        let mut this = Self::new(identity);
        let is_packed = Packed::is_packed(path);
        let unread = match memory {
            Memory::New => return Ok(this),
            Memory::Read => {
                // Nobody knows how long its data is.
                let end = if is_packed { u64::MAX } else { size };
                this.names.push((name_hash(&path.display().to_string()), end));
                None
            }
            Memory::Listed(names, unread) => {
                this.names = names;
                unread
            }
        };
        if is_packed {
            this.size = unread.as_ref().map_or(0, |unread| unread.size);
            this.cursor = unread.is_none().then_some(Cursor::Done);
        } else {
            this.searched = this.taken();
            this.size = unread.map_or(0, |unread| unread.size).max(this.searched);
        }
        Ok(this)
    }

    /// Up to where it was taken.
    fn taken(&self) -> u64 {
        self.names.last().map_or(0, |(_, end)| *end)
    }

    /// Remembers that it was taken up to `end` under this name.
    fn take(&mut self, name: NameHash, end: u64) {
        match self.names.last_mut() {
            Some((last, before)) if *last == name => *before = end,
            _ => self.names.push((name, end)),
        }
        if self.names.len() > NAMES {
            self.names.remove(0);
        }
    }

    /// Whether the range was taken under this name.
    fn holds(&self, name: NameHash, range: &Range) -> bool {
        let starts = std::iter::once(0).chain(self.names.iter().map(|(_, end)| *end));
        let mut taken = starts.zip(&self.names);
        taken.any(|(start, (of, end))| *of == name && start <= range.start && range.end <= *end)
    }

    /// Whether all that it held has been taken.
    fn is_read(&self) -> bool {
        match &self.cursor {
            None => self.size == self.taken(),
            Some(Cursor::Plain(plain)) => plain.position == self.size,
            Some(Cursor::Packed(_)) => false,
            Some(Cursor::Done) => true,
        }
    }

    /// Finds out how far it can be taken now.
    fn measure(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        config: &Config,
        keep: bool,
    ) -> Result<(), SourceError> {
        let size = metadata.len();
        if size < self.size {
            let why = format!("shrank while it was followed: from {} to {size} bytes", self.size);
            return Err(data(path, why));
        }
        self.size = size;
        self.changed = remembered::changed(metadata);
        if Packed::is_packed(path) {
            if self.cursor.is_none() {
                let mut packed = Cursor::open(path, config.header, config.max_line)?;
                if let (Cursor::Packed(packed), taken @ 1..) = (&mut packed, self.taken()) {
                    packed.skip_to(taken)?;
                }
                self.cursor = Some(packed);
            }
            return Ok(());
        }
        if let Some(Cursor::Plain(plain)) = &mut self.cursor {
            plain.rename(path);
        }
        if size == self.searched {
            return Ok(());
        }
        let (file, _) = list::open(path)?;
        let found = last_line_end(&file, self.searched, size)
            .map_err(|error| super::io("read", path, error))?;
        self.searched = size;
        let taken = self.taken();
        match (found, &mut self.cursor) {
            (Some(end), Some(Cursor::Plain(plain))) => plain.limit = end,
            (Some(end), cursor) => {
                let (header, max_line, followed) = (config.header, config.max_line, true);
                let reading = Reading { header, max_line, followed };
                let mut plain = Plain::new(PlainFile::of(path, &file, end, reading)?, end);
                if taken > 0 {
                    // Another process has read it up to there.
                    if taken < plain.position || !cursor::begins_line(path, &file, taken)? {
                        return Err(cursor::changed(path, taken));
                    }
                    plain.position = taken;
                }
                *cursor = Some(Cursor::Plain(plain));
            }
            (None, _) => {}
        }
        if let Some(Cursor::Plain(plain)) = &mut self.cursor
            && keep
        {
            plain.handle = Some(Arc::new(file));
        }
        Ok(())
    }

    fn is_kept_open(&self) -> bool {
        matches!(&self.cursor, Some(Cursor::Plain(Plain { handle: Some(_), .. })))
    }
}

/// The last line end after `from`, looked for from the end.
fn last_line_end(file: &File, from: u64, end: u64) -> std::io::Result<Option<u64>> {
    let mut buffer = Vec::new();
    let mut before = end;
    while before > from {
        let size = (before - from).min(PIECE as u64);
        let at = before - size;
        buffer.resize(usize::try_from(size).unwrap_or(PIECE), 0);
        file.read_exact_at(&mut buffer, at)?;
        if let Some(found) = lines::last_line_end(&buffer) {
            return Ok(Some(at + found as u64));
        }
        before = at;
    }
    Ok(None)
}

impl GrowingFiles {
    pub(super) fn open(config: Config) -> Result<Self, SourceError> {
        let mut this = Self {
            again: Again::new(&config),
            config,
            files: BTreeMap::new(),
            missing: Vec::new(),
            remembered: Remembered::default(),
            listed: LISTED,
            life: Life::Live,
            failed: None,
            buffer: Vec::new(),
            opened: Opened::default(),
        };
        // What cannot be listed or opened is an error now, not when the first batch runs.
        this.refresh()?;
        Ok(this)
    }

    /// Lists and measures the files.
    fn refresh(&mut self) -> Result<(), SourceError> {
        // A file that is renamed while the files are listed may be seen under neither name.
        for _ in 0..LOOKS {
            self.look()?;
            self.missing.retain(|(_, growing)| !growing.is_read());
            if self.missing.is_empty() && self.remembered.missing().is_none() {
                self.remembered = Remembered::default();
                return Ok(());
            }
        }
        let before = self.remembered.missing();
        let before = before.map(|unread| PathBuf::from(OsString::from_vec(unread.path.clone())));
        let now = self.missing.first().map(|(path, _)| path.clone());
        let path = now.or(before).unwrap_or_default();
        Err(data(&path, "is gone, and not all that was written to it had been read"))
    }

    fn look(&mut self) -> Result<(), SourceError> {
        let listed = list::list(&self.config.path)?.unwrap_or_default();
        let known = std::mem::take(&mut self.files).into_iter().chain(self.missing.drain(..));
        let mut known: BTreeMap<Identity, (PathBuf, Growing)> =
            known.map(|(path, growing)| (growing.identity, (path, growing))).collect();
        let mut kept = known.values().filter(|(_, growing)| growing.is_kept_open()).count();
        // A second name of the same file is not a second file.
        let mut seen = BTreeSet::new();
        for path in listed {
            let metadata = match std::fs::metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(super::io("open", &path, error)),
            };
            let identity = Identity::of(&metadata);
            if !seen.insert(identity) {
                continue;
            }
            let mut growing = match known.remove(&identity) {
                Some((_, known)) => known,
                None => {
                    let changed = remembered::changed(&metadata);
                    let memory = self.remembered.find(&path, &identity, changed)?;
                    Growing::remembered(&path, identity, metadata.len(), memory)?
                }
            };
            growing.measure(&path, &metadata, &self.config, kept < KEPT)?;
            kept += usize::from(growing.is_kept_open());
            self.files.insert(path, growing);
        }
        self.missing.extend(known.into_values());
        Ok(())
    }
}

impl GrowingFiles {
    fn position(&self) -> Result<Position, SourceError> {
        let missing = self.missing.iter().map(|(path, growing)| (path, growing));
        let mut files = Vec::with_capacity(self.files.len());
        for (path, growing) in self.files.iter().chain(missing) {
            files.push(Known {
                identity: growing.identity,
                changed: growing.changed,
                names: &growing.names,
                unread: (!growing.is_read()).then_some((path.as_path(), growing.size)),
            });
        }
        remembered::write(&files, self.listed)
    }

    /// The lines of a range, in the file that had the name of its split when they were cut.
    fn part(&self, range: &Range) -> Result<Part, SourceError> {
        let name = name_hash(&range.split);
        let found = self.files.iter().find(|(_, growing)| growing.holds(name, range));
        let Some((path, growing)) = found else {
            let (start, end) = (range.start, range.end);
            let why = format!(
                "is gone: bytes {start} to {end} of it had been read, and no file is left that had this \
                 name then"
            );
            return Err(data(Path::new(&*range.split), why));
        };
        if Packed::is_packed(path) {
            return self.again.packed(path, range);
        }
        let file = self.opened.open(path, growing.identity)?;
        let mut stored = self.again.plain(path, &file, range, true)?;
        stored.handle = Some(file);
        Ok(Part::Stored(stored))
    }
}

impl Source for GrowingFiles {
    fn bounded(&self) -> bool {
        false
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        if self.life != Life::Draining && self.failed.is_none() {
            self.failed = self.refresh().err();
        }
        if self.life == Life::Stopping {
            self.life = Life::Draining;
        }
        let (mut want, mut parts, mut more) = (self.config.batch, Vec::new(), false);
        for (path, growing) in &mut self.files {
            let mut end = None;
            let Some(cursor) = &mut growing.cursor else { continue };
            while self.failed.is_none() && !want.is_nothing() && cursor.has_more() {
                match cursor.take(want, &mut self.buffer) {
                    Ok(Some(taken)) => {
                        want = want.less(taken.bytes, taken.lines);
                        end = Some(taken.part.range().end);
                        parts.push(taken.part);
                    }
                    Ok(None) => break,
                    Err(error) => self.failed = Some(error),
                }
            }
            more |= cursor.has_more();
            if let Cursor::Plain(plain) = cursor
                && plain.position == plain.limit
            {
                plain.handle = None;
            }
            if let Some(end) = end {
                growing.take(name_hash(&path.display().to_string()), end);
            }
        }
        match &self.failed {
            Some(error) if parts.is_empty() => return Err(error.clone()),
            failed => more |= failed.is_some(),
        }
        let inputs = part::inputs(parts, self.config.split, partitions)?;
        let position = Some(self.position()?);
        Ok(Cut { inputs, ended: self.life == Life::Draining && !more, position })
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        self.remembered = Remembered::read(position)?;
        self.files.clear();
        self.missing.clear();
        self.refresh()
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        self.again.of(ranges, |range| self.part(range))
    }

    fn stop(&mut self) {
        if self.life == Life::Live {
            self.life = Life::Stopping;
        }
    }

    fn on_error(&self) -> OnError {
        self.config.on_error
    }
}
