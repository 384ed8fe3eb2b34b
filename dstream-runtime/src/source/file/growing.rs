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
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::again::{Again, Opened};
use super::cursor::Cursor;
use super::followed::Growing;
use super::list::{self, Identity};
use super::packed::Packed;
use super::remembered::{self, Known, LISTED, Remembered, name_hash};
use super::{Config, data};
use crate::source::part::{self, Part};
use crate::source::{Cut, Input, Position, Range, Source, SourceError};

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
    /// How many bytes the next cut may bring.
    limit: u64,
}

/// How often the files are listed before one that cannot be found is believed to be gone.
const LOOKS: usize = 3;

/// So many files are held open from the moment they are measured until they are read, so that they
/// may be renamed meanwhile; a longer backlog is opened by name.
const KEPT: usize = 256;

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
            limit: u64::MAX,
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
            if self.missing.is_empty() && self.remembered.is_empty() {
                break;
            }
        }
        self.missing.retain(|(_, growing)| !growing.is_read());
        let before = std::mem::take(&mut self.remembered).unread();
        let before = before.map(|unread| PathBuf::from(OsString::from_vec(unread.path)));
        match self.missing.first().map(|(path, _)| path.clone()).or(before) {
            None => Ok(()),
            Some(path) => {
                Err(data(&path, "is gone, and not all that was written to it had been read"))
            }
        }
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
        let want = self.config.batch.within(std::mem::replace(&mut self.limit, u64::MAX));
        let (mut want, mut parts, mut more) = (want, Vec::new(), false);
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
        let ended = self.life == Life::Draining && !more;
        Ok(Cut { inputs, ended, position, ..Cut::default() })
    }

    fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
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
}
