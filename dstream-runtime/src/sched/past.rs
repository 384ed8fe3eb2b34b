//! What an earlier master has done, as far as a later one must know it: the fold of its journal, and the
//! journal's snapshot at the same time.
//!
//! It decides nothing and never fails: an entry that is there twice, that comes a little too early, or that
//! fits to nothing changes nothing it should not. Invariants: batches are known without gaps, from the one
//! after the oldest base of any state up to the last that was cut; a base is known until the second one after
//! it counts, so that there is another if its objects turn out to be damaged; the two may be the same, saved twice;
//! nothing else is kept.

mod holders;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::holders::Holders;
use super::message::{JournalEntry, Loss, LostRow, Saved};
use crate::id::{BatchSeq, Partition, SourceId, StageId};
use crate::sched::reach::ReachSteps;
use crate::source::{Position, Range, Reach};
use crate::time::Timetable;

/// How many cuts may come before the one that they follow.
const MAX_EARLY: usize = 64;

/// A state: its stage and partition.
type State = (StageId, Partition);
/// Per source, per input: the ranges it consists of.
type Inputs = Vec<Vec<Vec<Range>>>;

/// What a journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    start: Option<Start>,
    /// The first batch that has not been cut.
    next: BatchSeq,
    /// The last batch that is visible, with all before it.
    published: BatchSeq,
    positions: Vec<Option<Position>>,
    /// How far each source has come, from which batch on.
    reach: Vec<ReachSteps>,
    /// Batches that were cut and that a worker may have to run again.
    batches: BTreeMap<BatchSeq, PastBatch>,
    /// Cuts that came before the one that they follow.
    early: BTreeMap<BatchSeq, Cut>,
    groups: Vec<Group>,
    /// The job has come to its end.
    finished: bool,
    /// When batches end, once the job has begun.
    timetable: Option<Timetable>,
    stop: StopState,
    /// What clients were told is safe and is lost: the job has stopped because of it.
    lost: Vec<LostRow>,
    /// What workers may hold that did not come while a master waited: the job has stopped because of it.
    overdue: Vec<LostRow>,
    /// What is lost, and the job goes on without.
    dropped: Vec<LostRow>,
    /// Sources of which what cannot be read from their positions on was given up, until the next cut says where they are.
    skipped: BTreeSet<SourceId>,
    /// What is visible of batches up to this one may be made of more than can be read by now.
    fuller: BatchSeq,
    /// Workers that may hold what clients have sent.
    holders: Holders,
}

/// How far a stop of the job has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum StopState {
    #[default]
    Running,
    /// Asked for, and not complete.
    Asked,
    Complete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    partitions: u32,
    first: BatchSeq,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cut {
    inputs: Inputs,
    positions: Vec<Option<Position>>,
    reach: Vec<Reach>,
}

/// A batch that was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastBatch {
    /// Per source, per input: the ranges it consists of.
    pub inputs: Vec<Vec<Vec<Range>>>,
    /// All its tasks have run.
    pub committed: bool,
    /// Inputs that were given up, by source and number: they are empty.
    pub given_up: BTreeSet<(SourceId, u32)>,
}

/// States that are saved together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    states: Vec<State>,
    /// The one that counts, last, and the one before, if it is there still; none for what the job began
    /// with.
    bases: Vec<Option<Vec<Saved>>>,
}

/// There is no older state to go on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no older saved state of {stage}, {partition} is known: the journal keeps two of each")]
pub struct NothingBefore {
    /// The stage.
    pub stage: StageId,
    /// The partition.
    pub partition: Partition,
}

impl Past {
    /// Takes in the next entry.
    pub fn apply(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Start { zero_ms, interval_ms, partitions, first, groups } => {
                let start = Start { partitions: *partitions, first: *first };
                self.start(start, Timetable::new(*zero_ms, *interval_ms), groups);
            }
            JournalEntry::Cut { epoch: _, batch, inputs, positions, reach } => {
                if *batch < self.next || self.start.is_none() || self.early.len() >= MAX_EARLY {
                    return;
                }
                let (inputs, positions) = (inputs.clone(), positions.clone());
                let cut = Cut { inputs, positions, reach: reach.clone() };
                self.early.entry(*batch).or_insert(cut);
                while let Some(cut) = self.early.remove(&self.next) {
                    self.cut(cut);
                }
            }
            JournalEntry::Commit { epoch: _, batch } => {
                if let Some(batch) = self.batches.get_mut(batch) {
                    batch.committed = true;
                }
            }
            JournalEntry::Published { batch } => self.publish(*batch),
            JournalEntry::Saved { states } => self.saved(states),
            JournalEntry::Finished => self.finished = self.start.is_some(),
            JournalEntry::Gap { first, zero_ms } => {
                // What was cut keeps its time.
                let timetable = self.timetable.as_mut().filter(|_| *first >= self.next);
                timetable.into_iter().for_each(|timetable| timetable.shift(*first, *zero_ms));
            }
            JournalEntry::Stop => self.stop(StopState::Asked),
            JournalEntry::Stopped => self.stop(StopState::Complete),
            JournalEntry::Lost { rows, how } => self.lose(rows, *how),
            JournalEntry::GoOn => self.stop(StopState::Running),
            JournalEntry::Holder(change) => self.holders.apply(change),
        }
    }

    /// Before a job begins there is none to stop.
    fn stop(&mut self, stop: StopState) {
        if self.start.is_some() {
            self.stop = stop;
        }
    }

    fn lose(&mut self, rows: &[LostRow], how: Loss) {
        match how {
            Loss::Certain => self.lost.extend_from_slice(rows),
            Loss::Accepted => {
                self.dropped.extend_from_slice(rows);
                self.fuller = self.last();
            }
            Loss::Overdue => self.overdue = rows.to_vec(),
        }
    }

    /// What is lost, if the job has stopped because of that.
    #[must_use]
    pub fn lost(&self) -> &[LostRow] {
        &self.lost
    }

    /// What no worker came with while a master waited, if the job has stopped because of that.
    #[must_use]
    pub fn overdue(&self) -> &[LostRow] {
        &self.overdue
    }

    /// What is lost, and is not waited for any more.
    #[must_use]
    pub fn dropped(&self) -> &[LostRow] {
        &self.dropped
    }

    /// Workers that may hold what clients have sent.
    #[must_use]
    pub fn holders(&self) -> &Holders {
        &self.holders
    }

    /// What was written of holders may be lost in part. Write a snapshot of this before anything else.
    pub fn doubt_holders(&mut self) {
        self.holders.doubt();
    }

    /// The job goes on without what is lost. Write a snapshot of this before anything else.
    pub fn accept_loss(&mut self) {
        self.dropped.append(&mut self.lost);
        self.fuller = self.last();
    }

    /// The last batch that was cut; one before the first if there is none.
    fn last(&self) -> BatchSeq {
        BatchSeq(self.next.0.saturating_sub(1))
    }

    /// The job goes on without what cannot be read: of these sources, from where they are, and these inputs of batches.
    /// Write a snapshot of this before anything else.
    pub fn give_up(
        &mut self,
        sources: impl IntoIterator<Item = SourceId>,
        inputs: impl IntoIterator<Item = (BatchSeq, SourceId, u32)>,
    ) {
        self.skipped.extend(sources);
        let last = self.last();
        for (batch, source, input) in inputs {
            if let Some(batch) = self.batches.get_mut(&batch) {
                batch.given_up.insert((source, input));
                self.fuller = last;
            }
        }
    }

    /// Whether what cannot be read of a source from its position on was given up.
    #[must_use]
    pub fn is_skipped(&self, source: SourceId) -> bool {
        self.skipped.contains(&source)
    }

    /// The last batch of which something may be visible that is made of more than can be read by now.
    #[must_use]
    pub fn fuller(&self) -> Option<BatchSeq> {
        Some(self.fuller).filter(|fuller| *fuller >= self.first())
    }

    fn start(&mut self, start: Start, timetable: Timetable, groups: &[Vec<State>]) {
        if self.finished {
            *self = Self::default();
        }
        if self.start.is_some() {
            return;
        }
        (self.next, self.published) = (start.first, BatchSeq(start.first.0.saturating_sub(1)));
        (self.start, self.timetable) = (Some(start), Some(timetable));
        let group = |states: &Vec<State>| Group { states: states.clone(), bases: vec![None] };
        self.groups = groups.iter().map(group).collect();
    }

    fn cut(&mut self, cut: Cut) {
        let Cut { inputs, positions, reach } = cut;
        self.reach.resize_with(reach.len(), ReachSteps::default);
        for (steps, reach) in self.reach.iter_mut().zip(reach) {
            steps.step(self.next, reach);
        }
        self.batches
            .insert(self.next, PastBatch { inputs, committed: false, given_up: BTreeSet::new() });
        self.next.0 = self.next.0.saturating_add(1);
        self.positions = positions;
        // A job that goes on has found it, or goes on without it.
        self.overdue.clear();
        self.skipped.clear();
    }

    fn publish(&mut self, batch: BatchSeq) {
        if batch > self.published && batch < self.next {
            self.published = batch;
            self.forget();
        }
    }

    fn saved(&mut self, states: &[Saved]) {
        let Some(Saved { stage, partition, after, .. }) = states.first() else { return };
        let after = *after;
        let of = |saved: &Saved| (saved.stage, saved.partition);
        let Some(group) = self.groups.iter_mut().find(|g| g.states.contains(&(*stage, *partition)))
        else {
            return;
        };
        let mut all: Vec<State> = states.iter().map(of).collect();
        let mut expected = group.states.clone();
        all.sort_unstable();
        expected.sort_unstable();
        let whole = all == expected && states.iter().all(|saved| saved.after == after);
        let newest = group.after(group.bases.len().saturating_sub(1));
        // The same again, in other objects.
        let again = newest == Some(after) && !group.has_any_of(states);
        let newer = newest.is_none_or(|before| before < after);
        if !whole || !(newer || again) || after >= self.next {
            return;
        }
        group.bases.push(Some(states.to_vec()));
        if group.bases.len() > 2 {
            group.bases.remove(0);
        }
        // A state counts only when its batch is published.
        self.published = self.published.max(after);
        self.forget();
    }

    /// Forgets the batches that even the older bases have in them.
    fn forget(&mut self) {
        let first = self.first();
        let initial = BatchSeq(first.0.saturating_sub(1));
        let oldest = self.groups.iter().map(|group| group.after(0).unwrap_or(initial)).min();
        let oldest = oldest.unwrap_or(self.published).min(self.published);
        let oldest = BatchSeq(oldest.0 + 1);
        self.batches = self.batches.split_off(&oldest);
        self.dropped.retain(|row| row.last >= oldest);
        self.timetable.iter_mut().for_each(|timetable| timetable.forget(oldest));
        self.reach.iter_mut().for_each(|steps| steps.forget(oldest));
    }

    /// The states of a group that counts cannot be read: the ones before count from here on, for all states
    /// of the group. Write a snapshot of this before anything else, so that later masters know it too.
    ///
    /// # Errors
    /// When there are none before.
    pub fn fall_back(&mut self, stage: StageId, partition: Partition) -> Result<(), NothingBefore> {
        let group = self.groups.iter_mut().find(|g| g.states.contains(&(stage, partition)));
        let group = group.filter(|group| group.bases.len() > 1);
        let Some(group) = group else { return Err(NothingBefore { stage, partition }) };
        group.bases.pop();
        Ok(())
    }

    /// Falls back wherever `unreadable` finds something wrong with a state that counts, until it finds nothing
    /// more. Returns what it found, for people.
    ///
    /// # Errors
    /// When there are none before: what was found there, for people.
    pub fn fall_back_where(
        &mut self,
        mut unreadable: impl FnMut(&Saved) -> Option<String>,
    ) -> Result<Vec<String>, (String, NothingBefore)> {
        let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
        loop {
            let found = self.saved_states().find_map(|saved| {
                let Saved { stage, partition, after, .. } = *saved;
                // A state is large: it is read once.
                if !seen.insert((stage, partition, after)) {
                    return None;
                }
                Some((stage, partition, unreadable(saved)?))
            });
            let Some((stage, partition, why)) = found else { return Ok(wrong) };
            match self.fall_back(stage, partition) {
                Ok(()) => wrong.push(why),
                Err(nothing) => return Err((why, nothing)),
            }
        }
    }

    /// Forgets what is there only in case that a saved state turns out to be damaged: what is left is what a
    /// job needs that begins here.
    pub fn settle(&mut self) {
        (self.stop, self.holders) = (StopState::Running, Holders::default());
        for group in &mut self.groups {
            group.bases.drain(..group.bases.len().saturating_sub(1));
        }
        self.early.clear();
        self.forget();
    }

    /// The saved states are somewhere else from here on: `objects` brings each there, and says what its objects
    /// are called then.
    ///
    /// # Errors
    /// The first of `objects`. Then some are here and some there.
    pub fn relocate<E>(
        &mut self,
        mut objects: impl FnMut(&Saved) -> Result<Vec<String>, E>,
    ) -> Result<(), E> {
        let bases = self.groups.iter_mut().flat_map(|group| &mut group.bases);
        let saved = bases.filter_map(Option::as_mut).flatten();
        for saved in saved.filter(|saved| !saved.objects.is_empty()) {
            saved.objects = objects(saved)?;
        }
        Ok(())
    }

    /// Whether there was no master before.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.start.is_none()
    }

    /// Whether the job has come to its end: who starts it again wants it from the beginning.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether a job has begun and has not come to its end: there is something to go on with.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        !self.is_fresh() && !self.is_finished()
    }

    /// Whether a stop was asked for and is not complete: a master that takes over completes it.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop == StopState::Asked
    }

    /// Whether the job was stopped, and not started again since.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop == StopState::Complete
    }

    /// When batches end, once the job has begun; of those that nothing more is known of, it may say another time.
    #[must_use]
    pub fn timetable(&self) -> Option<&Timetable> {
        self.timetable.as_ref()
    }

    /// Its number of partitions.
    #[must_use]
    pub fn partitions(&self) -> Option<u32> {
        self.start.map(|start| start.partitions)
    }

    /// The first batch of all.
    #[must_use]
    pub fn first(&self) -> BatchSeq {
        self.start.map_or(BatchSeq(1), |start| start.first)
    }

    /// The first batch that has not been cut.
    #[must_use]
    pub fn next(&self) -> BatchSeq {
        self.next
    }

    /// The last batch that is known to be visible; one before the first if there is none.
    #[must_use]
    pub fn published(&self) -> BatchSeq {
        self.published
    }

    /// How many batches were cut and are not known to be visible.
    #[must_use]
    pub fn unpublished(&self) -> u64 {
        self.next.0.saturating_sub(self.published.0.saturating_add(1))
    }

    /// The oldest batch that the next master runs again, in whole or in part: the next one to be cut if there
    /// is none.
    #[must_use]
    pub fn oldest(&self) -> BatchSeq {
        let initial = BatchSeq(self.first().0.saturating_sub(1));
        let newest = |group: &Group| group.after(group.bases.len().saturating_sub(1));
        let bases = self.groups.iter().map(|group| newest(group).unwrap_or(initial));
        BatchSeq(bases.min().unwrap_or(self.published).min(self.published).0 + 1)
    }

    /// From where the next cut of a source goes on. None if it was not cut, or cannot go on.
    #[must_use]
    pub fn position(&self, source: SourceId) -> Option<&Position> {
        self.positions.get(source.index())?.as_ref()
    }

    /// Whether a source has ended by itself.
    #[must_use]
    pub fn has_ended(&self, source: SourceId) -> bool {
        self.reach(source).is_some_and(ReachSteps::has_ended)
    }

    /// How far a source has come, from which batch on.
    pub(super) fn reach(&self, source: SourceId) -> Option<&ReachSteps> {
        self.reach.get(source.index())
    }

    /// A batch that was cut, if it may have to run again.
    #[must_use]
    pub fn batch(&self, batch: BatchSeq) -> Option<&PastBatch> {
        self.batches.get(&batch)
    }

    /// All batches that were cut and may have to run again, oldest first: more than are not over, since the
    /// bases before may be needed.
    pub fn batches(&self) -> impl Iterator<Item = (BatchSeq, &PastBatch)> {
        self.batches.iter().map(|(seq, batch)| (*seq, batch))
    }

    /// The saved states that count: what the next master loads. Those that the job began with are not there.
    pub fn saved_states(&self) -> impl Iterator<Item = &Saved> {
        let counts = self.groups.iter().filter_map(|group| group.bases.last()?.as_ref());
        counts.flatten()
    }

    /// All saved objects that may still be loaded: everything else can be removed.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        let bases = self.groups.iter().flat_map(|group| &group.bases);
        let saved = bases.filter_map(Option::as_ref).flatten();
        saved.flat_map(|saved| &saved.objects).map(String::as_str)
    }

    /// The states, by groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[State]> {
        self.groups.iter().map(|group| group.states.as_slice())
    }

    /// What a group goes on from, oldest first, by one of its states.
    pub(super) fn bases(&self, state: State) -> Option<Vec<Option<&[Saved]>>> {
        let group = self.groups.iter().find(|group| group.states.contains(&state))?;
        Some(group.bases.iter().map(Option::as_deref).collect())
    }
}

impl Group {
    /// Whether any object of these states is that of one that is known.
    fn has_any_of(&self, states: &[Saved]) -> bool {
        let known = self.bases.iter().flatten().flatten();
        let known: BTreeSet<&String> = known.flat_map(|saved| &saved.objects).collect();
        states.iter().flat_map(|saved| &saved.objects).any(|object| known.contains(object))
    }

    /// The last batch in a base; none for what the job began with.
    fn after(&self, base: usize) -> Option<BatchSeq> {
        self.bases.get(base)?.as_ref()?.first().map(|saved| saved.after)
    }
}

#[cfg(test)]
mod tests;
