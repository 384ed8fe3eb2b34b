//! What this worker has received for pushed sources, and copies of what others have.
//!
//! A receipt goes through this, and its client is told that it is safe only at the end of it:
//!
//! ```text
//! received ─┬─► copied by a second worker ─┬─► safe ─► read by a batch ─► the batch is over: gone
//!           └─► registered by the master  ─┘
//! ```
//!
//! With no second worker there is no copy to wait for. A batch may be over before the copy is confirmed:
//! its results are visible then, and nothing can be safer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::block::Block;
use crate::client::Append;
use crate::driver::cluster::note::WorkerNote;
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::net::PeerId;
use crate::sched::message::TaskInput;
use crate::source::receive::{
    Ack, ClientBatch, Receipt, Received, Refusal, Registered, Share, taker_of,
};
use crate::source::{Carried, Input, Range, SourceError};
use crate::store::{BlockStore, KeptBlock};
use crate::wire::ClientId;

/// A receipt: of a worker, for a source, by its number.
type Key = (WorkerId, SourceId, u64);

/// Something that was received here.
struct Mine {
    state: State,
    /// How many bytes of it count against [`WAITING`].
    waits: u64,
    /// Who has the copy.
    copy: Option<WorkerId>,
    /// The master does not know yet who that is.
    is_news: bool,
}

enum State {
    /// Its client waits.
    Pending { teller: Teller, copied: bool, registered: bool },
    /// Its client has been told. The share counts against the receiver's bound until a batch takes it.
    Safe(Option<Share>),
}

/// How its client hears what became of it.
enum Teller {
    /// By the receiver that took it in.
    Receiver(Ack),
    /// By the session of a client of the library.
    Client(Appended),
}

/// An append of a client of the library.
#[derive(Debug, Clone, Copy)]
pub(super) struct Appended {
    pub(super) peer: PeerId,
    pub(super) client: ClientId,
    pub(super) number: u64,
}

/// What is to be done about a receipt that is not pending any more.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Whose append it was.
    pub(super) append: Option<Appended>,
    /// Who has a copy that nobody needs.
    pub(super) copy: Option<WorkerId>,
}

/// What a lost worker was to keep copies of.
pub(super) struct Orphans {
    /// To be copied by another worker.
    pub(super) again: Vec<(SourceId, u64, Carried, Block)>,
    /// There is no other worker.
    pub(super) alone: Vec<(SourceId, u64, Settled)>,
}

/// What batches that are over leave to be done.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// To be dropped by whoever has the other copy.
    pub(super) drop: Vec<(WorkerId, Dropped)>,
    /// Whose lines are safe now at the latest.
    pub(super) safe: Vec<Appended>,
}

/// The lines of a receipt.
struct Lines {
    what: Carried,
    block: KeptBlock,
}

/// Clients of the library are not told that their lines are safe while more than this waits to be part of
/// a batch, in bytes: then they send no more than their windows.
const WAITING: u64 = 64 << 20;

pub(super) struct Receipts {
    id: WorkerId,
    /// Bytes that clients of the library have appended and that are not part of a batch.
    waiting: u64,
    /// Who has not been told yet since too much waits.
    untold: VecDeque<Appended>,
    next: BTreeMap<SourceId, u64>,
    mine: BTreeMap<(SourceId, u64), Mine>,
    /// Of this worker's receipts, and of copies.
    lines: BTreeMap<Key, Lines>,
    /// What batches read here, to be dropped when they are over.
    read: BTreeMap<BatchSeq, Vec<Range>>,
}

/// Something that was received, on its way to be safe.
pub(super) struct New {
    pub(super) number: u64,
    pub(super) what: Carried,
    pub(super) lines: Block,
    pub(super) records: u64,
    pub(super) client: Option<ClientBatch>,
}

impl New {
    /// What the master is told of it.
    pub(super) fn report(
        &self,
        source: SourceId,
        taker: WorkerId,
        copy: Option<WorkerId>,
    ) -> WorkerNote {
        let bytes = self.lines.body().len() as u64;
        let receipt = Receipt { taker, number: self.number, copy, bytes, client: self.client };
        WorkerNote::Received { source, receipt, records: self.records }
    }
}

impl Receipts {
    pub(super) fn new(id: WorkerId) -> Self {
        Self {
            id,
            waiting: 0,
            untold: VecDeque::new(),
            next: BTreeMap::new(),
            mine: BTreeMap::new(),
            lines: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// Something has been received, which `copy` is going to be sent a copy of.
    pub(super) fn received(
        &mut self,
        source: SourceId,
        received: Received,
        copy: Option<WorkerId>,
        store: &BlockStore,
    ) -> New {
        let Received { what, lines, records, client, ack } = received;
        let number = self.number(source, Teller::Receiver(ack), copy);
        self.keep((self.id, source, number), what.clone(), lines.clone(), store);
        New { number, what, lines, records, client }
    }

    /// A client of the library has appended something.
    pub(super) fn appended(
        &mut self,
        append: Append,
        copy: Option<WorkerId>,
        store: &BlockStore,
    ) -> New {
        let Append { peer, source, client, number: theirs, lines, records, header } = append;
        let teller = Teller::Client(Appended { peer, client, number: theirs });
        let number = self.number(source, teller, copy);
        let split = format!("client {client}, append {theirs}");
        let bytes = lines.body().len() as u64;
        self.waiting += bytes;
        if let Some(mine) = self.mine.get_mut(&(source, number)) {
            mine.waits = bytes;
        }
        let what = Carried::lines(split.into(), 0, header, bytes);
        self.keep((self.id, source, number), what.clone(), lines.clone(), store);
        let client = Some(ClientBatch { client: client.0, number: theirs });
        New { number, what, lines, records, client }
    }

    fn number(&mut self, source: SourceId, teller: Teller, copy: Option<WorkerId>) -> u64 {
        let next = self.next.entry(source).or_insert(0);
        *next += 1;
        let state = State::Pending { teller, copied: copy.is_none(), registered: false };
        self.mine.insert((source, *next), Mine { state, copy, waits: 0, is_news: false });
        *next
    }

    /// A copy of what another worker has received.
    pub(super) fn keep(&mut self, key: Key, what: Carried, lines: Block, store: &BlockStore) {
        self.lines.insert(key, Lines { what, block: store.keep(lines) });
    }

    /// Has everything that nobody else holds copied by another worker.
    pub(super) fn alone(&mut self, other: WorkerId) -> Vec<(SourceId, u64, Carried, Block)> {
        let mut again = Vec::new();
        for ((source, number), mine) in self.mine.iter_mut().filter(|(_, m)| m.copy.is_none()) {
            let lines = self.lines.get(&(self.id, *source, *number));
            // What cannot be read back is found by the task that has to read it.
            if let Some((what, Ok(block))) = lines.map(|l| (l.what.clone(), l.block.get())) {
                (mine.copy, mine.is_news) = (Some(other), true);
                again.push((*source, *number, what, block));
            }
        }
        again
    }

    /// Whether the master has to hear that this worker has a copy.
    pub(super) fn is_news(&mut self, source: SourceId, number: u64, by: WorkerId) -> bool {
        let mine = self.mine.get_mut(&(source, number)).filter(|mine| mine.copy == Some(by));
        mine.is_some_and(|mine| std::mem::take(&mut mine.is_news))
    }

    /// The second worker has its copy.
    pub(super) fn copied(&mut self, source: SourceId, number: u64) -> Settled {
        self.mark(source, number, |copied, _| *copied = true)
    }

    /// The master has it, or knows its lines already: then they are safe, and this receipt is dropped.
    pub(super) fn registered(&mut self, source: SourceId, number: u64, how: Registered) -> Settled {
        match how {
            Registered::Taken | Registered::Again => {
                self.mark(source, number, |_, registered| *registered = true)
            }
            Registered::Known => self.end(source, number, |ack| drop(ack.done())),
        }
    }

    /// The master will not have it, and why.
    pub(super) fn refused(&mut self, source: SourceId, number: u64, why: &Refusal) -> Settled {
        self.end(source, number, |ack| ack.refuse(why))
    }

    /// A receipt that will not be part of any batch.
    fn end(&mut self, source: SourceId, number: u64, tell: impl FnOnce(Ack)) -> Settled {
        self.lines.remove(&(self.id, source, number));
        let Some(mine) = self.mine.remove(&(source, number)) else { return Settled::default() };
        self.waiting -= mine.waits;
        let append = match mine.state {
            State::Pending { teller: Teller::Client(append), .. } => Some(append),
            State::Pending { teller: Teller::Receiver(ack), .. } => {
                tell(ack);
                None
            }
            State::Safe(_) => None,
        };
        Settled { append, copy: mine.copy }
    }

    fn mark(
        &mut self,
        source: SourceId,
        number: u64,
        mark: impl FnOnce(&mut bool, &mut bool),
    ) -> Settled {
        let mine = self.mine.get_mut(&(source, number));
        let Some(Mine { state, .. }) = mine else { return Settled::default() };
        if let State::Pending { copied, registered, .. } = state {
            mark(copied, registered);
            if !(*copied && *registered) {
                return Settled::default();
            }
        }
        let (share, append) = match std::mem::replace(state, State::Safe(None)) {
            State::Pending { teller: Teller::Receiver(ack), .. } => (Some(ack.done()), None),
            State::Pending { teller: Teller::Client(append), .. } => (None, Some(append)),
            State::Safe(share) => (share, None),
        };
        *state = State::Safe(share);
        let append = match append {
            Some(append) if self.waiting > WAITING => {
                self.untold.push_back(append);
                None
            }
            append => append,
        };
        Settled { append, copy: None }
    }

    /// The next client that can be told now that less is waiting that its lines are safe.
    pub(super) fn tell(&mut self) -> Option<Appended> {
        if self.waiting > WAITING { None } else { self.untold.pop_front() }
    }

    /// Whether some client of a source still waits to be told.
    pub(super) fn is_pending(&self, source: SourceId) -> bool {
        let mut of_source = self.mine.range((source, 0)..=(source, u64::MAX));
        of_source.any(|(_, mine)| matches!(mine.state, State::Pending { .. }))
    }

    /// A worker is gone: what it had copies of, or was to have, is to be copied by another, if there is one.
    pub(super) fn lost(&mut self, worker: WorkerId, other: Option<WorkerId>) -> Orphans {
        let mut again = Vec::new();
        let mut alone = Vec::new();
        for ((source, number), mine) in &mut self.mine {
            if mine.copy != Some(worker) {
                continue;
            }
            (mine.copy, mine.is_news) = (other, true);
            let lines = self.lines.get(&(self.id, *source, *number));
            match (other, lines) {
                (Some(_), Some(lines)) => {
                    if let Ok(block) = lines.block.get() {
                        again.push((*source, *number, lines.what.clone(), block));
                    }
                }
                _ => alone.push((*source, *number)),
            }
        }
        let alone = alone
            .into_iter()
            .map(|(source, number)| (source, number, self.copied(source, number)))
            .collect();
        Orphans { again, alone }
    }

    /// A batch begins that reads these here: what they take is no longer the receivers'.
    pub(super) fn begins(&mut self, batch: BatchSeq, inputs: &[TaskInput]) {
        for range in inputs.iter().flat_map(|input| &input.ranges) {
            let Some((taker, source)) = taker_of(&range.split) else { continue };
            self.read.entry(batch).or_default().push(range.clone());
            if taker == self.id {
                for number in range.start..range.end {
                    if let Some(mine) = self.mine.get_mut(&(source, number)) {
                        self.waiting -= std::mem::take(&mut mine.waits);
                        if let State::Safe(share) = &mut mine.state {
                            *share = None;
                        }
                    }
                }
            }
        }
    }

    /// Batches before this one are over: what they read is dropped here, and is to be dropped by those
    /// who have the other copy.
    pub(super) fn release(&mut self, oldest: BatchSeq) -> Released {
        let mut released = Released::default();
        while let Some(first) = self.read.first_entry().filter(|first| *first.key() < oldest) {
            for range in first.remove() {
                let Some((taker, source)) = taker_of(&range.split) else { continue };
                let numbers = range.start..range.end;
                let others: BTreeSet<WorkerId> = match taker == self.id {
                    true => numbers
                        .filter_map(|number| self.mine.get(&(source, number)).and_then(|m| m.copy))
                        .collect(),
                    false => BTreeSet::from([taker]),
                };
                let dropped = Dropped { taker, source, from: range.start, to: range.end };
                released.safe.extend(self.drop(&dropped));
                released.drop.extend(others.into_iter().map(|other| (other, dropped)));
            }
        }
        released
    }

    /// Nobody will read these any more: what has been read is safe. Whose lines they are, if a client of
    /// the library still waits to hear it.
    pub(super) fn drop(&mut self, dropped: &Dropped) -> Vec<Appended> {
        let mut safe = Vec::new();
        let Dropped { taker, source, from, to } = *dropped;
        let keys: Vec<Key> = self
            .lines
            .range((taker, source, from)..(taker, source, to))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.lines.remove(&key);
            if taker == self.id
                && let Some(mine) = self.mine.remove(&(source, key.2))
            {
                self.waiting -= mine.waits;
                match mine.state {
                    State::Pending { teller: Teller::Client(append), .. } => safe.push(append),
                    State::Pending { teller: Teller::Receiver(ack), .. } => drop(ack.done()),
                    State::Safe(_) => {}
                }
            }
        }
        safe
    }

    /// The input that ranges of receipts are.
    ///
    /// # Errors
    /// When one is not here.
    pub(super) fn open(&self, ranges: &[Range]) -> Result<Input, SourceError> {
        let mut receipts = Vec::new();
        for range in ranges {
            let missing = |why: &str| SourceError::Data {
                what: range.split.to_string(),
                why: why.to_owned(),
            };
            let (taker, source) =
                taker_of(&range.split).ok_or_else(|| missing("names no receipts"))?;
            for number in range.start..range.end {
                let lines = self.lines.get(&(taker, source, number));
                let lines =
                    lines.ok_or_else(|| missing(&format!("receipt {number} is not here")))?;
                let block = lines.block.get().map_err(|error| missing(&error.to_string()))?;
                receipts.push((lines.what.clone(), block));
            }
        }
        Input::of_receipts(ranges.to_vec(), receipts)
    }
}

/// Receipts that nobody will read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(in crate::driver::cluster) struct Dropped {
    pub(in crate::driver::cluster) taker: WorkerId,
    pub(in crate::driver::cluster) source: SourceId,
    /// The first.
    pub(in crate::driver::cluster) from: u64,
    /// One past the last.
    pub(in crate::driver::cluster) to: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BufferPool;
    use crate::id::Partition;
    use crate::source::receive::receipt_split;
    use crate::store::StoreOptions;

    const SOURCE: SourceId = SourceId(0);
    const OTHER: WorkerId = WorkerId(2);

    fn block() -> Block {
        let mut buffer = BufferPool::new(0).take(2);
        buffer.bytes_mut().extend_from_slice(b"x\n");
        Block::raw(buffer)
    }

    fn append(number: u64) -> Append {
        let (peer, client) = (PeerId(7), ClientId(9));
        let (source, lines) = (SOURCE, block());
        Append { peer, source, client, number, lines, records: 1, header: None }
    }

    /// A worker that has taken in one append, which the master has registered and a batch reads.
    fn receipts(store: &BlockStore) -> Receipts {
        let mut receipts = Receipts::new(WorkerId(1));
        let number = receipts.appended(append(5), Some(OTHER), store).number;
        assert!(receipts.registered(SOURCE, number, Registered::Taken).append.is_none());
        let split = receipt_split(WorkerId(1), SOURCE);
        let ranges = vec![Range { split, start: number, end: number + 1 }];
        let input = TaskInput { source: SOURCE, partition: Partition(0), ranges };
        receipts.begins(BatchSeq(3), &[input]);
        receipts
    }

    fn store() -> (tempfile::TempDir, BlockStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = BlockStore::new(StoreOptions::new(1 << 20, dir.path()));
        (dir, store)
    }

    #[test]
    fn a_client_is_told_once_both_have_its_lines() {
        let (_dir, store) = store();
        let mut receipts = receipts(&store);
        assert_eq!(receipts.copied(SOURCE, 1).append.map(|append| append.number), Some(5));
        let released = receipts.release(BatchSeq(4));
        assert!(released.safe.is_empty(), "it was told");
        let dropped = Dropped { taker: WorkerId(1), source: SOURCE, from: 1, to: 2 };
        assert_eq!(released.drop, [(OTHER, dropped)]);
    }

    #[test]
    fn a_client_is_told_when_the_batch_is_over_before_the_copy_is_confirmed() {
        let (_dir, store) = store();
        let mut receipts = receipts(&store);
        assert!(receipts.release(BatchSeq(3)).safe.is_empty(), "the batch is not over");
        let safe = receipts.release(BatchSeq(4)).safe;
        assert_eq!(safe.iter().map(|append| append.number).collect::<Vec<_>>(), [5]);
        assert!(receipts.copied(SOURCE, 1).append.is_none(), "it was told");
        assert!(!receipts.is_pending(SOURCE));
        assert!(receipts.lines.is_empty() && receipts.waiting == 0);
    }
}
