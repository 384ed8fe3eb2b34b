//! Inputs that were cut before, made again in the process that cuts.
//!
//! Decides how the lines of a range are found a second time: those of a plain file lie where they lay,
//! those of a compressed file are decoded from its start. Ranges come in the order in which they were cut,
//! so a decoder is kept where it stopped, for the next range. Invariant: an input that is made here has
//! the same lines, positions, headers and reasons as the one that was cut, or is an error.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::list::Identity;
use super::packed::Packed;
use super::stored::{PlainFile, Reading, Stored};
use super::{Config, content, data, list, names};
use crate::source::form::Form;
use crate::source::part::{self, Part};
use crate::source::reread::forward;
use crate::source::{Input, Range, SourceError};

/// Makes inputs again.
pub(super) struct Again {
    form: Form,
    max_line: u64,
    /// A compressed file, decoded up to where the last range ended.
    decoder: Mutex<Option<Packed>>,
}

impl Again {
    pub(super) fn new(config: &Config) -> Self {
        let Config { form, max_line, .. } = config;
        Self { form: *form, max_line: *max_line, decoder: Mutex::new(None) }
    }

    /// The input of these ranges, of files that have kept their names.
    pub(super) fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        let part = |range: &Range| {
            let path = names::path(&range.split);
            let (file, _) = list::open(&path)?;
            if content::is_decoded(&path, &file, &self.form)? {
                return self.packed(&path, range);
            }
            self.plain(&path, &file, range, false).map(Part::Stored)
        };
        self.of(ranges, part)
    }

    /// The input of these ranges, each of which is made by `part`.
    pub(super) fn of(
        &self,
        ranges: &[Range],
        mut part: impl FnMut(&Range) -> Result<Part, SourceError>,
    ) -> Result<Input, SourceError> {
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            forward(range)?;
            parts.push(part(range)?);
        }
        Ok(Input { ranges: ranges.to_vec(), ..part::input(parts) })
    }

    /// Lines of a plain file.
    pub(super) fn plain(
        &self,
        path: &Path,
        file: &File,
        range: &Range,
        followed: bool,
    ) -> Result<Stored, SourceError> {
        let metadata = file.metadata().map_err(|error| super::io("read", path, error))?;
        if metadata.len() < range.end {
            let (end, has) = (range.end, metadata.len());
            let why = format!("shrank: {end} bytes of it had been read, and it has {has}");
            return Err(data(path, why));
        }
        let (form, max_line) = (self.form, self.max_line);
        let reading = Reading { form, max_line, followed };
        let (file, _) = PlainFile::of(path, file, metadata.len(), reading)?;
        let file = PlainFile { split: range.split.clone(), ..file };
        Ok(Stored { file: Arc::new(file), handle: None, start: range.start, end: range.end })
    }

    /// Lines of a compressed file.
    pub(super) fn packed(&self, path: &Path, range: &Range) -> Result<Part, SourceError> {
        // A thread that panicked here left a decoder that is not asked for more than it has.
        let mut kept = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |packed: &Packed| packed.path() == path && packed.position() <= range.start;
        let mut packed = match kept.take().filter(fits) {
            Some(packed) => packed,
            None => self.decode(path)?,
        };
        let length = range.end - range.start;
        packed.skip_to(range.start)?;
        let mut held = match packed.again(length)? {
            Some(held) => held,
            None => {
                packed = self.decode(path)?;
                packed.skip_to(range.start)?;
                packed.exactly(length)?
            }
        };
        held.split = range.split.clone();
        *kept = Some(packed);
        Ok(Part::Held(held))
    }

    fn decode(&self, path: &Path) -> Result<Packed, SourceError> {
        let (_, metadata) = list::open(path)?;
        Ok(Packed::open(path, &metadata, self.form, self.max_line))
    }
}

/// Files that are held open by inputs which were made again, as they may be renamed at any time. An input
/// that is gone lets go of them.
#[derive(Default)]
pub(super) struct Opened(Mutex<BTreeMap<PathBuf, (Identity, Weak<File>)>>);

impl Opened {
    /// The file of this name, if it still is that file.
    pub(super) fn open(&self, path: &Path, is: Identity) -> Result<Arc<File>, SourceError> {
        // A thread that panicked here left a map that is whole.
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = opened.get(path).filter(|(of, _)| *of == is)
            && let Some(file) = file.upgrade()
        {
            return Ok(file);
        }
        let (file, metadata) = list::open(path)?;
        if Identity::of(&metadata) != is {
            return Err(data(path, "was replaced by another file"));
        }
        let file = Arc::new(file);
        opened.insert(path.to_owned(), (is, Arc::downgrade(&file)));
        Ok(file)
    }
}
