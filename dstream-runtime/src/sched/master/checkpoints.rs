//! Which states are saved when, and from which ones lineage begins.
//!
//! States that depend on each other over shuffles or in their partition form a *group*, which is saved as of
//! one batch: so what a task of the group needs was made by tasks since then, or by tasks that depend on no
//! state. A saved group counts from when that batch is published, because until then something which is
//! not done may need what the states before it made. Groups are saved in turn, a few with each batch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::{BatchSeq, Partition, StageId};
use crate::plan::Dependency;
use crate::sched::message::Saved;
use crate::sched::shape::Shape;

/// So many rounds of saving may be under way: storage is slower than the job otherwise.
const MAX_ROUNDS: usize = 2;

type State = (StageId, Partition);

#[derive(Debug)]
struct Group {
    states: Vec<State>,
    /// What lineage begins with.
    base: Vec<Saved>,
    /// Saved, and not published yet, oldest first.
    complete: VecDeque<Vec<Saved>>,
    /// What is being saved: the batch, and what has been.
    pending: Option<(BatchSeq, BTreeMap<State, Saved>)>,
}

impl Group {
    fn after(saved: &[Saved]) -> BatchSeq {
        saved.first().map_or(BatchSeq(0), |saved| saved.after)
    }

    fn newest(&self) -> BatchSeq {
        let newest = Self::after(self.complete.back().unwrap_or(&self.base));
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
        let after = BatchSeq(first.0.saturating_sub(1));
        let initial = |(stage, partition): &State| Saved {
            stage: *stage,
            partition: *partition,
            after,
            object: String::new(),
        };
        let group = |states: Vec<State>| Group {
            base: states.iter().map(initial).collect(),
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

    /// The last batch after which all lineage begins, if there is any state.
    pub(super) fn base(&self) -> Option<BatchSeq> {
        self.groups.iter().map(|group| Group::after(&group.base)).min()
    }

    /// What the states of a partition are made from.
    pub(super) fn of_partition(&self, partition: Partition) -> impl Iterator<Item = &Saved> {
        let states = self.of.range((StageId(0), Partition(0))..);
        let states = states.filter(move |((_, p), _)| *p == partition);
        states.filter_map(|(state, group)| {
            self.groups[*group].base.iter().find(|saved| (saved.stage, saved.partition) == *state)
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

    /// All batches up to `published` are: what was saved by then counts. Returns what nobody will load any
    /// more.
    pub(super) fn published(&mut self, published: BatchSeq) -> Vec<Saved> {
        let mut obsolete = Vec::new();
        for group in &mut self.groups {
            while group.complete.front().is_some_and(|saved| Group::after(saved) <= published) {
                if let Some(newer) = group.complete.pop_front() {
                    obsolete.extend(std::mem::replace(&mut group.base, newer));
                }
            }
        }
        obsolete.retain(|saved| !saved.object.is_empty());
        obsolete
    }
}

/// The states that are saved together.
fn groups(shape: &Shape) -> Vec<Vec<State>> {
    let mut all: Vec<State> = Vec::new();
    for row in shape.plan.stages.iter().filter(|row| row.state.is_some()) {
        all.extend((0..shape.width(row)).map(|partition| (row.id, Partition(partition))));
    }
    let mut group: BTreeMap<State, usize> = all.iter().copied().zip(0..).collect();
    let join = |group: &mut BTreeMap<State, usize>, a: State, b: State| {
        if let (Some(a), Some(b)) = (group.get(&a).copied(), group.get(&b).copied()) {
            let (from, to) = (a.max(b), a.min(b));
            group.values_mut().filter(|of| **of == from).for_each(|of| *of = to);
        }
    };
    for row in shape.plan.stages.iter().filter(|row| row.state.is_some()) {
        for (before, wide) in states_before(shape, row.id) {
            let (width, before_width) = (shape.width(row), shape.width(shape.plan.stage(before)));
            if wide {
                for partition in 0..width {
                    join(&mut group, (row.id, Partition(0)), (row.id, Partition(partition)));
                }
                for partition in 0..before_width {
                    join(&mut group, (row.id, Partition(0)), (before, Partition(partition)));
                }
            } else {
                for partition in (0..width.min(before_width)).map(Partition) {
                    join(&mut group, (row.id, partition), (before, partition));
                }
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<State>> = BTreeMap::new();
    group.into_iter().for_each(|(state, of)| groups.entry(of).or_default().push(state));
    groups.into_values().collect()
}

/// The nearest stages with state that a stage depends on, and whether over a shuffle or gather.
fn states_before(shape: &Shape, stage: StageId) -> BTreeSet<(StageId, bool)> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![(stage, false)];
    while let Some((at, wide)) = open.pop() {
        for input in shape.plan.stage(at).inputs {
            let wide = wide || input.dependency != Dependency::Narrow;
            for (from, _) in input.from {
                let stateful = shape.plan.stage(*from).state.is_some();
                if stateful {
                    found.insert((*from, wide));
                } else if seen.insert((*from, wide)) {
                    open.push((*from, wide));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SourceId;
    use crate::plan::{TailRow, Tasks};
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
        assert_eq!(checkpoints.published(BatchSeq(1)), []);
        assert_eq!(checkpoints.base(), Some(BatchSeq(0)), "two of them are not published");
        assert_eq!(checkpoints.of_partition(Partition(1)).next(), Some(&saved(1, 1, 1)));
        checkpoints.published(BatchSeq(2));
        assert_eq!(checkpoints.base(), Some(BatchSeq(1)));
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
