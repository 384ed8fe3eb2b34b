//! Tasks: what they are given, and what is kept of what they made.

use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::task::{Ran, Work};
use super::{Leaving, Segment, Worker};
use crate::exec::task::{Made, TailMade, TaskError};
use crate::id::{Attempt, Partition, TailId, TaskId};
use crate::plan::TailRow;
use crate::sched::WorkerEvent;
use crate::sched::message::{Failure, FailureKind, TaskTally, ToPeer};
use crate::sched::worker::RunTask;
use crate::source::Input;
use crate::store::KeptBlock;

impl Worker<'_> {
    pub(super) fn reads_source(&self, task: TaskId) -> bool {
        self.plan.stage(task.stage).source().is_some()
    }

    /// Gives a ready task what it reads, and queues it for the threads that run tasks.
    pub(in crate::driver) fn start(&mut self, run: RunTask, source: Option<Input>) {
        let RunTask { task, attempt, time, emits, .. } = run;
        let reach = Arc::clone(&run.reach);
        let inputs = match self.store.inputs(&run) {
            Ok(inputs) => inputs,
            Err(block) => {
                let message = format!("{task} misses a block of {}", block.producer);
                let failure = Failure { message, at: None, kind: FailureKind::Block, again: false };
                return self.core.handle(WorkerEvent::Failed { task, attempt, failure });
            }
        };
        let source = match source {
            Some(input) if self.runs_twice => Some(self.stops.stoppable(task, attempt, input)),
            source => source,
        };
        let state = self.store.state(task.stage, task.partition).take();
        let work = Work { task, attempt, time, reach, emits, inputs, source, state };
        if let Some(work) = self.light.accept(work) {
            self.heavy.push(work);
        }
    }

    /// The input of a ready task cannot even be opened.
    pub(in crate::driver) fn refuse(&mut self, run: &RunTask, error: &TaskError) {
        let (task, attempt, failure) = (run.task, run.attempt, failure(error));
        self.core.handle(WorkerEvent::Failed { task, attempt, failure });
    }

    /// Another run of a task counts: this one is dropped if it has not begun, and stopped if it has.
    pub(super) fn cancel(&mut self, task: TaskId, attempt: Attempt) {
        let held = self.held.iter().position(|run| (run.task, run.attempt) == (task, attempt));
        let waits = |work: &Work| (work.task, work.attempt) == (task, attempt);
        let dropped = match (held, self.heavy.iter().position(waits)) {
            (Some(at), _) => self.held.remove(at).is_some(),
            (None, Some(at)) => {
                self.heavy.remove(at);
                true
            }
            (None, None) => self.queue.remove(task, attempt),
        };
        if dropped {
            self.stops.ended(task, attempt);
            self.core.handle(WorkerEvent::Cancelled { task, attempt });
        } else {
            self.stops.stop(task, attempt);
        }
    }

    pub(super) fn keep(&mut self, ran: Ran) {
        let Ran { task, attempt, state, result, took, busy, .. } = ran;
        *self.store.state(task.stage, task.partition) = state;
        let was_stopped = self.stops.ended(task, attempt);
        let event = match result {
            Err(_) if was_stopped => WorkerEvent::Cancelled { task, attempt },
            Ok(made) => {
                let content =
                    if self.runs_twice && self.reads_source(task) { content(&made) } else { 0 };
                let (blocks, tally, leaving) = self.keep_made(task, made);
                let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
                let (micros, busy_micros) = (micros(took), micros(busy));
                let tally = TaskTally { micros, busy_micros, content, ..tally };
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
        let Made { tails, records, bytes, dead, late } = made;
        let row = self.plan.stage(task.stage);
        let mut tally =
            TaskTally { records, bytes, dead: dead.count, late, ..TaskTally::default() };
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
        if let (Some(source), true) = (row.source(), dead.count > 0) {
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

/// A hash of everything that a task made: equal for all runs of a task of a deterministic program.
fn content(made: &Made) -> u64 {
    let mut hash = Xxh3::new();
    let mut add = |number: u64| hash.update(&number.to_le_bytes());
    add(made.records);
    add(made.dead.count);
    for (tail, of) in (0u64..).zip(&made.tails) {
        match of {
            TailMade::Blocks(blocks) => {
                for (partition, block) in blocks {
                    add(tail);
                    add(u64::from(partition.0));
                    add(block.checksum());
                }
            }
            TailMade::Part { part, .. } => {
                add(tail);
                add(part.records);
                add(xxh3_64(&part.bytes));
            }
        }
    }
    hash.digest()
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
        TaskError::Output { output, .. } => FailureKind::Output(*output),
        TaskError::Door(_) | TaskError::State { .. } => FailureKind::Block,
    };
    // A record that was refused on request is refused again, one too large stays so, and so does one that an
    // output cannot hold or a state of another type.
    let again = !matches!(
        error,
        TaskError::DeadLetter(_)
            | TaskError::Result(_)
            | TaskError::Output { .. }
            | TaskError::State { .. }
    );
    Failure { message: error.to_string(), at, kind, again }
}
