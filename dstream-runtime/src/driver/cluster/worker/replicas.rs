//! What this worker has received for pushed sources, and copies of what others have.
//!
//! A received block goes through this, and its client is told that it is safe only at the end of it:
//!
//! ```text
//! received ─► copied by a second worker ─► registered by the master: safe ─► read by a batch ─► over: gone
//! ```
//!
//! Nothing is registered before a second worker holds it: so what a batch reads survives the loss of any one
//! worker, and what was not registered when its receiver was lost was not acknowledged either. With no second
//! worker there is no copy to wait for; a worker that joins again knows that only once it is placed: until then
//! there may be others that it does not reach yet. With a log ([`ingest`](super::ingest)) a block is registered only once
//! the log has it too. Received blocks are registered in the order of their numbers.
//!
//! Each holder of a received block knows one other holder, if there is another worker; when that is lost, another
//! worker gets a copy ([`ReplicaLog::orphaned`]). A task may have to read a block that is not here, for a worker that
//! is lost: it waits until a holder has sent it ([`fetches`]). A worker that leaves hands over what it holds
//! ([`handover`]).

mod batches;
pub(super) mod fetches;
pub(super) mod handover;
#[cfg(test)]
pub(crate) mod node;
mod rejoin;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use self::handover::Handover;
use super::ingest::{IngestLog, Logged};
use crate::block::{Block, HEADER_LEN};
use crate::client::Append;
use crate::driver::cluster::note::WorkerNote;
use crate::guards::{Guard, guard, left_out};
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::net::PeerId;
use crate::source::receive::{
    Ack, ClientBatch, RangeSet, Received, ReceivedBlock, Refusal, Registered, Share,
};
use crate::source::{Carried, Range};
use crate::store::{BlockStore, KeptBlock};
use crate::wire::ClientId;

/// The key of a received block: its receiver, source and number.
pub(super) type Key = (WorkerId, SourceId, u64);

/// Something that was received here.
struct Mine {
    state: State,
    /// How many bytes of it count against [`ReplicaLog::most`].
    waits: u64,
}

enum State {
    /// Its client waits.
    Pending { teller: Teller, copied: bool, stored: bool, registered: bool },
    /// Its client has been told. The share counts against the receiver's bound until a batch takes it.
    Safe(Option<Share>),
}

/// What must hold before a client is told.
struct Marks<'m> {
    copied: &'m mut bool,
    stored: &'m mut bool,
    registered: &'m mut bool,
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

/// What is to be done about a received block that is not pending any more.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Whose append it was.
    pub(super) append: Option<Appended>,
    /// The holder of a copy that is not needed.
    pub(super) copy: Option<WorkerId>,
}

/// What is known of the lines of a received block, wherever they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::cluster) struct Entry {
    /// Which lines they are, for their reader.
    pub(super) what: Carried,
    /// How many.
    pub(super) records: u64,
    /// What the client calls them, if it numbers what it sends.
    pub(super) client: Option<ClientBatch>,
}

/// Consecutive received blocks of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::cluster) struct BlockRange {
    pub(in crate::driver::cluster) receiver: WorkerId,
    pub(in crate::driver::cluster) source: SourceId,
    /// The first.
    pub(in crate::driver::cluster) from: u64,
    /// One past the last.
    pub(in crate::driver::cluster) to: u64,
}

impl BlockRange {
    pub(super) fn one((receiver, source, number): Key) -> Self {
        Self { receiver, source, from: number, to: number + 1 }
    }

    fn keys(self) -> std::ops::Range<Key> {
        (self.receiver, self.source, self.from)..(self.receiver, self.source, self.to)
    }
}

/// The lines of a received block.
struct Lines {
    entry: Entry,
    block: KeptBlock,
    bytes: u64,
    /// Who else holds them, or was sent them.
    other: Option<WorkerId>,
    /// The master does not know of the other yet.
    is_news: bool,
}

/// Clients of the library are not told that their lines are safe while more than this waits to be part of
/// a batch, in bytes: then they send no more than their windows. Less, if there is not memory for it.
const WAITING: u64 = 64 << 20;

pub(super) struct ReplicaLog {
    id: WorkerId,
    /// The ids that it has had with masters before.
    were: Vec<WorkerId>,
    /// What this worker held before has another holder, too, if any other worker is there. Before it is placed,
    /// there may be others though none is reached.
    is_placed: bool,
    /// Bytes that clients of the library have appended and that are not part of a batch.
    waiting: u64,
    /// No client is told that its lines are safe while that is more than this.
    most: u64,
    /// Who has not been told yet since too much waits.
    untold: VecDeque<Appended>,
    next: BTreeMap<SourceId, u64>,
    mine: BTreeMap<Key, Mine>,
    /// What the master has not been told of, by source in the order of numbers.
    unreported: BTreeMap<SourceId, VecDeque<Key>>,
    /// Of the blocks that this worker received, and of copies.
    lines: BTreeMap<Key, Lines>,
    /// What batches read here, to be dropped when they are over.
    read: BTreeMap<BatchSeq, Vec<Range>>,
    /// What was received here and batches read elsewhere.
    read_elsewhere: BTreeMap<BatchSeq, Vec<BlockRange>>,
    /// What is not needed any more of workers that are lost: a copy may still come.
    forgotten: BTreeMap<(WorkerId, SourceId), RangeSet>,
    /// What no process holds any more, as the master says: it is read as nothing.
    lost: BTreeMap<(WorkerId, SourceId), RangeSet>,
    /// This worker leaves.
    handover: Option<Handover>,
    /// Where blocks must be before they are acknowledged, if they must.
    log: Option<IngestLog>,
}

impl ReplicaLog {
    pub(super) fn new(id: WorkerId) -> Self {
        Self {
            id,
            were: Vec::new(),
            is_placed: true,
            waiting: 0,
            most: WAITING,
            untold: VecDeque::new(),
            next: BTreeMap::new(),
            mine: BTreeMap::new(),
            unreported: BTreeMap::new(),
            lines: BTreeMap::new(),
            read: BTreeMap::new(),
            read_elsewhere: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            lost: BTreeMap::new(),
            handover: None,
            log: None,
        }
    }

    /// With a log: what is received is acknowledged once the log has it. What it has already is held here, as before
    /// another master.
    pub(super) fn logging(mut self, log: IngestLog, has: Vec<Logged>, store: &BlockStore) -> Self {
        for Logged { key, entry, block } in has {
            self.keep(key, entry, block, None, store);
            self.mine.insert(key, Mine { state: State::Safe(None), waits: 0 });
            if !self.were.contains(&key.0) {
                self.were.push(key.0);
            }
        }
        Self { log: Some(log), ..self }
    }

    /// With so much memory for what waits to be part of a batch.
    pub(super) fn within(self, memory: u64) -> Self {
        Self { most: self.most.min(memory), ..self }
    }

    /// Something has been received, which `copy` is going to be sent a copy of.
    pub(super) fn received(
        &mut self,
        source: SourceId,
        received: Received,
        copy: Option<WorkerId>,
        store: &BlockStore,
    ) -> Key {
        let Received { what, lines, records, client, ack } = received;
        let key = self.number(source, Teller::Receiver(ack), 0, copy);
        self.keep(key, Entry { what, records, client }, lines, copy, store);
        self.log(key);
        key
    }

    /// A client of the library has appended something.
    pub(super) fn appended(
        &mut self,
        append: Append,
        copy: Option<WorkerId>,
        store: &BlockStore,
    ) -> Key {
        let Append { peer, source, client, number, lines, records, header } = append;
        let teller = Teller::Client(Appended { peer, client, number });
        let split = format!("client {client}, append {number}");
        let bytes = lines.body().len() as u64;
        self.waiting += bytes;
        let key = self.number(source, teller, bytes, copy);
        let what = Carried::lines(split.into(), 0, header, bytes);
        let client = Some(ClientBatch { client: client.0, number });
        self.keep(key, Entry { what, records, client }, lines, copy, store);
        self.log(key);
        key
    }

    fn log(&self, key: Key) {
        if let Some((log, lines)) = self.log.as_ref().zip(self.lines.get(&key)) {
            log.append(key, lines.entry.clone(), lines.block.clone());
        }
    }

    /// The log has these.
    pub(super) fn stored(&mut self, object: u64, keys: &[Key]) -> Vec<(Key, Settled)> {
        if let Some(log) = &mut self.log {
            log.stored(object, keys);
        }
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            all.push((*key, self.mark(*key, |marks| *marks.stored = true)));
            // What was dropped before it was stored is not needed there either.
            if !self.lines.contains_key(key)
                && let Some(log) = &mut self.log
            {
                log.release(*key);
            }
        }
        all
    }

    /// Whether it is news that the log cannot be written so far.
    pub(super) fn log_retries(&mut self) -> bool {
        self.log.as_mut().is_some_and(IngestLog::retries)
    }

    /// Lines that are not needed any more.
    fn remove(&mut self, key: Key) -> Option<Lines> {
        let lines = self.lines.remove(&key)?;
        if let Some(log) = &mut self.log {
            log.release(key);
        }
        Some(lines)
    }

    fn number(
        &mut self,
        source: SourceId,
        teller: Teller,
        waits: u64,
        copy: Option<WorkerId>,
    ) -> Key {
        let next = self.next.entry(source).or_insert(0);
        *next += 1;
        let key = (self.id, source, *next);
        let copied = copy.is_none() && self.is_placed;
        let stored = self.log.is_none();
        let state = State::Pending { teller, copied, stored, registered: false };
        self.mine.insert(key, Mine { state, waits });
        self.unreported.entry(source).or_default().push_back(key);
        key
    }

    /// Lines that are here from now on, and at `other`; those that were here before stay as they are.
    pub(super) fn keep(
        &mut self,
        key: Key,
        entry: Entry,
        lines: impl Into<KeptBlock>,
        other: Option<WorkerId>,
        store: &BlockStore,
    ) {
        if self.forgotten.get(&(key.0, key.1)).is_some_and(|spans| spans.contains(key.2)) {
            return;
        }
        let mut is_new = false;
        let kept = self.lines.entry(key).or_insert_with(|| {
            is_new = true;
            let lines = lines.into();
            let bytes = lines.byte_len().saturating_sub(HEADER_LEN) as u64;
            Lines { entry, bytes, block: store.keep(lines), other: None, is_news: false }
        });
        kept.other = kept.other.or(other);
        if is_new {
            self.is_to_be_handed_over(key);
        }
    }

    /// What is known of a received block that is here.
    pub(super) fn entry(&self, key: Key) -> Option<Entry> {
        Some(self.lines.get(&key)?.entry.clone())
    }

    /// What is sent to the worker that is to have a copy; nothing if it is not here, or cannot be read back: the
    /// task that has to read it finds that out.
    pub(super) fn copy_of(&self, key: Key) -> Option<(Entry, Block)> {
        let lines = self.lines.get(&key)?;
        Some((lines.entry.clone(), lines.block.get().ok()?))
    }

    /// What the master is to be told now: everything up to the first that has no copy yet.
    pub(super) fn reports(&mut self) -> Vec<WorkerNote> {
        let mut notes = Vec::new();
        for (source, unreported) in &mut self.unreported {
            while let Some(key) = unreported.front() {
                match self.mine.get(key).map(|mine| &mine.state) {
                    Some(State::Pending { copied, stored, .. })
                        if !guard(Guard::CopiedFirst, *copied) || !*stored =>
                    {
                        break;
                    }
                    Some(_) => {
                        if let Some(lines) = self.lines.get(key) {
                            notes.push(lines.report(*source, *key));
                        }
                    }
                    None => {}
                }
                unreported.pop_front();
            }
        }
        notes
    }

    /// Another worker can be reached: what no other worker holds is to be copied there.
    pub(super) fn alone(&mut self, other: WorkerId) -> Vec<Key> {
        let mut alone = Vec::new();
        for (key, lines) in self.lines.iter_mut().filter(|(_, lines)| lines.other.is_none()) {
            // What was held before has another holder, unless that is lost, who has not said so yet.
            if !self.is_placed && is_older(key.0, self.id) && !is_pending(&self.mine, key) {
                continue;
            }
            (lines.other, lines.is_news) = (Some(other), true);
            alone.push(*key);
        }
        self.await_copies(&alone);
        alone
    }

    /// A worker is gone: what it held, or was to hold, is to be copied by `other`, if there is one.
    pub(super) fn orphaned(&mut self, worker: WorkerId, other: Option<WorkerId>) -> Vec<Key> {
        let mut orphaned = Vec::new();
        if left_out(Guard::CopiedAgain) {
            return orphaned;
        }
        for (key, lines) in &mut self.lines {
            if lines.other == Some(worker) {
                (lines.other, lines.is_news) = (other, true);
                orphaned.push(*key);
            }
        }
        self.await_copies(&orphaned);
        orphaned
    }

    fn await_copies(&mut self, of: &[Key]) {
        for key in of {
            if let Some(Mine { state: State::Pending { copied, .. }, .. }) = self.mine.get_mut(key)
            {
                *copied = false;
            }
        }
    }

    /// Whether the master has to hear that this worker has a copy.
    pub(super) fn is_news(&mut self, key: Key, by: WorkerId) -> bool {
        if self.is_unreported(key) {
            return false;
        }
        let lines = self.lines.get_mut(&key).filter(|lines| lines.other == Some(by));
        lines.is_some_and(|lines| std::mem::take(&mut lines.is_news))
    }

    fn is_unreported(&self, key: Key) -> bool {
        // In order: all after the first of them are.
        let first = self.unreported.get(&key.1).and_then(VecDeque::front);
        first.is_some_and(|first| key >= *first && self.mine.contains_key(&key))
    }

    /// What waits for a copy that no other worker is to have, if there is no other.
    pub(super) fn uncopied(&self) -> Vec<Key> {
        let waits = |mine: &Mine| matches!(mine.state, State::Pending { copied: false, .. });
        let alone = |key: &Key| self.lines.get(key).is_some_and(|lines| lines.other.is_none());
        let mine = self.mine.iter().filter(|(_, mine)| self.is_placed && waits(mine));
        mine.map(|(key, _)| *key).filter(alone).collect()
    }

    /// A worker has its copy; `by` is none if there is no other worker.
    pub(super) fn copied(&mut self, key: Key, by: Option<WorkerId>) -> Settled {
        let by_other = self.lines.get(&key).is_none_or(|lines| lines.other != by);
        if by_other || by.is_none() && !self.is_placed {
            return Settled::default();
        }
        self.mark(key, |marks| *marks.copied = true)
    }

    /// The master has it, or knows its lines already: then they are safe, and this block is dropped.
    pub(super) fn registered(&mut self, key: Key, how: Registered) -> Settled {
        match how {
            Registered::Taken | Registered::Again => {
                self.mark(key, |marks| *marks.registered = true)
            }
            Registered::Known => self.end(key, |ack| drop(ack.done())),
            Registered::Late => Settled::default(),
        }
    }

    /// The master will not have it, and why.
    pub(super) fn refused(&mut self, key: Key, why: &Refusal) -> Settled {
        self.end(key, |ack| ack.refuse(why))
    }

    /// A received block that will not be part of any batch.
    fn end(&mut self, key: Key, tell: impl FnOnce(Ack)) -> Settled {
        let copy = self.remove(key).and_then(|lines| lines.other);
        let Some(mine) = self.mine.remove(&key) else { return Settled { append: None, copy } };
        self.waiting -= mine.waits;
        let append = match mine.state {
            State::Pending { teller: Teller::Client(append), .. } => Some(append),
            State::Pending { teller: Teller::Receiver(ack), .. } => {
                tell(ack);
                None
            }
            State::Safe(_) => None,
        };
        Settled { append, copy }
    }

    fn mark(&mut self, key: Key, mark: impl FnOnce(Marks<'_>)) -> Settled {
        let Some(Mine { state, .. }) = self.mine.get_mut(&key) else { return Settled::default() };
        if let State::Pending { copied, stored, registered, .. } = state {
            mark(Marks { copied, stored, registered });
            if !(guard(Guard::CopiedFirst, *copied) && *stored && *registered) {
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
            Some(append) if self.waiting > self.most => {
                self.untold.push_back(append);
                None
            }
            append => append,
        };
        Settled { append, copy: None }
    }

    /// The next client that can be told now that less is waiting that its lines are safe.
    pub(super) fn tell(&mut self) -> Option<Appended> {
        if self.waiting > self.most { None } else { self.untold.pop_front() }
    }

    /// Whether some client of a source still waits to be told.
    pub(super) fn is_pending(&self, source: SourceId) -> bool {
        let of_source = |id: &WorkerId| self.mine.range((*id, source, 0)..=(*id, source, u64::MAX));
        let mut mine = self.were.iter().chain([&self.id]).flat_map(of_source);
        mine.any(|(_, mine)| matches!(mine.state, State::Pending { .. }))
    }
}

/// Received blocks in the order of their numbers, consecutive ones together.
fn runs(keys: impl Iterator<Item = Key>) -> Vec<BlockRange> {
    let mut runs: Vec<BlockRange> = Vec::new();
    for key in keys {
        match runs.last_mut() {
            Some(last) if (last.receiver, last.source, last.to) == key => last.to += 1,
            _ => runs.push(BlockRange::one(key)),
        }
    }
    runs
}

/// Whether a worker was there with a master before the one that has named `now`.
fn is_older(receiver: WorkerId, now: WorkerId) -> bool {
    receiver.term() < now.term()
}

fn is_pending(mine: &BTreeMap<Key, Mine>, key: &Key) -> bool {
    mine.get(key).is_some_and(|mine| matches!(mine.state, State::Pending { .. }))
}

impl Lines {
    fn report(&self, source: SourceId, (receiver, _, number): Key) -> WorkerNote {
        let (copy, bytes, client) = (self.other, self.bytes, self.entry.client);
        let received_block = ReceivedBlock { receiver, number, copy, bytes, client };
        WorkerNote::Received { source, received_block, records: self.entry.records }
    }
}
