//! What a position remembers of files that are followed.
//!
//! A position is journaled with every batch, so it must stay small in a directory that files are never
//! removed from. A file is remembered by its inode and its time of birth, as names move on. Where there
//! are more than [`LISTED`], those that changed last are listed, and every older one that is not listed
//! had been read to its end: no file gets a time of change (`ctime`) that has passed. So, of files that
//! are not listed,
//!
//! - one whose last change is older than all that are listed has been read;
//! - one that was born after that is new;
//! - any other was read and has changed since (was appended to, or renamed), or was moved here: which of
//!   these it is cannot be known, and it is an error.
//!
//! Where there are fewer files all are listed, and one that is not is new.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::data;
use super::list::Identity;
use crate::source::position::{self, Kind};
use crate::source::{Position, SourceError};

/// So many files are listed: with about 15 bytes each, what a position is allowed to cost.
pub(super) const LISTED: usize = 4096;

/// A time of change, in seconds and nanoseconds.
pub(super) type Changed = (i64, i64);

pub(super) fn changed(metadata: &Metadata) -> Changed {
    (metadata.ctime(), metadata.ctime_nsec())
}

/// A name, as far as it has to be known again.
pub(super) type NameHash = [u8; 4];

pub(super) fn name_hash(split: &str) -> NameHash {
    low(xxh3_64(split.as_bytes()))
}

fn low(hash: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    [a, b, c, d]
}

/// Which bytes of a file were taken under which names: up to where, under each, in order.
pub(super) type Names = Vec<(NameHash, u64)>;

/// What a source knows of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) identity: Identity,
    pub(super) changed: Changed,
    pub(super) names: &'a Names,
    /// Its path and size, if not all of it has been taken.
    pub(super) unread: Option<(&'a Path, u64)>,
}

impl Known<'_> {
    fn is_untouched(&self) -> bool {
        self.unread.is_some() && self.names.is_empty()
    }
}

/// A file that is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// How much larger its inode is than that of the entry before.
    inode: u64,
    born: [u8; 4],
    names: Names,
    unread: Option<Unread>,
}

/// What is left of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unread {
    /// Its path, for errors.
    #[serde(with = "serde_bytes")]
    pub(super) path: Vec<u8>,
    /// How long it was.
    pub(super) size: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Place {
    /// What has not changed since and is not listed has been read.
    since: Option<Changed>,
    entries: Vec<Entry>,
}

/// The position of a source that knows these files; at most `listed` that have been read are listed.
pub(super) fn write(files: &[Known<'_>], listed: usize) -> Result<Position, SourceError> {
    let since = since(files, listed);
    let is_listed = |file: &&Known<'_>| match since {
        None => !file.is_untouched(),
        // Without a time of birth it could not be told that one is new.
        Some(_) if file.is_untouched() => file.identity.born().is_none(),
        Some(since) => file.unread.is_some() || file.changed >= since,
    };
    let mut files: Vec<&Known<'_>> = files.iter().filter(is_listed).collect();
    files.sort_by_key(|file| key(&file.identity));
    let mut before = 0;
    let entry = |file: &Known<'_>| {
        let (inode, born) = key(&file.identity);
        let unread = file.unread.map(|(path, size)| {
            let path = path.as_os_str().as_encoded_bytes().to_vec();
            Unread { path, size }
        });
        let inode = inode - std::mem::replace(&mut before, inode);
        Entry { inode, born, names: file.names.clone(), unread }
    };
    let entries = files.into_iter().map(entry).collect();
    position::write(Kind::Followed, &Place { since, entries })
}

/// From which time of change on files are listed, if they are more than so many.
fn since(files: &[Known<'_>], listed: usize) -> Option<Changed> {
    let mut read: Vec<Changed> =
        files.iter().filter(|file| file.unread.is_none()).map(|file| file.changed).collect();
    let oldest = read.len().checked_sub(listed.max(1)).filter(|older| *older > 0)?;
    let (_, since, _) = read.select_nth_unstable(oldest);
    // One of which nothing has been read is not listed, and has to be seen to be new.
    let untouched = files.iter().filter(|file| file.is_untouched());
    let bounds =
        untouched.filter_map(|file| Some(seconds(file.identity.born()?).min(file.changed)));
    Some(bounds.fold(*since, Changed::min))
}

fn seconds(time: SystemTime) -> Changed {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (since.as_secs().cast_signed(), i64::from(since.subsec_nanos())),
        Err(_) => (i64::MIN, 0),
    }
}

/// What tells a file from others on any host.
type Key = (u64, [u8; 4]);

fn key(identity: &Identity) -> Key {
    let born = identity.born().map_or((0, 0), seconds);
    let bytes = [born.0.to_le_bytes(), born.1.to_le_bytes()].concat();
    (identity.inode(), low(xxh3_64(&bytes)))
}

/// What was remembered of files, until they are found again.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    since: Option<Changed>,
    files: BTreeMap<Key, Vec<(Names, Option<Unread>)>>,
}

/// What is remembered of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// It was not there.
    New,
    /// All of it was read.
    Read,
    /// It was read under these names; some of it may be left.
    Listed(Names, Option<Unread>),
}

impl Remembered {
    pub(super) fn read(position: &[u8]) -> Result<Self, SourceError> {
        let Place { since, entries } = position::read(Kind::Followed, position)?;
        let mut files: BTreeMap<Key, Vec<_>> = BTreeMap::new();
        let mut before = 0_u64;
        for Entry { inode, born, names, unread } in entries {
            before = before.checked_add(inode).ok_or_else(position::damaged)?;
            if !names.is_sorted_by_key(|(_, end)| *end) {
                return Err(position::damaged());
            }
            files.entry((before, born)).or_default().push((names, unread));
        }
        Ok(Self { since, files })
    }

    /// What is remembered of a file that is found for the first time.
    pub(super) fn find(
        &mut self,
        path: &Path,
        identity: &Identity,
        changed: Changed,
    ) -> Result<Memory, SourceError> {
        if let Some((names, unread)) = self.files.get_mut(&key(identity)).and_then(Vec::pop) {
            return Ok(Memory::Listed(names, unread));
        }
        match self.since {
            None => Ok(Memory::New),
            Some(since) if changed < since => Ok(Memory::Read),
            Some(since) if identity.born().is_some_and(|born| seconds(born) >= since) => {
                Ok(Memory::New)
            }
            Some(_) => {
                let why = format!(
                    "is an old file that has changed while nothing read it, or was moved here: among \
                     more than {LISTED} files it is not known how much of it was read. Move it out of \
                     what is followed; if it has not been read, copy it back under another name"
                );
                Err(data(path, why))
            }
        }
    }

    /// Whether all files have been found.
    pub(super) fn is_empty(&self) -> bool {
        self.files.values().all(Vec::is_empty)
    }

    /// A file that has not been found, although something of it is left to read.
    pub(super) fn unread(self) -> Option<Unread> {
        self.files.into_values().flatten().find_map(|(_, unread)| unread)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn identity(inode: u64, born: u64) -> Identity {
        Identity::fake(inode, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(born)))
    }

    fn at(seconds: i64) -> Changed {
        (seconds, 0)
    }

    /// A file that was born and changed at the time of its inode.
    fn known(inode: u64, names: &Names) -> Known<'_> {
        let changed = at(inode.cast_signed());
        Known { identity: identity(inode, inode), changed, names, unread: None }
    }

    fn find(position: &[u8], inode: u64, born: u64, changed: i64) -> Result<Memory, String> {
        let mut remembered = Remembered::read(position).unwrap();
        let found = remembered.find(Path::new("f"), &identity(inode, born), at(changed));
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn few_files_are_all_listed() {
        let names = vec![([1; 4], 7), ([2; 4], 9)];
        let files: Vec<Known<'_>> = [30, 10, 20].map(|inode| known(inode, &names)).to_vec();
        let position = write(&files, 3).unwrap();
        for inode in [10, 20, 30] {
            // However it has changed since.
            let found = find(&position, inode, inode, 99).unwrap();
            assert_eq!(found, Memory::Listed(names.clone(), None));
        }
        // Another file of the same inode, and others.
        for (inode, born, changed) in [(10, 11, 11), (11, 11, 11), (5, 5, 5)] {
            assert_eq!(find(&position, inode, born, changed).unwrap(), Memory::New);
        }
    }

    #[test]
    fn of_many_files_the_last_that_changed_are_listed() {
        let names = vec![([1; 4], 7)];
        let files: Vec<Known<'_>> = (1..=100).map(|inode| known(inode, &names)).collect();
        let position = write(&files, 10).unwrap();
        assert!(position.len() < 10 * 20);
        for inode in 1..=90_u64 {
            let changed = inode.cast_signed();
            assert_eq!(find(&position, inode, inode, changed).unwrap(), Memory::Read);
            // It was appended to or renamed.
            let error = find(&position, inode, inode, 200).unwrap_err();
            assert!(error.contains("f: is an old file that has changed"), "{error}");
        }
        for inode in 91..=100 {
            let found = find(&position, inode, inode, 200).unwrap();
            assert_eq!(found, Memory::Listed(names.clone(), None));
        }
        assert_eq!(find(&position, 50, 101, 101).unwrap(), Memory::New);
        assert_eq!(find(&position, 500, 91, 101).unwrap(), Memory::New);
    }

    #[test]
    fn what_is_left_to_read_is_never_taken_for_read() {
        let (names, none) = (vec![([1; 4], 7)], Names::new());
        let mut files: Vec<Known<'_>> = (1..=100).map(|inode| known(inode, &names)).collect();
        // One was begun, of another nothing has been read, and of a third it is not known how old it is.
        files[4].unread = Some((Path::new("begun"), 9));
        files[49] = Known { unread: Some((Path::new("untouched"), 9)), names: &none, ..files[49] };
        let ageless = Identity::fake(3, None);
        files[2] = Known { unread: Some((Path::new("ageless"), 9)), identity: ageless, ..files[2] };
        files[2].names = &none;
        let position = write(&files, 10).unwrap();
        let found = find(&position, 5, 5, 200).unwrap();
        let unread = Some(Unread { path: b"begun".to_vec(), size: 9 });
        assert_eq!(found, Memory::Listed(names.clone(), unread));
        assert_eq!(find(&position, 50, 50, 50).unwrap(), Memory::New);
        let mut remembered = Remembered::read(&position).unwrap();
        let found = remembered.find(Path::new("f"), &ageless, at(3)).unwrap();
        assert!(matches!(found, Memory::Listed(names, Some(_)) if names.is_empty()));
        assert_eq!(remembered.unread().unwrap().path, b"begun");
        // The others are known too, although the list begins earlier than it had to.
        assert_eq!(find(&position, 49, 49, 49).unwrap(), Memory::Read);
        assert!(matches!(find(&position, 51, 51, 200).unwrap(), Memory::Listed(..)));
    }
}
