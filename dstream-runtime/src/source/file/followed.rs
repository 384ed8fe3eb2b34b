//! One file that is followed: how much of it is known, and what was taken of it under which names.
//!
//! Decides where its whole records end for now. It is measured under the name that it has at the moment; it
//! may grow and be renamed, but not become shorter.

use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;

use super::cursor::{self, Cursor, Plain};
use super::list::{self, Identity};
use super::packed::Packed;
use super::remembered::{self, Changed, Memory, NameHash, Names, name_hash};
use super::stored::{self, PlainFile, Reading};
use super::{Config, data};
use crate::source::{Range, SourceError};

/// So many names of a file are kept under which something was taken: enough for what may have to be read
/// again, however fast logs are rotated.
const NAMES: usize = 8;

/// So much of a file is looked through for quotes at a time.
const SEARCH: u64 = 256 << 20;

/// One file, and how much of it is known.
pub(super) struct Growing {
    pub(super) identity: Identity,
    pub(super) size: u64,
    pub(super) changed: Changed,
    /// No record ends after the cursor's limit and before this.
    searched: u64,
    /// What was taken of it, under which names.
    pub(super) names: Names,
    /// `None` until its first line is whole.
    pub(super) cursor: Option<Cursor>,
}

impl Growing {
    fn new(identity: Identity) -> Self {
        let (changed, names) = ((0, 0), Names::new());
        Self { identity, size: 0, changed, searched: 0, names, cursor: None }
    }

    /// A file of which another process has read something.
    pub(super) fn remembered(
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

    /// Up to where records are known to be whole.
    fn known(&self) -> u64 {
        match &self.cursor {
            Some(Cursor::Plain(plain)) => plain.limit,
            _ => self.taken(),
        }
    }

    /// Remembers that it was taken up to `end` under this name.
    pub(super) fn take(&mut self, name: NameHash, end: u64) {
        match self.names.last_mut() {
            Some((last, before)) if *last == name => *before = end,
            _ => self.names.push((name, end)),
        }
        if self.names.len() > NAMES {
            self.names.remove(0);
        }
    }

    /// Whether the range was taken under this name.
    pub(super) fn holds(&self, name: NameHash, range: &Range) -> bool {
        let starts = std::iter::once(0).chain(self.names.iter().map(|(_, end)| *end));
        let mut taken = starts.zip(&self.names);
        taken.any(|(start, (of, end))| *of == name && start <= range.start && range.end <= *end)
    }

    /// Whether all that it held has been taken.
    pub(super) fn is_read(&self) -> bool {
        match &self.cursor {
            None => self.size == self.taken(),
            Some(Cursor::Plain(plain)) => plain.position == self.size,
            Some(Cursor::Packed(_)) => false,
            Some(Cursor::Done) => true,
        }
    }

    /// Finds out how far it can be taken now.
    pub(super) fn measure(
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
                let mut packed = Cursor::open(path, config.form, config.max_line)?;
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
        let framing = config.form.framing;
        // A long backlog in which quotes are looked for is looked through a part at a time.
        let until = if framing.is_by_lines() { size } else { size.min(self.searched + SEARCH) };
        let found = stored::last_record_end(&file, framing, self.known()..until, self.searched)
            .map_err(|error| super::io("read", path, error))?;
        self.searched = until;
        let taken = self.taken();
        match (found, &mut self.cursor) {
            (Some(end), Some(Cursor::Plain(plain))) => plain.limit = end,
            (Some(end), cursor) => {
                let (form, max_line, followed) = (config.form, config.max_line, true);
                let reading = Reading { form, max_line, followed };
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

    pub(super) fn is_kept_open(&self) -> bool {
        matches!(&self.cursor, Some(Cursor::Plain(Plain { handle: Some(_), .. })))
    }
}
