//! What the master knows of received blocks: which workers hold them, which are part of a batch, what clients have
//! sent.
//!
//! Invariant: a received block is *seen* from its first report on, and *waits* until a batch takes it; a block that
//! is seen and does not wait never waits again. A master that goes on for another knows what was so at the last
//! cut, and hears of the rest from the workers that hold it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::clients::Clients;
use super::push::{ReceivedBlock, Registered, Unheld};
use super::taken::{Taken, WrittenTaken};
use super::{RangeSet, Refusal};
use crate::guards::{Guard, guard, left_out};
use crate::id::WorkerId;
use crate::shares::{FULL, Piece, Reader, pieces};
use crate::source::Position;
use crate::source::tcp::SPLIT;

/// How many lost workers, of which nothing is needed any more, are remembered by what they had received: a copy of
/// it may still turn up.
const REMEMBERED: usize = 1 << 10;

/// What is known of received blocks.
#[derive(Default)]
pub(super) struct ReceivedBlockTracker {
    receivers: BTreeMap<WorkerId, ReceivingWorker>,
    clients: Clients,
    /// The partitions of each worker that has any.
    pub(super) owned: BTreeMap<WorkerId, Vec<usize>>,
    /// What workers read in proportion to each other, where it is less than others do.
    pub(super) weights: BTreeMap<WorkerId, u32>,
    /// The number of the last batch that was cut.
    cut: u64,
    /// By batch that is not over, who reads what in it.
    reads: BTreeMap<u64, Vec<Read>>,
    /// What no worker came with while the master before waited, and no batch has: the records of each, if that is known,
    /// and the batch that it was received for.
    awaited: BTreeMap<(WorkerId, u64), (Option<u64>, u64)>,
    /// How many records are in the received blocks that batches have taken.
    taken: Taken,
    pub(super) stopping: bool,
    /// How many bytes the next batch may take in, if not all.
    pub(super) limit: Option<u64>,
    /// The last batch was cut: what is reported from here on is part of none.
    ended: bool,
    /// Every worker that may hold something has had time to say so.
    complete: bool,
    /// It goes on for another master, which may have registered more than it had cut.
    goes_on: bool,
}

/// A worker that receives.
#[derive(Default)]
struct ReceivingWorker {
    /// The numbers that were reported.
    seen: RangeSet,
    /// In order of their numbers: those that no batch has taken.
    waiting: BTreeMap<u64, Waiting>,
    /// The last batch that has something of it.
    last_cut: u64,
    /// Its receiver is open.
    open: bool,
    /// The worker is not there any more.
    gone: bool,
    /// It was there when there was another master: copies may turn up late.
    is_old: bool,
    /// It was reported that nothing of it is needed.
    is_over: bool,
}

/// A received block that no batch has taken.
struct Waiting {
    bytes: u64,
    records: u64,
    /// The number of the batch that it was received for.
    first: u64,
    /// Who has it; who received it comes first, if it is there.
    holders: Vec<WorkerId>,
}

/// Received blocks of a worker that a batch has.
struct Read {
    receiver: WorkerId,
    blocks: RangeSet,
    /// Who says so to all who hold them when the batch is over; none if it is gone.
    by: Option<WorkerId>,
}

/// A received block that the next batch takes.
struct Taking {
    number: u64,
    bytes: u64,
    /// Who may read it: the owners of partitions that hold it, or, if none does, one that has to ask for it.
    readers: Vec<WorkerId>,
}

/// What another process has to know to go on, as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    cut: u64,
    receivers: Vec<WrittenReceiver>,
    clients: Vec<(u128, RangeSet)>,
}

#[derive(Serialize, Deserialize)]
struct WrittenReceiver {
    worker: WorkerId,
    seen: RangeSet,
    last_cut: u64,
    /// Number and bytes of what waits.
    waiting: Vec<(u64, u64)>,
}

/// What follows that, since a version that knows it: how many records there are.
#[derive(Default, Serialize, Deserialize)]
struct WrittenRecords {
    /// Of what waits: worker, number, records, and the batch that it was received for.
    waiting: Vec<(WorkerId, u64, u64, u64)>,
    taken: WrittenTaken,
}

impl ReceivedBlockTracker {
    pub(super) fn opened(&mut self, worker: WorkerId) {
        self.receivers.entry(worker).or_default().open = true;
    }

    pub(super) fn closed(&mut self, worker: WorkerId) {
        if let Some(receiver) = self.receivers.get_mut(&worker) {
            receiver.open = false;
        }
    }

    /// A worker reports what it has received.
    pub(super) fn register(
        &mut self,
        received_block: ReceivedBlock,
        records: u64,
    ) -> Result<Registered, Refusal> {
        let first = self.cut + 1;
        let receiver = self.receivers.entry(received_block.receiver).or_default();
        if receiver.seen.contains(received_block.number) {
            return Ok(Registered::Again);
        }
        if self.ended {
            return Ok(Registered::Late);
        }
        // A block that is refused is not seen: it may be reported again, if the refusal did not arrive.
        let is_new = received_block.client.map_or(Ok(true), |batch| self.clients.take(batch))?;
        receiver.seen.insert(received_block.number);
        if !guard(Guard::AppendCountsOnce, is_new) {
            return Ok(Registered::Known);
        }
        let holders = [received_block.receiver].into_iter().chain(received_block.copy).collect();
        let waiting = Waiting { bytes: received_block.bytes, records, first, holders };
        receiver.waiting.insert(received_block.number, waiting);
        Ok(Registered::Taken)
    }

    /// A worker holds something that a worker of the time of another master has received.
    pub(super) fn reclaim(
        &mut self,
        received_block: ReceivedBlock,
        records: u64,
        by: WorkerId,
    ) -> Registered {
        let first = self.cut + 1;
        // It may be all that is known of the other master, if that one never cut anything.
        self.clients.expect_gaps();
        self.awaited.remove(&(received_block.receiver, received_block.number));
        let old = || ReceivingWorker { gone: true, is_old: true, ..ReceivingWorker::default() };
        let receiver = self.receivers.entry(received_block.receiver).or_insert_with(old);
        // It has come again, or copies of what it had have: more may turn up late.
        receiver.is_old = true;
        let holders = [by].into_iter().chain(received_block.copy);
        if let Some(waiting) = receiver.waiting.get_mut(&received_block.number) {
            for holder in holders {
                waiting.hold(holder);
            }
            return Registered::Again;
        }
        if self.ended && !receiver.seen.contains(received_block.number) {
            return Registered::Late;
        }
        // A worker that comes late is told again what is complete.
        receiver.is_over = false;
        if !guard(Guard::ReclaimedOnce, receiver.seen.insert(received_block.number)) {
            // Some batch has it, or another received block has the same lines: it is kept until all is complete.
            return Registered::Again;
        }
        // There are no gaps for one that goes on.
        if received_block.client.is_some_and(|batch| self.clients.take(batch) != Ok(true)) {
            return Registered::Known;
        }
        let holders = holders.collect();
        let waiting = Waiting { bytes: received_block.bytes, records, first, holders };
        receiver.waiting.insert(received_block.number, waiting);
        Registered::Taken
    }

    /// Another worker has copies of something. Blocks that a batch has taken are read by the worker that the batch
    /// has found for them.
    pub(super) fn held_by(&mut self, receiver: WorkerId, numbers: Range<u64>, by: WorkerId) {
        if let Some(receiver) = self.receivers.get_mut(&receiver).filter(|_| !numbers.is_empty()) {
            receiver.waiting.range_mut(numbers).for_each(|(_, waiting)| waiting.hold(by));
        }
    }

    /// A worker is gone. Its process may come again as another worker, with what it holds: what no worker holds any
    /// more is lost only when there has been time for that.
    pub(super) fn gone(&mut self, worker: WorkerId) {
        if let Some(receiver) = self.receivers.get_mut(&worker) {
            (receiver.open, receiver.gone) = (false, true);
        }
        for receiver in self.receivers.values_mut() {
            for waiting in receiver.waiting.values_mut() {
                waiting.holders.retain(|holder| *holder != worker);
            }
        }
        for read in self.reads.values_mut().flatten() {
            read.by = read.by.filter(|by| *by != worker);
        }
        self.complete = false;
    }

    /// Every worker that may hold something has had time to say so: what is unheld now is lost.
    pub(super) fn completed(&mut self) {
        self.complete = true;
    }

    /// No worker comes any more that was there with another master: this one has heard of all that is held.
    pub(super) fn all_came(&mut self) {
        self.goes_on = false;
    }

    /// The master before has waited for these in vain: it may have registered some of them, and no batch has them.
    pub(super) fn expect(
        &mut self,
        receiver: WorkerId,
        blocks: &RangeSet,
        records: Option<u64>,
        first: u64,
    ) {
        let seen = self.receivers.get(&receiver).map(|receiver| &receiver.seen);
        let unseen = blocks.runs().flatten();
        let unseen = unseen.filter(|number| seen.is_none_or(|seen| !seen.contains(*number)));
        self.awaited.extend(unseen.map(|number| ((receiver, number), (records, first))));
    }

    /// Registered blocks that wait for a batch and that no worker holds, by receiver.
    pub(super) fn unheld(&self) -> Vec<Unheld> {
        let of = |(receiver, of): (&WorkerId, &ReceivingWorker)| {
            let mut unheld = Unheld::of(*receiver);
            let lone = of.waiting.iter().filter(|(_, waiting)| waiting.holders.is_empty());
            for (number, waiting) in lone {
                unheld.add(*number, Some(waiting.records), waiting.first);
            }
            (!unheld.blocks.is_empty()).then_some(unheld)
        };
        let mut all: Vec<Unheld> = self.receivers.iter().filter_map(of).collect();
        for ((receiver, number), (records, first)) in &self.awaited {
            let at =
                all.iter().position(|unheld| unheld.receiver == *receiver).unwrap_or_else(|| {
                    all.push(Unheld::of(*receiver));
                    all.len() - 1
                });
            all[at].add(*number, *records, *first);
        }
        all
    }

    /// These are lost, and no batch waits for them.
    pub(super) fn give_up(&mut self, receiver: WorkerId, blocks: &RangeSet) {
        self.awaited.retain(|(of, number), _| *of != receiver || !blocks.contains(*number));
        if let Some(receiver) = self.receivers.get_mut(&receiver) {
            receiver.waiting.retain(|number, _| !blocks.contains(*number));
        }
    }

    /// Of blocks that a batch has taken, how many records they have; none if only the number of all that it has of
    /// that worker is known.
    pub(super) fn records(&self, batch: u64, receiver: WorkerId, number: u64) -> Option<u64> {
        self.taken.records(batch, receiver, number)
    }

    /// How many records a batch has of a worker.
    pub(super) fn records_of(&self, batch: u64, receiver: WorkerId) -> u64 {
        self.taken.all(batch, receiver)
    }

    /// Batches before this one are complete. Returns, per lost receiver, the blocks that can be dropped, and the
    /// blocks whose reader, which would report that they can be dropped, is lost.
    pub(super) fn over(&mut self, oldest: u64) -> Vec<(WorkerId, RangeSet)> {
        let mut over = Vec::new();
        self.taken.forget(oldest);
        while let Some(first) = self.reads.first_entry().filter(|first| *first.key() < oldest) {
            let orphans = first.remove().into_iter().filter(|read| read.by.is_none());
            over.extend(orphans.map(|read| (read.receiver, read.blocks)));
        }
        for (worker, receiver) in &mut self.receivers {
            // Until then its process may come again, with more.
            let is_known = receiver.is_old || self.complete;
            let is_over = is_known
                && receiver.gone
                && receiver.waiting.is_empty()
                && receiver.last_cut < oldest;
            if is_over && !std::mem::replace(&mut receiver.is_over, true) {
                // Of one that was there with this master, nothing else can turn up.
                let spans = if receiver.is_old { receiver.seen.clone() } else { RangeSet::all() };
                over.push((*worker, spans));
            }
        }
        if !over.is_empty() {
            self.forget();
        }
        over
    }

    /// Forgets the oldest of those that are over, if they are many.
    fn forget(&mut self) {
        let over = self.receivers.iter().filter(|(_, receiver)| receiver.is_over);
        let over: Vec<WorkerId> = over.map(|(worker, _)| *worker).collect();
        for worker in over.iter().take(over.len().saturating_sub(REMEMBERED)) {
            self.receivers.remove(worker);
        }
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting().map(|waiting| waiting.bytes).sum()
    }

    /// Of what one worker has received.
    pub(super) fn waiting_bytes_of(&self, receiver: WorkerId) -> u64 {
        let receiver = self.receivers.get(&receiver);
        receiver.map_or(0, |receiver| receiver.waiting.values().map(|waiting| waiting.bytes).sum())
    }

    /// Whether something may still come of it: also what clients were told by another master is safe, and
    /// this one has not heard of.
    fn is_open(&self) -> bool {
        let may_come = self.goes_on && !self.complete && !left_out(Guard::HoldersAreAwaited);
        may_come
            || self.receivers.values().any(|receiver| receiver.open || !receiver.waiting.is_empty())
    }

    /// Whether nothing will come any more, once it is to stop; from then on nothing does.
    pub(super) fn ends(&mut self) -> bool {
        self.ended = self.stopping && !self.is_open();
        self.ended
    }

    fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.receivers.values().flat_map(|receiver| receiver.waiting.values())
    }

    /// The next cut is that of this batch, and there was another master, which may have registered more than
    /// it has cut.
    pub(super) fn goes_on(&mut self, next: u64) {
        (self.cut, self.goes_on) = (next.saturating_sub(1), true);
        self.clients.expect_gaps();
    }

    /// The next cut is that of this batch: those in between have nothing.
    pub(super) fn next_batch(&mut self, batch: u64) {
        self.cut = batch.saturating_sub(1);
    }

    /// Takes for the next batch what is held: per partition the received blocks that its owner reads. Of the owners
    /// that hold something, each reads in proportion to its weight; what none of them holds one of them has to ask
    /// for.
    pub(super) fn take(&mut self, partitions: usize) -> Vec<Vec<(WorkerId, u64)>> {
        self.cut += 1;
        let quotas = self.quotas();
        let Self { receivers, owned, weights, cut, reads, taken, .. } = self;
        // A worker that owns nothing is not listed.
        let within = |places: &[usize]| places.partition_point(|place| *place < partitions);
        let owners: BTreeMap<WorkerId, Reader<'_>> = owned
            .iter()
            .map(|(worker, places)| (*worker, &places[..within(places)]))
            .filter(|(_, places)| !places.is_empty())
            .map(|(worker, places)| {
                let weight = weights.get(&worker).copied().unwrap_or(FULL);
                (worker, Reader { weight, places })
            })
            .collect();
        let mut inputs: Vec<Vec<(WorkerId, u64)>> = vec![Vec::new(); partitions];
        let mut read: BTreeMap<(WorkerId, WorkerId), Read> = BTreeMap::new();
        for (worker, receiver) in receivers {
            let quota = quotas.get(worker).copied().unwrap_or(u64::MAX);
            let all = receiver.take(*worker, quota, &owners, |number, records| {
                taken.add(*cut, *worker, number, records);
            });
            if !all.is_empty() {
                receiver.last_cut = *cut;
            }
            for run in all.chunk_by(|one, next| one.readers == next.readers) {
                for (place, reader, number) in divide(run, &owners, *cut) {
                    inputs[place].push((*worker, number));
                    let none = || Read {
                        receiver: *worker,
                        blocks: RangeSet::default(),
                        by: Some(reader),
                    };
                    let read = read.entry((reader, *worker)).or_insert_with(none);
                    read.blocks.insert(number);
                }
            }
        }
        if !read.is_empty() {
            reads.insert(*cut, read.into_values().collect());
        }
        let used = inputs.iter().rposition(|input| !input.is_empty()).map_or(0, |last| last + 1);
        inputs.truncate(used);
        inputs
    }

    /// How much the next batch takes of what each worker has received, if not all: the clients of one do not hold up
    /// those of another.
    fn quotas(&mut self) -> BTreeMap<WorkerId, u64> {
        let Some(mut left) = self.limit.take() else { return BTreeMap::new() };
        let bytes = |(worker, receiver): (&WorkerId, &ReceivingWorker)| {
            (receiver.waiting.values().map(|waiting| waiting.bytes).sum::<u64>(), *worker)
        };
        let mut waiting: Vec<(u64, WorkerId)> = self.receivers.iter().map(bytes).collect();
        waiting.sort_unstable();
        let mut quotas = BTreeMap::new();
        for (at, (bytes, worker)) in waiting.iter().enumerate() {
            // Of those with more, each gets the same.
            let quota = left / (waiting.len() - at) as u64;
            left -= quota.min(*bytes);
            quotas.insert(*worker, quota.max(1));
        }
        quotas
    }

    /// What another process has to know to go on after the last cut.
    pub(super) fn position(&self) -> Option<Position> {
        let receivers = self.receivers.iter().map(|(worker, receiver)| WrittenReceiver {
            worker: *worker,
            seen: receiver.seen.clone(),
            last_cut: receiver.last_cut,
            waiting: receiver.waiting.iter().map(|(number, w)| (*number, w.bytes)).collect(),
        });
        let written = Written {
            cut: self.cut,
            receivers: receivers.collect(),
            clients: self.clients.latest(),
        };
        let waiting = self.receivers.iter().flat_map(|(worker, receiver)| {
            let waiting = receiver.waiting.iter();
            waiting.map(|(number, w)| (*worker, *number, w.records, w.first))
        });
        let records =
            WrittenRecords { waiting: waiting.collect(), taken: self.taken.written(self.cut) };
        // Into memory, of types that know their lengths: it cannot fail.
        let written = postcard::to_allocvec(&written).ok()?;
        postcard::to_extend(&records, written).ok().map(Position::from)
    }

    /// Goes on after the cut that had this position: all workers of that time are gone, and those that come
    /// say what they hold.
    pub(super) fn resume(position: &[u8]) -> Option<Self> {
        let (written, rest): (Written, _) = postcard::take_from_bytes(position).ok()?;
        let sound = written.receivers.iter().map(|receiver| &receiver.seen);
        let mut sound = sound.chain(written.clients.iter().map(|(_, taken)| taken));
        if !sound.all(RangeSet::is_sound) {
            return None;
        }
        let records: WrittenRecords = match rest.is_empty() {
            true => WrittenRecords::default(),
            false => postcard::from_bytes(rest).ok()?,
        };
        let known = records.waiting.iter();
        let known: BTreeMap<(WorkerId, u64), (u64, u64)> =
            known.map(|(worker, number, n, first)| ((*worker, *number), (*n, *first))).collect();
        let cut = written.cut;
        let receiver = |written: WrittenReceiver| {
            let waiting = written.waiting.into_iter();
            let waiting = waiting.map(|(number, bytes)| {
                let known = known.get(&(written.worker, number));
                let (records, first) = known.copied().unwrap_or((0, cut + 1));
                (number, Waiting { bytes, records, first, holders: Vec::new() })
            });
            let receiver = ReceivingWorker {
                seen: written.seen,
                waiting: waiting.collect(),
                last_cut: written.last_cut,
                open: false,
                gone: true,
                is_old: true,
                is_over: false,
            };
            (written.worker, receiver)
        };
        Some(Self {
            receivers: written.receivers.into_iter().map(receiver).collect(),
            clients: Clients::go_on(written.clients),
            cut,
            taken: Taken::resume(records.taken),
            goes_on: true,
            ..Self::default()
        })
    }
}

impl ReceivingWorker {
    /// Takes out what waits, of about `quota` bytes, where some worker can read it.
    fn take(
        &mut self,
        worker: WorkerId,
        quota: u64,
        owners: &BTreeMap<WorkerId, Reader<'_>>,
        mut each: impl FnMut(u64, u64),
    ) -> Vec<Taking> {
        let (mut all, mut bytes) = (Vec::new(), 0);
        self.waiting.retain(|number, waiting| {
            if bytes >= quota || waiting.holders.is_empty() || owners.is_empty() {
                return true;
            }
            let holders = waiting.holders.iter().filter(|holder| owners.contains_key(holder));
            let mut readers: Vec<WorkerId> = holders.copied().collect();
            if readers.is_empty() {
                // All that one worker has received goes to the same one.
                readers.extend(owners.keys().nth(worker.0 as usize % owners.len()));
            }
            bytes += waiting.bytes.max(1);
            each(*number, waiting.records);
            all.push(Taking { number: *number, bytes: waiting.bytes, readers });
            false
        });
        all
    }
}

/// Divides received blocks that the same workers can read among their partitions, in order: partition, its owner,
/// number.
fn divide(
    run: &[Taking],
    owners: &BTreeMap<WorkerId, Reader<'_>>,
    turn: u64,
) -> Vec<(usize, WorkerId, u64)> {
    let ids = run.first().map_or(&[][..], |first| &first.readers);
    let readers: Vec<Reader<'_>> = ids.iter().filter_map(|id| owners.get(id).copied()).collect();
    let bytes: u64 = run.iter().map(|taking| taking.bytes).sum();
    let pieces = pieces(bytes, SPLIT, &readers, turn);
    let Some(last) = pieces.len().checked_sub(1) else { return Vec::new() };
    let (mut at, mut done) = (0, 0);
    let mut divided = Vec::with_capacity(run.len());
    for taking in run {
        let end = done + taking.bytes;
        while at < last && (pieces[at].end <= done || pieces[at].is_slow && pieces[at].end < end) {
            at += 1;
        }
        done = end;
        let is_full = |piece: &&Piece| !piece.is_slow || piece.end >= end;
        let piece = pieces[..=at].iter().rfind(is_full);
        if let Some(piece) = piece.or(pieces.last()) {
            divided.push((piece.place, ids[piece.reader], taking.number));
        }
    }
    divided
}

impl Waiting {
    fn hold(&mut self, by: WorkerId) {
        if !self.holders.contains(&by) {
            self.holders.push(by);
        }
    }
}
