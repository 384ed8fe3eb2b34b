//! Batches that are there from the start, for tests of jobs.
//!
//! One batch per cut, spread over as many inputs as there are partitions and lines, so that a test
//! sees what a spread-out batch does.

use std::sync::Arc;

use super::part::{self, Held, Memory, Part};
use super::position::{self, Kind};
use super::{Cut, Framing, Input, Range, Source, SourceError};
use crate::record::Format;

const SPLIT: &str = "memory";

/// Gives one batch of lines per cut.
#[derive(Debug, Clone)]
pub struct MemorySource {
    batches: Arc<[Arc<Vec<u8>>]>,
    /// How many of them have been cut, and how long they are together.
    next: usize,
    position: u64,
    header: Option<Arc<str>>,
    framing: Framing,
    ends: bool,
    stopped: bool,
}

impl MemorySource {
    /// One batch of lines each; a batch may be empty. After the last one it has ended.
    #[must_use]
    pub fn new(batches: Vec<Vec<u8>>) -> Self {
        Self::shared(&batches.into_iter().map(Arc::new).collect::<Vec<_>>())
    }

    /// The same, of batches that other sources may have too.
    pub(crate) fn shared(batches: &[Arc<Vec<u8>>]) -> Self {
        let batches = Arc::from(batches);
        let (header, framing) = (None, Framing::Lines);
        Self { batches, next: 0, position: 0, header, framing, ends: true, stopped: false }
    }

    /// Whether it ends after its last batch; otherwise it goes on with empty ones.
    #[must_use]
    pub fn ends(mut self, ends: bool) -> Self {
        self.ends = ends;
        self
    }

    /// The header row of its CSV, which is not part of the batches.
    #[must_use]
    pub fn header(mut self, header: &str) -> Self {
        self.header = Some(header.into());
        self
    }

    /// What its records are written as; without this, lines.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.framing = Framing::of(format);
        self
    }

    /// A batch, whose first byte is at this position.
    fn held(&self, batch: Arc<Vec<u8>>, position: u64) -> Held {
        let to = batch.len();
        Held {
            bytes: Memory::Buffer(batch),
            to,
            header: self.header.clone(),
            framing: self.framing,
            ..Held::new(SPLIT.into(), position, Vec::new())
        }
    }

    /// The lines of a range, which lies within one batch.
    fn part(&self, range: &Range) -> Option<Part> {
        let mut start = 0;
        for batch in self.batches.iter() {
            let end = start + batch.len() as u64;
            if range.start >= start && range.start <= range.end && range.end <= end {
                let at = |position: u64| usize::try_from(position - start).ok();
                let held = self.held(batch.clone(), start);
                return Some(Part::Held(held.slice(at(range.start)?, at(range.end)?)));
            }
            start = end;
        }
        None
    }
}

impl Source for MemorySource {
    fn bounded(&self) -> bool {
        true
    }

    fn immediate(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let batch = self.batches.get(self.next).filter(|_| !self.stopped).cloned();
        self.next += usize::from(batch.is_some());
        let whole = self.held(batch.unwrap_or_default(), self.position);
        self.position += whole.bytes.len() as u64;
        let inputs = by_lines(&whole, partitions).into_iter();
        Ok(Cut {
            inputs: inputs.map(|held| part::input(vec![Part::Held(held)])).collect(),
            ended: self.stopped || self.ends && self.next == self.batches.len(),
            waiting: false,
            position: Some(position::write(Kind::Memory, &(self.next as u64))?),
        })
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        let next: u64 = position::read(Kind::Memory, position)?;
        let done = usize::try_from(next).ok().and_then(|next| self.batches.get(..next));
        let Some(done) = done else {
            let why = format!("{next} batches were cut before, and it has {}", self.batches.len());
            return Err(SourceError::Data { what: SPLIT.to_owned(), why });
        };
        self.position = done.iter().map(|batch| batch.len() as u64).sum();
        self.next = done.len();
        Ok(())
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        let part = |range: &Range| {
            let (start, end) = (range.start, range.end);
            let why = || format!("no batch holds the range from {start} to {end}");
            self.part(range)
                .filter(|_| &*range.split == SPLIT)
                .ok_or_else(|| SourceError::Data { what: range.split.to_string(), why: why() })
        };
        Ok(part::input(ranges.iter().map(part).collect::<Result<_, _>>()?))
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

/// Cuts into at most `parts` parts of as equal numbers of records as there can be.
fn by_lines(whole: &Held, parts: usize) -> Vec<Held> {
    let total = whole.framing.records(whole.as_bytes());
    let parts = total.min(parts.max(1) as u64);
    let mut at = 0;
    (0..parts)
        .map(|part| {
            let share = total * (part + 1) / parts - total * part / parts;
            let end =
                whole.framing.nth_end(&whole.bytes[at..], share).map_or(whole.to, |end| at + end);
            let held = whole.slice(at, end);
            at = end;
            held
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(source: &mut MemorySource, partitions: usize) -> (Vec<String>, bool) {
        let cut = source.cut(partitions).unwrap();
        let mut texts = Vec::new();
        for input in &cut.inputs {
            input
                .data
                .read(&mut |piece| texts.push(String::from_utf8(piece.bytes.to_vec()).unwrap()))
                .unwrap();
        }
        (texts, cut.ended)
    }

    #[test]
    fn lines_are_spread_evenly() {
        let mut source = MemorySource::new(vec![
            b"1\n2\n3\n4\n5\n6\n7\n".to_vec(),
            Vec::new(),
            b"a\nb".to_vec(),
        ]);
        assert!(source.bounded() && source.immediate());
        assert_eq!(cut(&mut source, 3).0, ["1\n2\n", "3\n4\n", "5\n6\n7\n"]);
        assert_eq!(cut(&mut source, 3), (Vec::new(), false));
        assert_eq!(cut(&mut source, 3), (vec!["a\n".to_owned(), "b".to_owned()], true));
    }

    #[test]
    fn it_ends_only_when_told_so() {
        let mut source = MemorySource::new(vec![b"a\n".to_vec()]).ends(false).header("x");
        let first = source.cut(4).unwrap();
        first.inputs[0].data.read(&mut |piece| assert_eq!(piece.header, Some("x"))).unwrap();
        assert!(!first.ended);
        assert_eq!(cut(&mut source, 4), (Vec::new(), false));
        source.stop();
        assert_eq!(cut(&mut source, 4), (Vec::new(), true));
        assert!(MemorySource::new(Vec::new()).cut(1).unwrap().ended);
    }

    #[test]
    fn ranges_follow_each_other() {
        let mut source = MemorySource::new(vec![b"a\nb\n".to_vec(), b"c\n".to_vec()]);
        let mut ranges = Vec::new();
        for _ in 0..2 {
            ranges.extend(source.cut(2).unwrap().inputs.into_iter().flat_map(|i| i.ranges));
        }
        let bounds: Vec<_> = ranges.iter().map(|r| (r.start, r.end)).collect();
        assert_eq!(bounds, [(0, 2), (2, 4), (4, 5 + 1)]);
    }
}
