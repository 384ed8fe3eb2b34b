//! The lines of a task's input with records whose functions panic: found by one pass over the input, left out
//! by the next.
//!
//! Lines are known by their number in the input: the same input read again has the same lines, however it
//! comes in pieces.

use super::task::{DEAD_LETTERS_KEPT, Panic};
use crate::source::Piece;

/// How many characters of a record an error shows.
const SHOWN: usize = 200;

/// Lines that are to be left out, and why.
#[derive(Debug, Default)]
pub struct Poisoned {
    /// Their numbers, ascending.
    lines: Vec<u64>,
    /// The reasons of the first of them: of the others none would be kept.
    reasons: Vec<String>,
    /// Of a source that does not set them aside, the first record that makes a function panic.
    culprit: Option<Culprit>,
}

/// A record that makes a function panic, for the error that the job stops with.
#[derive(Debug)]
struct Culprit {
    split: String,
    position: u64,
    /// Its first characters.
    text: String,
}

impl Poisoned {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Names the first record that makes a function panic.
    pub(super) fn blame(&mut self, line: Piece<'_>) {
        let text = String::from_utf8_lossy(line.bytes);
        self.culprit.get_or_insert_with(|| Culprit {
            split: line.split.to_owned(),
            position: line.position,
            text: text.trim_end_matches(['\r', '\n']).chars().take(SHOWN).collect(),
        });
    }

    /// Whether the record is known that a task has to stop for.
    pub(super) fn is_blamed(&self) -> bool {
        self.culprit.is_some()
    }

    /// The panic of a task, with the record that it came from if that is known.
    #[must_use]
    pub fn explain(&self, panic: Panic) -> Panic {
        match &self.culprit {
            Some(Culprit { split, position, text }) => Panic {
                message: format!("{}; the record, at {split}:{position}: {text:?}", panic.message),
                ..panic
            },
            None => panic,
        }
    }

    /// Adds a line after all others.
    pub(super) fn add(&mut self, line: u64, panic: &Panic) {
        self.lines.push(line);
        if self.reasons.len() < DEAD_LETTERS_KEPT {
            self.reasons.push(panic.to_string());
        }
    }

    /// What leaves them out of an input that is read from its start.
    pub(super) fn sieve(&self) -> Sieve<'_> {
        Sieve { poisoned: self, found: 0, line: 0 }
    }
}

/// Leaves lines out of one reading of an input.
pub(super) struct Sieve<'p> {
    poisoned: &'p Poisoned,
    /// How many have been left out.
    found: usize,
    /// How many lines have been seen.
    line: u64,
}

/// A line that is left out.
pub(super) struct LeftOut<'a> {
    /// Its position in the split.
    pub(super) position: u64,
    /// Without its line end.
    pub(super) bytes: &'a [u8],
    pub(super) reason: &'a str,
}

impl<'p> Sieve<'p> {
    /// Cuts a piece at the first line that is left out: what comes before it, the line, and what is to be
    /// given here next.
    pub(super) fn cut<'a>(
        &mut self,
        piece: Piece<'a>,
    ) -> (Piece<'a>, Option<(LeftOut<'a>, Piece<'a>)>)
    where
        'p: 'a,
    {
        let Some(&wanted) = self.poisoned.lines.get(self.found) else {
            return (piece, None);
        };
        if piece.torn.is_some() {
            self.line += 1;
            return (piece, None);
        }
        let mut at = 0;
        while at < piece.bytes.len() {
            let (length, number) = (piece.framing.first(&piece.bytes[at..]), self.line);
            self.line += 1;
            if number == wanted {
                let reason = self.poisoned.reasons.get(self.found).map_or("", String::as_str);
                self.found += 1;
                let bytes = &piece.bytes[at..at + length];
                let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
                let left = LeftOut { position: piece.position_at(at), bytes, reason };
                let rest = part(piece, at + length, piece.bytes.len());
                return (part(piece, 0, at), Some((left, rest)));
            }
            at += length;
        }
        (piece, None)
    }
}

/// Gives each line of a piece as a piece of its own.
pub(super) fn each_line<'a>(mut piece: Piece<'a>, mut each: impl FnMut(Piece<'a>)) {
    if piece.torn.is_some() {
        return each(piece);
    }
    while !piece.bytes.is_empty() {
        let end = piece.framing.first(piece.bytes);
        each(part(piece, 0, end));
        piece = part(piece, end, piece.bytes.len());
    }
}

/// Some of the lines of a piece.
fn part(piece: Piece<'_>, from: usize, to: usize) -> Piece<'_> {
    let position = piece.position_at(from);
    Piece { bytes: &piece.bytes[from..to], position, ..piece }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Framing;

    fn piece(bytes: &[u8], position: u64, torn: bool) -> Piece<'_> {
        let torn = torn.then_some("too long");
        Piece {
            bytes,
            split: "s",
            position,
            numbered: false,
            header: None,
            framing: Framing::Lines,
            torn,
        }
    }

    /// What passes and what is left out, of pieces in order.
    fn sifted(poisoned: &Poisoned, pieces: &[Piece<'_>]) -> (String, Vec<(u64, String, String)>) {
        let mut sieve = poisoned.sieve();
        let (mut passed, mut left_out) = (String::new(), Vec::new());
        for piece in pieces {
            let mut rest = Some(*piece);
            while let Some(piece) = rest.take() {
                let (whole, left) = sieve.cut(piece);
                passed.push_str(std::str::from_utf8(whole.bytes).unwrap());
                rest = left.map(|(left, rest)| {
                    let text = String::from_utf8(left.bytes.to_vec()).unwrap();
                    left_out.push((left.position, text, left.reason.to_owned()));
                    rest
                });
            }
        }
        (passed, left_out)
    }

    #[test]
    fn lines_are_left_out_wherever_pieces_end() {
        let mut poisoned = Poisoned::default();
        let panic = |message: &str| Panic { message: message.into(), at: None };
        for (line, why) in [(0, "first"), (2, "third"), (3, "fourth"), (6, "last")] {
            poisoned.add(line, &panic(why));
        }
        let expected =
            [(0, "a", "first"), (4, "c", "third"), (7, "d", "fourth"), (18, "f", "last")]
                .map(|(at, text, why)| (at, text.to_owned(), format!("panicked: {why}")));
        let pieces = [
            piece(b"a\nb\n", 0, false),
            piece(b"c\r\nd\n", 4, false),
            piece(b"torn", 9, true),
            piece(b"\nf", 17, false),
        ];
        let (passed, left_out) = sifted(&poisoned, &pieces);
        assert_eq!(passed, "b\ntorn\n");
        assert_eq!(left_out, expected);
        let whole = [&pieces[..2], &pieces[3..]].concat();
        let numbers: Vec<u64> = {
            let mut numbers = Vec::new();
            whole.iter().for_each(|p| each_line(*p, |line| numbers.push(line.position)));
            numbers
        };
        assert_eq!(numbers, [0, 2, 4, 7, 17, 18]);
        let none = Poisoned::default();
        assert_eq!(sifted(&none, &pieces).0, "a\nb\nc\r\nd\ntorn\nf");
    }
}
