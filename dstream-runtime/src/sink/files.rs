//! Outputs as directories of part files.
//!
//! `DIR/<batch time>/part-00000.csv …` and `_manifest.json` beside them. The directory of a batch
//! appears whole, once, by an exclusive rename; nothing that was published is ever replaced. That is
//! what makes a batch that runs again harmless, and a second master's batch an error.
//!
//! Where the file system cannot rename exclusively, the directory is made in place, and the batch is
//! published by linking its manifest, exclusively: readers there skip directories without one.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::connector::{Kept, SinkConnector, SinkContext};
use super::earlier;
use super::manifest::{self, Manifest, PartRow, hex};
use super::staging::{self, Staging, open_dir};
use super::{Batch, Earlier, Origin, Part, Sink, SinkError};
use crate::connect::{ConnectorUrl, OptionRow, row_of};
use crate::record::Format;

/// Files below a directory.
pub(super) const CONNECTOR: SinkConnector = SinkConnector {
    scheme: "file",
    place: "//DIR",
    about: "part files in `DIR/<batch time in ms>/` beside a manifest; a batch appears whole or not at all, once",
    formats: &[Format::Text, Format::Csv, Format::Json],
    bare: None,
    options: &[
        OptionRow::flag("fsync", "Files are on the disk before their batch is visible").or("true"),
        OptionRow::choice(
            "empty",
            &["publish", "skip"],
            "A batch without records has a directory too, or none",
        )
        .or("skip"),
    ],
    open,
    kept: Some(Kept { newest, place, remove }),
};

fn open(url: &ConnectorUrl, context: &SinkContext<'_>) -> Result<Box<dyn Sink>, SinkError> {
    let format = context.format.unwrap_or(Format::Text);
    let header = format == Format::Csv && url.flag("header")?;
    let (fsync, empty) = (url.flag("fsync")?, url.choice("empty")? == "publish");
    let sink = FileSink::open(context.output, url.place(), format, fsync, header)?;
    Ok(Box::new(sink.of(context.job).publishing_empty(empty)))
}

fn newest(url: &ConnectorUrl, context: &SinkContext<'_>) -> Result<Option<Earlier>, SinkError> {
    let newest = earlier::newest_of(Path::new(url.place()), context.job, context.output);
    newest.map_err(|error| SinkError::Io {
        doing: "list",
        what: url.place().to_owned(),
        error: Arc::new(error),
    })
}

fn place(url: &ConnectorUrl) -> PathBuf {
    resolved(Path::new(url.place()))
}

/// What a path names, through links; of what is not there yet, what it will name once it was made.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut place = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(place.pop()),
            Component::CurDir => {}
            other => {
                place.push(other);
                place = place.canonicalize().unwrap_or(place);
            }
        }
    }
    place
}

fn remove(url: &ConnectorUrl, context: &SinkContext<'_>) -> Result<u64, SinkError> {
    earlier::remove(Path::new(url.place()), context.job, context.output)
}

/// How the directory of a batch is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exclusive {
    /// `renameat2(RENAME_NOREPLACE)`.
    Rename,
    /// `link` of the manifest.
    Link,
}

/// An output to a directory.
pub(super) struct FileSink {
    /// The job, as manifests name it; may be empty.
    job: String,
    /// The output's name.
    name: String,
    path: PathBuf,
    dir: OwnedFd,
    format: Format,
    header: bool,
    fsync: bool,
    /// Whether a batch without records has a directory too.
    empty: bool,
    exclusive: Exclusive,
    /// The last batch was not written: the directory may have been replaced by another of its name.
    failed: bool,
}

/// What is there already, and is not what was to be published.
struct Other {
    why: String,
    origin: Origin,
}

impl Other {
    /// How a published batch differs, if it does.
    fn than(new: &Manifest, there: &Manifest) -> Option<Self> {
        new.differs(there).map(|why| Self { why, origin: new.origin(there) })
    }
}

/// Whether what is there already differs from what was to be published.
enum Differs {
    No,
    Other(Other),
    /// It was published as it should be, and was damaged since: how.
    Damaged(String),
}

impl Differs {
    /// A directory of unknown origin.
    fn left(why: String) -> Self {
        Self::Other(Other { why, origin: Origin::Unknown })
    }
}

/// A failed step of publishing.
struct Failed {
    doing: &'static str,
    file: String,
    error: io::Error,
}

fn step<T, E: Into<io::Error>>(
    result: Result<T, E>,
    doing: &'static str,
    file: &str,
) -> Result<T, Failed> {
    result.map_err(|error| Failed { doing, file: file.to_owned(), error: error.into() })
}

impl FileSink {
    /// Makes the directory if need be, and removes what dead processes left there.
    pub(super) fn open(
        name: &str,
        path: &str,
        format: Format,
        fsync: bool,
        header: bool,
    ) -> Result<Self, SinkError> {
        let path = PathBuf::from(path);
        let error = |doing| {
            let what = format!("directory {} of output {name}", path.display());
            move |error: io::Error| SinkError::Io { doing, what, error: Arc::new(error) }
        };
        fs::create_dir_all(&path).map_err(error("create"))?;
        staging::remove_dead(&path).map_err(error("clean up"))?;
        let dir = open_dir(rustix::fs::CWD, &path).map_err(error("open"))?;
        let exclusive = Exclusive::Rename;
        let (job, name) = (String::new(), name.to_owned());
        Ok(Self {
            job,
            name,
            path,
            dir,
            format,
            header,
            fsync,
            empty: false,
            exclusive,
            failed: false,
        })
    }

    /// The same, of a job that its manifests name.
    pub(super) fn of(self, job: &str) -> Self {
        Self { job: job.to_owned(), ..self }
    }

    /// The same, with directories of batches without records too, or not.
    pub(super) fn publishing_empty(self, empty: bool) -> Self {
        Self { empty, ..self }
    }

    /// What is published: `DIR/TIME`, for errors.
    fn what(&self, batch: &Batch) -> String {
        self.path.join(batch.time.0.to_string()).display().to_string()
    }

    fn conflict(&self, batch: &Batch, other: Other) -> SinkError {
        let what = format!("output {} ({})", self.name, self.what(batch));
        let Other { why, origin } = other;
        SinkError::Conflict { time: batch.time, what, why, origin }
    }

    fn failed(&self, batch: &Batch, failed: Failed) -> SinkError {
        let path = Path::new(&self.what(batch)).join(failed.file).display().to_string();
        let (dir, error) = (self.path.display(), failed.error);
        let error = match error.kind() {
            io::ErrorKind::StorageFull => {
                let why = format!("the disk that holds {dir} is full ({error})");
                io::Error::new(error.kind(), why)
            }
            io::ErrorKind::QuotaExceeded => {
                io::Error::new(error.kind(), format!("the quota on {dir} is used up ({error})"))
            }
            io::ErrorKind::NotFound => {
                io::Error::new(error.kind(), format!("{dir} was removed ({error})"))
            }
            _ => error,
        };
        let what = format!("{path} of output {}", self.name);
        SinkError::Io { doing: failed.doing, what, error: Arc::new(error) }
    }

    /// Writes the parts and the manifest where no reader looks.
    fn stage<'d>(
        &self,
        dir: BorrowedFd<'d>,
        batch: &Batch,
    ) -> Result<(Staging<'d>, Manifest), Failed> {
        let mut staging = step(Staging::create(dir), "create", "")?;
        let mut parts: Vec<&Part> = batch.parts.iter().filter(|p| !p.bytes.is_empty()).collect();
        parts.sort_by_key(|part| part.partition);
        let mut rows = Vec::with_capacity(parts.len());
        for part in parts {
            let header: &[u8] = if self.header { &part.header } else { &[] };
            let line_break: &[u8] = if header.is_empty() { b"" } else { b"\n" };
            let pieces = [header, line_break, part.bytes.as_slice()];
            let name = format!("part-{:05}.{}", part.partition.0, extension(self.format));
            step(staging.write(&name, &pieces, self.fsync), "write", &name)?;
            rows.push(PartRow {
                name,
                records: part.records,
                bytes: pieces.iter().map(|piece| piece.len() as u64).sum(),
                xxh3: hex(checksum(&pieces)),
            });
        }
        let manifest = Manifest::new(batch, rows).of(&self.job, &self.name);
        let written = staging.write(manifest::FILE, &[&manifest.to_bytes()], self.fsync);
        step(written, "write", manifest::FILE)?;
        if self.fsync {
            step(staging.sync(), "sync", "")?;
        }
        Ok((staging, manifest))
    }

    /// Publishes what was staged; what was there before, if that is something else.
    fn place(
        &mut self,
        mut staging: Staging<'_>,
        manifest: &Manifest,
        name: &str,
    ) -> Result<Differs, Failed> {
        if self.exclusive == Exclusive::Rename {
            match staging.place(name) {
                Ok(()) => return Ok(Differs::No),
                Err(Errno::EXIST | Errno::NOTEMPTY) => {
                    if let Some(there) = self.published(name)? {
                        return self.compare(name, manifest, &there);
                    }
                    // Without a manifest it was never published: fill it in.
                }
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    self.exclusive = Exclusive::Link;
                }
                Err(error) => return step(Err(error), "publish", ""),
            }
        }
        self.link(&staging, manifest, name)
    }

    /// Publishes by linking the parts and then, exclusively, the manifest.
    fn link(
        &self,
        staging: &Staging<'_>,
        manifest: &Manifest,
        name: &str,
    ) -> Result<Differs, Failed> {
        match rustix::fs::mkdirat(&self.dir, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return step(Err(error), "create", ""),
        }
        let dir = step(open_dir(&self.dir, Path::new(name)), "open", "")?;
        for part in manifest.parts() {
            match staging.link(&part.name, dir.as_fd()) {
                Ok(()) => {}
                Err(Errno::EXIST) => {
                    // Published already, or another attempt at the same batch is or was at work.
                    if let Some(there) = self.published(name)? {
                        return self.compare(name, manifest, &there);
                    }
                    let path = self.path.join(name).join(&part.name);
                    let there = step(fs::read(&path), "read", &part.name)?;
                    if hex(xxh3_64(&there)) != part.xxh3 {
                        return Ok(Differs::left(format!(
                            "an attempt that was never published left another {}; remove the directory",
                            part.name
                        )));
                    }
                }
                Err(error) => return step(Err(error), "link", &part.name),
            }
        }
        // What else lies there would be read as part of the batch.
        if let Some(other) = step(earlier::other_file(&self.path.join(name), manifest), "list", "")?
        {
            return Ok(Differs::left(format!(
                "{other} is in its directory and not part of it; remove the directory"
            )));
        }
        let sync = |file| {
            if self.fsync { step(rustix::fs::fsync(&dir), "sync", file) } else { Ok(()) }
        };
        sync("")?;
        let differs = match staging.link(manifest::FILE, dir.as_fd()) {
            Ok(()) => Differs::No,
            Err(Errno::EXIST) => match self.published(name)? {
                Some(there) => self.compare(name, manifest, &there)?,
                None => return step(Err(Errno::EXIST), "link", manifest::FILE),
            },
            Err(error) => return step(Err(error), "link", manifest::FILE),
        };
        sync(manifest::FILE)?;
        Ok(differs)
    }

    /// Whether what was published under that name is what was to be published: the same parts by its manifest, and each
    /// of them whole.
    fn compare(&self, name: &str, new: &Manifest, there: &Manifest) -> Result<Differs, Failed> {
        if let Some(other) = Other::than(new, there) {
            return Ok(Differs::Other(other));
        }
        for part in there.parts() {
            let bytes = match fs::read(self.path.join(name).join(&part.name)) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Differs::Damaged(format!("{} is missing", part.name)));
                }
                Err(error) => return step(Err(error), "read", &part.name),
            };
            let (length, expected) = (bytes.len() as u64, part.bytes);
            if length != expected {
                return Ok(Differs::Damaged(format!(
                    "{} has {length} bytes, and {expected} were published",
                    part.name
                )));
            }
            if hex(xxh3_64(&bytes)) != part.xxh3 {
                return Ok(Differs::Damaged(format!("{} has other bytes", part.name)));
            }
        }
        Ok(Differs::No)
    }

    /// The manifest of what was published under that name.
    fn published(&self, name: &str) -> Result<Option<Manifest>, Failed> {
        let bytes = match fs::read(self.path.join(name).join(manifest::FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return step(Err(error), "read", manifest::FILE),
        };
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        step(Manifest::read(&bytes).map_err(invalid), "read", manifest::FILE).map(Some)
    }

    /// Makes names in the directory durable, also those that an earlier process may not have synced.
    /// A new descriptor each time: one that has failed once says nothing any more.
    fn sync(&self) -> Result<(), Failed> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = step(rustix::fs::openat(&self.dir, ".", flags, Mode::empty()), "open", "")?;
        step(rustix::fs::fsync(&dir), "sync", "")
    }

    fn try_publish(&mut self, batch: &Batch) -> Result<Differs, Failed> {
        if self.failed {
            self.dir = step(open_dir(rustix::fs::CWD, &self.path), "open", "")?;
        }
        let name = batch.time.0.to_string();
        if !self.empty && batch.parts.iter().all(|part| part.bytes.is_empty()) {
            // It may have been published with records.
            let there = self.published(&name)?;
            let other = there.and_then(|there| Other::than(&Manifest::new(batch, vec![]), &there));
            return Ok(other.map_or(Differs::No, Differs::Other));
        }
        let dir = step(self.dir.try_clone(), "open", "")?;
        let (staging, manifest) = self.stage(dir.as_fd(), batch)?;
        let differs = self.place(staging, &manifest, &name)?;
        if self.fsync && matches!(differs, Differs::No) {
            self.sync()?;
        }
        Ok(differs)
    }
}

impl Sink for FileSink {
    fn format(&self) -> Option<Format> {
        Some(self.format)
    }

    fn publishes_empty(&self) -> bool {
        self.empty
    }

    fn earlier(&self) -> Result<Option<Earlier>, SinkError> {
        // What this job has published there says most, whatever lies beside it.
        let ours = earlier::newest_maybe_of(&self.path, &self.job, &self.name);
        let newest = ours.and_then(|ours| match ours {
            Some(ours) => Ok(Some(ours)),
            None => earlier::newest(&self.path),
        });
        newest.map_err(|error| SinkError::Io {
            doing: "list",
            what: format!("{} of output {}", self.path.display(), self.name),
            error: Arc::new(error),
        })
    }

    fn place(&self) -> Option<String> {
        Some(format!("{}+file://{}", row_of(self.format).name, resolved(&self.path).display()))
    }

    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let published = self.try_publish(batch);
        self.failed = published.is_err();
        match published {
            Ok(Differs::No) => Ok(()),
            Ok(Differs::Other(other)) => Err(self.conflict(batch, other)),
            Ok(Differs::Damaged(why)) => {
                let (name, path) = (&self.name, self.what(batch));
                Err(SinkError::Damaged {
                    time: batch.time,
                    what: format!("output {name} ({path})"),
                    why,
                })
            }
            Err(failed) => Err(self.failed(batch, failed)),
        }
    }
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Text => "txt",
        Format::Csv => "csv",
        Format::Json => "json",
    }
}

fn checksum(pieces: &[&[u8]]) -> u64 {
    if let [b"", b"", bytes] = pieces {
        return xxh3_64(bytes);
    }
    let mut hash = Xxh3::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.digest()
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
