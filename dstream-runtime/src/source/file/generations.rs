//! Under which names the content of a file may be found again: after a rotation, a compression, or a copy.
//!
//! Decides by file names alone, and only which names are worth a look: whether it is the same content is told
//! by its fingerprint.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::remembered::{NameHash, bytes_hash};

/// Ends of names of compressed files.
const PACKED: [&[u8]; 2] = [b".gz", b".zst"];

/// What a mark of rotation begins with.
const MARKS: &[u8] = b"-._~";

/// The hash of the last part of a path.
pub(super) fn file_name_hash(path: &Path) -> NameHash {
    bytes_hash(name(path))
}

fn name(path: &Path) -> &[u8] {
    path.file_name().map_or(b"", OsStr::as_bytes)
}

/// Whether a file of this name may have the content of one whose name has that hash: it has the same name, or
/// one that rotation makes of it (`log` → `log.1`, `log-20261130.gz`; `log.1` → `log.2.gz`; `a.log` →
/// `a-20261130.log`), or one is the other one compressed.
pub(super) fn may_be(path: &Path, of: NameHash) -> bool {
    let name = name(path);
    let is = |name: &[u8]| bytes_hash(name) == of;
    let with = |name: &[u8], end: &[u8]| is(&[name, end].concat());
    let plain = PACKED.iter().find_map(|end| name.strip_suffix(*end)).unwrap_or(name);
    let ends = |end: usize| name.get(end).is_none_or(|byte| MARKS.contains(byte));
    let begins = (1..=name.len()).any(|end| ends(end) && is(&name[..end]));
    if begins || PACKED.iter().any(|end| with(plain, end)) {
        return true;
    }
    if let Some(before) = generation_before(plain)
        && (is(&before) || PACKED.iter().any(|end| with(&before, end)))
    {
        return true;
    }
    without_marks(plain).iter().any(|name| is(name))
}

/// Whether `path` is that of the compressed form of `plain`.
pub(super) fn is_packed_form(path: &Path, plain: &Path) -> bool {
    PACKED.iter().any(|end| name(path).strip_suffix(*end) == Some(name(plain)))
}

/// `log.2` → `log.1`.
fn generation_before(name: &[u8]) -> Option<Vec<u8>> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let number: u64 = std::str::from_utf8(&name[dot + 1..]).ok()?.parse().ok()?;
    let before = number.checked_sub(1)?.to_string();
    Some([&name[..=dot], before.as_bytes()].concat())
}

/// The name without one of the numbers in it, or several that follow each other, and what separates them:
/// `a-20261130.log` → `a.log`, `a-2026-11-30.log` → `a.log`.
fn without_marks(name: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    for start in 1..name.len() {
        let mut end = start;
        while let Some(next) = mark_end(name, end) {
            end = next;
            names.push([&name[..start], &name[end..]].concat());
        }
    }
    names
}

/// Where the number ends that begins here with what separates it.
fn mark_end(name: &[u8], start: usize) -> Option<usize> {
    name.get(start).filter(|byte| MARKS.contains(byte))?;
    let digits = name[start + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then_some(start + 1 + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_rotation_makes() {
        let may = |new: &str, old: &str| may_be(Path::new(new), file_name_hash(Path::new(old)));
        for (new, old) in [
            ("/d/log", "/d/log"),
            ("/elsewhere/log", "/d/log"),
            ("log.1", "log"),
            ("log.1.gz", "log"),
            ("log.1.gz", "log.1"),
            ("log.2.gz", "log.1"),
            ("log.2.gz", "log.1.gz"),
            ("log.10", "log.9"),
            ("log-20261130", "log"),
            ("log-20261130.gz", "log"),
            ("log-20261130.zst", "log-20261130"),
            ("a-20261130.log", "a.log"),
            ("a.1.log.gz", "a.log"),
            ("a-2026-11-30.log", "a.log"),
            ("a-20261130-1796094324.log.gz", "a.log"),
            ("a-2026-11-30.1.log.gz", "a-2026-11-30.log"),
            ("log.2", "log.2.gz"),
            ("log.bak", "log"),
        ] {
            assert!(may(new, old), "{new} {old}");
        }
        for (new, old) in [("log", "log.1"), ("a2", "b2"), ("part-0002.csv", "part-0001.csv")] {
            assert!(!may(new, old), "{new} {old}");
        }
        assert!(is_packed_form(Path::new("/d/log.1.gz"), Path::new("/e/log.1")));
        assert!(!is_packed_form(Path::new("log.1"), Path::new("log.1")));
    }
}
