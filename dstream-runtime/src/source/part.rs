//! Parts of a batch, and how they are spread over its inputs.
//!
//! A part is a run of whole lines of one split, in memory or in a file. How many inputs a batch has
//! depends on sizes, options and partitions alone, never on the machine: lineage must come out the
//! same everywhere.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use super::carry::{self, Carried};
use super::file::Stored;
use super::lines::Guarded;
use super::{Framing, Input, Piece, Range, ReadRange, SourceError, lines};
use crate::block::Block;

/// Where lines in memory lie; a clone shares them.
#[derive(Debug, Clone)]
pub(super) enum Memory {
    /// In a buffer of this process.
    Buffer(Arc<Vec<u8>>),
    /// In a raw block that has come from another process.
    Block(Block),
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Buffer(bytes) => bytes,
            Self::Block(block) => block.body(),
        }
    }
}

/// Whole lines of one split, in memory.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) split: Arc<str>,
    pub(super) header: Option<Arc<str>>,
    /// Position of the first byte in the split.
    pub(super) position: u64,
    pub(super) bytes: Memory,
    /// Which of the bytes.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Where its records end.
    pub(super) framing: Framing,
    /// The whole of it is the beginning of one line.
    pub(super) torn: Option<Torn>,
    /// Lines longer than this are torn when they are read.
    pub(super) max_line: u64,
}

/// A line of which only the beginning is there.
#[derive(Debug, Clone)]
pub(super) struct Torn {
    /// How long it was.
    pub(super) length: u64,
    /// Why it is not whole.
    pub(super) why: Arc<str>,
}

impl Held {
    /// Lines that start at `position` of a split.
    pub(super) fn new(split: Arc<str>, position: u64, bytes: Vec<u8>) -> Self {
        let to = bytes.len();
        let (header, torn, max_line) = (None, None, u64::MAX);
        let bytes = Memory::Buffer(Arc::new(bytes));
        let framing = Framing::Lines;
        Self { split, header, position, bytes, from: 0, to, framing, torn, max_line }
    }

    /// Some of the same bytes.
    pub(super) fn slice(&self, from: usize, to: usize) -> Self {
        let position = self.position + (from - self.from) as u64;
        Self { position, from, to, ..self.clone() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    pub(super) fn read(&self, each: &mut dyn FnMut(Piece<'_>)) {
        let (split, header, framing) = (&*self.split, self.header.as_deref(), self.framing);
        if let Some(torn) = &self.torn {
            let (bytes, position) = (self.as_bytes(), self.position);
            let torn = Some(&*torn.why);
            return each(Piece { bytes, split, position, numbered: false, header, framing, torn });
        }
        framing.pieces(self.as_bytes(), &mut |start, bytes| {
            framing.guard(bytes, self.max_line, &mut |Guarded { at, bytes, torn }| {
                let why = torn.map(|length| lines::too_long(length, self.max_line));
                let (position, torn) = (self.position + (start + at) as u64, why.as_deref());
                each(Piece { bytes, split, position, numbered: false, header, framing, torn });
            });
        });
    }
}

/// A run of whole lines of one split.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// In memory.
    Held(Held),
    /// In a file.
    Stored(Stored),
}

impl Part {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Held(held) => (held.to - held.from) as u64,
            Self::Stored(stored) => stored.len(),
        }
    }

    pub(super) fn range(&self) -> Range {
        match self {
            Self::Held(held) => Range {
                split: held.split.clone(),
                start: held.position,
                end: held.position + held.torn.as_ref().map_or(self.len(), |torn| torn.length),
            },
            Self::Stored(stored) => stored.range(),
        }
    }

    /// Cuts at the first end of a record at or after `at`; the second half may be empty.
    pub(super) fn cut(self, at: u64) -> Result<(Self, Option<Self>), SourceError> {
        match self {
            Self::Held(held) if held.torn.is_some() => Ok((Self::Held(held), None)),
            Self::Held(held) => {
                let end = usize::try_from(at)
                    .ok()
                    .and_then(|at| held.framing.record_end(held.as_bytes(), at))
                    .map_or(held.to, |end| held.from + end);
                let rest = (end < held.to).then(|| Self::Held(held.slice(end, held.to)));
                Ok((Self::Held(held.slice(held.from, end)), rest))
            }
            Self::Stored(stored) => {
                let (first, rest) = stored.cut(at)?;
                Ok((Self::Stored(first), rest.map(Self::Stored)))
            }
        }
    }
}

/// Makes inputs of about `split` bytes each, at least one and at most `partitions`; none of nothing.
pub(super) fn inputs(
    parts: Vec<Part>,
    split: u64,
    partitions: usize,
) -> Result<Vec<Input>, SourceError> {
    let total: u64 = parts.iter().map(Part::len).sum();
    let wanted = total.div_ceil(split.max(1)).clamp(1, partitions.max(1) as u64);
    let mut groups: Vec<Vec<Part>> = vec![Vec::new()];
    let (mut done, mut share) = (0, 1);
    for part in parts {
        let mut rest = Some(part);
        while let Some(part) = rest.take() {
            let target =
                |share: u64| (u128::from(total) * u128::from(share) / u128::from(wanted)) as u64;
            if share < wanted && target(share) <= done {
                while share < wanted && target(share) <= done {
                    share += 1;
                }
                groups.push(Vec::new());
            }
            let first = if share == wanted || done + part.len() <= target(share) {
                part
            } else {
                let (first, second) = part.cut(target(share) - done)?;
                rest = second;
                first
            };
            done += first.len();
            if let Some(group) = groups.last_mut() {
                group.push(first);
            }
        }
    }
    groups.retain(|group| !group.is_empty());
    Ok(groups.into_iter().map(input).collect())
}

/// One input of these parts.
pub(super) fn input(parts: Vec<Part>) -> Input {
    Input { ranges: parts.iter().map(Part::range).collect(), data: Arc::new(Parts(parts)) }
}

struct Parts(Vec<Part>);

thread_local! {
    /// What files are read into: a fresh page costs many times what it takes to fill it again.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl ReadRange for Parts {
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        // One buffer for all that a thread reads. Taken out meanwhile: `each` may call back into this.
        let mut buffer = BUFFER.take();
        let read = self.0.iter().try_for_each(|part| match part {
            Part::Held(held) => {
                held.read(each);
                Ok(())
            }
            Part::Stored(stored) => stored.read(&mut buffer, each),
        });
        BUFFER.set(buffer);
        read
    }

    fn carried(&self) -> Result<Option<(Carried, Vec<Block>)>, SourceError> {
        carry::pack(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str, position: u64) -> Part {
        Part::Held(Held::new("s".into(), position, text.as_bytes().to_vec()))
    }

    fn texts(inputs: &[Input]) -> Vec<String> {
        let text = |input: &Input| {
            let mut all = Vec::new();
            input.data.read(&mut |piece| all.extend_from_slice(piece.bytes)).unwrap();
            String::from_utf8(all).unwrap()
        };
        inputs.iter().map(text).collect()
    }

    #[test]
    fn sizes_decide_how_many() {
        let parts = || vec![held("a\nbb\nccc\n", 0), held("d\n", 9), held("e\nf\n", 11)];
        assert_eq!(texts(&inputs(parts(), 100, 8).unwrap()), ["a\nbb\nccc\nd\ne\nf\n"]);
        assert_eq!(texts(&inputs(parts(), 8, 8).unwrap()), ["a\nbb\nccc\n", "d\ne\nf\n"]);
        assert_eq!(texts(&inputs(parts(), 1, 1).unwrap()).len(), 1);
        let many = inputs(parts(), 1, 100).unwrap();
        assert_eq!(texts(&many), ["a\n", "bb\n", "ccc\n", "d\n", "e\n", "f\n"]);
        let ranges: Vec<_> =
            many.iter().flat_map(|i| &i.ranges).map(|r| (r.start, r.end)).collect();
        assert_eq!(ranges, [(0, 2), (2, 5), (5, 9), (9, 11), (11, 13), (13, 15)]);
        assert!(inputs(Vec::new(), 1, 4).unwrap().is_empty());
    }

    #[test]
    fn a_long_line_takes_more_than_its_share() {
        let parts = vec![held(&format!("{}\nb\n", "a".repeat(100)), 0)];
        let inputs = inputs(parts, 10, 10).unwrap();
        assert_eq!(texts(&inputs).len(), 2);
        assert_eq!(texts(&inputs)[1], "b\n");
    }
}
