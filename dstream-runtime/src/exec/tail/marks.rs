//! The greatest times of a task's records, by split of its source: what watermarks are made of.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::rows::Growing;
use super::{Tail, TailMade, TaskContext, TaskError};
use crate::block::{Block, BlockDecoder};
use crate::exec::event_time::Timed;
use crate::id::Partition;
use crate::record::Record;
use crate::source::receive::receiver_of;

/// A split of a source, and the greatest time of its records in one task.
pub(crate) type Mark = (String, i64);

/// The split that a task reads at the moment: an index into the ranges of its input.
#[derive(Debug, Clone, Default)]
pub struct ReadingSplit(Rc<Cell<usize>>);

impl ReadingSplit {
    /// The next records are of this range.
    pub(crate) fn set(&self, range: usize) {
        self.0.set(range);
    }

    #[inline(always)]
    fn get(&self) -> usize {
        self.0.get()
    }
}

/// Keeps the greatest time of each split.
pub struct Marks {
    reading: ReadingSplit,
    split: usize,
    greatest: Option<i64>,
    before: Vec<(usize, i64)>,
}

impl Marks {
    /// Takes the time of one record.
    #[inline(always)]
    pub fn push<T: Timed>(&mut self, time: T) {
        let time = time.at();
        if self.split != self.reading.get() {
            self.turn();
        }
        self.greatest = self.greatest.max(Some(time));
    }

    /// The records of another split begin.
    #[inline(never)]
    fn turn(&mut self) {
        let (split, greatest) = (self.split, self.greatest.take());
        self.before.extend(greatest.map(|greatest| (split, greatest)));
        self.split = self.reading.get();
    }
}

impl Tail for Marks {
    type Record = ();
    type Recipe = ();

    fn open(_: &Arc<()>, cx: &TaskContext<'_>) -> Self {
        let reading = cx.reading.clone();
        Self { split: reading.get(), reading, greatest: None, before: Vec::new() }
    }

    fn close(mut self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        self.turn();
        let ranges = cx.source.map_or(&[][..], |input| &input.ranges);
        // What receivers have taken in is one split: clients come and go. So is what comes from other stages.
        let name = |range: usize| match ranges.get(range) {
            Some(range) if receiver_of(&range.split).is_none() => &*range.split,
            _ => "",
        };
        let mut splits: BTreeMap<&str, i64> = BTreeMap::new();
        for (range, greatest) in self.before {
            let split = splits.entry(name(range)).or_insert(greatest);
            *split = greatest.max(*split);
        }
        let mut rows = Growing::<Mark>::new(cx);
        for mark in splits {
            rows.push(mark)?;
        }
        Ok(rows.finish(Partition(0)))
    }

    fn door((): &()) -> Option<BlockDecoder> {
        Some(Block::open_rows::<Mark>)
    }
}

/// Sends the same rows to every partition.
pub struct Broadcast<R: Record> {
    growing: Growing<R>,
    /// The first record that did not fit; pushing cannot fail, so it is reported at the end.
    failed: Option<TaskError>,
}

impl<R: Record> Broadcast<R> {
    /// Takes one record.
    #[inline]
    pub fn push<P: crate::record::AsRecord<Record = R>>(&mut self, record: P) {
        if let Err(error) = self.growing.push(record.as_view()) {
            self.failed.get_or_insert(error);
        }
    }
}

impl<R: Record> Tail for Broadcast<R> {
    type Record = R;
    type Recipe = ();

    fn open(_: &Arc<()>, cx: &TaskContext<'_>) -> Self {
        Self { growing: Growing::new(cx), failed: None }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let blocks = self.growing.blocks();
        let all = (0..cx.partitions)
            .flat_map(|partition| blocks.iter().map(move |b| (Partition(partition), b.clone())));
        Ok(TailMade::Blocks(all.collect()))
    }

    fn door((): &()) -> Option<BlockDecoder> {
        Some(Block::open_rows::<R>)
    }
}
