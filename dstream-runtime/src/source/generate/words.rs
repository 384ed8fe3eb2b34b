//! Lines of words whose frequencies follow Zipf's law.
//!
//! A word is two to four syllables and sometimes a last consonant, so no two ranks share one. All
//! lines have the same length, line end included: the last word is chosen by the room that is left.

use super::zipf::Zipf;
use super::{Draws, Generate, PIECE};
use crate::mix::{STEP, mix};
use crate::record::Format;

/// The number of words that four syllables make.
pub(super) const MAX_WORDS: u64 = 10_000_000;

/// Letters, padded with spaces; the last byte is the number of letters. A whole slot is written at
/// once and what follows overwrites what was too much.
type Slot = [u8; SLOT];
const SLOT: usize = 16;

/// The longest word: four syllables and a consonant.
const LONGEST: usize = 9;

/// What fills the end of a line where the word that was drawn does not fit: one of each length.
const LAST: [&str; LONGEST + 1] =
    ["a", "of", "the", "with", "about", "people", "because", "together", "something", "government"];

/// The generator.
pub(super) struct Words {
    seed: u64,
    zipf: Zipf,
    words: Vec<Slot>,
    last: Vec<Slot>,
    /// Length of the text of a line.
    text: usize,
    /// JSON puts the text into quotes.
    quote: bool,
}

impl Words {
    /// Lines of `line` bytes of text, line end included.
    pub(super) fn new(seed: u64, words: usize, line: usize, format: Format) -> Self {
        Self {
            seed,
            zipf: Zipf::new(words),
            words: (0..words).map(word).collect(),
            last: LAST.iter().map(|word| slot(word.as_bytes())).collect(),
            text: line - 1,
            quote: format == Format::Json,
        }
    }

    /// Writes the text of a record to the beginning of `out`, which is a slot longer than that.
    #[inline]
    fn write(&self, record: u64, out: &mut [u8]) {
        let (mut draws, mut at) = (Draws::new(self.seed, record), 0);
        loop {
            let room = self.text - at;
            let mut word = &self.words[self.zipf.rank(draws.next())];
            let mut length = usize::from(word[SLOT - 1]);
            // After a word there is the end, or a space and another word.
            if length + 2 > room && length != room {
                word = &self.last[room.min(self.last.len()) - 1];
                length = usize::from(word[SLOT - 1]);
            }
            out[at..at + SLOT].copy_from_slice(word);
            at += length + 1;
            if at > self.text {
                return;
            }
        }
    }
}

impl Generate for Words {
    fn header(&self) -> &'static str {
        "line"
    }

    fn append(&self, from: u64, to: u64, out: &mut Vec<u8>) -> u64 {
        let quotes = usize::from(self.quote);
        let line = self.text + 2 * quotes + 1;
        let records = (PIECE / line).max(1) as u64;
        let to = to.min(from + records);
        let start = out.len();
        let size = (to - from) as usize * line;
        out.resize(start + size + SLOT, 0);
        let mut at = start;
        for record in from..to {
            self.write(record, &mut out[at + quotes..at + quotes + self.text + SLOT]);
            if self.quote {
                out[at] = b'"';
                out[at + 1 + self.text] = b'"';
            }
            at += line;
            out[at - 1] = b'\n';
        }
        out.truncate(start + size);
        to
    }
}

fn slot(letters: &[u8]) -> Slot {
    let mut slot = [b' '; SLOT];
    slot[..letters.len()].copy_from_slice(letters);
    slot[SLOT - 1] = letters.len() as u8;
    slot
}

/// The word of a rank.
fn word(rank: usize) -> Slot {
    const CONSONANTS: &[u8; 20] = b"tnsrhdlcmfpgwbvkjxqz";
    const VOWELS: &[u8; 5] = b"eaoiu";
    let (mut letters, mut rest, mut length) = ([0; LONGEST], rank, 0);
    while length < 4 || rest > 0 {
        letters[length] = CONSONANTS[rest % 20];
        letters[length + 1] = VOWELS[rest / 20 % 5];
        length += 2;
        rest /= 100;
    }
    let end = mix((rank as u64).wrapping_mul(STEP));
    if end & 1 == 0 {
        letters[length] = CONSONANTS[(end >> 1) as usize % 8];
        length += 1;
    }
    slot(&letters[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn lines(words: &Words, to: u64) -> Vec<String> {
        let (mut out, mut next) = (Vec::new(), 0);
        while next < to {
            next = words.append(next, to, &mut out);
        }
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_have_the_length_that_was_asked_for() {
        for line in [2, 3, 5, 11, 12, 100, 1000] {
            let words = Words::new(7, 1000, line, Format::Text);
            for text in lines(&words, 500) {
                assert_eq!(text.len() + 1, line);
                assert_eq!(text.trim(), text);
                assert!(
                    text.split(' ')
                        .all(|w| w.bytes().all(|b| b.is_ascii_lowercase()) && !w.is_empty())
                );
            }
        }
    }

    #[test]
    fn words_are_distinct_and_their_frequencies_fall() {
        let words: std::collections::HashSet<Slot> = (0..100_000).map(word).collect();
        assert_eq!(words.len(), 100_000);
        assert!((MAX_WORDS as usize - 10..MAX_WORDS as usize).all(|r| word(r)[15] <= 9));
        let text = lines(&Words::new(1, 100_000, 100, Format::Text), 20_000);
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for word in text.iter().flat_map(|line| line.split(' ')) {
            *counts.entry(word).or_default() += 1;
        }
        let count = |rank: usize| {
            let slot = word(rank);
            let letters = std::str::from_utf8(&slot[..usize::from(slot[15])]).unwrap().to_owned();
            f64::from(*counts.get(&*letters).unwrap_or(&0))
        };
        assert!((count(0) / count(1) - 2.0).abs() < 0.1);
        assert!((count(0) / count(9) - 10.0).abs() < 1.0);
    }

    #[test]
    fn json_is_quoted() {
        let words = Words::new(1, 10, 20, Format::Json);
        for line in lines(&words, 20) {
            assert_eq!(serde_json::from_str::<String>(&line).unwrap().len(), 19);
        }
    }
}
