//! One content that is followed: how much of it is known, and what was taken of it under which names.
//!
//! Which content it is is told by its fingerprint: a file that was truncated and filled again holds another
//! content, whatever its inode and size. Decides where the whole lines end for now. The file is measured under
//! the name that it has at the moment, or through an open handle when it has none; it may grow and be renamed.
//!
//! What is taken is read at once, and compared with the fingerprint after that, so nothing is taken of
//! another content, and what was taken does not depend on the file any more.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::cursor::{self, Cursor, Plain, Taken};
use super::fingerprint::{Print, Rolling, WHOLE};
use super::held::Opened;
use super::list::{self, Identity};
use super::packed::Packed;
use super::remembered::{self, Changed, Kept, Key, Known, NameHash, Names, Unread, name_hash};
use super::stored::{self, PlainFile, Reading, Stored};
use super::{Config, Want, content, generations, header, hole, names};
use crate::record::Format;
use crate::source::decode::{LONE_RETURNS, names as column_names};
use crate::source::form::{Form, HeaderRow};
use crate::source::framing::Rows;
use crate::source::part::{Held, Part};
use crate::source::{Framing, Range, SourceError};

/// How many names of a file are kept under which something was taken: enough for what may have to be read
/// again, however fast logs are rotated.
const NAMES: usize = 8;

/// How much of a file is looked through for quotes at a time.
const SEARCH: u64 = 256 << 20;

/// A part of a file that is larger is not held in memory: a line that is longer than any memory.
const HELD: u64 = 512 << 20;

/// A file that changed so shortly before it was looked at may change again without a new time of change: file
/// systems count in ticks of some milliseconds.
const TICK_MS: i64 = 50;

/// A file that was found.
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    pub(super) identity: Identity,
}

impl Seen {
    pub(super) fn new(path: PathBuf, metadata: Metadata) -> Self {
        let identity = Identity::of(&metadata);
        Self { path, metadata, identity }
    }

    /// Opens it, if the path still leads to it.
    pub(super) fn open(&self) -> Result<Option<File>, SourceError> {
        let (file, metadata) = list::open(&self.path)?;
        Ok(Some(file).filter(|_| Identity::of(&metadata) == self.identity))
    }

    /// Where the symbolic link leads by which it was found.
    fn target(&self) -> Option<PathBuf> {
        let link = std::fs::symlink_metadata(&self.path).ok()?;
        link.is_symlink().then(|| std::fs::canonicalize(&self.path).ok())?
    }
}

/// What a file looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    modified: (i64, i64),
    changed: Changed,
    /// It may have changed since without looking so.
    fresh: bool,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let changed = remembered::changed(metadata);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let age = (now.as_millis() as i64)
            .saturating_sub(changed.0.saturating_mul(1000).saturating_add(changed.1 / 1_000_000));
        Self { size: metadata.len(), modified, changed, fresh: age < TICK_MS }
    }

    /// Whether it has not changed since it looked like `before`.
    pub(super) fn is(&self, before: Option<Self>) -> bool {
        before.is_some_and(|before| !before.fresh && Self { fresh: false, ..*self } == before)
    }
}

/// What is known of the bytes that were read.
#[derive(Clone)]
enum Content {
    /// Nothing but how many: another process has read them, which did not say more.
    Unknown,
    /// Another process has read them, and they have not been compared.
    Remembered(Print),
    /// Those of a plain file.
    Plain(Box<Rolling>),
    /// All that is in a compressed file.
    Packed(Print),
}

/// A content, and how much of it is known.
pub(super) struct Growing {
    pub(super) key: Key,
    /// `None` until its file has been found in this process.
    pub(super) identity: Option<Identity>,
    pub(super) path: PathBuf,
    pub(super) name: NameHash,
    pub(super) modified: NameHash,
    target: Option<PathBuf>,
    /// At the last look.
    stamp: Option<Stamp>,
    born: Option<SystemTime>,
    /// What was taken of it, under which names.
    pub(super) names: Names,
    content: Content,
    /// No line ends after the cursor's limit and before this.
    searched: u64,
    /// The header, if it does not begin with one itself.
    header: Option<Arc<str>>,
    /// `None` until its first line is whole.
    cursor: Option<Cursor>,
    pub(super) handle: Option<Arc<File>>,
    /// What it had not given when it was seen last.
    unread: u64,
}

/// A line end, or what may be taken of a file.
enum Found {
    Same,
    Other,
}

impl Growing {
    /// A file of which nothing has been read. `before` is the header of what the same file held before.
    pub(super) fn new(seen: &Seen, before: Option<Arc<str>>) -> Self {
        let mut this = Self::remembered(remembered::key(&seen.identity), Kept::default());
        this.content = Content::Plain(Box::new(Rolling::new(0)));
        this.header = before;
        this.found(seen);
        this
    }

    /// A content of which another process has read something.
    pub(super) fn remembered(key: Key, kept: Kept) -> Self {
        let path = |bytes: Vec<u8>| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes));
        let taken = kept.names.last().map_or(0, |(_, end)| *end);
        let size = kept.unread.as_ref().map_or(0, |unread| unread.size);
        Self {
            key,
            identity: None,
            path: kept.unread.map(|unread| path(unread.path)).unwrap_or_default(),
            name: kept.name,
            modified: kept.modified,
            target: kept.target.map(path),
            stamp: None,
            born: None,
            names: kept.names,
            content: kept.print.map_or(Content::Unknown, Content::Remembered),
            searched: taken,
            header: kept.header.map(Into::into),
            cursor: None,
            handle: None,
            unread: size.saturating_sub(taken),
        }
    }

    /// A file of which it is known that it has been read as it is.
    pub(super) fn read(seen: &Seen) -> Self {
        let mut this = Self::remembered(remembered::key(&seen.identity), Kept::default());
        this.found(seen);
        // One that cannot be opened is not read, by whatever name.
        let file = seen.open().ok().flatten();
        let packed =
            file.is_some_and(|file| content::is_packed(&seen.path, &file).unwrap_or(false));
        let end = if packed { u64::MAX } else { seen.metadata.len() };
        this.names.push((name_hash(&names::text(&seen.path)), end));
        this.searched = end;
        (this.stamp, this.cursor) = (Some(Stamp::of(&seen.metadata)), Some(Cursor::Done));
        this
    }

    /// It is in this file.
    pub(super) fn found(&mut self, seen: &Seen) {
        if self.identity != Some(seen.identity) {
            (self.key, self.identity) = (remembered::key(&seen.identity), Some(seen.identity));
            self.born = seen.identity.born();
            (self.stamp, self.handle, self.target) = (None, None, seen.target());
        }
        if self.path != seen.path {
            self.path.clone_from(&seen.path);
            self.name = generations::file_name_hash(&seen.path);
        }
        self.modified = remembered::modified(&seen.metadata);
    }

    /// It goes on in another file, which has the same content.
    pub(super) fn moves_to(&mut self, seen: &Seen, packed: Option<Print>) {
        self.found(seen);
        if let Some(whole) = packed {
            self.content = Content::Packed(whole);
        } else if let Content::Packed(print) = self.content {
            self.content = Content::Remembered(print);
        }
        (self.stamp, self.handle, self.cursor) = (None, None, None);
        self.searched = self.taken();
    }

    /// Holds it open no longer.
    pub(super) fn close(&mut self) {
        self.handle = None;
        if let Some(Cursor::Plain(plain)) = &mut self.cursor {
            plain.handle = None;
        }
    }

    /// It was found through a link, which may lead elsewhere now.
    pub(super) fn links_to(&mut self, target: Option<PathBuf>) {
        self.target = target;
    }

    /// How long its file was when it was measured.
    pub(super) fn size(&self) -> u64 {
        self.stamp.map_or(0, |stamp| stamp.size)
    }

    /// When its file changed last.
    pub(super) fn changed(&self) -> Option<Changed> {
        self.stamp.map(|stamp| stamp.changed)
    }

    pub(super) fn target(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// Up to where it was taken.
    pub(super) fn taken(&self) -> u64 {
        self.names.last().map_or(0, |(_, end)| *end)
    }

    /// The fingerprint of what was read.
    pub(super) fn print(&self) -> Option<Print> {
        match &self.content {
            Content::Unknown => None,
            Content::Remembered(print) | Content::Packed(print) => Some(*print),
            Content::Plain(rolling) => Some(rolling.print()),
        }
        .filter(|print| print.len() > 0)
    }

    /// How many bytes were seen of it that have not been taken.
    pub(super) fn unread(&self) -> u64 {
        match (&self.cursor, self.stamp) {
            (Some(Cursor::Plain(plain)), stamp) => {
                stamp.map_or(plain.limit, |stamp| stamp.size).saturating_sub(plain.position)
            }
            (Some(Cursor::Packed(_)), _) => self.unread.max(1),
            (Some(Cursor::Done), _) => 0,
            (None | Some(Cursor::Unended), Some(stamp)) => {
                stamp.size.saturating_sub(self.origin().max(self.taken()))
            }
            (None | Some(Cursor::Unended), None) => self.unread,
        }
    }

    /// Whether there is something that can be taken now.
    pub(super) fn has_more(&mut self) -> bool {
        self.cursor.as_mut().is_some_and(Cursor::has_more)
    }

    /// Why it is not read, if that is because of what is in it.
    pub(super) fn refusal(&self) -> Option<SourceError> {
        let unended = matches!(self.cursor, Some(Cursor::Unended));
        unended.then(|| super::data(&self.path, LONE_RETURNS))
    }

    fn origin(&self) -> u64 {
        self.print_any().map_or(0, |print| print.origin)
    }

    fn print_any(&self) -> Option<Print> {
        match &self.content {
            Content::Plain(rolling) => Some(rolling.print()),
            Content::Remembered(print) | Content::Packed(print) => Some(*print),
            Content::Unknown => None,
        }
    }

    /// The header under which its lines stand.
    pub(super) fn header(&self) -> Option<Arc<str>> {
        match &self.cursor {
            Some(Cursor::Plain(plain)) => plain.file.header.clone(),
            _ => self.header.clone(),
        }
    }

    /// Remembers that it was taken up to `end` under this name.
    fn take_as(&mut self, name: NameHash, end: u64) {
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

    /// What the next process has to know of it; `is_there` if its file is.
    pub(super) fn known(&self, is_there: bool) -> Known {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let size = self.stamp.map_or(self.taken().saturating_add(self.unread), |stamp| stamp.size);
        Known {
            key: self.key,
            file: self.stamp.filter(|_| is_there).map(|stamp| (self.born, stamp.changed)),
            kept: Kept {
                name: self.name,
                modified: self.modified,
                names: self.names.clone(),
                print: self.print(),
                target: self.target.as_deref().map(bytes),
                header: self.header.as_deref().map(str::to_owned),
                unread: (self.unread() > 0).then(|| Unread { path: bytes(&self.path), size }),
                gone: !is_there,
            },
        }
    }

    /// Whether all of it was looked through for ends of records.
    fn is_searched(&self) -> bool {
        let plain = matches!(self.content, Content::Plain(_));
        !plain || self.stamp.is_some_and(|stamp| self.searched >= stamp.size)
    }

    /// Whether nothing has changed since it was measured.
    pub(super) fn is_as_before(&self, seen: &Seen) -> bool {
        let compared = matches!(self.content, Content::Plain(_) | Content::Packed(_))
            || matches!(self.cursor, Some(Cursor::Done));
        compared && self.is_searched() && Stamp::of(&seen.metadata).is(self.stamp)
    }

    /// Finds out how far it can be taken now, in the file where it was found; false if that holds another
    /// content.
    pub(super) fn measure(&mut self, seen: &Seen, config: &Config) -> Result<bool, SourceError> {
        self.found(seen);
        if self.is_as_before(seen) {
            return Ok(true);
        }
        let file = match &self.handle {
            Some(file) => file.clone(),
            None => match seen.open()? {
                Some(file) => Arc::new(file),
                // It was renamed just now.
                None => return Ok(true),
            },
        };
        self.handle = Some(file.clone());
        self.measure_open(&file, config)
    }

    /// The same, of a file that is open and may have no name any more.
    pub(super) fn measure_open(
        &mut self,
        file: &File,
        config: &Config,
    ) -> Result<bool, SourceError> {
        let failed = |error| super::io("read", &self.path, error);
        let stamp = Stamp::of(&file.metadata().map_err(failed)?);
        if stamp.is(self.stamp) && self.is_searched() {
            return Ok(true);
        }
        let packed = stamp.size > 0 && content::is_packed(&self.path, file)?;
        let found =
            if packed { self.packed(file, config)? } else { self.plain(file, stamp, config)? };
        match found {
            Found::Other => return Ok(false),
            Found::Same => self.stamp = Some(stamp),
        }
        Ok(true)
    }

    fn packed(&mut self, file: &File, config: &Config) -> Result<Found, SourceError> {
        let taken = self.taken();
        match (&self.content, self.stamp) {
            (Content::Remembered(print) | Content::Packed(print), _) => {
                let whole = contents(&self.path, file, &[])?.0;
                if whole != *print {
                    return Ok(Found::Other);
                }
                self.content = Content::Packed(whole);
            }
            (Content::Unknown, _) => {}
            (Content::Plain(rolling), _) => {
                let (whole, begins) = contents(&self.path, file, &[rolling.print()])?;
                // What was read as it was must be what is compressed now.
                if taken > 0 && begins != [true] {
                    return Ok(Found::Other);
                }
                self.content = Content::Packed(whole);
            }
        }
        let is_read = matches!(self.content, Content::Packed(print) if print.end <= taken)
            || matches!(self.content, Content::Unknown) && self.unread == 0 && taken > 0;
        self.cursor = Some(if is_read {
            Cursor::Done
        } else {
            let (form, max_line) = (config.form, config.max_line);
            let mut packed = match Packed::may_hold() {
                true => Packed::of(&self.path, again(&self.path, file)?, form, max_line)?,
                false => {
                    let metadata = file.metadata();
                    let metadata =
                        metadata.map_err(|error| super::io("open", &self.path, error))?;
                    Packed::open(&self.path, &metadata, form, max_line)
                }
            };
            if taken > 0 {
                packed.skip_to(taken)?;
            }
            Cursor::Packed(Box::new(packed))
        });
        Ok(Found::Same)
    }

    fn plain(&mut self, file: &File, stamp: Stamp, config: &Config) -> Result<Found, SourceError> {
        let failed = |error| super::io("read", &self.path, error);
        let taken = self.taken();
        let same = match &self.content {
            Content::Plain(rolling) if rolling.print().len() == 0 => {
                // Nothing was read, and what is there now may begin elsewhere.
                let origin = hole::end(file, stamp.size).map_err(failed)?;
                self.searched = self.searched.min(origin);
                self.cursor = None;
                Some(Rolling::new(origin))
            }
            Content::Plain(rolling) => rolling.print().matches(file).map_err(failed)?,
            Content::Remembered(print) | Content::Packed(print) => {
                let print = *print;
                let unchanged =
                    self.modified == remembered::modified(&file.metadata().map_err(failed)?);
                let found = match unchanged {
                    true => print.matches(file),
                    false => print.matches_fully(file),
                };
                found.map_err(failed)?
            }
            Content::Unknown => self.unknown(file, stamp, taken).map_err(failed)?,
        };
        let Some(mut rolling) = same else { return Ok(Found::Other) };
        // That of a compressed file names more than was taken.
        if rolling.end() > taken && taken > 0 && !matches!(self.cursor, Some(Cursor::Plain(_))) {
            rolling = Rolling::new(rolling.print().origin);
            rolling.read(file, taken).map_err(failed)?;
        }
        self.content = Content::Plain(Box::new(rolling));
        self.limit(file, stamp.size, config)?;
        Ok(Found::Same)
    }

    /// What was read by a process that left no fingerprint.
    fn unknown(&self, file: &File, stamp: Stamp, taken: u64) -> io::Result<Option<Rolling>> {
        let begins = cursor::begins_line_io(file, taken.min(stamp.size))?;
        if stamp.size < taken || !begins {
            return Ok(None);
        }
        let mut rolling = Rolling::new(if taken <= WHOLE { 0 } else { taken });
        rolling.read(file, taken)?;
        Ok(Some(rolling))
    }

    /// Finds the end of the last whole line.
    fn limit(&mut self, file: &File, size: u64, config: &Config) -> Result<(), SourceError> {
        let failed = |error| super::io("read", &self.path, error);
        let begin = self.origin().max(self.taken());
        self.cursor.take_if(|cursor| matches!(cursor, Cursor::Unended));
        if size < self.searched || self.cursor.is_none() {
            self.searched = begin;
            if let Some(Cursor::Plain(plain)) = &mut self.cursor {
                plain.limit = plain.position;
                self.searched = plain.position;
            }
        }
        let framing = config.form.framing;
        // A long backlog in which quotes are looked for is looked through a part at a time.
        let until = if framing.is_by_lines() { size } else { size.min(self.searched + SEARCH) };
        let known = match &self.cursor {
            Some(Cursor::Plain(plain)) => plain.limit,
            _ => begin,
        };
        let found = stored::last_record_end(file, framing, known..until, self.searched);
        let found = found.map_err(failed)?;
        self.searched = until;
        match (found, &mut self.cursor) {
            (Some(end), Some(Cursor::Plain(plain))) => plain.limit = end,
            (Some(end), _) => self.cursor = Some(Cursor::Plain(self.begin(file, end, config)?)),
            (None, None) if content::lacks_line_feeds(&self.path, file)? => {
                self.cursor = Some(Cursor::Unended);
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// Begins to read lines, or goes on.
    fn begin(&mut self, file: &File, end: u64, config: &Config) -> Result<Plain, SourceError> {
        let (origin, taken) = (self.origin(), self.taken());
        let looks = config.form.looks_at_first();
        let own = origin == 0 && self.header.is_none();
        let row = if own { config.form.header } else { HeaderRow::No };
        let form = Form { header: row, ..config.form };
        let reading = Reading { form, max_line: config.max_line, followed: true };
        let (mut plain, mut position) = PlainFile::of(&self.path, file, end, reading)?;
        if looks && !own {
            let failed = |error| super::io("read", &self.path, error);
            let (framing, from) = (config.form.framing, origin.max(position));
            let first = stored::record_end(file, framing, from..end, from + 1, &mut Vec::new());
            let (first, _) = first.map_err(failed)?;
            let mut row = vec![0; usize::try_from(first - from).unwrap_or_default()];
            file.read_exact_at(&mut row, from).map_err(failed)?;
            let own = header::parse(&self.path, &row, &config.form);
            let inherited = self.header.take().filter(|before| match &own {
                Ok(Some(own)) => !is_header_beside(own, before, framing.rows()),
                Ok(None) | Err(_) => true,
            });
            (plain.header, position) = match (inherited, own) {
                (Some(before), _) => {
                    self.header = Some(before.clone());
                    (Some(before), from)
                }
                (None, own) => match own? {
                    Some(own) => (Some(own), first),
                    None => (None, from),
                },
            };
        }
        let mut plain = Plain::new((plain, position.max(origin)), end);
        if taken > 0 {
            // Another process has read it up to there.
            if taken < plain.position || taken > end {
                return Err(cursor::changed(&self.path, taken));
            }
            plain.position = taken;
        }
        Ok(plain)
    }

    /// Takes whole lines under a name: at most what is wanted, perhaps less. `None` at the end, and where the
    /// file turns out to hold another content, which the next look will see.
    pub(super) fn take(
        &mut self,
        want: Want,
        label: &Arc<str>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Taken>, SourceError> {
        let handle = self.handle.clone();
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        if let Cursor::Plain(plain) = cursor {
            plain.rename(&self.path);
            plain.handle = handle;
        }
        let before = match cursor {
            Cursor::Plain(plain) => plain.position,
            Cursor::Packed(_) | Cursor::Done | Cursor::Unended => 0,
        };
        let taken = match cursor.take(want, buffer)? {
            Some(taken) => taken,
            None => return Ok(None),
        };
        let part = match taken.part {
            Part::Held(held) => Some(Part::Held(Held { split: label.clone(), ..held })),
            Part::Stored(stored) => match self.read_now(stored, label) {
                Ok(part) => part,
                Err(error) => {
                    // It has not been taken: it is tried again.
                    if let Some(Cursor::Plain(plain)) = &mut self.cursor {
                        plain.position = before;
                    }
                    return Err(error);
                }
            },
        };
        let Some(part) = part else {
            if let Some(Cursor::Plain(plain)) = &mut self.cursor {
                (plain.position, plain.limit) = (before, before);
            }
            return Ok(None);
        };
        self.take_as(name_hash(label), part.range().end);
        Ok(Some(Taken { part, ..taken }))
    }

    /// Reads lines that were found, if they are of this content.
    fn read_now(&mut self, stored: Stored, label: &Arc<str>) -> Result<Option<Part>, SourceError> {
        let Content::Plain(rolling) = &mut self.content else { return Ok(None) };
        let (range, whole) = (stored.range(), stored.len() <= HELD);
        let file = stored.file.open(stored.handle.as_ref(), range.end)?;
        let failed = |error| super::io("read", &self.path, error);
        let bytes = if whole { stored.bytes()? } else { Vec::new() };
        let same =
            rolling.print().len() == 0 || rolling.print().matches(&file).map_err(failed)?.is_some();
        if !same {
            return Ok(None);
        }
        // Up to there: the header.
        rolling.read(&file, range.start).map_err(failed)?;
        if !whole {
            rolling.read(&file, range.end).map_err(failed)?;
            let named = PlainFile { split: label.clone(), ..PlainFile::clone(&stored.file) };
            let handle = Some(match file {
                Opened::Held(held) => held,
                Opened::Now(file) => Arc::new(file),
            });
            return Ok(Some(Part::Stored(Stored { file: Arc::new(named), handle, ..stored })));
        }
        rolling.add(&bytes);
        let held = Held::new(label.clone(), range.start, bytes);
        let (header, max_line) = (stored.file.header.clone(), stored.file.max_line);
        let framing = stored.file.framing;
        Ok(Some(Part::Held(Held { header, max_line, framing, ..held })))
    }
}

/// Whether this row is that header, whose columns may all lack a name, or has a column of it: it is one itself then.
fn is_header_beside(row: &str, header: &str, rows: Rows) -> bool {
    if row == header {
        return true;
    }
    let columns = |row| column_names(row, rows).unwrap_or_default();
    let header = columns(header);
    columns(row).iter().any(|column| !column.is_empty() && header.contains(column))
}

/// The same file, to be read from its beginning by another reader.
fn again(path: &Path, file: &File) -> Result<File, SourceError> {
    // Through the descriptor, as the name may be another file's by now.
    use std::os::fd::AsRawFd;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::open(own).or_else(|_| File::open(path)).map_err(|error| super::io("open", path, error))
}

/// The fingerprint of all that is in a compressed file, and which of `prints` it begins with.
///
/// # Errors
/// When it is not whole.
pub(super) fn contents(
    path: &Path,
    file: &File,
    prints: &[Print],
) -> Result<(Print, Vec<bool>), SourceError> {
    // As it stands there, whatever it is read as.
    let (header, json, schema) = (HeaderRow::No, None, None);
    let form = Form { framing: Framing::of(Format::Text), header, json, schema };
    let mut packed = Packed::of(path, again(path, file)?, form, u64::MAX)?;
    let mut all = Rolling::new(0);
    let mut begun: Vec<Rolling> = prints.iter().map(|print| Rolling::new(print.origin)).collect();
    packed.decode_all(&mut |bytes| {
        let start = all.end();
        all.add(bytes);
        for (rolling, print) in begun.iter_mut().zip(prints) {
            let clip = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
            let (from, to) =
                (clip(rolling.end()).min(bytes.len()), clip(print.end).min(bytes.len()));
            rolling.add(&bytes[from.min(to)..to]);
        }
    })?;
    let found =
        begun.iter().zip(prints).map(|(rolling, print)| rolling.print() == *print).collect();
    Ok((all.print(), found))
}
