//! What a simulated worker's process holds. Blocks and states have contents, so a task that runs on a wrong
//! one has a wrong result, which is detected.

use std::collections::BTreeMap;

use super::reference::{Reference, State, content, has_output, result};
use crate::id::*;
use crate::sched::WorkerCore;
use crate::sched::message::ToPeer;
use crate::sched::worker::RunTask;

#[derive(Default)]
pub(super) struct Held {
    blocks: BTreeMap<BlockId, u64>,
    /// `None` while a task uses it.
    states: BTreeMap<State, Option<u64>>,
    /// Results not reported yet.
    parts: BTreeMap<(TaskId, Attempt), u64>,
}

impl Held {
    /// A task begins: takes its state, and returns the state and its result.
    pub(super) fn begin(
        &mut self,
        on: WorkerId,
        run: &RunTask,
        reference: &mut Reference,
    ) -> (u64, u64) {
        let (task, row) = (run.task, reference.plan.stage(run.task.stage));
        let content = |id: &BlockId| {
            let content = self.blocks.get(id);
            (*id, *content.unwrap_or_else(|| panic!("{task} reads {id:?}, which is not here")))
        };
        let inputs: Vec<Vec<_>> =
            run.inputs.iter().map(|input| input.iter().map(content).collect()).collect();
        let state = match row.state {
            Some(_) => {
                let state = self.states.entry((task.stage, task.partition)).or_insert(Some(0));
                state.take().unwrap_or_else(|| panic!("{task} uses a state that is in use"))
            }
            None => 0,
        };
        let result = result(task, state, &inputs, &run.ranges);
        reference.up_to(task.batch);
        assert_eq!(reference.results.get(&task), Some(&result), "{task} on {on}");
        (state, result)
    }

    /// A task has run: stores its blocks.
    pub(super) fn ran(
        &mut self,
        task: TaskId,
        attempt: Attempt,
        result: u64,
        reference: &Reference,
    ) -> Vec<(TailId, Partition)> {
        self.leave(task, result, reference);
        let blocks = reference.blocks(task);
        for (tail, partition) in blocks.iter().copied() {
            let id = BlockId { producer: task, tail, partition };
            self.blocks.insert(id, content(id, result));
        }
        if has_output(reference.plan, task) {
            self.parts.insert((task, attempt), result);
        }
        blocks
    }

    /// A task ends and leaves this state.
    pub(super) fn leave(&mut self, task: TaskId, state: u64, reference: &Reference) {
        if reference.plan.stage(task.stage).state.is_some() {
            self.states.insert((task.stage, task.partition), Some(state));
        }
    }

    /// Takes the output part of a run.
    pub(super) fn part(&mut self, task: TaskId, attempt: Attempt) -> Option<u64> {
        self.parts.remove(&(task, attempt))
    }

    /// The contents of the blocks attached to a message.
    pub(super) fn contents(&self, message: &ToPeer) -> Vec<u64> {
        let ToPeer::Produced { task, blocks, .. } = message else { return Vec::new() };
        let held = |id| *self.blocks.get(&id).expect("it sends what it holds");
        let id = |(tail, partition): &(TailId, Partition)| BlockId {
            producer: *task,
            tail: *tail,
            partition: *partition,
        };
        blocks.iter().map(|block| held(id(block))).collect()
    }

    /// Stores what another worker's message brings.
    pub(super) fn take_in(&mut self, core: &WorkerCore, message: &ToPeer, contents: &[u64]) {
        match message {
            ToPeer::Produced { task, blocks, .. } => {
                for ((tail, partition), content) in blocks.iter().zip(contents) {
                    let id = BlockId { producer: *task, tail: *tail, partition: *partition };
                    self.blocks.insert(id, *content);
                }
            }
            ToPeer::State { epoch, stage, partition } => {
                if core.expects_state(*epoch, *stage, *partition) {
                    self.put((*stage, *partition), contents[0]);
                }
            }
            ToPeer::Want { .. } => {}
        }
    }

    /// A state that is not in use; the initial one if there is none.
    pub(super) fn state(&self, state: State) -> u64 {
        self.states.get(&state).copied().unwrap_or(Some(0)).expect("it is in use")
    }

    /// Takes a state for another worker.
    pub(super) fn take_state(&mut self, state: State) -> u64 {
        self.states.remove(&state).unwrap_or(Some(0)).expect("it is in use")
    }

    /// Stores an arriving state.
    pub(super) fn put(&mut self, state: State, content: u64) {
        let before = self.states.insert(state, Some(content));
        assert_ne!(before, Some(None), "{state:?} comes while it is in use");
    }

    pub(super) fn discard(&mut self, state: State) {
        assert_ne!(self.states.remove(&state), Some(None), "{state:?} is in use");
    }

    pub(super) fn is_in_use(&self, state: State) -> bool {
        self.states.get(&state) == Some(&None)
    }

    /// Drops everything of batches before `oldest`.
    pub(super) fn forget(&mut self, oldest: BatchSeq) {
        self.blocks.retain(|block, _| block.producer.batch >= oldest);
    }
}
