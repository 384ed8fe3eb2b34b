//! A bounded source of which one batch must hold all: what a join over history needs to find every pair.
//!
//! It refuses the first cut that leaves something, before any task has read anything.

use super::changed::{Change, Changed};
use super::{Cut, Source, SourceError};

/// Gives all of a source in its first batch, or nothing.
pub(crate) struct OneBatch {
    /// What would be wrong with more than one batch, and what to do.
    why: String,
    /// Whether there was a batch before, perhaps of another process.
    begun: bool,
}

impl OneBatch {
    /// Only so much of a source.
    pub(crate) fn of(source: Box<dyn Source>, why: String) -> Changed<Self> {
        Changed { source, change: Self { why, begun: false } }
    }
}

impl Change for OneBatch {
    fn cut(&mut self, source: &mut dyn Source, partitions: usize) -> Result<Cut, SourceError> {
        let cut = source.cut(partitions)?;
        if !cut.ended || (self.begun && !cut.inputs.is_empty()) {
            return Err(SourceError::Refused { why: self.why.clone() });
        }
        self.begun = true;
        Ok(cut)
    }

    fn resume(&mut self, source: &mut dyn Source, position: &[u8]) -> Result<(), SourceError> {
        self.begun = true;
        source.resume(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Format;
    use crate::source::{OpenOptions, open};

    fn one_batch(options: &str) -> Changed<OneBatch> {
        let url = format!("generate://words?records=10&{options}");
        let source = open(&url, Format::Text, &OpenOptions::default()).unwrap();
        OneBatch::of(source, "pairs would be missing".to_owned())
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
