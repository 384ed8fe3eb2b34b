//! New files that are the same as others that are there, as far as they go: copies in the making, as a rule.
//!
//! `copytruncate` copies a log and then truncates it; `gzip` writes the compressed form and then removes the
//! other one. Between the two both are there, and only what follows says which of them counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fingerprint::{CHUNK, Print, WHOLE};
use super::followed::{Growing, Seen};
use super::held::Opened;
use super::{generations, list, remembered};
use crate::host;

/// Whether a file is still waited for which has been like another one since then: the compressed form of one
/// that is there as long as that is there, since it holds nothing else.
pub(super) fn waits(path: &Path, of: &Path, since: Instant, settle: Duration) -> bool {
    generations::is_packed_form(path, of) || host::since(since) < settle
}

/// A file that is there, and begins with all that is in the new one, which may be its copy by its name or its
/// time. `packed` is the fingerprint of all that is in the new one, if that is compressed.
pub(super) fn of_those_there(
    seen: &Seen,
    file: &File,
    packed: Option<&Print>,
    there: &BTreeMap<PathBuf, Growing>,
) -> io::Result<Option<PathBuf>> {
    for (path, growing) in there {
        let form = generations::is_packed_form(&seen.path, path);
        let may = generations::may_be(&seen.path, growing.name)
            || growing.taken() > 0 && remembered::modified(&seen.metadata) == growing.modified
            || packed.is_some() && form;
        if !may {
            continue;
        }
        let other = match &growing.handle {
            Some(handle) => Opened::Held(handle.clone()),
            None => match File::open(path) {
                Ok(other) => Opened::Now(other),
                // It went after it was listed: the next look knows more.
                Err(_) => return Ok(Some(path.clone())),
            },
        };
        // It was truncated after it was measured: the next look knows more.
        if other.metadata()?.len() < growing.size() {
            return Ok(Some(path.clone()));
        }
        let same = match packed {
            Some(print) => print.matches_whole(&other)?.is_some(),
            None => begins_with(&other, file, seen.metadata.len())?,
        };
        if same {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}

/// Whether a file begins with the first `size` bytes of another one, of which no more than [`WHOLE`] are
/// compared.
fn begins_with(file: &File, other: &File, size: u64) -> io::Result<bool> {
    if file.metadata()?.len() < size {
        return Ok(false);
    }
    let (mut at, end) = (0, size.min(WHOLE));
    let mut buffers = [vec![0; CHUNK as usize], vec![0; CHUNK as usize]];
    while at < end {
        let some = usize::try_from(end - at).unwrap_or(CHUNK as usize).min(CHUNK as usize);
        let [one, two] = &mut buffers;
        for (file, buffer) in [(file, &mut *one), (other, &mut *two)] {
            match file.read_exact_at(&mut buffer[..some], at) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                read => read?,
            }
        }
        if one[..some] != two[..some] {
            return Ok(false);
        }
        at += some as u64;
    }
    Ok(true)
}

/// Looks for a file whose path leads elsewhere now: where the link led by which it was found, and beside the
/// file that the source names.
pub(super) fn find_elsewhere(named: &Path, growing: &mut Growing) {
    let is = |path: &Path| {
        let (file, metadata) = list::open(path).ok()?;
        let seen = Seen::new(path.to_owned(), metadata);
        let same = match growing.identity {
            Some(identity) => identity == seen.identity,
            None => remembered::key(&seen.identity) == growing.key,
        };
        (same && seen.metadata.is_file()).then_some((file, seen))
    };
    let mut found = growing.target().and_then(is);
    let directory = named.parent().filter(|_| !named.is_dir());
    if found.is_none()
        && growing.unread() > 0
        && let Some(directory) = directory
    {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        found = files.map(|entry| entry.path()).find_map(|path| is(&path));
    }
    if let Some((file, seen)) = found {
        let target = growing.target().map(Path::to_owned);
        growing.found(&seen);
        growing.links_to(target);
        growing.handle = Some(Arc::new(file));
    }
}
