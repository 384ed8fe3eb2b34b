//! Which states are saved when, and from which ones lineage begins.
//!
//! States that depend on each other over shuffles or in their partition form a *group*, which is saved as of
//! one batch: so what a task of the group needs was made by tasks since then, or by tasks that depend on no
//! state. A saved group counts from when that batch is published, because until then something which is
//! not done may need what the states before it made. Groups are saved in turn, a few with each batch.
//!
//! What counts is a *base*. It matters to others (batches go, older states go) only when the journal says
//! durably that it counts; and the base before it is kept until the next one, because a saved state may turn
//! out to be damaged.
//!
//! When a job with pushed streams is stopped, what clients have sent goes with the workers, so nothing can be made
//! again from the base before the last: all is saved twice then, and the two stand for each other.
//!
//! A saved state may continue another one of the same state, whose objects are then its first ones. Which, decides
//! the master, and counts no other: the last but one that is kept. So no object belongs to a base and to the one
//! before it, and no damaged object spoils both; it is there, whatever happens to the saves that are under way; and
//! a save that was given up is continued by none, so its objects can go at once. An object goes when nothing that is
//! kept has it any more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::groups::groups;
use super::journal::SavedToken;
use crate::guards::{Guard, left_out};
use crate::id::{BatchSeq, Partition, StageId};
use crate::sched::Past;
use crate::sched::message::{Saved, ToSave};
use crate::sched::shape::Shape;

/// How many rounds of saving may be under way: storage is slower than the job otherwise.
const MAX_ROUNDS: usize = 2;

/// So often is saved what a job ends with whose input cannot be read again: one of them may turn out to be damaged.
const LAST: usize = 2;

pub(super) type State = (StageId, Partition);

#[derive(Debug)]
struct Group {
    states: Vec<State>,
    /// What lineage begins with, oldest first: new owners begin with the newest. Each has its states in order, as
    /// all that is kept has.
    bases: VecDeque<Vec<Saved>>,
    /// How many of them are durably known to count; at least one.
    durable: usize,
    /// Saved, and not published yet, oldest first.
    complete: VecDeque<Vec<Saved>>,
    /// What is being saved: the batch, and what has been.
    pending: Option<(BatchSeq, BTreeMap<State, Saved>)>,
    /// Objects that were saved and given up, as long as their batch may be saved again: who says once more that
    /// they are there speaks of what has gone.
    given_up: Vec<(BatchSeq, String)>,
}

impl Group {
    fn state(saved: &Saved) -> State {
        (saved.stage, saved.partition)
    }

    fn after(saved: &[Saved]) -> BatchSeq {
        saved.first().map_or(BatchSeq(0), |saved| saved.after)
    }

    /// What new owners begin with.
    fn base(&self) -> &[Saved] {
        self.bases.back().map_or(&[], Vec::as_slice)
    }

    /// The last batch in the newest base that is durably known to count.
    fn durable_after(&self) -> BatchSeq {
        let durable = self.bases.get(self.durable.saturating_sub(1));
        durable.map_or(BatchSeq(0), |base| Self::after(base))
    }

    /// What a state that is saved now may continue.
    fn last_but_one(&self, state: State) -> Option<&Saved> {
        let mut kept = self.complete.iter().rev().chain(self.bases.iter().rev());
        let kept = kept.nth(1)?;
        let at = kept.binary_search_by_key(&state, Group::state).ok()?;
        kept.get(at).filter(|saved| !saved.objects.is_empty())
    }

    /// The objects of states that are not kept any more, as far as nothing else has them that is.
    fn unneeded(&self, gone: impl Iterator<Item = Saved>) -> Vec<String> {
        let pending = self.pending.iter().flat_map(|(_, saved)| saved.values());
        let kept = self.bases.iter().chain(&self.complete).flatten().chain(pending);
        let kept: BTreeSet<&String> = kept.flat_map(|saved| &saved.objects).collect();
        let mut gone: Vec<String> = gone.flat_map(|saved| saved.objects).collect();
        gone.sort_unstable();
        gone.dedup();
        gone.retain(|object| !kept.contains(object));
        gone
    }

    /// Gives up what was saved and does not count. Returns the objects that will not be loaded any more.
    fn give_up(&mut self, saved: Vec<Saved>) -> Vec<String> {
        let own =
            saved.iter().filter_map(|saved| Some((saved.after, saved.objects.last()?.clone())));
        self.given_up.extend(own);
        self.unneeded(saved.into_iter())
    }

    /// How often all that there is up to a batch was saved.
    fn copies(&self, after: BatchSeq) -> usize {
        let kept = self.bases.iter().chain(&self.complete);
        let is_saved = |saved: &&Vec<Saved>| saved.iter().all(|saved| !saved.objects.is_empty());
        kept.filter(is_saved).filter(|saved| Self::after(saved) == after).count()
    }

    /// The last batch in the oldest base.
    fn spare_after(&self) -> BatchSeq {
        self.bases.front().map_or(BatchSeq(0), |base| Self::after(base))
    }

    /// Whether a job that ends after a batch has to save it once more, for what was pushed up to another.
    fn must_save(&self, after: BatchSeq, pushed: BatchSeq) -> bool {
        let copies = if left_out(Guard::SavedTwiceAtTheEnd) { 1 } else { LAST };
        self.spare_after() < pushed && self.copies(after) < copies
    }

    fn newest(&self) -> BatchSeq {
        let newest = Self::after(self.complete.back().map_or(self.base(), Vec::as_slice));
        self.pending.as_ref().map_or(newest, |(after, _)| *after)
    }
}

/// The saved states of a job.
#[derive(Debug)]
pub(super) struct Checkpoints {
    groups: Vec<Group>,
    of: BTreeMap<State, usize>,
    /// How many groups are begun with a batch.
    pace: usize,
    /// The group whose turn it is.
    turn: usize,
    /// No state is saved before, since one could not be.
    not_before_ms: u64,
}

impl Checkpoints {
    /// Saves each group about every `every` batches; a job goes on from the state before `first`.
    pub(super) fn new(shape: &Shape, first: BatchSeq, every: u64) -> Self {
        let group = |states: Vec<State>| Group {
            bases: VecDeque::from([initial(&states, first)]),
            durable: 1,
            states,
            complete: VecDeque::new(),
            pending: None,
            given_up: Vec::new(),
        };
        let groups: Vec<Group> = groups(shape).into_iter().map(group).collect();
        let states = |(index, group): (usize, &Group)| {
            group.states.iter().map(|state| (*state, index)).collect::<Vec<_>>()
        };
        Self {
            of: groups.iter().enumerate().flat_map(states).collect(),
            pace: groups.len().div_ceil(every.max(1) as usize),
            groups,
            turn: 0,
            not_before_ms: 0,
        }
    }

    /// Goes on from what an earlier master has saved.
    pub(super) fn resume(&mut self, past: &Past) {
        for group in &mut self.groups {
            let Some(bases) = group.states.first().and_then(|state| past.bases(*state)) else {
                continue;
            };
            let base = |saved: Option<&[Saved]>| {
                let first = || initial(&group.states, past.first());
                let mut base = saved.map_or_else(first, <[Saved]>::to_vec);
                base.sort_by_key(Group::state);
                base
            };
            group.bases = bases.into_iter().map(base).collect();
            group.durable = group.bases.len();
        }
    }

    /// The states, by groups.
    pub(super) fn groups(&self) -> Vec<Vec<State>> {
        self.groups.iter().map(|group| group.states.clone()).collect()
    }

    /// The last batch after which all lineage durably begins, if there is any state.
    pub(super) fn base(&self) -> Option<BatchSeq> {
        self.groups.iter().map(Group::durable_after).min()
    }

    /// The last batch after which all lineage begins even if no newest state can be read, if there is any state.
    pub(super) fn spare(&self) -> Option<BatchSeq> {
        self.groups.iter().map(Group::spare_after).min()
    }

    /// The last batch in the oldest base of any state of these stages.
    pub(super) fn oldest_of(&self, stages: &BTreeSet<StageId>) -> Option<BatchSeq> {
        let of = |group: &&Group| group.states.iter().any(|(stage, _)| stages.contains(stage));
        self.groups.iter().filter(of).map(|group| Group::after(group.base())).min()
    }

    /// What the states of a partition are made from.
    pub(super) fn of_partition(&self, partition: Partition) -> impl Iterator<Item = &Saved> {
        let states = self.of.range((StageId(0), Partition(0))..);
        let states = states.filter(move |((_, p), _)| *p == partition);
        states.filter_map(|(state, group)| {
            self.groups[*group].base().iter().find(|saved| (saved.stage, saved.partition) == *state)
        })
    }

    /// The states to be saved as they are after a batch: those whose turn it is, or all if it is urgent.
    pub(super) fn next(&mut self, after: BatchSeq, urgent: bool, now_ms: u64) -> Vec<ToSave> {
        self.begin(after, urgent, now_ms, |group| group.newest() < after)
    }

    fn begin(
        &mut self,
        after: BatchSeq,
        urgent: bool,
        now_ms: u64,
        is_due: impl Fn(&Group) -> bool,
    ) -> Vec<ToSave> {
        let rounds = self.groups.iter().filter_map(|group| Some(group.pending.as_ref()?.0));
        let rounds: BTreeSet<_> = rounds.collect();
        if now_ms < self.not_before_ms || rounds.len() >= MAX_ROUNDS {
            return Vec::new();
        }
        let mut states = Vec::new();
        let count = self.groups.len();
        for _ in 0..(if urgent { count } else { self.pace.min(count) }) {
            let group = &mut self.groups[self.turn];
            self.turn = (self.turn + 1) % count;
            if group.pending.is_none() && is_due(group) {
                group.pending = Some((after, BTreeMap::new()));
                group.given_up.retain(|(of, _)| *of >= after);
                states.extend(group.states.iter().map(|(stage, partition)| {
                    let continues = group.last_but_one((*stage, *partition));
                    let continues = continues.and_then(|saved| saved.objects.last().cloned());
                    ToSave { stage: *stage, partition: *partition, continues }
                }));
            }
        }
        states
    }

    /// The states of all groups of which some base lacks what was pushed up to a batch, each whole, as they are
    /// when the job ends, and when they are saved, once more. What they have read may be gone by the time that they
    /// are needed, and so no older state will do: no object that was damaged long ago may be part of them.
    pub(super) fn last(&mut self, after: BatchSeq, pushed: BatchSeq, now_ms: u64) -> Vec<ToSave> {
        let mut states = self.begin(after, true, now_ms, |group| group.must_save(after, pushed));
        states.iter_mut().for_each(|state| state.continues = None);
        states
    }

    /// The states that a job which ends after a batch still has to save, for what was pushed up to another.
    pub(super) fn unsaved(&self, after: BatchSeq, pushed: BatchSeq) -> impl Iterator<Item = State> {
        let short = self.groups.iter().filter(move |group| group.must_save(after, pushed));
        short.flat_map(move |group| {
            let pending = group.pending.as_ref().filter(|(of, _)| *of == after);
            let is_saved =
                move |state: &&State| pending.is_some_and(|(_, saved)| saved.contains_key(*state));
            group.states.iter().filter(move |state| !is_saved(state)).copied()
        })
    }

    /// A state was saved, by the worker that had to. Whether its group is complete.
    pub(super) fn saved(&mut self, saved: Saved) -> bool {
        let state = (saved.stage, saved.partition);
        let Some(group) = self.of.get(&state).map(|group| &mut self.groups[*group]) else {
            return false;
        };
        let Some((own, continues)) = saved.objects.split_last() else { return false };
        let mut kept = group.bases.iter().chain(&group.complete).flatten();
        if kept.any(|known| known.objects.contains(own)) {
            // It was said twice, and another one of the same batch is being waited for.
            return false;
        }
        if group.given_up.iter().any(|(_, object)| object == own) {
            return false;
        }
        // It was asked for twice if what it continues is not what it may by now.
        let fits = |before: &Saved| before.objects == continues;
        if !continues.is_empty() && !group.last_but_one(state).is_some_and(fits) {
            return false;
        }
        let Some((after, so_far)) = &mut group.pending else { return false };
        if *after != saved.after {
            return false;
        }
        so_far.insert(state, saved);
        if so_far.len() < group.states.len() {
            return false;
        }
        if let Some((_, complete)) = group.pending.take() {
            group.complete.push_back(complete.into_values().collect());
        }
        true
    }

    /// A state could not be saved: its group's turn comes again, but not at once. Returns the objects that will not
    /// be loaded.
    pub(super) fn not_saved(
        &mut self,
        state: State,
        after: BatchSeq,
        not_before_ms: u64,
    ) -> Vec<String> {
        let Some(group) = self.of.get(&state).map(|group| &mut self.groups[*group]) else {
            return Vec::new();
        };
        let Some((_, saved)) = group.pending.take_if(|(of, _)| *of == after) else {
            return Vec::new();
        };
        self.not_before_ms = not_before_ms;
        group.give_up(saved.into_values().collect())
    }

    /// Whether something is being saved, or was and does not durably count yet.
    pub(super) fn is_saving(&self) -> bool {
        let is_saving = |group: &Group| {
            group.pending.is_some()
                || !group.complete.is_empty()
                || group.durable < group.bases.len()
        };
        self.groups.iter().any(is_saving)
    }

    /// When states are saved again after one could not be.
    pub(super) fn retry_at(&self, now_ms: u64) -> Option<u64> {
        (now_ms < self.not_before_ms).then_some(self.not_before_ms)
    }

    /// Partitions were lost: what was being saved of them, and what was saved and did not count yet, does not
    /// count, since their new owners begin with what counts now. Returns the objects that will not be loaded any
    /// more.
    pub(super) fn lost(&mut self, lost: &[Partition]) -> Vec<String> {
        let mut obsolete = Vec::new();
        for group in &mut self.groups {
            if group.states.iter().any(|(_, partition)| lost.contains(partition)) {
                let pending = group.pending.take().into_iter();
                let pending = pending.flat_map(|(_, saved)| saved.into_values());
                let complete = std::mem::take(&mut group.complete).into_iter().flatten();
                let saved = pending.chain(complete).collect();
                obsolete.extend(group.give_up(saved));
            }
        }
        obsolete
    }

    /// All batches up to `published` are: what was saved by then counts. Returns what is to be written down
    /// of that, by groups.
    pub(super) fn published(&mut self, published: BatchSeq) -> Vec<(usize, Vec<Saved>)> {
        let mut counts = Vec::new();
        for (index, group) in self.groups.iter_mut().enumerate() {
            let over = |saved: &mut Vec<Saved>| Group::after(saved) <= published;
            while let Some(newer) = group.complete.pop_front_if(over) {
                counts.push((index, newer.clone()));
                group.bases.push_back(newer);
            }
        }
        counts
    }

    /// It is durable that the next base of a group counts. Returns the objects that will not be loaded any more:
    /// bases that are older than the one before it go.
    pub(super) fn durable(&mut self, token: &SavedToken) -> Vec<String> {
        let Some(group) = self.groups.get_mut(token.group()) else { return Vec::new() };
        group.durable = (group.durable + 1).min(group.bases.len());
        let mut obsolete = Vec::new();
        while group.durable > 2 {
            let gone = group.bases.pop_front();
            group.durable -= 1;
            obsolete.extend(group.unneeded(gone.into_iter().flatten()));
        }
        obsolete
    }
}

/// The states that a job begins with.
fn initial(states: &[State], first: BatchSeq) -> Vec<Saved> {
    let after = BatchSeq(first.0.saturating_sub(1));
    let initial = |(stage, partition): &State| Saved {
        stage: *stage,
        partition: *partition,
        after,
        objects: Vec::new(),
    };
    let mut initial: Vec<Saved> = states.iter().map(initial).collect();
    initial.sort_by_key(Group::state);
    initial
}

#[cfg(test)]
mod tests;
