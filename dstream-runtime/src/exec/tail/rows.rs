//! Rows kept for a narrow dependency.

use std::sync::Arc;

use super::{Tail, TailMade, TaskContext, TaskError};
use crate::block::{Block, BlockDecoder, BufferPool, PushError, RowsBuilder};
use crate::id::Partition;
use crate::record::{AsRecord, Record};

/// Keeps records for the same partition of a later stage.
pub struct Rows<R: Record> {
    growing: Growing<R>,
    /// The first record that did not fit; pushing cannot fail, so it is reported at the end.
    failed: Option<TaskError>,
}

impl<R: Record> Rows<R> {
    /// Takes one record.
    #[inline]
    pub fn push<P: AsRecord<Record = R>>(&mut self, record: P) {
        if let Err(error) = self.growing.push(record.as_view()) {
            self.failed.get_or_insert(error);
        }
    }
}

impl<R: Record> Tail for Rows<R> {
    type Record = R;
    type Recipe = ();

    fn open(_: &Arc<()>, cx: &TaskContext<'_>) -> Self {
        Self { growing: Growing::new(cx), failed: None }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.growing.finish(cx.task.partition)),
        }
    }

    fn door((): &()) -> Option<BlockDecoder> {
        Some(Block::open_rows::<R>)
    }
}

/// Rows that become as many blocks as they need.
pub(super) struct Growing<R: Record> {
    rows: RowsBuilder<R>,
    full: Vec<Block>,
    pool: BufferPool,
}

impl<R: Record> Growing<R> {
    pub(super) fn new(cx: &TaskContext<'_>) -> Self {
        let pool = cx.buffers.clone();
        Self { rows: RowsBuilder::new(&pool, 0), full: Vec::new(), pool }
    }

    #[inline]
    pub(super) fn push(&mut self, view: R::View<'_>) -> Result<(), TaskError> {
        match self.rows.push(view) {
            Ok(()) => Ok(()),
            Err(PushError::Full) => {
                let fresh = RowsBuilder::new(&self.pool, 0);
                self.full.extend(std::mem::replace(&mut self.rows, fresh).finish());
                Ok(self.rows.push(view)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The blocks, in order.
    pub(super) fn blocks(mut self) -> Vec<Block> {
        self.full.extend(self.rows.finish());
        self.full
    }

    /// The blocks, all for one partition.
    pub(super) fn finish(self, partition: Partition) -> TailMade {
        TailMade::Blocks(self.blocks().into_iter().map(|block| (partition, block)).collect())
    }
}
