//! Blocks by id and state by partition, in memory. The engine's thread owns it: tasks get handles on
//! blocks and own their state while they run, so nothing here is locked.

use std::collections::VecDeque;

use crate::exec::state::State;
use crate::id::{BatchSeq, BlockId, Partition, StageId, TailId, TaskId};
use crate::sched::worker::RunTask;

/// The blocks of one task: per tail, by ascending partition.
pub(super) type TaskBlocks<B> = Vec<Vec<(Partition, B)>>;

/// Blocks (`B` is a handle on one) and state of a job.
pub(super) struct Store<B> {
    /// Per batch from `oldest`, per stage, per producing partition.
    blocks: VecDeque<Vec<Vec<TaskBlocks<B>>>>,
    oldest: BatchSeq,
    /// Per stage, per partition.
    states: Vec<Vec<Option<State>>>,
}

impl<B: Clone> Store<B> {
    pub(super) fn new(stages: usize, partitions: u32, oldest: BatchSeq) -> Self {
        let states = || (0..partitions).map(|_| None).collect();
        let states = (0..stages).map(|_| states()).collect();
        Self { blocks: VecDeque::new(), oldest, states }
    }

    /// The oldest batch that is not over.
    pub(super) fn oldest(&self) -> BatchSeq {
        self.oldest
    }

    fn batch(&self, batch: BatchSeq) -> Option<usize> {
        usize::try_from(batch.0.checked_sub(self.oldest.0)?).ok()
    }

    /// Keeps what a task made.
    pub(super) fn put(&mut self, task: TaskId, blocks: TaskBlocks<B>) {
        let Some(at) = self.batch(task.batch) else {
            return;
        };
        if blocks.iter().all(Vec::is_empty) {
            return;
        }
        while self.blocks.len() <= at {
            self.blocks.push_back(vec![Vec::new(); self.states.len()]);
        }
        let stage = &mut self.blocks[at][task.stage.index()];
        if stage.len() <= task.partition.index() {
            stage.resize_with(task.partition.index() + 1, Vec::new);
        }
        stage[task.partition.index()] = blocks;
    }

    /// Adds what another worker has sent of what a task made: it may come in several parts, and again.
    pub(super) fn add(&mut self, task: TaskId, blocks: TaskBlocks<B>) {
        let known = self.batch(task.batch).and_then(|at| {
            self.blocks.get_mut(at)?.get_mut(task.stage.index())?.get_mut(task.partition.index())
        });
        let Some(known) = known.filter(|known| !known.is_empty()) else {
            return self.put(task, blocks);
        };
        if known.len() < blocks.len() {
            known.resize_with(blocks.len(), Vec::new);
        }
        for (known, new) in known.iter_mut().zip(blocks) {
            let before = known.len();
            let is_new = |partition| !known[..before].iter().any(|(known, _)| *known == partition);
            let new: Vec<_> = new.into_iter().filter(|(partition, _)| is_new(*partition)).collect();
            known.extend(new);
            known.sort_by_key(|(partition, _)| *partition);
        }
    }

    /// The blocks of one id: more than one where one would have been too large.
    fn get(&self, id: &BlockId) -> Option<&[(Partition, B)]> {
        let stages = self.blocks.get(self.batch(id.producer.batch)?)?;
        let task = stages.get(id.producer.stage.index())?.get(id.producer.partition.index())?;
        let tail = task.get(id.tail.index())?;
        let start = tail.partition_point(|(partition, _)| *partition < id.partition);
        let end = tail.partition_point(|(partition, _)| *partition <= id.partition);
        (start < end).then(|| &tail[start..end])
    }

    /// The blocks that a task made for a partition.
    pub(super) fn made(
        &self,
        task: TaskId,
        tail: TailId,
        partition: Partition,
    ) -> &[(Partition, B)] {
        self.get(&BlockId { producer: task, tail, partition }).unwrap_or_default()
    }

    /// Handles on the blocks that a task reads; the block that is missing if one is.
    pub(super) fn inputs(&self, run: &RunTask) -> Result<Vec<Vec<B>>, BlockId> {
        let row = |ids: &Vec<BlockId>| {
            let mut blocks = Vec::with_capacity(ids.len());
            for id in ids {
                let found = self.get(id).ok_or(*id)?;
                blocks.extend(found.iter().map(|(_, block)| block.clone()));
            }
            Ok(blocks)
        };
        run.inputs.iter().map(row).collect()
    }

    /// The blocks that a stage made in a batch will not be read any more.
    pub(super) fn drop_stage(&mut self, batch: BatchSeq, stage: StageId) {
        let stages = self.batch(batch).and_then(|at| self.blocks.get_mut(at));
        if let Some(stages) = stages {
            stages[stage.index()] = Vec::new();
        }
    }

    /// Nothing of batches before `oldest` is needed any more.
    pub(super) fn forget(&mut self, oldest: BatchSeq) {
        while self.oldest < oldest {
            self.blocks.pop_front();
            self.oldest.0 += 1;
        }
    }

    /// The state of a partition: taken by the task that runs on it, and given back by it.
    pub(super) fn state(&mut self, stage: StageId, partition: Partition) -> &mut Option<State> {
        &mut self.states[stage.index()][partition.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Attempt, TailId};
    use crate::time::BatchTime;

    fn task(batch: u64, partition: u32) -> TaskId {
        TaskId { batch: BatchSeq(batch), stage: StageId(1), partition: Partition(partition) }
    }

    fn reading(blocks: &[(u64, u32, u16, u32)]) -> RunTask {
        let id = |(batch, producer, tail, partition): &(u64, u32, u16, u32)| BlockId {
            producer: task(*batch, *producer),
            tail: TailId(*tail),
            partition: Partition(*partition),
        };
        RunTask {
            task: task(9, 0),
            attempt: Attempt(0),
            time: BatchTime(0),
            reach: Vec::new().into(),
            emits: true,
            inputs: vec![Vec::new(), blocks.iter().map(id).collect()],
            ranges: Vec::new(),
        }
    }

    #[test]
    fn a_block_is_found_by_producer_tail_and_partition_until_it_is_dropped() {
        let mut store = Store::new(3, 4, BatchSeq(5));
        let blocks = |names: &[(u32, &'static str)]| {
            names.iter().map(|(partition, name)| (Partition(*partition), *name)).collect::<Vec<_>>()
        };
        store.put(task(6, 2), vec![blocks(&[(0, "a"), (3, "b")]), blocks(&[(1, "c")])]);
        store.put(task(5, 0), vec![blocks(&[(0, "d")])]);
        let all = reading(&[(6, 2, 0, 3), (6, 2, 1, 1), (5, 0, 0, 0)]);
        assert_eq!(store.inputs(&all), Ok(vec![vec![], vec!["b", "c", "d"]]));
        // Where one block would have been too large there are several of one id.
        store.put(task(6, 1), vec![blocks(&[(0, "e"), (0, "f"), (1, "g")])]);
        assert_eq!(store.inputs(&reading(&[(6, 1, 0, 0)])), Ok(vec![vec![], vec!["e", "f"]]));
        for missing in [(6, 2, 0, 1), (6, 2, 2, 0), (6, 0, 0, 0), (7, 0, 0, 0), (4, 0, 0, 0)] {
            assert!(store.inputs(&reading(&[missing])).is_err(), "{missing:?}");
        }
        store.drop_stage(BatchSeq(6), StageId(1));
        assert!(store.inputs(&reading(&[(6, 2, 0, 3)])).is_err());
        store.forget(BatchSeq(6));
        assert!(store.inputs(&reading(&[(5, 0, 0, 0)])).is_err());
        store.put(task(5, 0), vec![blocks(&[(0, "late")])]);
        assert!(store.inputs(&reading(&[(5, 0, 0, 0)])).is_err(), "a batch that is over");
    }
}
