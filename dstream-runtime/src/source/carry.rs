//! Inputs whose data only one process has, on their way to another.
//!
//! Decides how lines are packed into raw blocks and taken out again. The packing side copies lines
//! once, into the blocks; the other side not at all: its parts borrow from the blocks. (A line that
//! is longer than any block is put together again.) Invariant: what comes out are the same lines
//! with the same splits, positions, headers and reasons; what does not fit together is an error.

use std::sync::Arc;

use rkyv::util::AlignedVec;
use serde::{Deserialize, Serialize};

use super::file::{About, Elsewhere, Named, Stored};
use super::part::{self, Held, Memory, Part, Torn};
use super::{Framing, Input, Range, SourceError};
use crate::block::{Block, Buffer, MAX_BODY};

/// A block of lines is about as large: the first is on its way while the next is filled.
const BLOCK: usize = 4 << 20;

/// What must be known of the lines in the blocks of a carried input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    parts: Vec<CarriedPart>,
}

/// Consecutive lines of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CarriedPart {
    header: Option<Arc<str>>,
    position: u64,
    max_line: u64,
    framing: Framing,
    lines: Place,
}

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    /// The next bytes of the blocks.
    Beside {
        split: Arc<str>,
        len: u64,
        /// Whether they belong to the range of the part before.
        continues: bool,
        /// Length of the line of which they are the beginning, and why it is not whole.
        torn: Option<(u64, Arc<str>)>,
    },
    /// In a file.
    File(Named),
}

/// Packs what another process cannot read by ranges alone; `None` if there is nothing of the kind.
pub(super) fn pack(parts: &[Part]) -> Result<Option<(Carried, Vec<Block>)>, SourceError> {
    let needed = |part: &Part| match part {
        Part::Held(_) => true,
        Part::Stored(stored) => !matches!(stored.elsewhere(), Elsewhere::Range),
    };
    if !parts.iter().any(needed) {
        return Ok(None);
    }
    let mut packer = Packer::default();
    for part in parts {
        match part {
            Part::Held(held) => packer.held(held),
            Part::Stored(stored) => packer.stored(stored)?,
        }
    }
    packer.seal();
    Ok(Some((Carried { parts: packer.parts }, packer.blocks)))
}

/// Packs lines that fit into one block together.
pub(super) fn together(lines: &[Held]) -> (Carried, Block) {
    debug_assert!(lines.iter().map(|held| held.as_bytes().len()).sum::<usize>() <= MAX_BODY);
    let parts = lines.iter().map(|held| beside(held, held.as_bytes().len(), false)).collect();
    let bytes: Vec<&[u8]> = lines.iter().map(Held::as_bytes).collect();
    (Carried { parts }, block(&bytes))
}

/// `len` bytes of these lines, beside.
fn beside(held: &Held, len: usize, continues: bool) -> CarriedPart {
    CarriedPart {
        header: held.header.clone(),
        position: held.position,
        max_line: held.max_line,
        framing: held.framing,
        lines: Place::Beside {
            split: held.split.clone(),
            len: len as u64,
            continues,
            torn: held.torn.as_ref().map(|torn| (torn.length, torn.why.clone())),
        },
    }
}

impl Carried {
    /// No lines.
    #[must_use]
    pub fn nothing() -> Self {
        Self { parts: Vec::new() }
    }

    /// Whole lines of a split, all in the blocks beside: `len` bytes, from `position` on; of CSV with
    /// the header row of which they are rows, if its columns are known by that.
    #[must_use]
    pub fn lines(split: Arc<str>, position: u64, header: Option<Arc<str>>, len: u64) -> Self {
        let lines = Place::Beside { split, len, continues: false, torn: None };
        let (max_line, framing) = (u64::MAX, Framing::Lines);
        Self { parts: vec![CarriedPart { header, position, max_line, framing, lines }] }
    }
}

#[derive(Default)]
struct Packer {
    parts: Vec<CarriedPart>,
    blocks: Vec<Block>,
    /// What the next block is made of, and how long that is.
    waiting: Vec<Held>,
    size: usize,
}

impl Packer {
    fn stored(&mut self, stored: &Stored) -> Result<(), SourceError> {
        let named = match stored.elsewhere() {
            Elsewhere::Named(named) => named,
            Elsewhere::Range => stored.named_by_range(),
            Elsewhere::Bytes => {
                let range = stored.range();
                self.held(&Held {
                    header: stored.header().cloned(),
                    max_line: stored.max_line(),
                    framing: stored.framing(),
                    ..Held::new(range.split, range.start, stored.bytes()?)
                });
                return Ok(());
            }
        };
        self.parts.push(CarriedPart {
            header: stored.header().cloned(),
            position: stored.range().start,
            max_line: stored.max_line(),
            framing: stored.framing(),
            lines: Place::File(named),
        });
        Ok(())
    }

    /// Adds lines, as several parts if they do not fit into a block.
    fn held(&mut self, held: &Held) {
        let (mut from, mut continues) = (held.from, false);
        loop {
            let rest = held.slice(from, held.to);
            let bytes = rest.as_bytes();
            let len = if bytes.len() <= BLOCK {
                bytes.len()
            } else {
                rest.framing
                    .last_end(&bytes[..BLOCK])
                    .or_else(|| rest.framing.record_end(bytes, BLOCK))
                    .unwrap_or(bytes.len())
            };
            self.parts.push(beside(&rest, len, continues));
            self.add(held.slice(from, from + len));
            from += len;
            continues = true;
            if from >= held.to {
                return;
            }
        }
    }

    fn add(&mut self, lines: Held) {
        let len = lines.as_bytes().len();
        if self.size + len > BLOCK {
            self.seal();
        }
        if len > MAX_BODY {
            // One line: the other side puts it together again.
            self.blocks.extend(lines.as_bytes().chunks(MAX_BODY).map(|bytes| block(&[bytes])));
        } else if len > 0 {
            self.size += len;
            self.waiting.push(lines);
        }
    }

    /// Makes a block of what is waiting.
    fn seal(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            let bytes: Vec<&[u8]> = waiting.iter().map(Held::as_bytes).collect();
            self.blocks.push(block(&bytes));
        }
        self.size = 0;
    }
}

fn block(bytes: &[&[u8]]) -> Block {
    let mut body = AlignedVec::with_capacity(bytes.iter().map(|bytes| bytes.len()).sum());
    bytes.iter().for_each(|bytes| body.extend_from_slice(bytes));
    Block::raw(Buffer::unpooled(body))
}

/// Takes the lines out of the blocks.
pub(super) fn unpack(carried: Carried, blocks: Vec<Block>) -> Result<Input, SourceError> {
    let (parts, ranges) = parts(carried, blocks)?;
    Ok(Input { ranges, ..part::input(parts) })
}

/// The parts, and the ranges that they are of.
pub(super) fn parts(
    carried: Carried,
    blocks: Vec<Block>,
) -> Result<(Vec<Part>, Vec<Range>), SourceError> {
    let left = blocks.iter().map(|block| block.body().len() as u64).sum();
    let mut unpacker = Unpacker { blocks, block: 0, at: 0, left };
    let (mut parts, mut ranges) = (Vec::new(), Vec::<Range>::new());
    for part in carried.parts {
        let mut continued = false;
        let part = match part.lines {
            Place::File(named) if named.end >= part.position => {
                let about =
                    About { header: part.header, max_line: part.max_line, framing: part.framing };
                Part::Stored(Stored::named(named, part.position, about))
            }
            Place::File(named) => return Err(wrong(&named.split, "a range ends before it starts")),
            Place::Beside { split, len, continues, torn } => {
                continued = continues;
                let torn = torn.map(|(length, why)| Torn { length, why });
                // Its range must be a range.
                let length = torn.as_ref().map_or(len, |torn| torn.length);
                if part.position.checked_add(length).is_none() {
                    return Err(wrong(&split, "a position is too large"));
                }
                let (bytes, from, to) = unpacker.take(&split, len)?;
                let CarriedPart { position, header, max_line, framing, .. } = part;
                Part::Held(Held {
                    split,
                    header,
                    position,
                    bytes,
                    from,
                    to,
                    framing,
                    torn,
                    max_line,
                })
            }
        };
        let range = part.range();
        match ranges.last_mut() {
            None if continued => return Err(wrong(&range.split, "nothing is continued")),
            Some(last) if continued => {
                if last.split != range.split || last.end != range.start {
                    return Err(wrong(&range.split, "a range does not go on where it stopped"));
                }
                last.end = range.end;
            }
            _ => ranges.push(range),
        }
        parts.push(part);
    }
    unpacker.finish()?;
    Ok((parts, ranges))
}

struct Unpacker {
    blocks: Vec<Block>,
    /// The block that is taken from, and how much of it has been taken.
    block: usize,
    at: usize,
    /// Bytes that have not been taken.
    left: u64,
}

impl Unpacker {
    /// The next `len` bytes, and which of them.
    fn take(&mut self, split: &str, len: u64) -> Result<(Memory, usize, usize), SourceError> {
        let short = || wrong(split, "there are fewer bytes in the blocks than were announced");
        self.left = self.left.checked_sub(len).ok_or_else(short)?;
        let len = usize::try_from(len).map_err(|_| short())?;
        if len == 0 {
            return Ok((Memory::Buffer(Arc::default()), 0, 0));
        }
        self.skip_empty();
        let block = self.blocks.get(self.block).ok_or_else(short)?;
        let (from, end) = (self.at, self.at + len);
        if end <= raw(split, block)?.len() {
            let block = block.clone();
            self.at = end;
            return Ok((Memory::Block(block), from, end));
        }
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            self.skip_empty();
            let block = self.blocks.get(self.block).ok_or_else(short)?;
            let rest = &raw(split, block)?[self.at..];
            let some = rest.len().min(len - bytes.len());
            bytes.extend_from_slice(&rest[..some]);
            self.at += some;
        }
        Ok((Memory::Buffer(Arc::new(bytes)), 0, len))
    }

    /// Goes on to a block that holds something that has not been taken.
    fn skip_empty(&mut self) {
        while self.blocks.get(self.block).is_some_and(|block| self.at >= block.body().len()) {
            (self.block, self.at) = (self.block + 1, 0);
        }
    }

    fn finish(self) -> Result<(), SourceError> {
        match self.left {
            0 => Ok(()),
            _ => Err(wrong("", "there are more bytes in the blocks than were announced")),
        }
    }
}

fn raw<'a>(split: &str, block: &'a Block) -> Result<&'a [u8], SourceError> {
    block.raw_bytes().map_err(|error| wrong(split, &error.to_string()))
}

fn wrong(split: &str, why: &str) -> SourceError {
    let what = if split.is_empty() { "a carried input".to_owned() } else { split.to_owned() };
    SourceError::Data { what, why: format!("was carried here and does not fit together: {why}") }
}
