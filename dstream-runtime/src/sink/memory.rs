//! Outputs kept in memory, for tests of jobs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Batch, Origin, Part, Sink, SinkError};
use crate::record::{Floats, Format};
use crate::time::BatchTime;

/// What was published, by output and batch; parts in order of partitions.
pub type Published = Arc<Mutex<BTreeMap<(String, BatchTime), Vec<Part>>>>;

/// An output to memory.
#[derive(Debug)]
pub struct MemorySink {
    name: String,
    format: Format,
    published: Published,
}

impl MemorySink {
    /// The output of that name, in that format, into `published`.
    #[must_use]
    pub fn new(name: impl Into<String>, format: Format, published: Published) -> Self {
        Self { name: name.into(), format, published }
    }
}

impl Sink for MemorySink {
    fn format(&self) -> Option<Format> {
        Some(self.format)
    }

    /// A test of a job sees every float.
    fn floats(&self) -> Floats {
        Floats::Strings
    }

    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let mut parts: Vec<Part> =
            batch.parts.iter().filter(|part| !part.bytes.is_empty()).cloned().collect();
        parts.sort_by_key(|part| part.partition);
        // A test that panicked while it looked has changed nothing.
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        match published.entry((self.name.clone(), batch.time)) {
            Entry::Vacant(entry) => {
                entry.insert(parts);
                Ok(())
            }
            Entry::Occupied(entry) => {
                let content = |part: &Part| (part.partition, part.records, part.bytes.clone());
                let (old, new) = (entry.get().iter().map(content), parts.iter().map(content));
                if old.eq(new) {
                    return Ok(());
                }
                let why = format!("{} parts then, {} now", entry.get().len(), parts.len());
                let (what, origin) = (self.name.clone(), Origin::Unknown);
                Err(SinkError::Conflict { time: batch.time, what, why, origin })
            }
        }
    }

    fn immediate(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{batch, part};
    use super::*;

    #[test]
    fn a_batch_is_kept_once() {
        let published = Published::default();
        let mut sink = MemorySink::new("counts", Format::Csv, published.clone());
        let some = batch(1000, vec![part(1, "b,2\n"), part(0, "a,1\n"), part(2, "")]);
        sink.publish(&some).unwrap();
        sink.publish(&some).unwrap();
        let other = sink.publish(&batch(1000, vec![part(0, "a,2\n")]));
        assert!(matches!(other, Err(SinkError::Conflict { .. })));
        let published = published.lock().unwrap();
        let parts = &published[&("counts".to_owned(), BatchTime(1000))];
        let bytes: Vec<_> = parts.iter().map(|part| part.bytes.as_slice()).collect();
        assert_eq!(bytes, [b"a,1\n", b"b,2\n"]);
        assert_eq!(published.len(), 1);
    }
}
