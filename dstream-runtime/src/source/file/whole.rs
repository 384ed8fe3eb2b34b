//! A bounded source of files: what is there when the job starts, once.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::cursor::{Cursor, Taken};
use super::{Config, Want, data, list};
use crate::source::{Cut, OnError, Source, SourceError, part};

/// Reads files to their ends, in order of name.
pub(super) struct WholeFiles {
    config: Config,
    waiting: VecDeque<PathBuf>,
    current: Option<Cursor>,
    /// What went wrong; it is told when all that was good before it has been cut.
    failed: Option<SourceError>,
    buffer: Vec<u8>,
}

impl WholeFiles {
    pub(super) fn open(config: Config) -> Result<Self, SourceError> {
        let path = std::path::Path::new(&config.path);
        let files = match list::list(&config.path)? {
            None => {
                let why = std::io::ErrorKind::NotFound.into();
                return Err(super::io("open", path, why));
            }
            Some(files) if files.is_empty() => {
                return Err(data(path, "matches no file; with `follow` it would wait for one"));
            }
            Some(files) => files,
        };
        // A file that cannot be opened at all is an error now, not when the first batch runs.
        list::open(&files[0])?;
        let waiting = files.into();
        Ok(Self { config, waiting, current: None, failed: None, buffer: Vec::new() })
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
            let Some(path) = self.waiting.pop_front() else {
                return Ok(false);
            };
            self.current = Some(Cursor::open(&path, self.config.header, self.config.max_line)?);
        }
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
                Err(error) => self.failed = Some(error),
            }
        }
        let more = match &self.failed {
            Some(error) if parts.is_empty() => return Err(error.clone()),
            Some(_) => true,
            None => self.settle().unwrap_or_else(|error| {
                self.failed = Some(error);
                true
            }),
        };
        let inputs = part::inputs(parts, self.config.split, partitions)?;
        Ok(Cut { inputs, ended: !more, position: None })
    }

    fn stop(&mut self) {
        self.waiting.clear();
        self.current = None;
        self.failed = None;
    }

    fn on_error(&self) -> OnError {
        self.config.on_error
    }
}
