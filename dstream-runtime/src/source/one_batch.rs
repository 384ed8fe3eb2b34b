//! A bounded source of which one batch must hold all: what a join over history needs to find every pair.
//!
//! It refuses the first cut that leaves something, before any task has read anything.

use std::net::SocketAddr;

use super::{Cut, Input, Interrupt, News, Pipe, Range, Source, SourceError};
use crate::id::BatchSeq;

/// Gives all of a source in its first batch, or nothing.
pub(crate) struct OneBatch {
    source: Box<dyn Source>,
    /// What would be wrong with more than one batch, and what to do.
    why: String,
    /// Whether there was a batch before, perhaps of another process.
    begun: bool,
}

impl OneBatch {
    pub(crate) fn new(source: Box<dyn Source>, why: String) -> Self {
        Self { source, why, begun: false }
    }
}

impl Source for OneBatch {
    fn bounded(&self) -> bool {
        self.source.bounded()
    }

    fn timed(&self) -> bool {
        self.source.timed()
    }

    fn next_batch(&mut self, batch: BatchSeq) {
        self.source.next_batch(batch);
    }

    fn limit(&mut self, bytes: u64) {
        self.source.limit(bytes);
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let cut = self.source.cut(partitions)?;
        if !cut.ended || (self.begun && !cut.inputs.is_empty()) {
            return Err(SourceError::Refused { why: self.why.clone() });
        }
        self.begun = true;
        Ok(cut)
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        self.begun = true;
        self.source.resume(position)
    }

    fn resume_elsewhere(&mut self, position: &[u8]) -> Result<(), SourceError> {
        self.source.resume_elsewhere(position)
    }

    fn give_up_unread(&mut self, gives_up: bool) {
        self.source.give_up_unread(gives_up);
    }

    fn news(&mut self) -> News {
        self.source.news()
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        self.source.input(ranges)
    }

    fn immediate(&self) -> bool {
        self.source.immediate()
    }

    fn pipe(&self) -> Option<&Pipe> {
        self.source.pipe()
    }

    fn interrupt(&self) -> Option<Interrupt> {
        self.source.interrupt()
    }

    fn stop(&mut self) {
        self.source.stop();
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.source.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Format;
    use crate::source::{OpenOptions, open};

    fn one_batch(options: &str) -> OneBatch {
        let url = format!("generate://words?records=10&{options}");
        let source = open(&url, Format::Text, &OpenOptions::default()).unwrap();
        OneBatch::new(source, "pairs would be missing".to_owned())
    }

    #[test]
    fn all_of_it_or_nothing() {
        let mut whole = one_batch("batch_records=10");
        let cut = whole.cut(4).unwrap();
        assert!(cut.ended && !cut.inputs.is_empty());
        let refused = one_batch("batch_records=9").cut(4).err().unwrap();
        assert_eq!(refused.to_string(), "pairs would be missing");
        // Stopped before it has begun, it gives nothing.
        let mut stopped = one_batch("batch_records=9");
        stopped.stop();
        assert!(stopped.cut(4).unwrap().inputs.is_empty());
    }

    #[test]
    fn a_batch_of_another_process_counts() {
        let mut before = open(
            "generate://words?records=10&batch_records=9",
            Format::Text,
            &OpenOptions::default(),
        )
        .unwrap();
        let position = before.cut(4).unwrap().position.unwrap();
        let mut again = one_batch("batch_records=10");
        again.resume(&position).unwrap();
        assert!(matches!(again.cut(4), Err(SourceError::Refused { .. })));
    }
}
