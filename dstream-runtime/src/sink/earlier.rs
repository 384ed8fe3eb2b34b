//! What earlier runs have published in a directory, by its manifests, and how it is taken away.
//!
//! Only directories that are named like a batch and hold a manifest of that batch count; what else lies there is not
//! ours. A batch goes as it came: whole, by one rename to a name that readers skip. The newest goes first, so what a
//! crash leaves is what a shorter run would have left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{self, Manifest};
use super::staging::{self, open_dir};
use super::{Earlier, SinkError};
use crate::time::BatchTime;

/// The times of what may be batches, newest first.
fn times(dir: &Path) -> io::Result<Vec<u64>> {
    let mut times = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let time = name.to_str().and_then(|name| name.parse::<u64>().ok());
        let time = time.filter(|time| name.to_str() == Some(&time.to_string()));
        if let Some(time) = time
            && entry.file_type()?.is_dir()
        {
            times.push(time);
        }
    }
    times.sort_unstable_by(|a, b| b.cmp(a));
    Ok(times)
}

/// The manifest of a batch, if one is published under its time.
fn manifest(dir: &Path, time: u64) -> Option<Manifest> {
    let bytes = fs::read(dir.join(time.to_string()).join(manifest::FILE)).ok()?;
    Manifest::read(&bytes).ok().filter(|manifest| manifest.batch() == time)
}

/// What was published there last.
pub(super) fn newest(dir: &Path) -> io::Result<Option<Earlier>> {
    newest_where(dir, |_| true)
}

/// What an output of a job has published there last.
pub(super) fn newest_of(dir: &Path, job: &str, output: &str) -> io::Result<Option<Earlier>> {
    newest_where(dir, |manifest| is_of(manifest, job, output))
}

/// What an output of a job has published there last, as far as that is written there: manifests of older versions do not
/// say whose they are.
pub(super) fn newest_maybe_of(dir: &Path, job: &str, output: &str) -> io::Result<Option<Earlier>> {
    newest_where(dir, |manifest| {
        manifest.job().is_none_or(|of| of == job) && manifest.output().is_none_or(|of| of == output)
    })
}

fn newest_where(dir: &Path, counts: impl Fn(&Manifest) -> bool) -> io::Result<Option<Earlier>> {
    let mut times = times(dir)?.into_iter();
    let found = times.find_map(|time| Some((time, manifest(dir, time).filter(&counts)?)));
    Ok(found.map(|(time, manifest)| Earlier {
        place: dir.display().to_string(),
        newest: BatchTime(time),
        job: manifest.job().map(str::to_owned),
        output: manifest.output().map(str::to_owned),
    }))
}

fn is_of(manifest: &Manifest, job: &str, output: &str) -> bool {
    manifest.job() == Some(job) && manifest.output() == Some(output)
}

/// Takes away all that an output of a job has published in a directory; how many batches that were.
///
/// # Errors
/// When something else lies in one of them, before any is taken away; when one cannot be removed.
pub(super) fn remove(dir: &Path, job: &str, output: &str) -> Result<u64, SinkError> {
    let failed = |doing, path: &Path, error: io::Error| SinkError::Io {
        doing,
        what: format!("{} of output {output}", path.display()),
        error: Arc::new(error),
    };
    let times = match times(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        times => times.map_err(|error| failed("list", dir, error))?,
    };
    let mut batches = Vec::new();
    for time in times {
        let path = dir.join(time.to_string());
        let ours =
            |manifest: &Manifest| manifest.job() == Some(job) && manifest.output() == Some(output);
        let Some(manifest) = manifest(dir, time).filter(ours) else { continue };
        let other = other_file(&path, &manifest).map_err(|error| failed("list", &path, error))?;
        if let Some(other) = other {
            let why = format!("{other} is in it and no part of the batch; move it away first");
            return Err(failed("replace", &path, io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        batches.push(path);
    }
    let mut hidden = Vec::with_capacity(batches.len());
    for path in &batches {
        hidden.push(hide(dir, path).map_err(|error| failed("remove", path, error))?);
    }
    if !hidden.is_empty() {
        let sync = || Ok(rustix::fs::fsync(open_dir(rustix::fs::CWD, dir)?)?);
        sync().map_err(|error| failed("sync", dir, error))?;
    }
    // What cannot be removed now is removed when the output is opened the next time.
    hidden.iter().for_each(|path| drop(fs::remove_dir_all(path)));
    Ok(batches.len() as u64)
}

/// A file in the directory of a batch that its manifest does not name.
pub(super) fn other_file(path: &Path, manifest: &Manifest) -> io::Result<Option<String>> {
    for entry in fs::read_dir(path)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if file != manifest::FILE && manifest.parts().iter().all(|part| part.name != file) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Gives a batch a name that readers skip, and that the next to open the output takes for one of a dead process.
fn hide(dir: &Path, path: &Path) -> io::Result<PathBuf> {
    let name = staging::unused(dir)?;
    fs::rename(path, &name)?;
    Ok(name)
}

#[cfg(test)]
#[path = "earlier_tests.rs"]
mod tests;
