//! Which files a path names, and whether one is still the same.
//!
//! Files are sorted by path. In a directory or a glob, names that start with `.` or `_` are skipped
//! (a program is still writing them, or has marked them), and so is what is no file; sub-directories are not
//! entered, but a glob may match directories. What can be a glob is one: a file of that very name (`a[1].txt`) is meant
//! only where the glob matches nothing.

use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::pattern::{Pattern, is_pattern};
use super::{data, io, names};
use crate::host::limits;
use crate::source::SourceError;

/// How long it is tried to open a file when too many are open, and how often.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(10);

/// Tells a file from another that has the same name later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    /// Inodes are used again; times of birth are not. Not every file system knows it.
    born: Option<SystemTime>,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let born = metadata.created().ok();
        Self { device: metadata.dev(), inode: metadata.ino(), born }
    }

    #[cfg(test)]
    pub(super) fn fake(inode: u64, born: Option<SystemTime>) -> Self {
        Self { device: 1, inode, born }
    }

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    /// When it was made, if its file system knows it.
    pub(super) fn born(&self) -> Option<SystemTime> {
        self.born
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { inode: self.inode, born: self.born }
    }
}

/// What of an identity holds on other hosts that see the same file: numbers of devices do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Mark {
    inode: u64,
    born: Option<SystemTime>,
}

impl Mark {
    /// Whether it may be that file.
    pub(super) fn is_of(self, identity: &Identity) -> bool {
        let born = self.born.zip(identity.born).is_none_or(|(there, here)| there == here);
        self.inode == identity.inode && born
    }
}

/// What a path names at the moment; `None` if there is nothing of that name.
pub(super) fn list(named: &Path) -> Result<Option<Vec<PathBuf>>, SourceError> {
    let mut unclear = None;
    let files = list_readable(named, &mut |_, error| {
        unclear.get_or_insert(error);
    })?;
    unclear.map_or(Ok(files), Err)
}

/// The same, where what cannot be looked at is told to `unclear`, and left out.
pub(super) fn list_readable(
    named: &Path,
    unclear: &mut dyn FnMut(&Path, SourceError),
) -> Result<Option<Vec<PathBuf>>, SourceError> {
    let matching = is_pattern(named).then(|| matching(named, unclear));
    match (fs::metadata(named), matching) {
        (Err(error), Some(matching)) if error.kind() == ErrorKind::NotFound => matching.map(Some),
        (_, Some(Ok(files))) if !files.is_empty() => Ok(Some(files)),
        (named_so, _) => exactly(named, named_so, unclear),
    }
}

/// The files of a path that is no pattern.
fn exactly(
    named: &Path,
    metadata: std::io::Result<Metadata>,
    unclear: &mut dyn FnMut(&Path, SourceError),
) -> Result<Option<Vec<PathBuf>>, SourceError> {
    match metadata {
        Ok(metadata) if metadata.is_dir() => {
            let mut files = Vec::new();
            add_directory(named, &mut files, unclear)?;
            files.sort();
            Ok(Some(files))
        }
        Ok(metadata) if metadata.is_file() => Ok(Some(vec![named.to_owned()])),
        Ok(_) => Err(data(named, "is neither a file nor a directory")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("open", named, error)),
    }
}

fn matching(
    pattern: &Path,
    unclear: &mut dyn FnMut(&Path, SourceError),
) -> Result<Vec<PathBuf>, SourceError> {
    let bad = |why: String| SourceError::Url {
        url: names::text(pattern),
        why: format!("is no pattern of file names: {why}"),
    };
    let mut files = Vec::new();
    for path in Pattern::parse(pattern).map_err(bad)?.find(unclear) {
        if is_skipped(&path) {
            continue;
        }
        match look_at(&path) {
            Ok(Some(metadata)) if metadata.is_dir() => {
                if let Err(error) = add_directory(&path, &mut files, unclear) {
                    unclear(&path, error);
                }
            }
            Ok(Some(metadata)) if metadata.is_file() => files.push(path),
            Ok(_) => {}
            Err(error) => unclear(&path, error),
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn add_directory(
    directory: &Path,
    files: &mut Vec<PathBuf>,
    unclear: &mut dyn FnMut(&Path, SourceError),
) -> Result<(), SourceError> {
    let failed = |error| io("list", directory, error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if is_skipped(&path) {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        let linked = match kind.is_symlink().then(|| look_at(&path)) {
            Some(Ok(linked)) => linked,
            Some(Err(error)) => {
                unclear(&path, error);
                continue;
            }
            None => None,
        };
        if kind.is_file() || linked.is_some_and(|linked| linked.is_file()) {
            files.push(path);
        }
    }
    Ok(())
}

/// What stands there, unless it was removed since it was listed; a link to nowhere is an error.
fn look_at(path: &Path) -> Result<Option<Metadata>, SourceError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() =>
        {
            Ok(None)
        }
        Err(error) => Err(io("open", path, error)),
    }
}

fn is_skipped(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let first = name.as_encoded_bytes().first();
        matches!(first, Some(b'.' | b'_'))
    })
}

/// Opens a file that was listed.
pub(super) fn open(path: &Path) -> Result<(File, Metadata), SourceError> {
    let gone = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => data(path, "is gone: it was there when the files were listed"),
        _ => io("open", path, error),
    };
    let file = open_patiently(path).map_err(gone)?;
    let metadata = file.metadata().map_err(gone)?;
    Ok((file, metadata))
}

/// Refuses a file that is made while it is read, as those in `/proc`: by its size nothing is in it.
pub(super) fn has_its_size(
    path: &Path,
    file: &File,
    metadata: &Metadata,
) -> Result<(), SourceError> {
    let read = || file.read_at(&mut [0], 0);
    // It may have been appended to since it was measured.
    if metadata.len() > 0 || !read().is_ok_and(|read| read > 0) {
        return Ok(());
    }
    let now = file.metadata().map_err(|error| io("open", path, error))?;
    if now.len() > 0 {
        return Ok(());
    }
    let name = names::text(path);
    Err(data(
        path,
        format!(
            "has a size of 0 bytes and can be read all the same, as files in /proc can: how much is in it shows only when \
             it is read, so it cannot be read in parts\n  \
             help: give it through a pipe: cat {name} | JOB --source NAME=-"
        ),
    ))
}

/// Opens a file. Where too many are open, others are closed within moments: those that tasks read.
fn open_patiently(path: &Path) -> std::io::Result<File> {
    let start = Instant::now();
    loop {
        match File::open(path) {
            Err(error) if limits::is_out_of_files(&error) && start.elapsed() < PATIENCE => {
                std::thread::sleep(AGAIN);
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let files = list(path).unwrap().unwrap();
        files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn directories_globs_and_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", ".hidden.csv", "_temporary.csv", "c.txt", "literal[1].csv"] {
            fs::write(dir.path().join(name), "x\n").unwrap();
        }
        fs::create_dir(dir.path().join("d.csv")).unwrap();
        fs::write(dir.path().join("d.csv/inner"), "x\n").unwrap();
        std::os::unix::fs::symlink("a.csv", dir.path().join("link.csv")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert_eq!(names(dir.path()), ["a.csv", "b.csv", "c.txt", "link.csv", "literal[1].csv"]);
        assert_eq!(
            names(&dir.path().join("*.csv")),
            ["a.csv", "b.csv", "inner", "link.csv", "literal[1].csv"]
        );
        assert_eq!(names(&dir.path().join("[bc].???")), ["b.csv", "c.txt"]);
        assert_eq!(names(&dir.path().join("literal[1].csv")), ["literal[1].csv"]);
        assert_eq!(names(&dir.path().join(".hidden.csv")), [".hidden.csv"]);
        assert!(names(&dir.path().join("*.parquet")).is_empty());
        // A file of the pattern's own name changes nothing about what else it matches.
        for literal in ["*.csv", "[bc].???", "li[t]eral[1].csv"] {
            fs::write(dir.path().join(literal), "x\n").unwrap();
        }
        assert_eq!(
            names(&dir.path().join("*.csv")),
            ["*.csv", "a.csv", "b.csv", "inner", "li[t]eral[1].csv", "link.csv", "literal[1].csv"]
        );
        assert_eq!(names(&dir.path().join("[bc].???")), ["b.csv", "c.txt"]);
        fs::write(dir.path().join("literal1.csv"), "x\n").unwrap();
        assert_eq!(names(&dir.path().join("literal[1].csv")), ["literal1.csv"]);
        assert_eq!(names(&dir.path().join("li[t]eral[1].csv")), ["literal1.csv"]);
        // No pattern at all, but a name.
        fs::write(dir.path().join("open[.csv"), "x\n").unwrap();
        assert_eq!(names(&dir.path().join("open[.csv")), ["open[.csv"]);
    }

    #[test]
    fn names_of_any_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let name = |bytes: &'static [u8]| Path::new(std::ffi::OsStr::from_bytes(bytes));
        for bytes in [&b"a.log"[..], b"caf\xe9.log", b"\xff\xfe.log"] {
            fs::write(dir.path().join(name(bytes)), "x\n").unwrap();
        }
        fs::create_dir(dir.path().join(name(b"d\xe8"))).unwrap();
        fs::write(dir.path().join(name(b"d\xe8/in.log")), "x\n").unwrap();
        let all =
            [&b"a.log"[..], b"caf\xe9.log", b"\xff\xfe.log"].map(|b| dir.path().join(name(b)));
        assert_eq!(list(dir.path()).unwrap().unwrap(), all);
        assert_eq!(list(&dir.path().join("*.log")).unwrap().unwrap(), all);
        assert_eq!(list(&dir.path().join(name(b"caf\xe9*"))).unwrap().unwrap(), all[1..2]);
        let below = dir.path().join(name(b"d\xe8/in.log"));
        assert_eq!(list(&dir.path().join("d?/*")).unwrap().unwrap(), [below]);
    }

    #[test]
    fn a_file_without_a_size_is_not_taken_for_empty() {
        let check = |path: &Path| {
            let (file, metadata) = open(path).unwrap();
            has_its_size(path, &file, &metadata).map_err(|error| error.to_string())
        };
        let proc = Path::new("/proc/self/status");
        assert!(fs::read(proc).unwrap().len() > fs::metadata(proc).unwrap().len() as usize);
        let error = check(proc).unwrap_err();
        assert!(
            error.contains("size of 0 bytes") && error.contains("cat /proc/self/status |"),
            "{error}"
        );
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "x"] {
            fs::write(dir.path().join("file"), text).unwrap();
            check(&dir.path().join("file")).unwrap();
        }
        // It grew after it was measured.
        let path = dir.path().join("grown");
        fs::write(&path, "").unwrap();
        let (file, metadata) = open(&path).unwrap();
        fs::write(&path, "x\n").unwrap();
        has_its_size(&path, &file, &metadata).unwrap();
    }

    #[test]
    fn what_cannot_be_listed() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = list(&socket).unwrap_err().to_string();
        assert!(error.ends_with("socket: is neither a file nor a directory"), "{error}");
        fs::write(dir.path().join("file"), "").unwrap();
        let below = dir.path().join("file/below");
        let error = list(&below).unwrap_err().to_string();
        assert!(error.starts_with("cannot open") && error.contains("file/below"), "{error}");
        assert!(list(&dir.path().join("absent")).unwrap().is_none());
        let bad = dir.path().join("a[");
        assert!(list(&bad).unwrap_err().to_string().contains("no pattern"));
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
        assert!(list(dir.path()).is_err());
    }
}
