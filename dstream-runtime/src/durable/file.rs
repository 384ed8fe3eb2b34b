//! Objects as files below a directory.
//!
//! Decides the order in which a file is written, synced and named. An object is written under a temporary
//! name, synced, *linked* to its name (a link never replaces), and then the directory is synced. Invariants:
//! a file under an object's name is whole and on the disk; `Created` is returned only when the name is on
//! the disk as well. An fsync after a failed one proves nothing, so a retry writes a new file, and a
//! directory whose sync failed accepts nothing more from this process. (Its last name stays: it may have
//! been read already.)
//!
//! The local store of the crate `object_store`, which also links, is not used: it syncs nothing by default,
//! needs an async runtime, and is not in the default build.
//!
//! Files being written are locked. An unlocked one is a leftover of a crash; the first write of a process
//! removes it. Without locks, it stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{DurableError, Put, Store, url_of};

/// Where files are written before they are named. No object's name begins with a dot.
const BESIDE: &str = ".new";
/// Temporary names tried; each is used once per process, and other processes have other ids.
const TRIES: u32 = 1000;

/// Syncs a file or directory; tests inject failures.
type Sync = fn(&File) -> io::Result<()>;

pub(super) struct FileStore {
    root: PathBuf,
    url: String,
    sync: Sync,
    dirs: Mutex<Dirs>,
}

/// What this process knows of directories.
#[derive(Default)]
struct Dirs {
    /// Directories whose names are on the disk.
    known: BTreeSet<PathBuf>,
    /// Directories whose sync failed, and why.
    failed: BTreeMap<PathBuf, String>,
}

/// The sync of a directory failed, now or earlier.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unsynced(String);

impl FileStore {
    pub(super) fn new(root: &Path) -> Result<Self, DurableError> {
        Self::with_sync(root, File::sync_all)
    }

    /// The same, with another way to sync.
    pub(super) fn with_sync(root: &Path, sync: Sync) -> Result<Self, DurableError> {
        let root = std::path::absolute(root)
            .map_err(|error| failed(&root.display().to_string(), "find it", error))?;
        let Some(text) = root.to_str() else {
            return Err(DurableError::Url {
                url: root.display().to_string(),
                why: "the path is not UTF-8".to_owned(),
                help: "name a directory whose path is UTF-8: other processes are told it as a URL",
            });
        };
        let url = format!("file://{text}");
        Ok(Self { root, url, sync, dirs: Mutex::default() })
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }

    fn object(&self, name: &str) -> String {
        url_of(&self.url, name)
    }

    fn dirs(&self) -> MutexGuard<'_, Dirs> {
        // Code under this lock does not panic.
        self.dirs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if let Some(why) = self.dirs().failed.get(dir) {
            return Err(io::Error::other(Unsynced(why.clone())));
        }
        (self.sync)(&File::open(dir)?).map_err(|error| {
            let why = error.to_string();
            self.dirs().failed.insert(dir.to_owned(), why.clone());
            // A directory of another owner is no error (`not_ours`).
            io::Error::new(error.kind(), Unsynced(why))
        })
    }

    /// Creates a directory below the root, and makes its name and those of its ancestors durable: their
    /// creator may have died before syncing.
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        if self.dirs().known.contains(dir) {
            return Ok(());
        }
        if dir != self.root {
            // Not recursive: a missing root must not be created.
            if let Some(parent) = dir.parent() {
                self.make_dir(parent)?;
            }
            match DirBuilder::new().mode(0o700).create(dir) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        if let Some(parent) = dir.parent() {
            let synced = self.sync_dir(parent);
            if dir == self.root { synced.or_else(not_ours)? } else { synced? }
        }
        if dir == self.root {
            self.clean();
        }
        self.dirs().known.insert(dir.to_owned());
        Ok(())
    }

    /// Removes leftovers of a crash.
    fn clean(&self) {
        let beside = self.root.join(BESIDE);
        for entry in fs::read_dir(beside).into_iter().flatten().flatten() {
            let Ok(file) = File::open(entry.path()) else { continue };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                // A leftover only takes up space.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Creates a temporary file, locked.
    fn beside(&self) -> io::Result<(PathBuf, File)> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let dir = self.root.join(BESIDE);
        for _ in 0..TRIES {
            let number = FILES.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{}-{number}", std::process::id()));
            let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)
            {
                Ok(file) => file,
                // The name belongs to a process of another host with the same process id, or to an earlier
                // one.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            // Another process took it for a leftover, and removes it or has done so.
            if locked == Err(Errno::WOULDBLOCK) || file.metadata()?.nlink() == 0 {
                continue;
            }
            return Ok((path, file));
        }
        Err(io::Error::other(format!("{TRIES} names in {} are taken", dir.display())))
    }

    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<Put> {
        self.make_dir(&self.root)?;
        self.make_dir(&self.root.join(BESIDE))?;
        let dir = path.parent().unwrap_or(&self.root);
        self.make_dir(dir)?;
        let (beside, file) = self.beside()?;
        let written = self.write_whole(&file, parts);
        let linked = written.and_then(|()| match fs::hard_link(&beside, path) {
            Ok(()) => Ok(Put::Created),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Exists),
            Err(error) => Err(error),
        });
        // A leftover if it cannot be removed.
        let _ = fs::remove_file(&beside);
        let put = linked?;
        // An existing object must be durable too before a caller relies on it.
        self.sync_dir(dir)?;
        Ok(put)
    }

    fn write_whole(&self, file: &File, parts: &[&[u8]]) -> io::Result<()> {
        let mut out = BufWriter::new(file);
        parts.iter().try_for_each(|part| out.write_all(part))?;
        out.flush()?;
        drop(out);
        (self.sync)(file)
    }

    fn walk(&self, dir: &Path, name: &str, names: &mut Vec<String>) -> io::Result<()> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            // Nothing was written there yet.
            Err(error) if error.kind() == ErrorKind::NotFound && !name.is_empty() => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let file = entry.file_name();
            // Other files are no objects: their names are invalid.
            let Some(file) = file.to_str().filter(|file| super::check(file).is_ok()) else {
                continue;
            };
            let below = if name.is_empty() { file.to_owned() } else { format!("{name}/{file}") };
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &below, names)?;
            } else {
                names.push(below);
            }
        }
        Ok(())
    }
}

impl Store for FileStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<Put, DurableError> {
        self.write(&self.path(name), parts)
            .map_err(|error| failed(&self.object(name), "write it", error))
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, DurableError> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(DurableError::NotFound { object: self.object(name) })
            }
            Err(error) => Err(failed(&self.object(name), "read it", error)),
        }
    }

    fn exists(&self, name: &str) -> Result<bool, DurableError> {
        let exists = self.path(name).try_exists();
        exists.map_err(|error| failed(&self.object(name), "look for it", error))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DurableError> {
        let mut names = Vec::new();
        match self.walk(&self.path(dir), dir, &mut names) {
            Ok(()) => Ok(names),
            Err(error) => Err(failed(&self.object(dir), "list what is in it", error)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), DurableError> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed(&self.object(name), "remove it", error))
            }
            _ => Ok(()),
        }
    }

    fn make(&self, dir: &str) -> Result<(), DurableError> {
        let make = || {
            if dir.is_empty() && !self.root.is_dir() {
                let there = self.root.ancestors().find(|above| above.is_dir());
                DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
                // The names of all new directories.
                for above in self.root.ancestors().skip(1) {
                    self.sync_dir(above).or_else(not_ours)?;
                    if Some(above) == there {
                        break;
                    }
                }
            }
            self.make_dir(&self.path(dir))
        };
        make().map_err(|error| failed(&self.object(dir), "make it", error))
    }

    fn url(&self) -> &str {
        &self.url
    }
}

fn failed(object: &str, doing: &'static str, error: io::Error) -> DurableError {
    if let Some(Unsynced(why)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return DurableError::Unsynced { object: object.to_owned(), why: why.clone() };
    }
    DurableError::Failed { object: object.to_owned(), doing, error: Arc::new(error) }
}

/// A directory that is not readable for us cannot hold our objects.
fn not_ours(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::PermissionDenied { Ok(()) } else { Err(error) }
}
