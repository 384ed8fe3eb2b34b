//! A directory in the making: invisible to readers, and gone unless it is placed.
//!
//! Its name begins with `_`, so no source takes it for input, and its owner holds a lock on it as long
//! as it lives. The lock, not the process id in the name, says whether it is alive: ids are used again,
//! and mean nothing to another host or container.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

const PREFIX: &str = "_staging-";
/// How many names are tried before it is called an error; each is used only once per process.
const TRIES: u32 = 1000;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::CLOEXEC);

/// Opens a directory to work in.
pub(super) fn open_dir<Fd: AsFd>(at: Fd, path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(at, path, DIRECTORY, Mode::empty())?)
}

/// A directory in the making inside another one.
pub(super) struct Staging<'d> {
    parent: BorrowedFd<'d>,
    name: String,
    /// Open and locked.
    dir: OwnedFd,
    files: Vec<String>,
    placed: bool,
}

impl<'d> Staging<'d> {
    /// Makes and locks an empty one.
    pub(super) fn create(parent: BorrowedFd<'d>) -> io::Result<Self> {
        static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
        for _ in 0..TRIES {
            let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PREFIX}{}-{attempt}", std::process::id());
            match rustix::fs::mkdirat(parent, &name, Mode::from_raw_mode(0o777)) {
                Ok(()) => {}
                // Left behind by a process that had our id.
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(error.into()),
            }
            let dir = match rustix::fs::openat(parent, &name, DIRECTORY, Mode::empty()) {
                Ok(dir) => dir,
                // Taken for a dead one and removed, before it was locked.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let taken = rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive)
                == Err(Errno::WOULDBLOCK);
            // File systems without locks are fine: there, dead ones are not removed either.
            if !taken && rustix::fs::fstat(&dir)?.st_nlink > 0 {
                return Ok(Self { parent, name, dir, files: Vec::new(), placed: false });
            }
        }
        Err(io::Error::other(format!("{TRIES} names of staging directories are taken")))
    }

    /// Writes a file, durably if asked.
    pub(super) fn write(&mut self, name: &str, pieces: &[&[u8]], fsync: bool) -> io::Result<()> {
        let file = rustix::fs::openat(&self.dir, name, NEW_FILE, Mode::from_raw_mode(0o666))?;
        self.files.push(name.to_owned());
        let mut file = File::from(file);
        for piece in pieces {
            file.write_all(piece)?;
        }
        if fsync { file.sync_data() } else { Ok(()) }
    }

    /// Makes the names of the files durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.dir)?)
    }

    /// Gives the directory its final name, if nothing has it.
    pub(super) fn place(&mut self, name: &str) -> Result<(), Errno> {
        let (parent, flags) = (self.parent, RenameFlags::NOREPLACE);
        rustix::fs::renameat_with(parent, &self.name, parent, name, flags)?;
        self.placed = true;
        Ok(())
    }

    /// Gives one file a second name in another directory, if nothing there has it.
    pub(super) fn link(&self, file: &str, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::fs::linkat(&self.dir, file, dir, file, AtFlags::empty())
    }
}

/// A name of a staging directory that nothing has, for what is to be removed.
pub(super) fn unused(dir: &Path) -> io::Result<PathBuf> {
    static REMOVED: AtomicU64 = AtomicU64::new(0);
    for _ in 0..TRIES {
        let number = REMOVED.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{PREFIX}{}-removed-{number}", std::process::id()));
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
            // Left behind by a process that had our id.
            Ok(_) => {}
        }
    }
    Err(io::Error::other(format!("{TRIES} names of staging directories are taken")))
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        // What cannot be removed now is removed when the output is opened the next time.
        for file in &self.files {
            let _ = rustix::fs::unlinkat(&self.dir, file, AtFlags::empty());
        }
        let _ = rustix::fs::unlinkat(self.parent, &self.name, AtFlags::REMOVEDIR);
    }
}

/// Removes what dead processes left in `dir`.
pub(super) fn remove_dead(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(staging) = open_dir(rustix::fs::CWD, &entry.path()) else {
            continue;
        };
        if rustix::fs::flock(&staging, FlockOperation::NonBlockingLockExclusive).is_ok() {
            match fs::remove_dir_all(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
