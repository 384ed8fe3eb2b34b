//! A bounded source of files: what is there when the job starts, once.
//!
//! A position names the file that is being read, and how many files come after it. What sorts before that
//! file has been cut, so a master that starts again does not read a file that has come there meanwhile, as
//! none is read that comes while a job runs. A file that has come behind it is taken along. That files are
//! missing which had not been read is an error, as far as it can be seen: the names of those that were not
//! begun are not kept, only their number and a sum of hashes.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::again::Again;
use super::cursor::{Begun, Cursor, Taken};
use super::{Config, Want, content, data, list, names};
use crate::source::position::{self, Kind};
use crate::source::{Cut, Input, News, Position, Range, Source, SourceError, part};

/// Reads files to their ends, in order of name.
pub(super) struct WholeFiles {
    config: Config,
    waiting: VecDeque<PathBuf>,
    /// Of those that wait.
    names: Names,
    current: Option<Cursor>,
    /// What went wrong; it is told when all that was good before it has been cut.
    failed: Option<SourceError>,
    buffer: Vec<u8>,
    again: Again,
    /// Whether a misnamed file has been named: the first is, and not each.
    warned: bool,
    /// Whether what cannot be read is given up.
    skips: bool,
    news: News,
}

/// How far files have been taken, for another process.
#[derive(Debug, Serialize, Deserialize)]
enum Place {
    /// To the end.
    End,
    In {
        #[serde(with = "serde_bytes")]
        path: Vec<u8>,
        /// Nothing if it has not been opened.
        begun: Option<Begun>,
        /// The files behind it.
        behind: Names,
    },
}

/// A set of names, as far as it has to be known again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Names {
    count: u64,
    sum: u64,
}

impl Names {
    fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let mut names = Self::default();
        for path in paths {
            names.count += 1;
            names.sum = names.sum.wrapping_add(hash(path));
        }
        names
    }

    fn without(self, path: &Path) -> Self {
        Self { count: self.count.saturating_sub(1), sum: self.sum.wrapping_sub(hash(path)) }
    }
}

fn hash(path: &Path) -> u64 {
    xxh3_64(path.as_os_str().as_bytes())
}

impl WholeFiles {
    pub(super) fn open(config: Config) -> Result<Self, SourceError> {
        let path = &config.path;
        let files = match list::list(&config.path)? {
            None => {
                let why = std::io::Error::from_raw_os_error(libc::ENOENT);
                return Err(super::io("open", path, why));
            }
            Some(files) if files.is_empty() => {
                return Err(data(path, "matches no file; with `follow` it would wait for one"));
            }
            Some(files) => files,
        };
        // A file that cannot be opened at all, or has another header, is an error now, not when the first batch
        // runs.
        Cursor::open(&files[0], config.form, config.max_line)?;
        Ok(Self {
            names: Names::of(&files),
            waiting: files.into(),
            current: None,
            failed: None,
            buffer: Vec::new(),
            again: Again::new(&config),
            warned: false,
            skips: false,
            news: News::default(),
            config,
        })
    }

    /// Moves on to the next file that holds something; `false` if there is none.
    fn settle(&mut self) -> Result<bool, SourceError> {
        loop {
            if let Some(cursor) = &mut self.current
                && cursor.has_more()
            {
                return Ok(true);
            }
            self.current = None;
            let Some(path) = self.waiting.front() else {
                return Ok(false);
            };
            // One that cannot be opened is still the next one.
            let cursor = Cursor::open(path, self.config.form, self.config.max_line)?;
            if let Cursor::Plain(plain) = &cursor
                && let Some(warning) = content::misnamed(path, plain.limit)
                && !std::mem::replace(&mut self.warned, true)
            {
                self.news.warnings.push(warning);
            }
            self.current = Some(cursor);
            self.names = self.names.without(path);
            self.waiting.pop_front();
        }
    }

    /// Gives up the file that cannot be read, if that is wanted.
    fn gives_up(&mut self, error: &SourceError) -> bool {
        if self.skips {
            let begun = self.current.as_ref().and_then(Cursor::begun).map(|(_, begun)| begun);
            self.give_up(error, begun);
            if self.current.take().is_none()
                && let Some(path) = self.waiting.pop_front()
            {
                self.names = self.names.without(&path);
            }
        }
        self.skips
    }

    fn give_up(&mut self, error: &SourceError, begun: Option<Begun>) {
        let left = begun.map_or(0, |begun| begun.size.saturating_sub(begun.offset));
        self.news.lost += left;
        let left = if left > 0 { format!(" ({left} bytes)") } else { String::new() };
        self.news.warnings.push(format!("{error}; what is left of it{left} is given up"));
    }

    fn take(&mut self, want: Want) -> Result<Option<Taken>, SourceError> {
        while self.settle()? {
            let Some(cursor) = &mut self.current else {
                break;
            };
            if let Some(taken) = cursor.take(want, &mut self.buffer)? {
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    fn position(&self) -> Result<Position, SourceError> {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let current = self.current.as_ref().and_then(Cursor::begun);
        let place = match (current, self.waiting.front()) {
            (Some((path, begun)), _) => {
                Place::In { path: bytes(path), begun: Some(begun), behind: self.names }
            }
            (None, Some(path)) => {
                Place::In { path: bytes(path), begun: None, behind: self.names.without(path) }
            }
            (None, None) => Place::End,
        };
        position::write(Kind::Files, &place)
    }
}

impl Source for WholeFiles {
    fn bounded(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let (mut want, mut parts) = (self.config.batch, Vec::new());
        while self.failed.is_none() && !want.is_nothing() {
            match self.take(want) {
                Ok(Some(taken)) => {
                    want = want.less(taken.bytes, taken.lines);
                    parts.push(taken.part);
                }
                Ok(None) => break,
                Err(error) if self.gives_up(&error) => {}
                Err(error) => self.failed = Some(error),
            }
        }
        let more = match &self.failed {
            Some(error) if parts.is_empty() => return Err(error.clone()),
            Some(_) => true,
            None => self.settle().unwrap_or_else(|error| {
                if !self.gives_up(&error) {
                    self.failed = Some(error);
                }
                true
            }),
        };
        let inputs = part::inputs(parts, self.config.split, partitions)?;
        let position = Some(self.position()?);
        // A file whose first bytes are still to come may hold earlier times than all others.
        let untouched =
            |cursor: &Cursor| cursor.begun().is_some_and(|(_, begun)| begun.offset == 0);
        let waiting = !self.waiting.is_empty() || self.current.as_ref().is_some_and(untouched);
        Ok(Cut { inputs, ended: !more, waiting, position })
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        let (path, begun, behind) = match position::read(Kind::Files, position)? {
            Place::In { path, begun, behind } => {
                (PathBuf::from(OsString::from_vec(path)), begun, behind)
            }
            Place::End => {
                self.stop();
                return Ok(());
            }
        };
        self.waiting.retain(|waiting| *waiting >= path);
        if self.waiting.front() != Some(&path) {
            let why = "is gone, and it had not been read to its end when the job was stopped";
            let error = data(&path, why);
            if !self.skips {
                return Err(error);
            }
            self.give_up(&error, begun);
            self.names = Names::of(&self.waiting);
            return Ok(());
        }
        self.names = Names::of(&self.waiting).without(&path);
        // As many or fewer, and not the same: at least one is missing.
        if self.names != behind && self.names.count <= behind.count {
            let why = format!(
                "of {} files that were to be read after `{}`, some are gone or have other names",
                behind.count,
                names::text(&path),
            );
            let error = data(&self.config.path, why);
            if !self.skips {
                return Err(error);
            }
            self.give_up(&error, None);
        }
        if let Some(begun) = begun {
            let Config { form, max_line, .. } = self.config;
            self.current = match Cursor::resume(&path, form, max_line, begun) {
                Err(error) if self.skips => {
                    self.give_up(&error, Some(begun));
                    None
                }
                resumed => Some(resumed?),
            };
            self.waiting.pop_front();
        } else {
            self.names = Names::of(&self.waiting);
        }
        Ok(())
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        self.again.input(ranges)
    }

    fn give_up_unread(&mut self, gives_up: bool) {
        self.skips = gives_up;
    }

    fn news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    fn stop(&mut self) {
        self.waiting.clear();
        self.names = Names::default();
        self.current = None;
        self.failed = None;
    }
}
