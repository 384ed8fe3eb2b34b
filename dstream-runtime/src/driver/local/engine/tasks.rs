//! Tasks: what they are given, and what is kept of what they made.

use super::Engine;
use crate::driver::task::{Ran, Work};
use crate::exec::task::{Made, TailMade, TaskError};
use crate::id::{Partition, TailId, TaskId};
use crate::plan::{TailRow, Tasks};
use crate::sched::WorkerEvent;
use crate::sched::message::{Failure, TaskTally};
use crate::sched::worker::RunTask;

impl Engine<'_> {
    /// Gives a ready task what it reads, and to whoever is to run it.
    pub(super) fn prepare(&mut self, run: RunTask) {
        let RunTask { task, attempt, time, emits, .. } = run;
        let inputs = match self.store.inputs(&run) {
            Ok(inputs) => inputs,
            Err(block) => {
                let message = format!("{task} misses a block of {}", block.producer);
                let failure = Failure { message, at: None, again: false };
                return self.worker.handle(WorkerEvent::Failed { task, attempt, failure });
            }
        };
        let source = match self.plan.stage(task.stage).tasks {
            Tasks::PerRange(source) => self.batch(task.batch).and_then(|batch| {
                batch.inputs.get(source.index())?.get(task.partition.index()).cloned()
            }),
            Tasks::PerPartition | Tasks::One => None,
        };
        let state = self.store.state(task.stage, task.partition).take();
        let work = Work { task, attempt, time, emits, inputs, source, state };
        if let Err(work) = self.light.accept(work) {
            self.heavy.push(work);
        }
    }

    pub(super) fn ran(&mut self, ran: Ran) {
        self.light.learn(&ran);
        let Ran { task, attempt, state, result, .. } = ran;
        *self.store.state(task.stage, task.partition) = state;
        let event = match result {
            Ok(made) => {
                let (blocks, tally) = self.keep(task, made);
                WorkerEvent::Ran { task, attempt, blocks, tally }
            }
            Err(error) => {
                let failure = failure(&error);
                self.errors.insert(task, error);
                WorkerEvent::Failed { task, attempt, failure }
            }
        };
        self.worker.handle(event);
    }

    /// Keeps what a task made.
    fn keep(&mut self, task: TaskId, made: Made) -> (Vec<(TailId, Partition)>, TaskTally) {
        let Made { tails, records, bytes, dead } = made;
        let row = self.plan.stage(task.stage);
        let mut tally = TaskTally { records, bytes, dead: dead.count, blocks: 0 };
        let (mut kept, mut ids) = (Vec::with_capacity(tails.len()), Vec::new());
        for (index, tail) in tails.into_iter().enumerate() {
            let blocks = match tail {
                TailMade::Blocks(blocks) => blocks,
                TailMade::Part { part, preview } => {
                    if let (Some(TailRow::Output(output)), Some(batch)) =
                        (row.tails.get(index), self.batch(task.batch))
                    {
                        let made = &mut batch.outputs[output.index()];
                        if !preview.is_empty() {
                            made.previews.push((task.partition, preview));
                        }
                        if part.records > 0 {
                            made.parts.push(part);
                        }
                    }
                    Vec::new()
                }
            };
            let tail = TailId(index as u16);
            tally.blocks += blocks.len() as u32;
            ids.extend(blocks.iter().map(|(partition, _)| (tail, *partition)));
            kept.push(blocks);
        }
        // One id names all blocks of a tail for a partition: there are several where one would have
        // been too large.
        ids.dedup();
        if !ids.is_empty() {
            self.store.put(task, kept);
        }
        if let (Tasks::PerRange(source), Some(batch)) = (row.tasks, self.batch(task.batch)) {
            let read = &mut batch.reads[source.index()];
            read.records += records;
            read.bytes += bytes;
            read.dead_letters += dead.count;
            if dead.count > 0 {
                batch.dead.push((source, task.partition, dead));
            }
        }
        (ids, tally)
    }
}

/// An error as the cores pass it on.
fn failure(error: &TaskError) -> Failure {
    let at = match error {
        TaskError::Panic(panic) => panic.at.clone(),
        _ => None,
    };
    // A record that was refused on request is refused again, and one too large stays so.
    let again = !matches!(error, TaskError::DeadLetter(_) | TaskError::Result(_));
    Failure { message: error.to_string(), at, again }
}
