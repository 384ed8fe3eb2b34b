//! Received blocks as batches read them, and their end: all holders drop what is complete.

use super::*;
use crate::sched::message::TaskInput;
use crate::source::receive::receiver_of;
use crate::source::{Input, SourceError};

/// What batches that are over leave to be done.
#[derive(Debug, Default)]
pub(in crate::driver::cluster::worker) struct Released {
    /// To be dropped by others, too.
    pub(in crate::driver::cluster::worker) drop: Vec<(WorkerId, BlockRange)>,
    /// Whose lines are safe now at the latest.
    pub(in crate::driver::cluster::worker) safe: Vec<Appended>,
}

impl ReplicaLog {
    /// A batch begins that reads these here: what they take is no longer the receivers'.
    pub(in crate::driver::cluster::worker) fn begins(
        &mut self,
        batch: BatchSeq,
        inputs: &[TaskInput],
    ) {
        for range in inputs.iter().flat_map(|input| &input.ranges) {
            let Some(numbers) = numbers(range) else { continue };
            self.read.entry(batch).or_default().push(range.clone());
            self.count_as_taken(numbers);
        }
    }

    /// A batch has these of this worker's, and another worker reads them. That worker says when they can be
    /// dropped; if it is lost before it does, the end of the batch says it.
    pub(in crate::driver::cluster::worker) fn taken(
        &mut self,
        batch: BatchSeq,
        numbers: BlockRange,
    ) {
        self.read_elsewhere.entry(batch).or_default().push(numbers);
        self.count_as_taken(numbers);
    }

    /// What these take is no longer the receivers'.
    fn count_as_taken(&mut self, numbers: BlockRange) {
        for (_, mine) in self.mine.range_mut(numbers.keys()) {
            self.waiting -= std::mem::take(&mut mine.waits);
            if let State::Safe(share) = &mut mine.state {
                *share = None;
            }
        }
    }

    /// Batches before this one are complete: what they read is dropped here, and is to be dropped by the other
    /// holders. The receiver of a block passes that on to the worker it gave a copy.
    pub(in crate::driver::cluster::worker) fn release(&mut self, oldest: BatchSeq) -> Released {
        let mut released = Released::default();
        while let Some(first) = self.read.first_entry().filter(|first| *first.key() < oldest) {
            for numbers in first.remove().iter().filter_map(numbers) {
                let Released { drop, safe } = self.drop(numbers, None);
                released.safe.extend(safe);
                released.drop.extend(drop);
                if numbers.receiver != self.id {
                    released.drop.push((numbers.receiver, numbers));
                }
            }
        }
        let running = self.read_elsewhere.split_off(&oldest);
        for numbers in std::mem::replace(&mut self.read_elsewhere, running).into_values().flatten()
        {
            let Released { drop, safe } = self.drop(numbers, None);
            released.safe.extend(safe);
            released.drop.extend(drop);
        }
        released
    }

    /// These will not be read any more, as `by` says: what has been read is safe. For blocks received here, the
    /// holders of copies hear it, too.
    pub(in crate::driver::cluster::worker) fn drop(
        &mut self,
        numbers: BlockRange,
        by: Option<WorkerId>,
    ) -> Released {
        let mut safe = Vec::new();
        let mut others = BTreeSet::new();
        let keys: Vec<Key> = self.lines.range(numbers.keys()).map(|(key, _)| *key).collect();
        for key in keys {
            let lines = self.remove(key);
            let Some(mine) = self.mine.remove(&key) else { continue };
            others.extend(lines.and_then(|lines| lines.other).filter(|other| by != Some(*other)));
            self.waiting -= mine.waits;
            match mine.state {
                State::Pending { teller: Teller::Client(append), .. } => safe.push(append),
                State::Pending { teller: Teller::Receiver(ack), .. } => drop(ack.done()),
                State::Safe(_) => {}
            }
        }
        Released { drop: others.into_iter().map(|other| (other, numbers)).collect(), safe }
    }

    /// These blocks that a worker received for a source are not needed any more. Returns which workers are to drop
    /// which of them, too: a copy may be on its way to a worker that was not told.
    pub(in crate::driver::cluster::worker) fn forget(
        &mut self,
        receiver: WorkerId,
        source: SourceId,
        blocks: RangeSet,
    ) -> Vec<(WorkerId, BlockRange)> {
        let all = (receiver, source, 0)..=(receiver, source, u64::MAX);
        let is_over = |key: &Key| blocks.contains(key.2) && !is_pending(&self.mine, key);
        let over: Vec<Key> =
            self.lines.range(all).map(|(key, _)| *key).filter(|key| is_over(key)).collect();
        let mut others = Vec::new();
        for key in over {
            let other = self.remove(key).and_then(|lines| lines.other);
            others.extend(other.map(|other| (other, BlockRange::one(key))));
            if let Some(mine) = self.mine.remove(&key) {
                self.waiting -= mine.waits;
            }
        }
        self.forgotten.entry((receiver, source)).or_default().join(&blocks);
        others
    }

    /// The received blocks among what a task reads that are not here.
    pub(in crate::driver::cluster::worker) fn missing(&self, ranges: &[Range]) -> Vec<Key> {
        let all = ranges.iter().filter_map(numbers);
        let keys =
            all.flat_map(|n| (n.from..n.to).map(move |number| (n.receiver, n.source, number)));
        keys.filter(|key| !self.lines.contains_key(key) && !self.is_lost(*key)).collect()
    }

    /// These are lost: tasks that read them read nothing.
    pub(in crate::driver::cluster::worker) fn lose(
        &mut self,
        receiver: WorkerId,
        source: SourceId,
        blocks: &RangeSet,
    ) {
        self.lost.entry((receiver, source)).or_default().join(blocks);
    }

    fn is_lost(&self, (receiver, source, number): Key) -> bool {
        self.lost.get(&(receiver, source)).is_some_and(|lost| lost.contains(number))
    }

    /// The same, of some numbers: the gaps between those that are here.
    pub(in crate::driver::cluster::worker) fn gaps(&self, numbers: BlockRange) -> Vec<BlockRange> {
        let mut gaps = Vec::new();
        let mut from = numbers.from;
        for number in self.held(numbers).map(|(_, _, number)| number).chain([numbers.to]) {
            if from < number {
                gaps.push(BlockRange { from, to: number, ..numbers });
            }
            from = number.saturating_add(1);
        }
        gaps
    }

    /// Of some numbers, those that are here.
    pub(in crate::driver::cluster::worker) fn held(
        &self,
        numbers: BlockRange,
    ) -> impl Iterator<Item = Key> {
        // A range that ends before it begins has no keys.
        let is_range = numbers.from < numbers.to;
        let keys = is_range.then(|| self.lines.range(numbers.keys()).map(|(key, _)| *key));
        keys.into_iter().flatten()
    }

    /// The same, of several.
    pub(in crate::driver::cluster::worker) fn of_these(
        &self,
        all: &[BlockRange],
    ) -> Vec<BlockRange> {
        runs(all.iter().flat_map(|numbers| self.held(*numbers)))
    }

    /// Whether a worker has been sent a copy, or has sent this one.
    pub(in crate::driver::cluster::worker) fn is_shared_with(
        &self,
        key: Key,
        by: WorkerId,
    ) -> bool {
        self.lines.get(&key).is_some_and(|lines| lines.other == Some(by))
    }

    /// The input that ranges of received blocks are.
    ///
    /// # Errors
    /// When one is not here.
    pub(in crate::driver::cluster::worker) fn open(
        &self,
        ranges: &[Range],
    ) -> Result<Input, SourceError> {
        let mut blocks = Vec::new();
        for range in ranges {
            let missing = |why: &str| SourceError::Data {
                what: range.split.to_string(),
                why: why.to_owned(),
            };
            let numbers = numbers(range).ok_or_else(|| missing("names no received blocks"))?;
            for number in numbers.from..numbers.to {
                if self.is_lost((numbers.receiver, numbers.source, number)) {
                    continue;
                }
                let lines = self.lines.get(&(numbers.receiver, numbers.source, number));
                let lines = lines
                    .ok_or_else(|| missing(&format!("received block {number} is not here")))?;
                let block = lines.block.get().map_err(|error| missing(&error.to_string()))?;
                blocks.push((lines.entry.what.clone(), block));
            }
        }
        Input::of_received_blocks(ranges.to_vec(), blocks)
    }
}

/// The received blocks that a range is made of.
fn numbers(range: &Range) -> Option<BlockRange> {
    let (receiver, source) = receiver_of(&range.split)?;
    (range.start < range.end).then_some(BlockRange {
        receiver,
        source,
        from: range.start,
        to: range.end,
    })
}
