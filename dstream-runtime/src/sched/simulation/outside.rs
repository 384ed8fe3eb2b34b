//! What outlives masters and workers: the journal, saved states, and outputs; and their invariants, however
//! many masters there were, including ones that do not know that they are replaced.
//!
//! * a batch is cut once: a durable cut never changes, sources continue without gap or overlap, and one that
//!   has ended is not asked again;
//! * batches are published in order, after durable cut and commit, and equal from every master;
//! * a state that counts is readable: its objects exist and form a chain, and no damaged object belongs to
//!   both the state that counts and the one before it.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::*;
use crate::sched::Past;
use crate::sched::message::{JournalEntry, Loss, LostRow, Saved};
use crate::source::Range;
use crate::source::receive::receiver_of;
use crate::time::BatchTime;

/// Per source and input: its ranges.
pub(super) type Inputs = Vec<Vec<Vec<Range>>>;

/// An object of a saved state.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Its predecessor in the chain.
    pub(super) continues: Option<String>,
    /// The state, or its difference from the predecessor.
    pub(super) value: u64,
}

pub(super) struct Outside {
    /// The newest master's term; writes of others are refused.
    pub(super) term: u32,
    snapshot: Past,
    /// The entries since the snapshot.
    journal: Vec<JournalEntry>,
    /// The folded journal.
    past: Past,
    /// The newest epoch written by any master, and by any before this one.
    epochs: (Epoch, Epoch),
    pub(super) storage: BTreeMap<String, Object>,
    /// Unreadable objects.
    pub(super) damaged: BTreeSet<String>,
    pub(super) cuts: BTreeMap<BatchSeq, Inputs>,
    /// The append of each received block: client and number, by the block's owner and number.
    pub(super) appends: BTreeMap<(WorkerId, u64), (u128, u64)>,
    /// Appends in batches.
    pub(super) counted: BTreeSet<(u128, u64)>,
    /// Appends that the job goes on without.
    pub(super) dropped: BTreeSet<(u128, u64)>,
    /// The host whose process listens at the source's address.
    pub(super) port: Option<usize>,
    commits: BTreeSet<BatchSeq>,
    pub(super) published: BTreeMap<BatchSeq, Vec<(TaskId, u64)>>,
    first: BatchSeq,
    /// How far each source has been cut.
    pub(super) reached: Vec<u64>,
    /// Whether a source has ended with a durable cut.
    pub(super) ended: Vec<bool>,
    /// Batch times published so far.
    ends: BTreeMap<BatchSeq, BatchTime>,
    /// How often time was skipped.
    pub(super) steps_over: u32,
    pub(super) shown_again: u32,
    pub(super) refused: u32,
}

impl Outside {
    pub(super) fn new(first: BatchSeq, sources: usize) -> Self {
        Self {
            term: 0,
            snapshot: Past::default(),
            journal: Vec::new(),
            past: Past::default(),
            epochs: (Epoch(0), Epoch(0)),
            storage: BTreeMap::new(),
            damaged: BTreeSet::new(),
            cuts: BTreeMap::new(),
            appends: BTreeMap::new(),
            counted: BTreeSet::new(),
            dropped: BTreeSet::new(),
            port: None,
            commits: BTreeSet::new(),
            published: BTreeMap::new(),
            first,
            reached: vec![0; sources],
            ended: vec![false; sources],
            ends: BTreeMap::new(),
            steps_over: 0,
            shown_again: 0,
            refused: 0,
        }
    }

    /// What a new master reads.
    pub(super) fn past(&self) -> Past {
        let mut past = self.snapshot.clone();
        self.journal.iter().for_each(|entry| past.apply(entry));
        assert_eq!(past, self.past, "a snapshot stands for what is before it");
        past
    }

    /// Replaces the journal by a snapshot.
    pub(super) fn write_snapshot(&mut self, past: &Past) {
        (self.snapshot, self.past) = (past.clone(), past.clone());
        self.journal.clear();
        self.drop(past.dropped());
    }

    /// The job goes on without these.
    fn drop(&mut self, rows: &[LostRow]) {
        let numbers = |row: &LostRow| {
            let receiver = row.receiver;
            row.blocks.runs().flatten().map(move |number| (receiver, number)).collect::<Vec<_>>()
        };
        for key in rows.iter().flat_map(numbers) {
            self.dropped.extend(self.appends.get(&key));
        }
    }

    /// The oldest batch that a new master needs.
    pub(super) fn oldest(&self) -> BatchSeq {
        self.past.oldest()
    }

    /// Makes an entry durable, unless its master is replaced. `ended`: sources that end with this cut.
    pub(super) fn put(&mut self, term: u32, entry: JournalEntry, ended: &[bool]) -> bool {
        if term != self.term {
            self.refused += 1;
            return false;
        }
        match &entry {
            JournalEntry::Cut { epoch, batch, inputs, .. } => {
                assert!(*epoch > self.epochs.1, "{epoch} has been before");
                self.epochs.0 = self.epochs.0.max(*epoch);
                let next = self.cuts.keys().next_back().map_or(self.first, |b| BatchSeq(b.0 + 1));
                assert_eq!(*batch, next, "a batch is cut again, or left out");
                for (source, inputs) in inputs.iter().enumerate() {
                    for range in inputs.iter().flatten() {
                        if let Some((receiver, _)) = receiver_of(&range.split) {
                            for number in range.start..range.end {
                                let append = self.appends[&(receiver, number)];
                                assert!(self.counted.insert(append), "{append:?} counts twice");
                            }
                            continue;
                        }
                        assert_eq!(range.start, self.reached[source], "{batch}, source {source}");
                        self.reached[source] = range.end;
                    }
                }
                for (all, ended) in self.ended.iter_mut().zip(ended) {
                    *all |= ended;
                }
                self.cuts.insert(*batch, inputs.clone());
            }
            JournalEntry::Commit { batch, .. } => {
                assert!(self.cuts.contains_key(batch), "{batch} is committed and was not cut");
                self.commits.insert(*batch);
            }
            JournalEntry::Published { batch } => {
                assert!(self.published.contains_key(batch), "{batch} is not visible");
            }
            JournalEntry::Saved { states } => {
                for saved in states {
                    assert!(self.load(saved).is_some(), "{saved:?} is not there");
                    self.check_apart(saved);
                    assert!(
                        self.published.contains_key(&saved.after),
                        "{saved:?} counts too early"
                    );
                }
            }
            JournalEntry::Lost { rows, how: Loss::Accepted } => self.drop(rows),
            JournalEntry::Lost { .. } => {}
            JournalEntry::Finished => {
                assert!(self.ended.iter().all(|ended| *ended), "a source has more");
                assert_eq!(self.cuts.len(), self.published.len(), "a batch is not visible");
            }
            JournalEntry::Gap { .. } => self.steps_over += 1,
            JournalEntry::Stopped => {
                assert_eq!(self.cuts.len(), self.published.len(), "a batch is not visible");
            }
            JournalEntry::Start { .. }
            | JournalEntry::Stop
            | JournalEntry::GoOn
            | JournalEntry::Holder(_) => {}
        }
        self.past.apply(&entry);
        self.journal.push(entry);
        true
    }

    /// Loads a state; `None` if an object is missing.
    pub(super) fn load(&self, saved: &Saved) -> Option<u64> {
        let (mut state, mut before) = (0u64, None);
        for name in &saved.objects {
            let object = self.storage.get(name)?;
            assert_eq!(object.continues.as_ref(), before, "{saved:?} is of several states");
            (state, before) = (state.wrapping_add(object.value), Some(name));
        }
        Some(state)
    }

    /// Checks that no object is shared by the state that counts and the one before it.
    fn check_apart(&self, saved: &Saved) {
        let bases = self.past.bases((saved.stage, saved.partition)).unwrap_or_default();
        let before = bases.last().copied().flatten().into_iter().flatten();
        let mut before =
            before.filter(|b| (b.stage, b.partition) == (saved.stage, saved.partition));
        let shares = |b: &&Saved| {
            b.after <= saved.after && b.objects.iter().any(|o| saved.objects.contains(o))
        };
        assert!(!before.any(|b| shares(&b)), "{saved:?} has an object of the state before it");
    }

    /// Publishes a batch; a repeated one must be equal.
    pub(super) fn show(&mut self, batch: BatchSeq, inputs: &Inputs, parts: Vec<(TaskId, u64)>) {
        assert!(self.commits.contains(&batch), "the commit of {batch} is not durable");
        assert_eq!(self.cuts.get(&batch), Some(inputs), "{batch} was cut otherwise");
        if let Some(shown) = self.published.get(&batch) {
            self.shown_again += 1;
            return assert_eq!(*shown, parts, "{batch} was shown otherwise");
        }
        let next = BatchSeq(self.first.0 + self.published.len() as u64);
        assert_eq!(batch, next, "batches are shown in order");
        self.published.insert(batch, parts);
    }

    /// Checks the time of a published batch: constant, later than all before, and at least one interval per
    /// batch.
    pub(super) fn ends(&mut self, batch: BatchSeq, time: BatchTime, interval_ms: u64) {
        assert_eq!(*self.ends.entry(batch).or_insert(time), time, "{batch} has another time");
        if let Some((before, then)) = self.ends.range(..batch).next_back() {
            let (batches, passed) = (batch.0 - before.0, time.0.saturating_sub(then.0));
            assert!(passed >= batches * interval_ms, "{batch} ends at {time}, {before} at {then}");
            assert!(
                passed.is_multiple_of(interval_ms),
                "{batch} ends at {time}, {before} at {then}"
            );
        }
    }

    /// Starts a new term: writes of older masters no longer count.
    pub(super) fn next_term(&mut self) -> u32 {
        self.term += 1;
        self.epochs.1 = self.epochs.0;
        self.term
    }
}
