//! Tasks: what they are given, and what is kept of what they made.

use super::task::{Ran, Work};
use super::{Leaving, Segment, Worker};
use crate::exec::task::{Made, TailMade, TaskError};
use crate::id::{Partition, TailId, TaskId};
use crate::plan::{TailRow, Tasks};
use crate::sched::WorkerEvent;
use crate::sched::message::{Failure, FailureKind, TaskTally, ToPeer};
use crate::sched::worker::RunTask;
use crate::source::Input;
use crate::store::KeptBlock;

impl Worker<'_> {
    pub(super) fn reads_source(&self, task: TaskId) -> bool {
        matches!(self.plan.stage(task.stage).tasks, Tasks::PerRange(_))
    }

    /// Gives a ready task what it reads, and to whoever is to run it.
    pub(in crate::driver) fn start(&mut self, run: RunTask, source: Option<Input>) {
        let RunTask { task, attempt, time, emits, .. } = run;
        let inputs = match self.store.inputs(&run) {
            Ok(inputs) => inputs,
            Err(block) => {
                let message = format!("{task} misses a block of {}", block.producer);
                let failure = Failure { message, at: None, kind: FailureKind::Block, again: false };
                return self.core.handle(WorkerEvent::Failed { task, attempt, failure });
            }
        };
        let state = self.store.state(task.stage, task.partition).take();
        let work = Work { task, attempt, time, emits, inputs, source, state };
        if let Err(work) = self.light.accept(work) {
            self.heavy.push(work);
        }
    }

    /// The input of a ready task cannot even be opened.
    pub(in crate::driver) fn refuse(&mut self, run: &RunTask, error: &TaskError) {
        let (task, attempt, failure) = (run.task, run.attempt, failure(error));
        self.core.handle(WorkerEvent::Failed { task, attempt, failure });
    }

    pub(super) fn keep(&mut self, ran: Ran) {
        let Ran { task, attempt, state, result, .. } = ran;
        *self.store.state(task.stage, task.partition) = state;
        let event = match result {
            Ok(made) => {
                let (blocks, tally, leaving) = self.keep_made(task, made);
                self.leaving.push_back((task, leaving));
                WorkerEvent::Ran { task, attempt, blocks, tally }
            }
            Err(error) => WorkerEvent::Failed { task, attempt, failure: failure(&error) },
        };
        self.core.handle(event);
    }

    /// Keeps what a task made for other tasks; the rest leaves.
    fn keep_made(
        &mut self,
        task: TaskId,
        made: Made,
    ) -> (Vec<(TailId, Partition)>, TaskTally, Leaving) {
        let Made { tails, records, bytes, dead } = made;
        let row = self.plan.stage(task.stage);
        let mut tally = TaskTally { records, bytes, dead: dead.count, blocks: 0 };
        let mut leaving = Leaving::default();
        let (mut kept, mut ids) = (Vec::with_capacity(tails.len()), Vec::new());
        for (index, tail) in tails.into_iter().enumerate() {
            let blocks = match tail {
                TailMade::Blocks(blocks) => blocks,
                TailMade::Part { part, preview } => {
                    if let Some(TailRow::Output(output)) = row.tails.get(index)
                        && (part.records > 0 || !preview.is_empty())
                    {
                        leaving.parts.push((*output, part, preview));
                    }
                    Vec::new()
                }
            };
            let tail = TailId(index as u16);
            tally.blocks += blocks.len() as u32;
            ids.extend(blocks.iter().map(|(partition, _)| (tail, *partition)));
            let keep = |(partition, block)| (partition, self.kernels.blocks.keep(block));
            kept.push(blocks.into_iter().map(keep).collect());
        }
        // One id names all blocks of a tail for a partition: there are several where one would have
        // been too large.
        ids.dedup();
        if !ids.is_empty() {
            self.store.put(task, kept);
        }
        if let (Tasks::PerRange(source), true) = (row.tasks, dead.count > 0) {
            leaving.dead = Some((source, dead));
        }
        (ids, tally, leaving)
    }

    /// Keeps what another worker's task made for partitions of this one.
    pub(super) fn receive(&mut self, task: TaskId, mut segments: Vec<Segment>) {
        if segments.is_empty() {
            return;
        }
        // Pieces of one id stay in their order.
        segments.sort_by_key(|segment| (segment.tail, segment.partition));
        let mut kept: Vec<Vec<(Partition, KeptBlock)>> = Vec::new();
        for Segment { tail, partition, block } in segments {
            if kept.len() <= tail.index() {
                kept.resize_with(tail.index() + 1, Vec::new);
            }
            kept[tail.index()].push((partition, self.kernels.blocks.keep(block)));
        }
        self.store.add(task, kept);
    }

    /// The blocks that a message to another worker names.
    pub(super) fn segments(&self, message: &ToPeer) -> Vec<Segment> {
        let ToPeer::Produced { task, blocks, .. } = message else {
            return Vec::new();
        };
        let named = |(tail, partition): &(TailId, Partition)| {
            let blocks = self.store.made(*task, *tail, *partition);
            let (tail, partition) = (*tail, *partition);
            blocks.iter().map(move |(_, block)| Segment { tail, partition, block: block.clone() })
        };
        blocks.iter().flat_map(named).collect()
    }
}

/// An error as the cores pass it on.
pub(in crate::driver) fn failure(error: &TaskError) -> Failure {
    let at = match error {
        TaskError::Panic(panic) => panic.at.clone(),
        _ => None,
    };
    let kind = match error {
        TaskError::Panic(_) => FailureKind::Panic,
        TaskError::DeadLetter(_) => FailureKind::DeadLetter,
        TaskError::Source(_) => FailureKind::Source,
        TaskError::Result(_) => FailureKind::Result,
        TaskError::Door(_) => FailureKind::Block,
    };
    // A record that was refused on request is refused again, and one too large stays so.
    let again = !matches!(error, TaskError::DeadLetter(_) | TaskError::Result(_));
    Failure { message: error.to_string(), at, kind, again }
}
