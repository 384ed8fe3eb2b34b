//! A live source of files: what is appended to them, and new ones.
//!
//! Each cut lists and measures the files and takes the whole lines that are new; a line without its
//! end waits. A file is known by its inode, so that one that is renamed goes on under its new name.
//! Compressed files do not grow: they are read once and must be moved into place whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cursor::{Cursor, Plain};
use super::list::{self, Identity};
use super::packed::Packed;
use super::stored::{PlainFile, Reading};
use super::{Config, data};
use crate::source::lines::{self, PIECE};
use crate::source::{Cut, OnError, Source, SourceError, part};

/// Reads files as they grow.
pub(super) struct GrowingFiles {
    config: Config,
    files: BTreeMap<PathBuf, Growing>,
    /// Known files that no listed path led to.
    missing: Vec<(PathBuf, Growing)>,
    life: Life,
    failed: Option<SourceError>,
    buffer: Vec<u8>,
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

/// One file, and how much of it is known.
struct Growing {
    identity: Identity,
    size: u64,
    /// No line ends after the cursor's limit and before this.
    searched: u64,
    /// `None` until its first line is whole.
    cursor: Option<Cursor>,
}

impl Growing {
    fn new(identity: Identity) -> Self {
        Self { identity, size: 0, searched: 0, cursor: None }
    }

    /// Whether all that it held has been taken.
    fn is_read(&self) -> bool {
        match &self.cursor {
            None => self.size == 0,
            Some(Cursor::Plain(plain)) => plain.position == self.size,
            Some(Cursor::Packed(_)) => false,
            Some(Cursor::Done) => true,
        }
    }

    /// Finds out how far it can be taken now.
    fn measure(
        &mut self,
        path: &Path,
        size: u64,
        config: &Config,
        keep: bool,
    ) -> Result<(), SourceError> {
        if size < self.size {
            let why = format!("shrank while it was followed: from {} to {size} bytes", self.size);
            return Err(data(path, why));
        }
        self.size = size;
        if Packed::is_packed(path) {
            if self.cursor.is_none() {
                self.cursor = Some(Cursor::open(path, config.header, config.max_line)?);
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
        match (found, &mut self.cursor) {
            (Some(end), Some(Cursor::Plain(plain))) => plain.limit = end,
            (Some(end), cursor) => {
                let (header, max_line, followed) = (config.header, config.max_line, true);
                let reading = Reading { header, max_line, followed };
                let plain = Plain::new(PlainFile::of(path, &file, end, reading)?, end);
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
            config,
            files: BTreeMap::new(),
            missing: Vec::new(),
            life: Life::Live,
            failed: None,
            buffer: Vec::new(),
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
            if self.missing.is_empty() {
                return Ok(());
            }
        }
        let path = self.missing.first().map(|(path, _)| path.clone()).unwrap_or_default();
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
            let mut growing =
                known.remove(&identity).map_or_else(|| Growing::new(identity), |(_, known)| known);
            growing.measure(&path, metadata.len(), &self.config, kept < KEPT)?;
            kept += usize::from(growing.is_kept_open());
            self.files.insert(path, growing);
        }
        self.missing.extend(known.into_values());
        Ok(())
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
        let cursors = self.files.values_mut().filter_map(|growing| growing.cursor.as_mut());
        for cursor in cursors {
            while self.failed.is_none() && !want.is_nothing() && cursor.has_more() {
                match cursor.take(want, &mut self.buffer) {
                    Ok(Some(taken)) => {
                        want = want.less(taken.bytes, taken.lines);
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
        }
        match &self.failed {
            Some(error) if parts.is_empty() => return Err(error.clone()),
            failed => more |= failed.is_some(),
        }
        let inputs = part::inputs(parts, self.config.split, partitions)?;
        Ok(Cut { inputs, ended: self.life == Life::Draining && !more, position: None })
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
