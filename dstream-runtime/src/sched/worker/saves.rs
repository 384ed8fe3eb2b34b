//! States that are to be saved, and those that are loaded.
//!
//! A state that is saved may continue what was saved before: then only what has changed is written. The driver marks
//! a state whenever it is saved or loaded, and knows what has changed since the last mark but one (why that one, says
//! the master's `checkpoints`). It continues the state of that mark if that is what the master has named, which is
//! kept for it, if it was brought into safety, and if it has not too many objects; otherwise all of it is saved.
//!
//! Invariants: a state is saved between the last task up to the batch that the master named and the next;
//! it is loaded when no task that uses it runs any more, and only the newest load of it counts; what is known of
//! marks is of the state that is here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::guards::{Guard, guard, left_out};
use crate::sched::message::ToSave;

/// How many objects a saved state has at most. The worker that loads it reads them one after the other, and object
/// stores take tens of milliseconds for each; and with this many it costs an eighth of what it did to save all each
/// time, so more would hardly be felt.
pub(in crate::sched) const MAX_OBJECTS: usize = 8;

/// A state as it was saved or loaded.
#[derive(Debug)]
struct Mark {
    after: BatchSeq,
    /// Its objects; none as long as it is not known that they are in safety.
    objects: Vec<String>,
}

/// Saves and loads of one worker.
#[derive(Debug, Default)]
pub(super) struct Saves {
    /// The batch that a state is to be saved after, and what it may continue.
    due: BTreeMap<(StageId, Partition), (BatchSeq, Option<String>)>,
    /// The last two marks of states that are here.
    marks: BTreeMap<(StageId, Partition), VecDeque<Mark>>,
    /// States that are loaded, and by which recovery; whether that was asked for.
    loads: BTreeMap<(StageId, Partition), (Saved, Epoch, bool)>,
    /// Tasks that ran on states when those were lost here, and run still.
    ghosts: BTreeSet<(StageId, Partition, BatchSeq, Attempt)>,
}

impl Saves {
    /// Whether states are still to come.
    pub(super) fn is_loading(&self) -> bool {
        !self.loads.is_empty()
    }

    /// The last batch in the state that is being loaded.
    pub(super) fn loads_after(&self, stage: StageId, partition: Partition) -> Option<BatchSeq> {
        self.loads.get(&(stage, partition)).map(|(state, ..)| state.after)
    }

    /// A state is saved: what it continues.
    fn mark(
        &mut self,
        state: (StageId, Partition),
        after: BatchSeq,
        may_continue: Option<&String>,
    ) -> Vec<String> {
        let marks = self.marks.entry(state).or_default();
        marks.push_back(Mark { after, objects: Vec::new() });
        let before = if marks.len() > 2 { marks.pop_front() } else { None };
        let fits = |mark: &Mark| {
            may_continue.is_some()
                && guard(Guard::ContinuesWhatIsKept, mark.objects.last() == may_continue)
                && mark.objects.len() < MAX_OBJECTS
        };
        before.filter(fits).map_or(Vec::new(), |mark| mark.objects)
    }

    fn has_ghost(&self, stage: StageId, partition: Partition) -> bool {
        let is_of = |(s, p, ..): &(StageId, Partition, _, _)| (*s, *p) == (stage, partition);
        self.ghosts.iter().any(is_of) && !left_out(Guard::RunsEndFirst)
    }
}

impl WorkerCore {
    /// Whether a state that was loaded must be put in its place, and told.
    #[must_use]
    pub fn expects_load(&self, recovery: Epoch, stage: StageId, partition: Partition) -> bool {
        let load = self.saves.loads.get(&(stage, partition));
        load.is_some_and(|(_, of, asked)| *of == recovery && *asked)
    }

    /// The master wants states as they are after a batch; no later one has begun.
    pub(super) fn checkpoint(&mut self, after: BatchSeq, states: Vec<ToSave>) {
        for ToSave { stage, partition, continues } in states {
            let row = self.shape.plan.stages.get(stage.index());
            if row.is_none_or(|row| row.state.is_none()) {
                continue;
            }
            self.saves.due.insert((stage, partition), (after, continues));
            if let Some(here) = self.states.here(stage, partition) {
                self.save_if_due(stage, partition, here);
            }
        }
    }

    /// A state is that of all tasks before `here`: saves it, if that is what was waited for.
    pub(super) fn save_if_due(&mut self, stage: StageId, partition: Partition, here: BatchSeq) {
        let Some((after, _)) = self.saves.due.get(&(stage, partition)) else { return };
        let after = *after;
        let every = u64::from(self.shape.plan.stage(stage).every.max(1));
        let last = after.0 / every * every;
        if here.0 > last {
            let due = self.saves.due.remove(&(stage, partition));
            if here.0 > last + every {
                // Too late: it is a later state by now.
                return self.report(ToMaster::NotSaved { stage, partition, after });
            }
            let may_continue = due.and_then(|(_, continues)| continues);
            let continues = self.saves.mark((stage, partition), after, may_continue.as_ref());
            self.actions.push_back(WorkerAction::Save { stage, partition, after, continues });
        }
    }

    /// A state is in safety.
    pub(super) fn saved(&mut self, saved: Saved) {
        let marks = self.saves.marks.get_mut(&(saved.stage, saved.partition));
        // It may have been lost and loaded meanwhile, and been saved again: then it is the same one.
        let mark = marks.and_then(|marks| marks.iter_mut().rev().find(|m| m.after == saved.after));
        if let Some(mark) = mark {
            mark.objects.clone_from(&saved.objects);
        }
        self.report(ToMaster::Saved(saved));
    }

    /// A state is not here any more.
    pub(super) fn unmark(&mut self, stage: StageId, partition: Partition) {
        self.saves.marks.remove(&(stage, partition));
    }

    /// A partition was lost: nothing of its state counts any more.
    pub(super) fn forget_state(&mut self, stage: StageId, partition: Partition) {
        let was_here = self.states.forget(stage, partition);
        self.saves.due.remove(&(stage, partition));
        self.unmark(stage, partition);
        let was_loading = self.saves.loads.remove(&(stage, partition)).is_some();
        if (was_here || was_loading) && !self.saves.has_ghost(stage, partition) {
            self.actions.push_back(WorkerAction::Discard { stage, partition });
        }
    }

    /// A task runs whose result is not wanted any more.
    pub(super) fn haunts(&mut self, task: TaskId, attempt: Attempt) {
        if self.shape.plan.stage(task.stage).state.is_some() {
            self.saves.ghosts.insert((task.stage, task.partition, task.batch, attempt));
        }
    }

    /// Whether it was a task whose result is not wanted any more. With the last one on a state that can be loaded.
    pub(super) fn ghost_ended(&mut self, task: TaskId, attempt: Attempt) -> bool {
        let (stage, partition) = (task.stage, task.partition);
        if !self.saves.ghosts.remove(&(stage, partition, task.batch, attempt)) {
            return false;
        }
        if !self.saves.has_ghost(stage, partition) {
            match self.saves.loads.contains_key(&(stage, partition)) {
                true => self.load(stage, partition),
                false => self.actions.push_back(WorkerAction::Discard { stage, partition }),
            }
        }
        true
    }

    /// A state is to be made from a saved one.
    pub(super) fn restore(&mut self, state: Saved, recovery: Epoch) {
        let (stage, partition) = (state.stage, state.partition);
        self.saves.loads.insert((stage, partition), (state, recovery, false));
        if !self.saves.has_ghost(stage, partition) {
            self.load(stage, partition);
        }
    }

    fn load(&mut self, stage: StageId, partition: Partition) {
        if let Some((state, recovery, asked)) = self.saves.loads.get_mut(&(stage, partition)) {
            *asked = true;
            let (state, recovery) = (state.clone(), *recovery);
            self.actions.push_back(WorkerAction::Load { state, recovery });
        }
    }

    pub(super) fn loaded(&mut self, stage: StageId, partition: Partition, recovery: Epoch) {
        if !self.expects_load(recovery, stage, partition) {
            return;
        }
        let Some((state, ..)) = self.saves.loads.remove(&(stage, partition)) else { return };
        let first = BatchSeq(state.after.0.saturating_add(1));
        self.unmark(stage, partition);
        if !state.objects.is_empty() {
            let mark = Mark { after: state.after, objects: state.objects };
            self.saves.marks.insert((stage, partition), VecDeque::from([mark]));
        }
        match self.states.loaded(stage, partition, first) {
            Came::PassedOn { first, departure } => {
                self.save_if_due(stage, partition, first);
                self.send_state(stage, partition, departure);
            }
            _ => self.state_is_here(stage, partition, first),
        }
    }
}
