//! Ranges of plain files that another process has cut.
//!
//! Decides what a range names; opens no file before a range of it is asked for, and then only for
//! its header. A file is the one that it was when it was first opened here: another one of its name
//! is an error. Of files that are followed no such thing is remembered, because names move on; their
//! ranges travel with what tells them apart (see [`Stored::elsewhere`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::packed::Packed;
use super::stored::{PlainFile, Reading, Stored};
use super::{content, data, list, names};
use crate::source::part::{self, Part};
use crate::source::reread::{Reread, forward};
use crate::source::{Input, Range, SourceError};

/// How many files are remembered. A forgotten file is opened anew, and no longer known to be the same.
const REMEMBERED: usize = 4096;

/// Reads files by name.
pub(super) struct Files {
    reading: Reading,
    known: Mutex<HashMap<Arc<str>, Arc<PlainFile>>>,
}

impl Files {
    pub(super) fn new(reading: Reading) -> Self {
        Self { reading, known: Mutex::new(HashMap::new()) }
    }

    fn file(&self, split: &Arc<str>) -> Result<Arc<PlainFile>, SourceError> {
        // A thread that panicked here left a map that is whole.
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known().get(split) {
            return Ok(file.clone());
        }
        let file = Arc::new(self.look(split)?);
        if self.reading.followed {
            return Ok(file);
        }
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        Ok(known.entry(split.clone()).or_insert(file).clone())
    }

    fn look(&self, split: &Arc<str>) -> Result<PlainFile, SourceError> {
        let path = names::path(split);
        let path = path.as_path();
        if Packed::is_packed(path) && content::is_packed(path, &list::open(path)?.0)? {
            let why = "is compressed: its lines come from the process that decodes it, and cannot \
                       be found by their positions";
            return Err(data(path, why));
        }
        if self.reading.form.looks_at_first() {
            let (file, metadata) = list::open(path)?;
            let (file, _) = PlainFile::of(path, &file, metadata.len(), self.reading)?;
            return Ok(file);
        }
        Ok(PlainFile {
            path: path.to_owned(),
            split: split.clone(),
            identity: OnceLock::new(),
            mark: None,
            header: None,
            framing: self.reading.form.framing,
            max_line: self.reading.max_line,
            followed: self.reading.followed,
        })
    }
}

impl Reread for Files {
    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        let part = |range: &Range| {
            forward(range)?;
            let file = self.file(&range.split)?;
            Ok(Part::Stored(Stored { file, handle: None, start: range.start, end: range.end }))
        };
        let parts: Result<Vec<Part>, SourceError> = ranges.iter().map(part).collect();
        Ok(part::input(parts?))
    }
}
