//! What the master knows of receipts: who holds them, which are part of a batch, what clients have sent.
//!
//! Invariant: a receipt is *seen* from the moment on that it is reported, and *waits* until a batch takes
//! it; what is seen and does not wait never waits again. A master that goes on for another knows what was so
//! at the last cut, and hears of the rest from the workers that hold it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::clients::Clients;
use super::push::{Receipt, Registered, Unheld};
use super::taken::{Taken, WrittenTaken};
use super::{Refusal, Spans};
use crate::guards::{Guard, guard, left_out};
use crate::id::WorkerId;
use crate::shares::{FULL, Piece, Reader, pieces};
use crate::source::Position;
use crate::source::tcp::SPLIT;

/// So many workers that are gone, and of whom nobody needs anything any more, are remembered by what they
/// had received: a copy of it may still turn up.
const REMEMBERED: usize = 1 << 10;

/// What is known of receipts.
#[derive(Default)]
pub(super) struct Book {
    takers: BTreeMap<WorkerId, Taker>,
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
    /// How many records the receipts have that batches have taken.
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
struct Taker {
    /// The numbers that were reported.
    seen: Spans,
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
    /// It was said that nobody needs anything of it.
    is_over: bool,
}

/// A receipt that no batch has taken.
struct Waiting {
    bytes: u64,
    records: u64,
    /// The number of the batch that it was received for.
    first: u64,
    /// Who has it; who received it comes first, if it is there.
    holders: Vec<WorkerId>,
}

/// Receipts of a worker that a batch has.
struct Read {
    taker: WorkerId,
    receipts: Spans,
    /// Who says so to all who hold them when the batch is over; none if it is gone.
    by: Option<WorkerId>,
}

/// A receipt that the next batch takes.
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
    takers: Vec<WrittenTaker>,
    clients: Vec<(u128, Spans)>,
}

#[derive(Serialize, Deserialize)]
struct WrittenTaker {
    worker: WorkerId,
    seen: Spans,
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

impl Book {
    pub(super) fn opened(&mut self, worker: WorkerId) {
        self.takers.entry(worker).or_default().open = true;
    }

    pub(super) fn closed(&mut self, worker: WorkerId) {
        if let Some(taker) = self.takers.get_mut(&worker) {
            taker.open = false;
        }
    }

    /// A worker reports what it has received.
    pub(super) fn register(
        &mut self,
        receipt: Receipt,
        records: u64,
    ) -> Result<Registered, Refusal> {
        let first = self.cut + 1;
        let taker = self.takers.entry(receipt.taker).or_default();
        if taker.seen.contains(receipt.number) {
            return Ok(Registered::Again);
        }
        if self.ended {
            return Ok(Registered::Late);
        }
        // One that is refused is not seen: it may be reported again, if nobody heard of the refusal.
        let is_new = receipt.client.map_or(Ok(true), |batch| self.clients.take(batch))?;
        taker.seen.insert(receipt.number);
        if !guard(Guard::AppendCountsOnce, is_new) {
            return Ok(Registered::Known);
        }
        let holders = [receipt.taker].into_iter().chain(receipt.copy).collect();
        let waiting = Waiting { bytes: receipt.bytes, records, first, holders };
        taker.waiting.insert(receipt.number, waiting);
        Ok(Registered::Taken)
    }

    /// A worker holds something that a worker of the time of another master has received.
    pub(super) fn reclaim(&mut self, receipt: Receipt, records: u64, by: WorkerId) -> Registered {
        let first = self.cut + 1;
        // It may be all that is known of the other master, if that one never cut anything.
        self.clients.expect_gaps();
        self.awaited.remove(&(receipt.taker, receipt.number));
        let old = || Taker { gone: true, is_old: true, ..Taker::default() };
        let taker = self.takers.entry(receipt.taker).or_insert_with(old);
        // It has come again, or copies of what it had have: more may turn up late.
        taker.is_old = true;
        let holders = [by].into_iter().chain(receipt.copy);
        if let Some(waiting) = taker.waiting.get_mut(&receipt.number) {
            for holder in holders {
                waiting.hold(holder);
            }
            return Registered::Again;
        }
        if self.ended && !taker.seen.contains(receipt.number) {
            return Registered::Late;
        }
        // Whoever comes late is told again what is over.
        taker.is_over = false;
        if !guard(Guard::ReclaimedOnce, taker.seen.insert(receipt.number)) {
            // Some batch has it, or another receipt has the same lines: it is kept until all is over.
            return Registered::Again;
        }
        // There are no gaps for one that goes on.
        if receipt.client.is_some_and(|batch| self.clients.take(batch) != Ok(true)) {
            return Registered::Known;
        }
        let holders = holders.collect();
        let waiting = Waiting { bytes: receipt.bytes, records, first, holders };
        taker.waiting.insert(receipt.number, waiting);
        Registered::Taken
    }

    /// Another worker has copies of something. What a batch has taken is read by whoever that batch has found.
    pub(super) fn held_by(&mut self, taker: WorkerId, numbers: Range<u64>, by: WorkerId) {
        if let Some(taker) = self.takers.get_mut(&taker).filter(|_| !numbers.is_empty()) {
            taker.waiting.range_mut(numbers).for_each(|(_, waiting)| waiting.hold(by));
        }
    }

    /// A worker is gone. Its process may come again as another worker, with what it holds: what nobody holds
    /// any more is lost only when there has been time for that.
    pub(super) fn gone(&mut self, worker: WorkerId) {
        if let Some(taker) = self.takers.get_mut(&worker) {
            (taker.open, taker.gone) = (false, true);
        }
        for taker in self.takers.values_mut() {
            for waiting in taker.waiting.values_mut() {
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
        taker: WorkerId,
        receipts: &Spans,
        records: Option<u64>,
        first: u64,
    ) {
        let seen = self.takers.get(&taker).map(|taker| &taker.seen);
        let unseen = receipts.runs().flatten();
        let unseen = unseen.filter(|number| seen.is_none_or(|seen| !seen.contains(*number)));
        self.awaited.extend(unseen.map(|number| ((taker, number), (records, first))));
    }

    /// Registered receipts that wait for a batch and that no worker holds, by who received them.
    pub(super) fn unheld(&self) -> Vec<Unheld> {
        let of = |(taker, of): (&WorkerId, &Taker)| {
            let mut unheld = Unheld::of(*taker);
            let lone = of.waiting.iter().filter(|(_, waiting)| waiting.holders.is_empty());
            for (number, waiting) in lone {
                unheld.add(*number, Some(waiting.records), waiting.first);
            }
            (!unheld.receipts.is_empty()).then_some(unheld)
        };
        let mut all: Vec<Unheld> = self.takers.iter().filter_map(of).collect();
        for ((taker, number), (records, first)) in &self.awaited {
            let at = all.iter().position(|unheld| unheld.taker == *taker).unwrap_or_else(|| {
                all.push(Unheld::of(*taker));
                all.len() - 1
            });
            all[at].add(*number, *records, *first);
        }
        all
    }

    /// These are lost, and no batch waits for them.
    pub(super) fn give_up(&mut self, taker: WorkerId, receipts: &Spans) {
        self.awaited.retain(|(of, number), _| *of != taker || !receipts.contains(*number));
        if let Some(taker) = self.takers.get_mut(&taker) {
            taker.waiting.retain(|number, _| !receipts.contains(*number));
        }
    }

    /// Of receipts that a batch has taken, how many records they have; none if only the number of all that it has
    /// of that worker is known.
    pub(super) fn records(&self, batch: u64, taker: WorkerId, number: u64) -> Option<u64> {
        self.taken.records(batch, taker, number)
    }

    /// How many records a batch has of a worker.
    pub(super) fn records_of(&self, batch: u64, taker: WorkerId) -> u64 {
        self.taken.all(batch, taker)
    }

    /// Batches before this one are over: of which workers nobody needs what any more, if those who have read
    /// it are gone, or it is they themselves that are.
    pub(super) fn over(&mut self, oldest: u64) -> Vec<(WorkerId, Spans)> {
        let mut over = Vec::new();
        self.taken.forget(oldest);
        while let Some(first) = self.reads.first_entry().filter(|first| *first.key() < oldest) {
            let orphans = first.remove().into_iter().filter(|read| read.by.is_none());
            over.extend(orphans.map(|read| (read.taker, read.receipts)));
        }
        for (worker, taker) in &mut self.takers {
            // Until then its process may come again, with more.
            let is_known = taker.is_old || self.complete;
            let is_over =
                is_known && taker.gone && taker.waiting.is_empty() && taker.last_cut < oldest;
            if is_over && !std::mem::replace(&mut taker.is_over, true) {
                // Of one that was there with this master, nothing else can turn up.
                let spans = if taker.is_old { taker.seen.clone() } else { Spans::all() };
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
        let over = self.takers.iter().filter(|(_, taker)| taker.is_over);
        let over: Vec<WorkerId> = over.map(|(worker, _)| *worker).collect();
        for worker in over.iter().take(over.len().saturating_sub(REMEMBERED)) {
            self.takers.remove(worker);
        }
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting().map(|waiting| waiting.bytes).sum()
    }

    /// Of what one worker has received.
    pub(super) fn waiting_bytes_of(&self, taker: WorkerId) -> u64 {
        let taker = self.takers.get(&taker);
        taker.map_or(0, |taker| taker.waiting.values().map(|waiting| waiting.bytes).sum())
    }

    /// Whether something may still come of it: also what clients were told by another master is safe, and
    /// this one has not heard of.
    fn is_open(&self) -> bool {
        let may_come = self.goes_on && !self.complete && !left_out(Guard::HoldersAreAwaited);
        may_come || self.takers.values().any(|taker| taker.open || !taker.waiting.is_empty())
    }

    /// Whether nothing will come any more, once it is to stop; from then on nothing does.
    pub(super) fn ends(&mut self) -> bool {
        self.ended = self.stopping && !self.is_open();
        self.ended
    }

    fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.takers.values().flat_map(|taker| taker.waiting.values())
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

    /// Takes for the next batch what is held: per partition the receipts that its owner reads. Of the owners that hold
    /// something, each reads in proportion to its weight; what none of them holds one of them has to ask for.
    pub(super) fn take(&mut self, partitions: usize) -> Vec<Vec<(WorkerId, u64)>> {
        self.cut += 1;
        let quotas = self.quotas();
        let Self { takers, owned, weights, cut, reads, taken, .. } = self;
        // Nobody is listed who owns nothing.
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
        for (worker, taker) in takers {
            let quota = quotas.get(worker).copied().unwrap_or(u64::MAX);
            let all = taker.take(*worker, quota, &owners, |number, records| {
                taken.add(*cut, *worker, number, records);
            });
            if !all.is_empty() {
                taker.last_cut = *cut;
            }
            for run in all.chunk_by(|one, next| one.readers == next.readers) {
                for (place, reader, number) in divide(run, &owners, *cut) {
                    inputs[place].push((*worker, number));
                    let none =
                        || Read { taker: *worker, receipts: Spans::default(), by: Some(reader) };
                    let read = read.entry((reader, *worker)).or_insert_with(none);
                    read.receipts.insert(number);
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
        let bytes = |(worker, taker): (&WorkerId, &Taker)| {
            (taker.waiting.values().map(|waiting| waiting.bytes).sum::<u64>(), *worker)
        };
        let mut waiting: Vec<(u64, WorkerId)> = self.takers.iter().map(bytes).collect();
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
        let takers = self.takers.iter().map(|(worker, taker)| WrittenTaker {
            worker: *worker,
            seen: taker.seen.clone(),
            last_cut: taker.last_cut,
            waiting: taker.waiting.iter().map(|(number, w)| (*number, w.bytes)).collect(),
        });
        let written =
            Written { cut: self.cut, takers: takers.collect(), clients: self.clients.latest() };
        let waiting = self.takers.iter().flat_map(|(worker, taker)| {
            let waiting = taker.waiting.iter();
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
        let sound = written.takers.iter().map(|taker| &taker.seen);
        let mut sound = sound.chain(written.clients.iter().map(|(_, taken)| taken));
        if !sound.all(Spans::is_sound) {
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
        let taker = |written: WrittenTaker| {
            let waiting = written.waiting.into_iter();
            let waiting = waiting.map(|(number, bytes)| {
                let known = known.get(&(written.worker, number));
                let (records, first) = known.copied().unwrap_or((0, cut + 1));
                (number, Waiting { bytes, records, first, holders: Vec::new() })
            });
            let taker = Taker {
                seen: written.seen,
                waiting: waiting.collect(),
                last_cut: written.last_cut,
                open: false,
                gone: true,
                is_old: true,
                is_over: false,
            };
            (written.worker, taker)
        };
        Some(Self {
            takers: written.takers.into_iter().map(taker).collect(),
            clients: Clients::go_on(written.clients),
            cut,
            taken: Taken::resume(records.taken),
            goes_on: true,
            ..Self::default()
        })
    }
}

impl Taker {
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

/// Divides receipts that the same workers can read among their partitions, in order: partition, its owner, number.
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
