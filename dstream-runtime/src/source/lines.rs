//! Where lines end.
//!
//! A line ends after its `\n`, or where the data ends. Everything here is a function of bytes.

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

/// Cuts whole lines into pieces of about [`PIECE`] bytes of whole lines, with the offset of each.
pub(super) fn pieces(bytes: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = if rest.len() <= PIECE {
            rest.len()
        } else {
            last_line_end(&rest[..PIECE]).or_else(|| line_end(rest, PIECE)).unwrap_or(rest.len())
        };
        each(at, &rest[..length]);
        at += length;
    }
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

/// Takes out lines that are longer than `max_line`, line ends not counted.
pub(super) fn guard(bytes: &[u8], max_line: u64, each: &mut dyn FnMut(Guarded<'_>)) {
    if bytes.len() as u64 <= max_line {
        return each(Guarded { at: 0, bytes, torn: None });
    }
    let (mut run, mut at) = (0, 0);
    while at < bytes.len() {
        let end = line_end(&bytes[at..], 0).map_or(bytes.len(), |length| at + length);
        let length = (end - at) as u64;
        if length - u64::from(bytes[..end].ends_with(b"\n")) > max_line {
            if run < at {
                each(Guarded { at: run, bytes: &bytes[run..at], torn: None });
            }
            let head = &bytes[at..end.min(at + TORN_HEAD)];
            each(Guarded { at, bytes: head, torn: Some(length) });
            run = end;
        }
        at = end;
    }
    if run < at {
        each(Guarded { at: run, bytes: &bytes[run..], torn: None });
    }
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

    #[test]
    fn pieces_are_whole_lines() {
        let mut bytes = Vec::new();
        for i in 0..100_000 {
            bytes.extend_from_slice(format!("line {i}\n").as_bytes());
        }
        bytes.extend(std::iter::repeat_n(b'x', 3 * PIECE));
        bytes.extend_from_slice(b"\nlast");
        let (mut together, mut sizes) = (Vec::new(), Vec::new());
        pieces(&bytes, &mut |at, piece| {
            assert_eq!(at, together.len());
            together.extend_from_slice(piece);
            assert!(piece.ends_with(b"\n") || together.len() == bytes.len());
            sizes.push(piece.len());
        });
        assert!(together == bytes);
        assert_eq!(sizes.iter().filter(|size| **size > PIECE).count(), 1);
        pieces(b"", &mut |_, _| panic!("no piece of nothing"));
    }

    #[test]
    fn long_lines_are_taken_out() {
        let guarded = |text: &str, max_line| {
            let mut got = Vec::new();
            guard(text.as_bytes(), max_line, &mut |part| {
                got.push((part.at, String::from_utf8(part.bytes.to_vec()).unwrap(), part.torn));
            });
            got
        };
        let run = |at, text: &str| (at, text.to_owned(), None);
        let long = |at, text: &str| (at, text.to_owned(), Some(text.len() as u64));
        let text = "ab\nabc\nabcd\na\nabcd";
        assert_eq!(guarded(text, 100), [run(0, text)]);
        assert_eq!(
            guarded(text, 3),
            [run(0, "ab\nabc\n"), long(7, "abcd\n"), run(12, "a\n"), long(14, "abcd")]
        );
        assert_eq!(guarded("abcd\nab", 3), [long(0, "abcd\n"), run(5, "ab")]);
    }
}
