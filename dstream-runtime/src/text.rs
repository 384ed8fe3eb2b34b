//! Words and patterns in text, at the speed of memory.
//!
//! [`words`] equals [`str::split_ascii_whitespace`], but finds word edges 64 bytes at a time. Nothing
//! allocates per word or search.

use memchr::memmem::Finder;

/// Bytes per step.
const BLOCK: usize = 64;

/// The words of a text, separated by ASCII whitespace.
#[inline]
#[must_use]
pub fn words(text: &str) -> Words<'_> {
    Words { text, edges: 0, base: 0, next: 0, inside: 0 }
}

/// The time that a date in RFC 3339 names, in milliseconds since 1970: `2026-11-30T14:01:09.250Z`,
/// `2026-11-30 14:01:09+01:00`. None if it is no such date, or has no offset.
#[inline]
#[must_use]
pub fn date(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// The time that a date of some format names, in milliseconds since 1970. The format is that of `strftime`:
/// `%d/%b/%Y:%H:%M:%S %z` for the access logs of web servers, `%Y-%m-%d %H:%M:%S`. Without an offset (`%z`) it is
/// taken for UTC. None if the text is no such date.
#[must_use]
pub fn date_as(text: &str, format: &str) -> Option<i64> {
    let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
    let at = match parsed.offset() {
        Some(_) => parsed.to_timestamp().ok()?,
        None => jiff::tz::Offset::UTC.to_timestamp(parsed.to_datetime().ok()?).ok()?,
    };
    Some(at.as_millisecond())
}

/// Iterator over the words of a text.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    text: &'a str,
    /// Bits at which words start and end in turn, from the current one on.
    edges: u64,
    /// Offset of the block.
    base: usize,
    /// Offset of the next block.
    next: usize,
    /// 1 if the byte before the next block is in a word.
    inside: u64,
}

impl Words<'_> {
    /// The next edge; `None` at the end of the text.
    #[inline(always)]
    fn edge(&mut self) -> Option<usize> {
        while self.edges == 0 {
            if self.next >= self.text.len() {
                return None;
            }
            let inside = !spaces(self.text.as_bytes(), self.next);
            self.edges = inside ^ (inside << 1 | self.inside);
            self.inside = inside >> (BLOCK - 1);
            self.base = self.next;
            self.next += BLOCK;
        }
        let at = self.base + self.edges.trailing_zeros() as usize;
        self.edges &= self.edges - 1;
        Some(at)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    #[inline(always)]
    fn next(&mut self) -> Option<&'a str> {
        let start = self.edge()?;
        // No edge: the text ends with a word and a block.
        let end = self.edge().unwrap_or(self.text.len());
        Some(&self.text[start..end])
    }
}

impl std::iter::FusedIterator for Words<'_> {}

/// A bit for each of the 64 bytes from `at`: whitespace or after the end.
#[inline(always)]
fn spaces(text: &[u8], at: usize) -> u64 {
    let rest = &text[at..];
    if let Some(block) = rest.first_chunk() {
        return spaces64(block);
    }
    let past = u64::MAX << rest.len();
    let found = match text.last_chunk::<BLOCK>() {
        // The last 64 bytes of the text, without those before `at`.
        Some(block) => spaces64(block) >> (BLOCK - rest.len()),
        None => spaces_short(rest),
    };
    found | past
}

/// The bits of fewer than 64 bytes.
#[inline(always)]
fn spaces_short(text: &[u8]) -> u64 {
    let (chunks, _) = text.as_chunks::<16>();
    let mut found = 0;
    for (i, chunk) in chunks.iter().enumerate() {
        found |= spaces16(*chunk) << (16 * i);
    }
    let done = 16 * chunks.len();
    if done == text.len() {
        found
    } else if let Some(last) = text.last_chunk() {
        // Bytes seen twice have equal bits.
        found | spaces16(*last) << (text.len() - 16)
    } else {
        let mut padded = [0; 16];
        padded[..text.len()].copy_from_slice(text);
        spaces16(padded)
    }
}

#[inline(always)]
fn spaces64(block: &[u8; BLOCK]) -> u64 {
    let (chunks, _) = block.as_chunks::<16>();
    let mut found = 0;
    for (i, chunk) in chunks.iter().enumerate() {
        found |= spaces16(*chunk) << (16 * i);
    }
    found
}

/// A bit for each byte that is ASCII whitespace.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
#[expect(unsafe_code, reason = "the compiler asks for it wherever a target feature is named")]
fn spaces16(chunk: [u8; 16]) -> u64 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { spaces16_sse2(chunk) }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
#[target_feature(enable = "sse2")]
fn spaces16_sse2(chunk: [u8; 16]) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let all = u128::from_le_bytes(chunk);
    let bytes = _mm_set_epi64x((all >> 64) as i64, all as i64);
    // With bit 2 set, tab and carriage return become equal, and equal to no other byte.
    let tab_or_return =
        _mm_cmpeq_epi8(_mm_or_si128(bytes, _mm_set1_epi8(4)), _mm_set1_epi8(b'\r' as i8));
    let feed = _mm_or_si128(
        _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\n' as i8)),
        _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\x0c' as i8)),
    );
    let space = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b' ' as i8));
    let found = _mm_or_si128(_mm_or_si128(space, feed), tab_or_return);
    u64::from(_mm_movemask_epi8(found) as u16)
}

/// A bit for each byte that is ASCII whitespace.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
fn spaces16(chunk: [u8; 16]) -> u64 {
    let mut found = 0;
    for (i, byte) in chunk.iter().enumerate() {
        found |= u64::from(byte.is_ascii_whitespace()) << i;
    }
    found
}

/// A prepared search.
#[derive(Debug, Clone)]
pub struct Pattern(Finder<'static>);

impl Pattern {
    /// Prepares a search. The empty pattern is in every text.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(Finder::new(pattern).into_owned())
    }

    /// Whether a text contains the pattern.
    #[inline]
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// Offset of the pattern's first occurrence in a text, in bytes.
    #[inline]
    #[must_use]
    pub fn find(&self, text: &str) -> Option<usize> {
        self.0.find(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_those_of_std(text in "([ \\t\\n\\r\\x0b\\x0c]{0,3}[a-zé\\PC]{0,20}){0,20}") {
            let expected: Vec<_> = text.split_ascii_whitespace().collect();
            prop_assert_eq!(words(&text).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn patterns_are_found_as_by_std(text in "[ab]{0,40}", pattern in "[ab]{0,4}") {
            let prepared = Pattern::new(&pattern);
            prop_assert_eq!(prepared.find(&text), text.find(&pattern));
            prop_assert_eq!(prepared.is_in(&text), text.contains(&pattern));
        }
    }

    #[test]
    fn every_length_around_blocks() {
        for len in if cfg!(miri) { 60..70 } else { 0..200 } {
            for space in 0..=len {
                let mut text = "x".repeat(len);
                text.insert(space, ' ');
                let expected: Vec<_> = text.split_ascii_whitespace().collect();
                assert_eq!(words(&text).collect::<Vec<_>>(), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn every_byte() {
        for byte in 0..128u8 {
            let spaces = spaces16([byte; 16]);
            assert_eq!(spaces, if byte.is_ascii_whitespace() { 0xffff } else { 0 }, "{byte}");
        }
        assert_eq!(spaces16([0x89; 16]) | spaces16([0xa0; 16]), 0);
    }
}
