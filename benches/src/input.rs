//! A mapped file, cut at line ends into batches and parts.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

/// Bytes whose newlines are counted at once.
const STRIDE: usize = 64 << 10;

/// Maps a file.
///
/// # Errors
/// When it cannot be opened or mapped.
pub fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    #[expect(unsafe_code, reason = "mapping a file is unsafe, as others could change it")]
    // SAFETY: benchmarks own their data files, which do not change while they run.
    unsafe {
        Mmap::map(&file)
    }
}

/// Number of lines; the last may lack its newline.
#[must_use]
pub fn count_lines(text: &[u8]) -> usize {
    newlines(text) + usize::from(text.last().is_some_and(|last| *last != b'\n'))
}

fn newlines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

/// Where the first `lines` lines end.
#[must_use]
pub fn end_of_lines(text: &[u8], lines: usize) -> usize {
    let (mut left, mut at) = (lines, 0);
    for stride in text.chunks(STRIDE) {
        let here = newlines(stride);
        if here >= left {
            let last = memchr::memchr_iter(b'\n', stride).nth(left.saturating_sub(1));
            return at + last.map_or(0, |last| last + 1);
        }
        left -= here;
        at += stride.len();
    }
    text.len()
}

/// Cuts a text at line ends into `parts` of similar length.
#[must_use]
pub fn parts(text: &[u8], parts: usize) -> Vec<Range<usize>> {
    let mut from = 0;
    (1..=parts)
        .map(|part| {
            let about = (text.len() * part / parts).max(from);
            let end = memchr::memchr(b'\n', &text[about..]).map_or(text.len(), |at| about + at + 1);
            let end = if part == parts { text.len() } else { end };
            std::mem::replace(&mut from, end)..end
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_end_after_their_lines() {
        let text: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        for lines in [1, 2, 9_999, 54_321, 100_000] {
            let end = end_of_lines(text.as_bytes(), lines);
            assert_eq!(count_lines(&text.as_bytes()[..end]), lines);
            assert!(text[..end].ends_with(&format!("\n{}\n", lines - 1)) || lines == 1);
        }
        assert_eq!(end_of_lines(text.as_bytes(), 100_001), text.len());
        assert_eq!(end_of_lines(b"a\nb", 2), 3);
    }

    #[test]
    fn parts_are_whole_lines() {
        for text in ["", "a", "a\n", "a\nb\nccccccccccccc\nd\n", "aaaaaaaaaaaa\nb"] {
            for count in 1..5 {
                let parts = parts(text.as_bytes(), count);
                assert_eq!(parts.len(), count);
                let joined: String = parts.iter().map(|part| &text[part.clone()]).collect();
                assert_eq!(joined, text);
                for part in &parts {
                    assert!(part.end == text.len() || text[..part.end].ends_with('\n'));
                }
            }
        }
    }
}
