//! Outputs to a function of the program: `foreach_batch`.
//!
//! The records of a part travel as archived rows in blocks; the function gets views of them. A batch is given after
//! it is committed, so its content does not change any more. It may be given again: after an error, and after a
//! restart. What the function is told of the part is the same each time.

use std::fmt;
use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::{Batch, Part, Sink, SinkError};
use crate::block::{Block, Buffer, Bytes, DecodeError, RowsIter};
use crate::id::Partition;
use crate::record::{BLOCK_ALIGN, Format, Record};
use crate::time::BatchTime;

/// The URL of an output to a function of the program.
pub const FUNCTION: &str = "function:";

/// A partition of a batch, as a function of the program is given it.
///
/// Shown as text, `job/output/time/partition` names these records: the same records whenever they are given again, and no
/// others. A store that keeps this text beside them, in the same transaction, recognises a repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPart {
    job: Arc<str>,
    output: Arc<str>,
    time: BatchTime,
    partition: Partition,
}

impl BatchPart {
    /// The name of the job.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The name of the output: that of its stream.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The end of the batch's interval, in milliseconds since 1970.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.time.0
    }

    /// The number of the partition.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition.0
    }
}

impl fmt::Display for BatchPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.job, self.output, self.time.0, self.partition.0)
    }
}

/// The records of a part, in order, as views.
pub struct BatchRows<'a, R: Record> {
    blocks: std::slice::Iter<'a, Block>,
    rows: Option<RowsIter<'a, R>>,
    left: usize,
}

impl<'a, R: Record> Iterator for BatchRows<'a, R> {
    type Item = R::View<'a>;

    fn next(&mut self) -> Option<R::View<'a>> {
        loop {
            if let Some(row) = self.rows.as_mut().and_then(Iterator::next) {
                self.left -= 1;
                return Some(row);
            }
            // Every block was opened as one of this type.
            self.rows = Some(self.blocks.next()?.rows::<R>().ok()?.iter());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<R: Record> ExactSizeIterator for BatchRows<'_, R> {}

/// What a function of the program returns: nothing, or whether it has taken the records.
#[diagnostic::on_unimplemented(
    message = "`foreach_batch` cannot use a function that returns `{Self}`",
    label = "it returns nothing, or a `Result<(), E>` whose error can be shown",
    note = "an error is tried again for as long as `--sink-patience` says, then the job stops with it"
)]
pub trait Outcome {
    /// # Errors
    /// When the records were not taken, and why.
    fn outcome(self) -> Result<(), String>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> Outcome for Result<(), E> {
    fn outcome(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

type Erased = dyn Fn(&BatchPart, &[u8]) -> Result<(), String> + Send + Sync;

/// A function of the program, without its types.
#[derive(Clone)]
pub struct BatchFunction(Arc<Erased>);

impl fmt::Debug for BatchFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BatchFunction")
    }
}

impl BatchFunction {
    /// A function of the records `R`.
    #[must_use]
    pub fn new<R, F, O>(function: F) -> Self
    where
        R: Record,
        F: Fn(&BatchPart, BatchRows<'_, R>) -> O + Send + Sync + 'static,
        O: Outcome,
    {
        Self(Arc::new(move |part, bytes| {
            let blocks = unpack::<R>(bytes).map_err(|error| error.to_string())?;
            let left = blocks.iter().map(|block| block.records() as usize).sum();
            function(part, BatchRows { blocks: blocks.iter(), rows: None, left }).outcome()
        }))
    }

    /// The output of that name of a job.
    #[must_use]
    pub fn sink(&self, job: &str, output: &str) -> Box<dyn Sink> {
        Box::new(FunctionSink { function: self.clone(), job: job.into(), output: output.into() })
    }
}

/// Blocks, one after the other, each behind its length.
pub(crate) fn pack(blocks: impl IntoIterator<Item = Block>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in blocks {
        let block = block.to_bytes();
        bytes.extend_from_slice(&(block.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&block);
    }
    bytes
}

fn unpack<R: Record>(mut bytes: &[u8]) -> Result<Vec<Block>, DecodeError> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (block, rest) = rest.split_at_checked(length).ok_or(DecodeError::Archive)?;
        let mut aligned = AlignedVec::<BLOCK_ALIGN>::with_capacity(length);
        aligned.extend_from_slice(block);
        blocks.push(Block::open_rows::<R>(Bytes::Buffer(Buffer::unpooled(aligned)))?);
        bytes = rest;
    }
    Ok(blocks)
}

struct FunctionSink {
    function: BatchFunction,
    job: Arc<str>,
    output: Arc<str>,
}

impl Sink for FunctionSink {
    fn format(&self) -> Option<Format> {
        None
    }

    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        for Part { partition, bytes, .. } in &batch.parts {
            if bytes.is_empty() {
                continue;
            }
            let (job, output) = (self.job.clone(), self.output.clone());
            let part = BatchPart { job, output, time: batch.time, partition: *partition };
            (self.function.0)(&part, bytes).map_err(|why| {
                let what = format!("batch {}, partition {}", batch.time, partition.0);
                SinkError::io("hand to the function", what, std::io::Error::other(why))
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::block::{BufferPool, RowsBuilder};

    type Pair = (String, u64);

    fn rows(pairs: &[(&str, u64)]) -> Block {
        let mut rows = RowsBuilder::<Pair>::new(&BufferPool::new(0), 0);
        pairs.iter().for_each(|pair| rows.push(*pair).unwrap());
        rows.finish().unwrap()
    }

    fn batch(partition: u32, bytes: Vec<u8>) -> Batch {
        let (bytes, header) = (Arc::new(bytes), Arc::from([]));
        let part = Part { partition: Partition(partition), records: 1, bytes, header };
        Batch { time: BatchTime(7000), parts: vec![part], inputs: Arc::from([]), plan: 1 }
    }

    #[test]
    fn a_function_gets_the_records_of_all_blocks_in_order_under_their_key() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let given = Arc::clone(&seen);
        let function = BatchFunction::new(move |part: &BatchPart, rows: BatchRows<'_, Pair>| {
            let (key, len) = (part.to_string(), rows.len());
            let rows: Vec<_> = rows.map(|(word, n)| (word.to_owned(), n)).collect();
            given.lock().unwrap().push((key, len, rows));
        });
        let bytes = pack([rows(&[("a", 1), ("b", 2)]), rows(&[("c", 3)])]);
        function.sink("shop", "sales").publish(&batch(4, bytes)).unwrap();
        let rows = vec![("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 3)];
        assert_eq!(*seen.lock().unwrap(), [("shop/sales/7000/4".to_owned(), 3, rows)]);
    }

    #[test]
    fn an_error_of_the_function_may_pass() {
        let function =
            BatchFunction::new(|_: &BatchPart, _: BatchRows<'_, Pair>| Err("it is locked"));
        let error = function.sink("shop", "sales").publish(&batch(0, pack([rows(&[("a", 1)])])));
        let error = error.unwrap_err();
        assert!(error.may_pass());
        assert!(error.to_string().contains("it is locked"), "{error}");
    }

    #[test]
    fn damaged_rows_are_given_to_no_function() {
        let function =
            BatchFunction::new(|_: &BatchPart, _: BatchRows<'_, Pair>| -> () { panic!("called") });
        let whole = pack([rows(&[("abc", 1)])]);
        for length in 8..whole.len() {
            let mut cut = whole.clone();
            cut.truncate(length);
            function.sink("shop", "sales").publish(&batch(0, cut)).unwrap_err();
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        function.sink("shop", "sales").publish(&batch(0, flipped)).unwrap_err();
    }
}
