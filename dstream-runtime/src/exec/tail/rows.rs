//! Rows kept for a narrow dependency.

use std::sync::Arc;

use super::{Tail, TailMade, TaskContext, TaskError, own_block};
use crate::block::RowsBuilder;
use crate::record::{AsRecord, Record};

/// Keeps records for the same partition of a later stage.
pub struct Rows<R: Record> {
    rows: RowsBuilder<R>,
}

impl<R: Record> Rows<R> {
    /// Takes one record.
    #[inline]
    pub fn push<P: AsRecord<Record = R>>(&mut self, record: P) {
        self.rows.push(record.as_view());
    }
}

impl<R: Record> Tail for Rows<R> {
    type Recipe = ();

    fn open(_: &Arc<()>, _: &TaskContext<'_>) -> Self {
        Self { rows: RowsBuilder::new() }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        let block = self.rows.finish().map_err(|e| TaskError::TooLarge(e.to_string()))?;
        Ok(own_block(cx, block))
    }
}
