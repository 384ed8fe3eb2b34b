//! Runs the first stage of a compiled job without the engine, on text in memory, on this thread.

use std::sync::Arc;

use dstream_runtime::block::{Block, BufferPool};
use dstream_runtime::exec::job::{Bindings, BuiltJob};
use dstream_runtime::exec::poison::Poisoned;
use dstream_runtime::exec::table::hash_key;
use dstream_runtime::exec::task::{Made, OutputSetting, TailMade, TaskContext};
use dstream_runtime::id::{BatchSeq, Partition, StageId, TaskId};
use dstream_runtime::job::{AnyJob, Job, build};
use dstream_runtime::source::{Input, Piece, ReadRange, SourceError};
use dstream_runtime::time::BatchTime;

/// Bytes per piece, as in the engine.
const PIECE: usize = 256 << 10;

/// Bytes of block buffers kept for the next run.
const KEPT: usize = 256 << 20;

/// The first stage of a job.
pub struct Stage {
    job: BuiltJob,
    buffers: BufferPool,
}

impl Stage {
    /// Of a job with parameters.
    pub fn new<J: Job>(job: J, params: J::Params) -> Self {
        Self::of(build(job, params, Bindings::default()))
    }

    /// Of a job without parameters.
    ///
    /// # Errors
    /// When it has some.
    pub fn without_params(job: impl AnyJob) -> Result<Self, clap::Error> {
        let command = job.augment(clap::Command::new(job.plan().job));
        let matches = command.try_get_matches_from([job.plan().job])?;
        Ok(Self::of(job.build(&matches, Bindings::default())?))
    }

    fn of(job: BuiltJob) -> Self {
        Self { job, buffers: BufferPool::new(KEPT) }
    }

    fn run(&self, text: &'static str) -> Made {
        let pieces = Pieces(text);
        let input = Input { ranges: Vec::new(), data: Arc::new(pieces) };
        let outputs = vec![OutputSetting::default(); self.job.outputs.len()];
        let mut context = TaskContext {
            task: TaskId { batch: BatchSeq(1), stage: StageId(0), partition: Partition(0) },
            time: BatchTime(1000),
            partitions: 1,
            emits: true,
            inputs: &[],
            source: Some(&input),
            reading: Default::default(),
            reach: &[],
            buffers: &self.buffers,
            outputs: &outputs,
            poisoned: Poisoned::default(),
            made: Made::default(),
        };
        self.job.stages[0].run(&mut context, &mut None).expect("text in memory can be read")
    }

    /// How many records reach the output of the stage.
    #[must_use]
    pub fn records(&mut self, text: &'static str) -> u64 {
        let parts = self.run(text).tails.into_iter().map(|tail| match tail {
            TailMade::Part { part, .. } => part.records,
            TailMade::Blocks(_) => 0,
        });
        parts.sum()
    }

    /// A checksum of the sums by key that the stage made.
    #[must_use]
    pub fn checksum(&mut self, text: &'static str) -> u64 {
        let tails = self.run(text).tails.into_iter().flat_map(|tail| match tail {
            TailMade::Blocks(blocks) => blocks,
            TailMade::Part { .. } => Vec::new(),
        });
        tails.fold(0, |sum, (_, block)| checksum(&block).wrapping_add(sum))
    }
}

fn checksum(block: &Block) -> u64 {
    let rows = block.keyed::<u64>().expect("the stage sums numbers");
    rows.iter().fold(0, |sum, row| sum.wrapping_add(hash_key(row.key).wrapping_mul(row.value)))
}

/// Text in memory, in pieces as the engine reads them from a file.
struct Pieces(&'static str);

impl ReadRange for Pieces {
    fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        let bytes = self.0.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let most = bytes.len().min(at + PIECE);
            let end = memchr::memrchr(b'\n', &bytes[at..most]).map_or(most, |end| at + end + 1);
            let (bytes, position) = (&bytes[at..end], at as u64);
            each(Piece {
                bytes,
                split: "memory",
                position,
                numbered: false,
                header: Some("user_id,url,bytes"),
                framing: dstream_runtime::source::Framing::of(dstream_runtime::record::Format::Csv),
                torn: None,
            });
            at = end;
        }
        Ok(())
    }
}
