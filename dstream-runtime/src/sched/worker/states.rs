//! Where the state of each partition is, and where it must go.
//!
//! A partition's state is that of all tasks before some batch, and is on one worker at a time. When an
//! epoch gives the partition to another worker, the old owner sends the state as soon as its last task
//! before the epoch's first batch has run, and the new owner's tasks wait until it is there. An owner
//! whose turn passes without a task of the stage passes on what it gets.
//!
//! Invariants: a state is sent once per epoch that moves it; a task starts only from the state that the
//! task before it left; nothing is kept of moves that are over.

use std::collections::BTreeMap;

use super::epochs::EpochRow;
use crate::guards::{Guard, guard};
use crate::id::{BatchSeq, Epoch, Partition, StageId, WorkerId};
use crate::sched::shape::Shape;

/// The state is not here: no batch number, since those of jobs begin with 1.
const AWAY: BatchSeq = BatchSeq(0);

/// A state that has to go, or to come, with an epoch.
type Move = (StageId, Partition, Epoch);

/// A state that goes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Departure {
    pub(super) to: WorkerId,
    pub(super) epoch: Epoch,
}

/// What became of a state that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// It is not waited for: it came before.
    Unexpected,
    /// It waits for its placement.
    Early,
    /// It stays, and is that of all tasks before this batch.
    Here { first: BatchSeq },
    /// The turn of this worker was over already.
    PassedOn { first: BatchSeq, departure: Departure },
}

/// The states of one worker.
#[derive(Debug)]
pub(super) struct States {
    /// Per stage with state and partition: the state here is that of all tasks before this batch.
    here: Vec<Vec<BatchSeq>>,
    /// States that must come: the first batch of the epoch.
    arriving: BTreeMap<Move, BatchSeq>,
    /// States that must go: to whom, and the last batch whose task they wait for.
    leaving: BTreeMap<Move, (WorkerId, BatchSeq)>,
    /// States that came before the placement that moves them.
    early: BTreeMap<(StageId, Partition), Epoch>,
    /// The newest epoch that all arrivals were reported of.
    settled: Epoch,
}

impl States {
    pub(super) fn new(shape: &Shape) -> Self {
        let stages = shape.plan.stages.iter();
        let here = stages.map(|row| match row.state {
            Some(_) => vec![AWAY; shape.width(row) as usize],
            None => Vec::new(),
        });
        Self {
            here: here.collect(),
            arriving: BTreeMap::new(),
            leaving: BTreeMap::new(),
            early: BTreeMap::new(),
            settled: Epoch(0),
        }
    }

    /// A new epoch: notes what has to go and to come. What can go at once is returned.
    pub(super) fn place(
        &mut self,
        shape: &Shape,
        me: WorkerId,
        before: Option<&EpochRow>,
        row: &EpochRow,
        start: BatchSeq,
    ) -> Vec<(StageId, Partition, Departure)> {
        if row.first == start {
            return self.begin(me, row);
        }
        let mut now = Vec::new();
        for stage in shape.plan.stages.iter().filter(|stage| stage.state.is_some()) {
            let every = u64::from(stage.every.max(1));
            let last = BatchSeq((row.first.0 - 1) / every * every);
            for partition in (0..self.here[stage.id.index()].len() as u32).map(Partition) {
                let was = before.is_some_and(|before| before.owner(partition) == Some(me));
                let (to, key) = (row.owner(partition), (stage.id, partition, row.epoch));
                match to {
                    Some(to) if was && to != me => {
                        self.leaving.insert(key, (to, last));
                        now.extend(self.due(stage.id, partition).map(|d| (stage.id, partition, d)));
                    }
                    Some(to) if !was && to == me => {
                        self.arriving.insert(key, row.first);
                        let early = self.early.remove(&(stage.id, partition));
                        if early == Some(row.epoch) {
                            // A later epoch, which might pass it on, is not known yet.
                            self.take(stage.id, partition, row.epoch);
                        }
                    }
                    _ => {}
                }
            }
        }
        now
    }

    /// The run begins: what there is to go on from is loaded by the owners.
    fn begin(&mut self, me: WorkerId, row: &EpochRow) -> Vec<(StageId, Partition, Departure)> {
        for stage in &mut self.here {
            for (partition, here) in stage.iter_mut().enumerate() {
                let mine = row.owner(Partition(partition as u32)) == Some(me);
                *here = if mine { row.first } else { AWAY };
            }
        }
        self.arriving.clear();
        self.leaving.clear();
        self.early.clear();
        Vec::new()
    }

    /// Whether a task whose stage left its last state in batch `before` must wait for it.
    pub(super) fn misses(
        &self,
        stage: StageId,
        partition: Partition,
        before: Option<BatchSeq>,
    ) -> bool {
        let here = self.here[stage.index()].get(partition.index());
        here.is_some_and(|here| *here == AWAY || before.is_some_and(|before| *here <= before))
    }

    /// A task has run: its state is here, unless it goes now.
    pub(super) fn left(
        &mut self,
        stage: StageId,
        partition: Partition,
        batch: BatchSeq,
    ) -> Option<Departure> {
        if let Some(here) = self.here[stage.index()].get_mut(partition.index()) {
            *here = BatchSeq(batch.0.saturating_add(1));
        }
        self.due(stage, partition)
    }

    /// Whether a state that comes is expected, now or with a placement that this worker will be told.
    pub(super) fn expects(
        &self,
        stage: StageId,
        partition: Partition,
        epoch: Epoch,
        known: Epoch,
    ) -> bool {
        let exists = self.here.get(stage.index()).is_some_and(|s| partition.index() < s.len());
        let early = epoch > known && self.early.get(&(stage, partition)).is_none_or(|e| *e < epoch);
        let arrives = self.arriving.contains_key(&(stage, partition, epoch));
        exists && guard(Guard::StateIsExpected, early || arrives)
    }

    /// A state has come; `known` is the newest epoch that this worker was told.
    pub(super) fn came(
        &mut self,
        stage: StageId,
        partition: Partition,
        epoch: Epoch,
        known: Epoch,
    ) -> Came {
        if !self.expects(stage, partition, epoch, known) {
            return Came::Unexpected;
        }
        if epoch > known {
            self.early.insert((stage, partition), epoch);
            return Came::Early;
        }
        self.take(stage, partition, epoch)
    }

    fn take(&mut self, stage: StageId, partition: Partition, epoch: Epoch) -> Came {
        let Some(first) = self.arriving.remove(&(stage, partition, epoch)) else {
            return Came::Unexpected;
        };
        self.here[stage.index()][partition.index()] = first;
        match self.due(stage, partition) {
            Some(departure) => Came::PassedOn { first, departure },
            None => Came::Here { first },
        }
    }

    /// A state was loaded, and is that of all tasks before `first`.
    pub(super) fn loaded(&mut self, stage: StageId, partition: Partition, first: BatchSeq) -> Came {
        if let Some(here) = self.here[stage.index()].get_mut(partition.index()) {
            *here = first;
        }
        match self.due(stage, partition) {
            Some(departure) => Came::PassedOn { first, departure },
            None => Came::Here { first },
        }
    }

    /// The state here is that of all tasks before this batch, if it is here.
    pub(super) fn here(&self, stage: StageId, partition: Partition) -> Option<BatchSeq> {
        let here = self.here.get(stage.index())?.get(partition.index())?;
        (*here != AWAY).then_some(*here)
    }

    /// A partition was lost: its state is not here, and nothing is expected or owed. Whether it was here.
    pub(super) fn forget(&mut self, stage: StageId, partition: Partition) -> bool {
        let range = (stage, partition, Epoch(0))..=(stage, partition, Epoch(u64::MAX));
        let of = |key: &Move| range.contains(key);
        self.arriving.retain(|key, _| !of(key));
        self.leaving.retain(|key, _| !of(key));
        let early = self.early.remove(&(stage, partition)).is_some();
        let here = self.here.get_mut(stage.index()).and_then(|s| s.get_mut(partition.index()));
        let was = here.map(|here| std::mem::replace(here, AWAY));
        early || was.is_some_and(|was| was != AWAY)
    }

    /// The departure whose last task has run, if there is one: the state is away then.
    fn due(&mut self, stage: StageId, partition: Partition) -> Option<Departure> {
        if self.leaving.is_empty() {
            return None;
        }
        let range = (stage, partition, Epoch(0))..=(stage, partition, Epoch(u64::MAX));
        let (key, (to, last)) = self.leaving.range(range).next()?;
        let (key, to, last) = (*key, *to, *last);
        let here = self.here.get_mut(stage.index())?.get_mut(partition.index())?;
        if *here == AWAY || *here <= last {
            return None;
        }
        *here = AWAY;
        self.leaving.remove(&key);
        Some(Departure { to, epoch: key.2 })
    }

    /// Whether nothing has to go or to come.
    pub(super) fn at_rest(&self) -> bool {
        self.leaving.is_empty() && self.arriving.is_empty()
    }

    /// Whether all that moves up to the newest epoch has come and this was not said before.
    pub(super) fn newly_settled(&mut self, newest: Epoch) -> bool {
        let settled = self.arriving.is_empty() && newest > self.settled;
        if settled {
            self.settled = newest;
        }
        settled
    }
}
