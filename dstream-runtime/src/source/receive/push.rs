//! The master's side of a source that is pushed: what workers have received, and which batch gets it.
//!
//! The master never sees the lines. It registers [`ReceivedBlock`]s (a worker, a number, the holder of a copy), and
//! cuts a batch so that the input of each partition is made of received blocks that the partition's owner holds. A
//! block that no owner of partitions holds is assigned to one that has to ask for it. Invariants: a received block
//! is part of one batch at most; the blocks of a worker are cut in order; one that no worker holds stays until it
//! is given up ([`PushSource::give_up`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::RECEIVERS;
use super::clients::{ClientBatch, Refusal};
use super::range_set::RangeSet;
use super::tracker::ReceivedBlockTracker;
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::source::{Cut, Input, Piece, Range, ReadRange, Source, SourceError, Sources};

/// The split of what a worker has received for a source; its positions are numbers of received blocks.
#[must_use]
pub fn received_split(receiver: WorkerId, source: SourceId) -> Arc<str> {
    format!("received:{}:{}", receiver.0, source.0).into()
}

/// The receiver and the source of the blocks that a split is made of, if it is of that kind.
#[must_use]
pub fn receiver_of(split: &str) -> Option<(WorkerId, SourceId)> {
    let (receiver, source) = split.strip_prefix("received:")?.split_once(':')?;
    Some((WorkerId(receiver.parse().ok()?), SourceId(source.parse().ok()?)))
}

/// What a worker reports of lines that it has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedBlock {
    /// The worker that received them.
    pub receiver: WorkerId,
    /// Its number for them: they grow.
    pub number: u64,
    /// The worker that has a copy.
    pub copy: Option<WorkerId>,
    /// How many bytes they are.
    pub bytes: u64,
    /// What the client calls them, if it numbers what it sends.
    pub client: Option<ClientBatch>,
}

/// What became of a received block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registered {
    /// It will be part of a batch.
    Taken,
    /// Its lines had been registered before, with another received block: the holders drop it, and the client is
    /// told that the lines are safe.
    Known,
    /// A block of this number has been reported before: nothing is to be done.
    Again,
    /// The source has ended, and no batch will have it: its client is told nothing, and sends it again when
    /// the job goes on.
    Late,
}

/// Received blocks of one worker that no worker holds any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheld {
    /// The worker that received them.
    pub receiver: WorkerId,
    /// Its numbers for them.
    pub blocks: RangeSet,
    /// How many records they have.
    pub records: u64,
    /// Whether that is their number; otherwise they have at most as many.
    pub exact: bool,
    /// The first batch that needs one of them.
    pub first: BatchSeq,
    /// The last.
    pub last: BatchSeq,
}

impl Unheld {
    /// None yet, of that worker.
    #[must_use]
    pub fn of(receiver: WorkerId) -> Self {
        let (first, last) = (BatchSeq(u64::MAX), BatchSeq(0));
        Self { receiver, blocks: RangeSet::default(), records: 0, exact: true, first, last }
    }

    /// One more, which a batch needs.
    pub fn add(&mut self, number: u64, records: Option<u64>, batch: u64) {
        self.blocks.insert(number);
        self.records += records.unwrap_or(0);
        self.exact &= records.is_some();
        (self.first, self.last) = (self.first.min(BatchSeq(batch)), self.last.max(BatchSeq(batch)));
    }
}

impl Unheld {
    /// And these, of the same worker.
    pub fn join(&mut self, other: Self) {
        self.blocks.join(&other.blocks);
        self.records += other.records;
        self.exact &= other.exact;
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
    }
}

/// A source whose records workers receive; a clone is the same one.
#[derive(Clone)]
pub struct PushSource {
    source: SourceId,
    receivers: usize,
    tracker: Arc<Mutex<ReceivedBlockTracker>>,
}

impl PushSource {
    /// The master's side of the source that `url` names.
    ///
    /// # Errors
    /// When the URL is malformed, or records of its scheme are not pushed.
    pub fn open(url: &str, source: SourceId) -> Result<Self, SourceError> {
        let url = Sources::built_in().pushed(url)?;
        let receivers = url.number_of(&RECEIVERS)?.unwrap_or(1);
        let receivers = usize::try_from(receivers).unwrap_or(usize::MAX);
        Ok(Self { source, receivers, tracker: Arc::default() })
    }

    /// On how many workers the address of the URL is to be listened on, if there are enough.
    #[must_use]
    pub fn receivers(&self) -> usize {
        self.receivers
    }

    fn tracker(&self) -> MutexGuard<'_, ReceivedBlockTracker> {
        // Each call leaves it consistent, and none can panic halfway.
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's receiver is open: the source does not end before [`Self::closed`].
    pub fn opened(&self, worker: WorkerId) {
        self.tracker().opened(worker);
    }

    /// A worker's receiver has said that it has ended.
    pub fn closed(&self, worker: WorkerId) {
        self.tracker().closed(worker);
    }

    /// A worker has received something. Each block is reported once, when the worker that is to have a copy has it.
    ///
    /// # Errors
    /// When the client has left out a batch: the block is to be dropped and the client told why.
    pub fn register(
        &self,
        received_block: ReceivedBlock,
        records: u64,
    ) -> Result<Registered, Refusal> {
        self.tracker().register(received_block, records)
    }

    /// A worker holds something that was received when there was another master, which may have registered
    /// it, and may have cut it. Reported by each that holds it.
    pub fn reclaim(&self, received_block: ReceivedBlock, records: u64, by: WorkerId) -> Registered {
        self.tracker().reclaim(received_block, records, by)
    }

    /// Another worker has a copy of what a worker has received: of what had none, or one that is lost.
    pub fn copied(&self, receiver: WorkerId, number: u64, by: WorkerId) {
        self.tracker().held_by(receiver, number..number.saturating_add(1), by);
    }

    /// The same of blocks with consecutive numbers.
    pub fn held_by(&self, receiver: WorkerId, numbers: std::ops::Range<u64>, by: WorkerId) {
        self.tracker().held_by(receiver, numbers, by);
    }

    /// From the next cut on, this is who owns which partition.
    pub fn placed(&self, placement: &[WorkerId]) {
        let owned = &mut self.tracker().owned;
        owned.clear();
        for (partition, owner) in placement.iter().enumerate() {
            owned.entry(*owner).or_default().push(partition);
        }
    }

    /// From the next cut on, workers read in proportion to these weights; those that are not named as much as any.
    pub fn weigh(&self, weights: &[(WorkerId, u32)]) {
        self.tracker().weights = weights.iter().copied().collect();
    }

    /// A worker is gone, and what it held with it, unless its process comes again: see [`Self::complete`].
    pub fn gone(&self, worker: WorkerId) {
        self.tracker().gone(worker);
    }

    /// Every worker that may hold something has had time to come and say so, until the next one is gone.
    pub fn complete(&self) {
        self.tracker().completed();
    }

    /// No worker comes any more that was there with another master.
    pub fn all_came(&self) {
        self.tracker().all_came();
    }

    /// Registered blocks that no batch has taken and no worker holds: lost, if this is [complete](Self::complete).
    #[must_use]
    pub fn unheld(&self) -> Vec<Unheld> {
        self.tracker().unheld()
    }

    /// The master before has waited for these in vain, which were received for this batch or later ones: they are unheld
    /// unless a worker comes with them. To be called when the source has resumed.
    pub fn expect(
        &self,
        receiver: WorkerId,
        blocks: &RangeSet,
        records: Option<u64>,
        first: BatchSeq,
    ) {
        self.tracker().expect(receiver, blocks, records, first.0);
    }

    /// These are lost: no batch waits for them.
    pub fn give_up(&self, receiver: WorkerId, blocks: &RangeSet) {
        self.tracker().give_up(receiver, blocks);
    }

    /// The same of blocks that batches have taken: `needed` says which batch needs which.
    #[must_use]
    pub fn taken(&self, needed: &[(BatchSeq, WorkerId, u64)]) -> Vec<Unheld> {
        let tracker = self.tracker();
        let mut by_receiver: BTreeMap<WorkerId, Unheld> = BTreeMap::new();
        let mut vague: BTreeSet<(u64, WorkerId)> = BTreeSet::new();
        for (batch, receiver, number) in needed {
            let unheld = by_receiver.entry(*receiver).or_insert_with(|| Unheld::of(*receiver));
            let records = tracker.records(batch.0, *receiver, *number);
            unheld.add(*number, records, batch.0);
            if records.is_none() && vague.insert((batch.0, *receiver)) {
                unheld.records += tracker.records_of(batch.0, *receiver);
            }
        }
        by_receiver.into_values().collect()
    }

    /// There was another master, whether it has cut anything or not; the next cut is that of this batch.
    pub fn goes_on(&self, next: BatchSeq) {
        self.tracker().goes_on(next.0);
    }

    /// Batches before this one are complete. Returns the lost receivers of whose blocks no batch needs any, and
    /// which copies of them can be dropped; each receiver is named once, and again if more turns up. Returns also
    /// the blocks whose readers are lost, which would have reported that these can be dropped.
    #[must_use]
    pub fn over(&self, oldest: BatchSeq) -> Vec<(WorkerId, RangeSet)> {
        self.tracker().over(oldest.0)
    }

    /// Bytes that were registered and that no batch has taken.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.tracker().waiting_bytes()
    }

    /// The same, of what one worker has received.
    #[must_use]
    pub fn waiting_of(&self, receiver: WorkerId) -> u64 {
        self.tracker().waiting_bytes_of(receiver)
    }
}

impl Source for PushSource {
    fn bounded(&self) -> bool {
        false
    }

    fn immediate(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let mut tracker = self.tracker();
        let mut ranges: Vec<Vec<Range>> = Vec::new();
        for blocks in tracker.take(partitions) {
            let mut input = Vec::new();
            for (receiver, number) in blocks {
                add(&mut input, receiver, self.source, number);
            }
            ranges.push(input);
        }
        let ended = tracker.ends();
        if tracker.stopping && !ended && ranges.is_empty() {
            // A stopped source that brings nothing is asked no more, and something may still come.
            ranges.push(Vec::new());
        }
        let position = tracker.position();
        let inputs = ranges.into_iter().map(input).collect();
        Ok(Cut { inputs, ended, position, ..Cut::default() })
    }

    fn next_batch(&mut self, batch: BatchSeq) {
        self.tracker().next_batch(batch.0);
    }

    fn limit(&mut self, bytes: u64) {
        self.tracker().limit = Some(bytes);
    }

    fn resume(&mut self, position: &[u8]) -> Result<(), SourceError> {
        *self.tracker() =
            ReceivedBlockTracker::resume(position).ok_or_else(|| SourceError::Data {
                what: format!("the journal's position of {}", self.source),
                why: "it is none of a source whose records are pushed".to_owned(),
            })?;
        Ok(())
    }

    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        Ok(input(ranges.to_vec()))
    }

    /// Takes in nothing from receivers that open from now on; the callers that run the open ones are to stop them.
    fn stop(&mut self) {
        self.tracker().stopping = true;
    }
}

/// Adds a received block to the ranges of an input.
fn add(ranges: &mut Vec<Range>, receiver: WorkerId, source: SourceId, number: u64) {
    if let Some(last) = ranges.last_mut()
        && last.end == number
        && receiver_of(&last.split) == Some((receiver, source))
    {
        last.end += 1;
        return;
    }
    ranges.push(Range { split: received_split(receiver, source), start: number, end: number + 1 });
}

fn input(ranges: Vec<Range>) -> Input {
    let data = Arc::new(OnWorkers(ranges.first().map(|range| range.split.clone())));
    Input { ranges, data }
}

/// Lines that workers hold.
struct OnWorkers(Option<Arc<str>>);

impl ReadRange for OnWorkers {
    fn read(&self, _: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        match &self.0 {
            None => Ok(()),
            Some(split) => Err(SourceError::Data {
                what: split.to_string(),
                why: "can be read by the workers alone that have received it".to_owned(),
            }),
        }
    }
}
