//! Lines of text, found and checked in one pass.
//!
//! Nearly all text is ASCII, and ASCII is UTF-8: looking for line ends and for bytes that are not
//! ASCII at once, 64 bytes at a time, costs little more than looking for line ends. Where there are
//! other bytes, the lines around them are validated before they are given.
//!
//! Invariant: all bytes before the next block and before `limit` are ASCII, or of lines that were
//! validated as a whole.

use std::ops::Range;

use crate::source::lines::{last_line_end, line_end};
use crate::source::mask::{BLOCK, look16};

/// How much is validated together. Where other bytes than ASCII are rare, most lines need not be.
const PORTION: usize = 4 << 10;

/// The lines of a piece of text without their line ends (`\n` only), and where they begin; up to the
/// first line that is not UTF-8.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the line begins whose end is looked for.
    line: usize,
    /// Line ends of the block at `base` that are still to be given.
    ends: u64,
    base: usize,
    /// Where the next block begins.
    next: usize,
    /// Where to stop: the end, or the beginning of the first line that is not UTF-8.
    limit: usize,
    /// Up to here, the beginning of a line, everything is known to be UTF-8.
    known: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, line: 0, ends: 0, base: 0, next: 0, limit: bytes.len(), known: 0 }
    }

    /// All of the bytes, which are UTF-8, as one line.
    #[cold]
    pub(super) fn one(bytes: &'a [u8]) -> Self {
        debug_assert!(std::str::from_utf8(bytes).is_ok());
        Self { next: bytes.len(), known: bytes.len(), ..Self::new(bytes) }
    }

    /// When all lines have been given: the one that is not UTF-8, line end included.
    pub(super) fn bad(&self) -> Option<Range<usize>> {
        let end = |at: usize| line_end(self.bytes, at + 1).unwrap_or(self.bytes.len());
        (self.limit < self.bytes.len()).then(|| self.limit..end(self.limit))
    }

    /// Looks at the next block.
    #[inline(always)]
    fn look(&mut self) {
        let rest = &self.bytes[self.next..];
        let (mut ends, ascii) = match rest.first_chunk() {
            Some(block) => look(block),
            None => {
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                look(&block)
            }
        };
        self.base = self.next;
        self.next += BLOCK;
        if !ascii {
            (self.known, self.limit) =
                vouch(self.bytes, self.known.max(self.line), self.next, self.limit);
            if self.limit < self.next {
                // It may begin in a block before this one.
                ends &= (1 << self.limit.saturating_sub(self.base)) - 1;
            }
        }
        self.ends = ends;
    }

    /// A line whose end was found.
    #[inline(always)]
    #[expect(unsafe_code, reason = "measured: to check a line again costs as much as to find it")]
    fn take(&mut self, end: usize) -> (usize, &'a str) {
        let at = std::mem::replace(&mut self.line, end + 1);
        let line = &self.bytes[at..end];
        debug_assert!(std::str::from_utf8(line).is_ok());
        // SAFETY: of `Lines::one` the caller has validated all. Otherwise `look` has seen every byte of the line. Those of blocks that are ASCII alone are
        // UTF-8. Of every other block, `vouch` has validated all lines that reach into it up to
        // `limit`, from their beginnings to their ends; and as `look` drops line ends from `limit`
        // on, this line ends before it. A line of which a part was validated was so as a whole.
        (at, unsafe { std::str::from_utf8_unchecked(line) })
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, &'a str)> {
        while self.ends == 0 {
            if self.next >= self.limit {
                // What is left is a line without an end.
                return (self.line < self.limit).then(|| self.take(self.limit));
            }
            self.look();
        }
        let end = self.base + self.ends.trailing_zeros() as usize;
        self.ends &= self.ends - 1;
        Some(self.take(end))
    }
}

/// Validates the lines from `known` on that begin before `next`, up to `limit`; up to where lines
/// are known now, and where to stop.
///
/// It is given no iterator, so that the compiler can keep one in registers.
#[cold]
#[inline(never)]
fn vouch(bytes: &[u8], mut known: usize, next: usize, mut limit: usize) -> (usize, usize) {
    while known < next.min(limit) {
        let portion = some_lines(&bytes[known..]);
        match simdutf8::compat::from_utf8(portion) {
            Ok(_) => known += portion.len(),
            Err(error) => {
                known += last_line_end(&portion[..error.valid_up_to()]).unwrap_or(0);
                limit = known;
            }
        }
    }
    (known, limit)
}

/// At least one whole line, and no more than there are in a portion.
fn some_lines(bytes: &[u8]) -> &[u8] {
    let portion = bytes.len().min(PORTION);
    let end = last_line_end(&bytes[..portion]).or_else(|| line_end(bytes, portion));
    &bytes[..end.unwrap_or(bytes.len())]
}

/// A bit for each byte that is a line end, and whether all bytes are ASCII.
#[inline(always)]
fn look(block: &[u8; BLOCK]) -> (u64, bool) {
    let (chunks, _) = block.as_chunks::<16>();
    let (mut ends, mut high) = (0, 0);
    for (i, chunk) in chunks.iter().enumerate() {
        let (end, other) = look16(*chunk, b'\n');
        ends |= end << (16 * i);
        high |= other;
    }
    (ends, high == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines with their offsets, and those that are not UTF-8.
    type All<'a> = (Vec<(usize, &'a str)>, Vec<(usize, &'a [u8])>);

    fn all(bytes: &[u8]) -> All<'_> {
        let (mut good, mut bad, mut at) = (Vec::new(), Vec::new(), 0);
        loop {
            let mut lines = Lines::new(&bytes[at..]);
            good.extend(lines.by_ref().map(|(offset, line)| (at + offset, line)));
            let Some(range) = lines.bad() else { return (good, bad) };
            bad.push((at + range.start, &bytes[at..][range.clone()]));
            at += range.end;
        }
    }

    /// The same by the standard library, line by line.
    fn expected(bytes: &[u8]) -> All<'_> {
        let (mut good, mut bad, mut at) = (Vec::new(), Vec::new(), 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match std::str::from_utf8(line) {
                Ok(text) => good.push((at, text.strip_suffix('\n').unwrap_or(text))),
                Err(_) => bad.push((at, line)),
            }
            at += line.len();
        }
        (good, bad)
    }

    #[test]
    fn every_length_around_blocks() {
        for len in if cfg!(miri) { 60..70 } else { 0..200 } {
            for end in 0..=len {
                let mut text = "x".repeat(len);
                text.insert(end, '\n');
                assert_eq!(all(text.as_bytes()), expected(text.as_bytes()), "{text:?}");
            }
        }
    }

    #[test]
    fn a_line_that_is_not_utf8_is_told_apart_wherever_its_byte_is() {
        for len in if cfg!(miri) { 60..70 } else { 0..150 } {
            for (before, byte, after) in
                [("", "ü", ""), ("ä\n", "\u{80}", "é"), ("long ", "€", "\n")]
            {
                for cut in 0..=byte.len() {
                    let mut bytes = b"some\nlines\n".to_vec();
                    bytes.extend_from_slice(before.as_bytes());
                    bytes.extend(std::iter::repeat_n(b'x', len));
                    bytes.extend_from_slice(&byte.as_bytes()[..cut]);
                    bytes.extend_from_slice(after.as_bytes());
                    bytes.extend_from_slice(b"\nmore\n\nlast");
                    assert_eq!(all(&bytes), expected(&bytes), "{:?}", bytes.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn lines_that_are_longer_than_a_portion() {
        let long = "x".repeat(PORTION - 3);
        let text = format!("{long}äöü\n{long}{long}ß\nshort\n{long}");
        assert_eq!(all(text.as_bytes()), expected(text.as_bytes()));
        let mut broken = text.into_bytes();
        broken[PORTION + 100] = 0xff;
        assert_eq!(all(&broken), expected(&broken));
    }

    proptest! {
        #[test]
        fn lines_are_those_of_std(bytes in prop::collection::vec(
            prop_oneof![8 => Just(b'a'), 1 => Just(b'\n'), 1 => any::<u8>()], 0..400)) {
            prop_assert_eq!(all(&bytes), expected(&bytes));
        }

        #[test]
        fn text_of_all_kinds(text in "([a-zäöü€\\PC]{0,90}\n?){0,12}") {
            prop_assert_eq!(all(text.as_bytes()), expected(text.as_bytes()));
        }
    }
}
