//! What a position remembers of files that are followed.
//!
//! A position is journaled with every batch, so it must stay small in a directory that files are never
//! removed from. A file is remembered by its inode and its time of birth, as names move on, and its content by
//! its fingerprint ([`Print`]), as inodes move on. Where there are more than [`LISTED`] files, those that
//! changed last are listed, and every older one that is not listed had been read to its end: no file gets a time
//! of change (`ctime`) that has passed. So, of files that are not listed,
//!
//! - one whose last change is older than all that are listed has been read;
//! - one that was born after that is new;
//! - any other was read and has changed since (was appended to, or renamed), or was moved here: which of
//!   these it is cannot be known, so it is not read, and a warning says so.
//!
//! Where there are fewer files all are listed, and one that is not is new. Contents without a file are listed
//! too: their files are gone or hold something else, and may come back as copies or compressed.
//!
//! Positions that were written before there were fingerprints are read too. Their files are taken for what they
//! were if they are long enough and a line begins where reading stopped.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::fingerprint::Print;
use super::list::Identity;
use crate::source::position::{self, Kind};
use crate::source::{Position, SourceError};

/// How many files are listed: with about 40 bytes each, what a position is allowed to cost.
pub(super) const LISTED: usize = 2048;

/// A time of change, in seconds and nanoseconds.
pub(super) type Changed = (i64, i64);

pub(super) fn changed(metadata: &Metadata) -> Changed {
    (metadata.ctime(), metadata.ctime_nsec())
}

/// The time when the content was changed last, as far as it has to be known again.
pub(super) fn modified(metadata: &Metadata) -> NameHash {
    let bytes = [metadata.mtime().to_le_bytes(), metadata.mtime_nsec().to_le_bytes()].concat();
    bytes_hash(&bytes)
}

/// A name, as far as it has to be known again.
pub(super) type NameHash = [u8; 4];

pub(super) fn name_hash(split: &str) -> NameHash {
    bytes_hash(split.as_bytes())
}

pub(super) fn bytes_hash(bytes: &[u8]) -> NameHash {
    let [a, b, c, d, ..] = xxh3_64(bytes).to_le_bytes();
    [a, b, c, d]
}

/// Which bytes of a file were taken under which names: up to where, under each, in order.
pub(super) type Names = Vec<(NameHash, u64)>;

/// What tells a file from others on any host.
pub(super) type Key = (u64, [u8; 4]);

pub(super) fn key(identity: &Identity) -> Key {
    let born = identity.born().map_or((0, 0), seconds);
    let bytes = [born.0.to_le_bytes(), born.1.to_le_bytes()].concat();
    (identity.inode(), bytes_hash(&bytes))
}

/// What a source knows of a content, for the next process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) key: Key,
    /// When its file was born and changed last, if it has a file that is there.
    pub(super) file: Option<(Option<SystemTime>, Changed)>,
    pub(super) kept: Kept,
}

/// What is remembered of a content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Of the last part of its path.
    pub(super) name: NameHash,
    /// See [`modified`].
    pub(super) modified: NameHash,
    pub(super) names: Names,
    /// What had been read of it; of a compressed file all that is in it.
    pub(super) print: Option<Print>,
    /// Where the symbolic link led by which it was found.
    pub(super) target: Option<Vec<u8>>,
    /// The header that it does not have itself.
    pub(super) header: Option<String>,
    /// Nothing if all of it has been taken.
    pub(super) unread: Option<Unread>,
    /// Its file was gone, or held something else.
    pub(super) gone: bool,
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

/// A content that is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// How much larger its inode is than that of the entry before.
    inode: u64,
    born: [u8; 4],
    kept: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
struct Place {
    /// What has not changed since and is not listed has been read.
    since: Option<Changed>,
    entries: Vec<Entry>,
}

/// An entry of a position without fingerprints.
#[derive(Debug, Serialize, Deserialize)]
struct EarlierEntry {
    inode: u64,
    born: [u8; 4],
    names: Names,
    unread: Option<Unread>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EarlierPlace {
    since: Option<Changed>,
    entries: Vec<EarlierEntry>,
}

impl Known {
    fn is_untouched(&self) -> bool {
        self.file.is_some() && self.kept.unread.is_some() && self.kept.names.is_empty()
    }

    fn changed(&self) -> Option<Changed> {
        self.file.map(|(_, changed)| changed)
    }

    fn born(&self) -> Option<SystemTime> {
        self.file?.0
    }
}

/// The position of a source that knows these files; at most `listed` that have been read are listed.
pub(super) fn write(mut files: Vec<Known>, listed: usize) -> Result<Position, SourceError> {
    let since = since(&files, listed);
    files.retain(|file| match since {
        None => !file.is_untouched(),
        // Without a time of birth it could not be told that one is new.
        Some(_) if file.is_untouched() => file.born().is_none(),
        Some(since) => {
            file.kept.unread.is_some() || file.changed().is_none_or(|changed| changed >= since)
        }
    });
    files.sort_by_key(|file| file.key);
    let mut before = 0;
    let entry = |Known { key: (inode, born), kept, .. }: Known| {
        let inode = inode - std::mem::replace(&mut before, inode);
        Entry { inode, born, kept }
    };
    let entries = files.into_iter().map(entry).collect();
    position::write(Kind::Followed, &Place { since, entries })
}

/// From which time of change on files are listed, if they are more than `listed`.
fn since(files: &[Known], listed: usize) -> Option<Changed> {
    let read = files.iter().filter(|file| file.kept.unread.is_none());
    let mut read: Vec<Changed> = read.filter_map(Known::changed).collect();
    let oldest = read.len().checked_sub(listed.max(1)).filter(|older| *older > 0)?;
    let (_, since, _) = read.select_nth_unstable(oldest);
    // One of which nothing has been read is not listed, and has to be seen to be new.
    let untouched = files.iter().filter(|file| file.is_untouched());
    let bounds = untouched.filter_map(|file| Some(seconds(file.born()?).min(file.changed()?)));
    Some(bounds.fold(*since, Changed::min))
}

fn seconds(time: SystemTime) -> Changed {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (since.as_secs().cast_signed(), i64::from(since.subsec_nanos())),
        Err(_) => (i64::MIN, 0),
    }
}

/// What a position remembers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    since: Option<Changed>,
    pub(super) contents: BTreeMap<Key, Vec<Kept>>,
}

/// What is known of a file that is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unlisted {
    /// It is new.
    New,
    /// It was read to its end.
    Read,
    /// It was read to an end that it had, or it is new.
    Unclear,
}

/// Whether a position is one of files that are followed.
pub(super) fn is_one(position: &[u8]) -> bool {
    matches!(position::kind(position), Some(Kind::Followed | Kind::FollowedByInode))
}

impl Remembered {
    /// What a position says.
    pub(super) fn read(position: &[u8]) -> Result<Self, SourceError> {
        let Place { since, entries } = match position::kind(position) {
            Some(Kind::FollowedByInode) => earlier(position)?,
            _ => position::read(Kind::Followed, position)?,
        };
        let (mut contents, mut before) = (BTreeMap::<Key, Vec<Kept>>::new(), 0_u64);
        for Entry { inode, born, kept } in entries {
            before = before.checked_add(inode).ok_or_else(position::damaged)?;
            if !kept.names.is_sorted_by_key(|(_, end)| *end)
                || kept.print.is_some_and(|print| !print.is_sound())
            {
                return Err(position::damaged());
            }
            contents.entry((before, born)).or_default().push(kept);
        }
        Ok(Self { since, contents })
    }

    /// What is known of a file that is not listed.
    pub(super) fn unlisted(&self, identity: &Identity, changed: Changed) -> Unlisted {
        match self.since {
            None => Unlisted::New,
            Some(since) if changed < since => Unlisted::Read,
            Some(since) if identity.born().is_some_and(|born| seconds(born) >= since) => {
                Unlisted::New
            }
            Some(_) => Unlisted::Unclear,
        }
    }
}

fn earlier(position: &[u8]) -> Result<Place, SourceError> {
    let EarlierPlace { since, entries } = position::read(Kind::FollowedByInode, position)?;
    let entry = |EarlierEntry { inode, born, names, unread }| Entry {
        inode,
        born,
        kept: Kept { names, unread, ..Kept::default() },
    };
    Ok(Place { since, entries: entries.into_iter().map(entry).collect() })
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
    fn known(inode: u64, names: &Names) -> Known {
        let identity = identity(inode, inode);
        let file = Some((identity.born(), at(inode.cast_signed())));
        Known { key: key(&identity), file, kept: kept(names) }
    }

    fn kept(names: &Names) -> Kept {
        Kept { names: names.clone(), ..Kept::default() }
    }

    fn listed(position: &[u8], inode: u64, born: u64) -> Option<Vec<Kept>> {
        let remembered = Remembered::read(position).unwrap();
        remembered.contents.get(&key(&identity(inode, born))).cloned()
    }

    fn unlisted(position: &[u8], inode: u64, born: u64, changed: i64) -> Unlisted {
        assert_eq!(listed(position, inode, born), None, "{inode}");
        Remembered::read(position).unwrap().unlisted(&identity(inode, born), at(changed))
    }

    #[test]
    fn few_files_are_all_listed() {
        let names = vec![([1; 4], 7), ([2; 4], 9)];
        let files: Vec<Known> = [30, 10, 20].map(|inode| known(inode, &names)).to_vec();
        let position = write(files, 3).unwrap();
        for inode in [10, 20, 30] {
            assert_eq!(listed(&position, inode, inode), Some(vec![kept(&names)]));
        }
        // Another file of the same inode, and others.
        for (inode, born, changed) in [(10, 11, 11), (11, 11, 11), (5, 5, 5)] {
            assert_eq!(unlisted(&position, inode, born, changed), Unlisted::New);
        }
    }

    #[test]
    fn of_many_files_the_last_that_changed_are_listed() {
        let names = vec![([1; 4], 7)];
        let mut files: Vec<Known> = (1..=100).map(|inode| known(inode, &names)).collect();
        // What has no file is listed in any case.
        files.push(Known { file: None, ..known(700, &names) });
        let position = write(files, 10).unwrap();
        assert!(position.len() < 11 * 30, "{}", position.len());
        for inode in 1..=90_u64 {
            let changed = inode.cast_signed();
            assert_eq!(unlisted(&position, inode, inode, changed), Unlisted::Read);
            // It was appended to or renamed.
            assert_eq!(unlisted(&position, inode, inode, 200), Unlisted::Unclear);
        }
        for inode in (91..=100).chain([700]) {
            assert_eq!(listed(&position, inode, inode), Some(vec![kept(&names)]));
        }
        assert_eq!(unlisted(&position, 50, 101, 101), Unlisted::New);
        assert_eq!(unlisted(&position, 500, 91, 101), Unlisted::New);
    }

    #[test]
    fn what_is_left_to_read_is_never_taken_for_read() {
        let (names, none) = (vec![([1; 4], 7)], Names::new());
        let mut files: Vec<Known> = (1..=100).map(|inode| known(inode, &names)).collect();
        // One was begun, of another nothing has been read, and of a third it is not known how old it is.
        let unread = |path: &str| Some(Unread { path: path.as_bytes().to_vec(), size: 9 });
        files[4].kept.unread = unread("begun");
        files[49].kept = Kept { unread: unread("untouched"), ..kept(&none) };
        let ageless = Identity::fake(3, None);
        files[2].kept = Kept { unread: unread("ageless"), ..kept(&none) };
        (files[2].key, files[2].file) = (key(&ageless), Some((None, at(3))));
        let position = write(files, 10).unwrap();
        let begun = Kept { unread: unread("begun"), ..kept(&names) };
        assert_eq!(listed(&position, 5, 5), Some(vec![begun]));
        assert_eq!(unlisted(&position, 50, 50, 50), Unlisted::New);
        let remembered = Remembered::read(&position).unwrap();
        assert_eq!(remembered.contents[&key(&ageless)][0].unread, unread("ageless"));
        // The others are known too, although the list begins earlier than it had to.
        assert_eq!(unlisted(&position, 49, 49, 49), Unlisted::Read);
        assert!(listed(&position, 51, 51).is_some());
    }

    #[test]
    fn positions_without_fingerprints_are_read() {
        let names = vec![([1; 4], 7)];
        let unread = Some(Unread { path: b"log".to_vec(), size: 9 });
        let (inode, born) = key(&identity(30, 30));
        let entry = EarlierEntry { inode, born, names: names.clone(), unread: unread.clone() };
        let place = EarlierPlace { since: Some(at(5)), entries: vec![entry] };
        let position = position::write(Kind::FollowedByInode, &place).unwrap();
        assert_eq!(listed(&position, 30, 30), Some(vec![Kept { unread, ..kept(&names) }]));
        assert_eq!(unlisted(&position, 3, 3, 3), Unlisted::Read);
    }
}
