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

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::groups::groups;
use super::journal::SavedToken;
use crate::id::{BatchSeq, Partition, StageId};
use crate::sched::Past;
use crate::sched::message::Saved;
use crate::sched::shape::Shape;

/// So many rounds of saving may be under way: storage is slower than the job otherwise.
const MAX_ROUNDS: usize = 2;

pub(super) type State = (StageId, Partition);

#[derive(Debug)]
struct Group {
    states: Vec<State>,
    /// What lineage begins with, oldest first: the newest is what heirs begin with.
    bases: VecDeque<Vec<Saved>>,
    /// How many of them are durably known to count; at least one.
    durable: usize,
    /// Saved, and not published yet, oldest first.
    complete: VecDeque<Vec<Saved>>,
    /// What is being saved: the batch, and what has been.
    pending: Option<(BatchSeq, BTreeMap<State, Saved>)>,
}

impl Group {
    fn after(saved: &[Saved]) -> BatchSeq {
        saved.first().map_or(BatchSeq(0), |saved| saved.after)
    }

    /// What heirs begin with.
    fn base(&self) -> &[Saved] {
        self.bases.back().map_or(&[], Vec::as_slice)
    }

    /// The last batch in the newest base that is durably known to count.
    fn durable_after(&self) -> BatchSeq {
        let durable = self.bases.get(self.durable.saturating_sub(1));
        durable.map_or(BatchSeq(0), |base| Self::after(base))
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
            let base = |saved: Option<&[Saved]>| match saved {
                Some(saved) => saved.to_vec(),
                None => initial(&group.states, past.first()),
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
        let spare =
            |group: &Group| group.bases.front().map_or(BatchSeq(0), |base| Group::after(base));
        self.groups.iter().map(spare).min()
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
    pub(super) fn next(&mut self, after: BatchSeq, urgent: bool, now_ms: u64) -> Vec<State> {
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
            if group.pending.is_none() && group.newest() < after {
                group.pending = Some((after, BTreeMap::new()));
                states.extend(&group.states);
            }
        }
        states
    }

    /// A state was saved, by the worker that had to. Whether its group is complete.
    pub(super) fn saved(&mut self, saved: Saved) -> bool {
        let state = (saved.stage, saved.partition);
        let Some(group) = self.of.get(&state).map(|group| &mut self.groups[*group]) else {
            return false;
        };
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

    /// A state could not be saved: its group's turn comes again, but not at once.
    pub(super) fn not_saved(&mut self, state: State, after: BatchSeq, not_before_ms: u64) {
        let Some(group) = self.of.get(&state).map(|group| &mut self.groups[*group]) else {
            return;
        };
        if group.pending.as_ref().is_some_and(|(of, _)| *of == after) {
            group.pending = None;
            self.not_before_ms = not_before_ms;
        }
    }

    /// When states are saved again after one could not be.
    pub(super) fn retry_at(&self, now_ms: u64) -> Option<u64> {
        (now_ms < self.not_before_ms).then_some(self.not_before_ms)
    }

    /// Partitions were lost: what was being saved of them, and what was saved and did not count yet, does not
    /// count, since their heirs begin with what counts now. Returns what nobody will load any more.
    pub(super) fn lost(&mut self, lost: &[Partition]) -> Vec<Saved> {
        let mut obsolete = Vec::new();
        for group in &mut self.groups {
            if group.states.iter().any(|(_, partition)| lost.contains(partition)) {
                let pending = group.pending.take().into_iter();
                obsolete.extend(pending.flat_map(|(_, saved)| saved.into_values()));
                obsolete.extend(group.complete.drain(..).flatten());
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

    /// It is durable that the next base of a group counts. Returns what nobody will load any more: what is
    /// older than the one before it.
    pub(super) fn durable(&mut self, token: &SavedToken) -> Vec<Saved> {
        let Some(group) = self.groups.get_mut(token.group()) else { return Vec::new() };
        group.durable = (group.durable + 1).min(group.bases.len());
        let mut obsolete = Vec::new();
        while group.durable > 2 {
            obsolete.extend(group.bases.pop_front().into_iter().flatten());
            group.durable -= 1;
        }
        obsolete.retain(|saved| !saved.object.is_empty());
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
        object: String::new(),
    };
    states.iter().map(initial).collect()
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Durable, Journal};
    use super::*;
    use crate::id::{JournalSeq, SourceId};
    use crate::plan::{Dependency, TailRow, Tasks};
    use crate::sched::testplan::{plan, stage, word_count};

    fn saved(stage: u16, partition: u32, after: u64) -> Saved {
        let (stage, partition) = (StageId(stage), Partition(partition));
        Saved { stage, partition, after: BatchSeq(after), object: format!("{after}") }
    }

    #[test]
    fn states_that_do_not_depend_on_each_other_are_saved_in_turn() {
        let shape = Shape::new(word_count(), 4);
        let mut checkpoints = Checkpoints::new(&shape, BatchSeq(1), 2);
        assert_eq!(checkpoints.base(), Some(BatchSeq(0)));
        assert_eq!(checkpoints.next(BatchSeq(1), false, 0).len(), 2);
        assert_eq!(checkpoints.next(BatchSeq(2), false, 0).len(), 2);
        assert_eq!(checkpoints.next(BatchSeq(3), true, 0), [], "two rounds are under way");
        assert!(checkpoints.saved(saved(1, 0, 1)) && !checkpoints.saved(saved(1, 0, 1)));
        assert!(checkpoints.saved(saved(1, 1, 1)));
        assert!(!checkpoints.saved(saved(1, 2, 1)), "another batch");
        assert!(checkpoints.saved(saved(1, 2, 2)) && checkpoints.saved(saved(1, 3, 2)));
        let counts = checkpoints.published(BatchSeq(1));
        assert_eq!(counts, [(0, vec![saved(1, 0, 1)]), (1, vec![saved(1, 1, 1)])]);
        assert_eq!(checkpoints.base(), Some(BatchSeq(0)), "two of them are not published");
        assert_eq!(checkpoints.of_partition(Partition(1)).next(), Some(&saved(1, 1, 1)));
        checkpoints.published(BatchSeq(2));
        assert_eq!(checkpoints.base(), Some(BatchSeq(0)), "it is not durable that they count");
        (0..4).for_each(|group| assert_eq!(checkpoints.durable(&token(group)), []));
        assert_eq!(checkpoints.base(), Some(BatchSeq(1)));
    }

    fn token(group: usize) -> SavedToken {
        let mut journal = Journal::default();
        journal.saved(group);
        let Some(Durable::Saved(token)) = journal.synced(JournalSeq(1)) else { panic!("no token") };
        token
    }

    #[test]
    fn a_base_goes_when_the_second_one_after_it_durably_counts() {
        let shape = Shape::new(word_count(), 1);
        let mut checkpoints = Checkpoints::new(&shape, BatchSeq(1), 1);
        let mut gone = Vec::new();
        for after in 1..=4 {
            assert_eq!(checkpoints.next(BatchSeq(after), false, 0).len(), 1);
            assert!(checkpoints.saved(saved(1, 0, after)));
            assert_eq!(checkpoints.published(BatchSeq(after)), [(0, vec![saved(1, 0, after)])]);
            assert_eq!(checkpoints.of_partition(Partition(0)).next(), Some(&saved(1, 0, after)));
            assert_eq!(checkpoints.base(), Some(BatchSeq(after - 1)));
            gone.push(checkpoints.durable(&token(0)));
            assert_eq!(checkpoints.base(), Some(BatchSeq(after)));
        }
        assert_eq!(gone, [vec![], vec![], vec![saved(1, 0, 1)], vec![saved(1, 0, 2)]]);
    }

    #[test]
    fn states_in_a_chain_are_saved_together_and_what_is_lost_is_saved_again() {
        let chain = plan(
            1,
            vec![
                stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Combine),
                stage(Tasks::PerPartition)
                    .reads(Dependency::Shuffle, &[(0, 0)])
                    .state()
                    .tail(TailRow::Keep),
                stage(Tasks::PerPartition)
                    .reads(Dependency::Narrow, &[(1, 0)])
                    .state()
                    .tail(TailRow::Combine),
            ],
        );
        let shape = Shape::new(chain, 2);
        let mut checkpoints = Checkpoints::new(&shape, BatchSeq(1), 2);
        let both = [(StageId(1), Partition(0)), (StageId(2), Partition(0))];
        assert_eq!(checkpoints.next(BatchSeq(4), false, 0), both);
        assert!(!checkpoints.saved(saved(1, 0, 4)));
        assert_eq!(checkpoints.lost(&[Partition(0)]), [saved(1, 0, 4)]);
        assert!(!checkpoints.saved(saved(2, 0, 4)), "the other one was lost");
        assert_eq!(checkpoints.next(BatchSeq(5), true, 0).len(), 4);
        checkpoints.not_saved((StageId(2), Partition(1)), BatchSeq(5), 70);
        assert_eq!(checkpoints.next(BatchSeq(6), true, 69), []);
        assert_eq!(checkpoints.next(BatchSeq(6), true, 70).len(), 2);
    }
}
