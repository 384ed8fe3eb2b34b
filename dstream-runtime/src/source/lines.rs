//! Where lines end.
//!
//! A line ends after its `\n`, or where the data ends. Everything here is a function of bytes. Which lines are
//! records is not decided here ([`Framing`](super::Framing)).

use memchr::{memchr, memchr_iter, memrchr};

/// How much a kernel gets at once: half of a second-level cache.
pub(super) const PIECE: usize = 256 << 10;

/// How much of a line that is too long is kept, for the dead letter.
pub(super) const TORN_HEAD: usize = 4 << 10;

/// The end of the line that contains the byte before `at`: the first line end at or after `at`.
pub(super) fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    let from = at.saturating_sub(1);
    memchr(b'\n', bytes.get(from..)?).map(|found| from + found + 1)
}

/// The end of the last whole line.
pub(super) fn last_line_end(bytes: &[u8]) -> Option<usize> {
    memrchr(b'\n', bytes).map(|found| found + 1)
}

/// Number of line ends.
pub(super) fn count(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// Number of lines, the last of which may lack its end.
pub(super) fn records(bytes: &[u8]) -> u64 {
    count(bytes) + u64::from(!bytes.is_empty() && !bytes.ends_with(b"\n"))
}

/// The end of the `n`th line, which must be there; `n` counts from 1.
pub(super) fn nth_line_end(bytes: &[u8], n: u64) -> Option<usize> {
    let n = usize::try_from(n.checked_sub(1)?).ok()?;
    memchr_iter(b'\n', bytes).nth(n).map(|found| found + 1)
}

/// Part of a run of lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Guarded<'a> {
    /// Its offset.
    pub(super) at: usize,
    /// Whole lines, or the head of one that is too long.
    pub(super) bytes: &'a [u8],
    /// The length of the line that is too long.
    pub(super) torn: Option<u64>,
}

/// Why a line that is too long is not whole.
pub(super) fn too_long(length: u64, max_line: u64) -> String {
    format!("a line of {length} bytes: `max_line` allows {max_line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        let bytes = b"ab\n\ncd";
        let ends: Vec<_> = (0..=7).map(|at| line_end(bytes, at)).collect();
        assert_eq!(ends, [Some(3), Some(3), Some(3), Some(3), Some(4), None, None, None]);
        assert_eq!(last_line_end(bytes), Some(4));
        assert_eq!(last_line_end(b"ab"), None);
        assert_eq!(count(bytes), 2);
        assert_eq!([0, 1, 2, 3].map(|n| nth_line_end(bytes, n)), [None, Some(3), Some(4), None]);
    }
}
