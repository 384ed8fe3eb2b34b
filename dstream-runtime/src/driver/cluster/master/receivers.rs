//! Which worker receives what is pushed for which source.
//!
//! Clients of the library may send to any worker that owns partitions. The address that the source's own
//! URL names is listened on by one of them, or by as many as its option `receivers` says, as far as there are
//! enough; sources are spread over workers. A receiver moves when its worker leaves, is lost or is slow and another is
//! not: clients are acknowledged as fast as their receiver is.
//!
//! A worker may be unable to listen: of several on one host only one can have a fixed port, and one that is stopped
//! or was given up still has it. Then others are told to, and each again after a while. The worker that listens
//! keeps the role, after a restart of the master too, even if others were told to listen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::losses::Needed;
use crate::driver::cluster::worker::BlockRange;
use crate::guards::{Guard, guard};
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::source::receive::{PushSource, RangeSet, ReceivedBlock, Refusal, Registered, Unheld};

pub(crate) struct Receivers {
    sources: Vec<Option<Pushed>>,
    /// Who owns partitions.
    owners: BTreeSet<WorkerId>,
    /// Who is about to leave.
    leaving: BTreeSet<WorkerId>,
    /// Who is slow.
    slow: BTreeSet<WorkerId>,
    /// What batches before this one have read is not needed any more.
    oldest: BatchSeq,
    /// Until then a worker may come that listens already.
    not_before: Option<Instant>,
}

struct Pushed {
    source: PushSource,
    /// Who receives, or was told to.
    at: BTreeMap<WorkerId, At>,
    /// Workers that could not listen.
    unable: BTreeMap<WorkerId, Unable>,
    /// Some worker has listened at the source's address, also when there was another master.
    has_listened: bool,
    /// A slow worker listens, and no other could.
    in_vain: bool,
}

/// A worker that could not listen at a source's address.
#[derive(Debug, Clone)]
struct Unable {
    why: String,
    /// When it has tried for the first time, and for the last.
    since: Instant,
    last: Instant,
    /// How often it has tried.
    tries: u32,
    /// It is not told to again before then.
    until: Instant,
}

/// The pause before a worker that could not listen is told to again; it doubles each time.
const RETRY: Duration = Duration::from_millis(200);
/// The longest such pause.
const RETRY_MOST: Duration = Duration::from_secs(5);
/// An address at which none has ever listened is given up after this time: it is most likely wrong.
const GIVE_UP: Duration = Duration::from_secs(5);
/// A role that was taken from a slow worker goes back to it when each of the others has tried as often as this.
const TRIES: u32 = 4;
/// After a restart of the master, how long a worker that listens already may take to come before another is told to.
const COMES_AGAIN: Duration = Duration::from_secs(1);

/// What is to be done about a worker that says that it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listens {
    /// It goes on.
    Stays,
    /// It goes on, and another one that was told to is not to.
    InsteadOf(WorkerId),
    /// It is to stop: as many as are wanted listen.
    IsTooMany,
}

#[derive(Default)]
struct At {
    /// Whether it listens at the source's own address.
    listens: bool,
    /// Where that is, once it does.
    url: Option<String>,
    /// Records registered that it has received.
    records: u64,
    /// Clients for whom it had no place.
    turned_away: u64,
}

impl Pushed {
    /// How many listen at the source's own address, or were told to.
    fn listening(&self) -> usize {
        self.at.values().filter(|at| at.listens).count()
    }

    /// Of something that a worker has received.
    fn count(&mut self, receiver: WorkerId, records: u64) {
        if let Some(at) = self.at.get_mut(&receiver) {
            at.records += records;
        }
    }
}

/// A receiver, for people.
pub(crate) struct Seen<'r> {
    pub(crate) source: SourceId,
    pub(crate) worker: WorkerId,
    pub(crate) url: &'r str,
    /// Taken in by this worker.
    pub(crate) records: u64,
    /// Bytes of it that no batch has taken yet.
    pub(crate) waiting: u64,
    /// Clients for whom it had no place.
    pub(crate) turned_away: u64,
    /// Why it does not listen, if it should.
    pub(crate) why: Option<&'r str>,
}

impl Receivers {
    /// Of these sources, those that are not pushed left out.
    pub(crate) fn new(pushed: Vec<Option<PushSource>>) -> Self {
        let fresh = |source| Pushed {
            source,
            at: BTreeMap::new(),
            unable: BTreeMap::new(),
            has_listened: false,
            in_vain: false,
        };
        let sources = pushed.into_iter().map(|source| source.map(fresh)).collect();
        let (owners, leaving, slow) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { sources, owners, leaving, slow, oldest: BatchSeq(0), not_before: None }
    }

    /// There was a master before; whether workers may listen already.
    pub(crate) fn goes_on(&mut self, may_listen: bool, now: Instant) {
        self.not_before = may_listen.then_some(now + COMES_AGAIN);
        self.sources.iter_mut().flatten().for_each(|pushed| pushed.has_listened = true);
    }

    /// When workers are to be told next to listen.
    pub(crate) fn due(&self) -> Option<Instant> {
        let wants = |pushed: &&Pushed| pushed.listening() < pushed.source.receivers();
        let lacking = || self.each().map(|(_, pushed)| pushed).filter(wants);
        lacking().next()?;
        let waits = self.not_before;
        let may = |pushed: &Pushed, worker: &WorkerId| {
            let is_told = pushed.at.get(worker).is_some_and(|at| at.listens);
            self.owners.contains(worker) && !self.leaving.contains(worker) && !is_told
        };
        let unable = lacking().flat_map(|pushed| {
            let rests = pushed.unable.iter().filter(|(worker, _)| may(pushed, worker));
            rests.map(|(_, unable)| unable.until)
        });
        waits.into_iter().chain(unable).min()
    }

    /// Whether any source is pushed.
    pub(super) fn any(&self) -> bool {
        self.each().next().is_some()
    }

    fn get(&mut self, source: SourceId) -> Option<&mut Pushed> {
        self.sources.get_mut(source.index())?.as_mut()
    }

    fn each(&self) -> impl Iterator<Item = (SourceId, &Pushed)> {
        let sources = self.sources.iter().enumerate();
        sources.filter_map(|(id, pushed)| Some((SourceId(id as u16), pushed.as_ref()?)))
    }

    /// Whether any worker owns something.
    pub(crate) fn is_placed(&self) -> bool {
        !self.owners.is_empty()
    }

    /// A placement holds from the next cut on. It may name workers that have been lost since it was made:
    /// only those that are there can receive.
    pub(crate) fn placed(&mut self, placement: &[WorkerId], is_there: impl Fn(WorkerId) -> bool) {
        let is_there = |worker: &WorkerId| guard(Guard::ReceiversAreThere, is_there(*worker));
        self.owners = placement.iter().copied().filter(is_there).collect();
        for (_, pushed) in self.each() {
            pushed.source.placed(placement);
        }
    }

    /// From the next cut on, workers read in proportion to these weights.
    pub(crate) fn weigh(&self, weights: &[(WorkerId, u32)]) {
        self.each().for_each(|(_, pushed)| pushed.source.weigh(weights));
    }

    /// A worker is slow, or is not any more. It gets nothing back that has moved.
    pub(super) fn is_slow(&mut self, worker: WorkerId, is_slow: bool) {
        match is_slow {
            true => self.slow.insert(worker),
            false => self.slow.remove(&worker),
        };
        self.sources.iter_mut().flatten().for_each(|pushed| pushed.in_vain = false);
    }

    /// Takes the role from slow workers for each of whom there is another that may listen. Who that is, by source.
    fn relieve(&mut self, able: &[WorkerId], now: Instant) -> Vec<(SourceId, WorkerId, bool)> {
        let mut relieved = Vec::new();
        for (id, pushed) in self.sources.iter_mut().enumerate() {
            let Some(pushed) = pushed else { continue };
            if pushed.in_vain {
                continue;
            }
            let may = |worker: &&WorkerId| {
                let listens = pushed.at.get(worker).is_some_and(|at| at.listens);
                let rests = pushed.unable.get(worker).is_some_and(|unable| unable.until > now);
                !listens && !rests && !self.slow.contains(worker)
            };
            let others = able.iter().filter(may).count();
            let is_slow = |(worker, at): &(&WorkerId, &mut At)| {
                at.url.is_some() && self.slow.contains(worker)
            };
            for (worker, at) in pushed.at.iter_mut().filter(is_slow).take(others) {
                (at.listens, at.url) = (false, None);
                relieved.push((SourceId(id as u16), *worker, false));
            }
        }
        relieved
    }

    /// Who is to receive what from now on, and whether it listens at the source's own address.
    pub(crate) fn assign(&mut self, now: Instant) -> Vec<(SourceId, WorkerId, bool)> {
        self.not_before = self.not_before.filter(|until| *until > now);
        let waits = self.not_before.is_some();
        let able: Vec<WorkerId> = self.owners.difference(&self.leaving).copied().collect();
        let mut assigned = if waits { Vec::new() } else { self.relieve(&able, now) };
        let mut load: BTreeMap<WorkerId, usize> = able.iter().map(|worker| (*worker, 0)).collect();
        let listening = self.each().flat_map(|(_, p)| p.at.iter().filter(|(_, at)| at.listens));
        for (worker, _) in listening {
            if let Some(load) = load.get_mut(worker) {
                *load += 1;
            }
        }
        for (id, pushed) in self.sources.iter_mut().enumerate() {
            let Some(pushed) = pushed else { continue };
            let source = SourceId(id as u16);
            let listens = |at: &BTreeMap<WorkerId, At>, worker: &WorkerId| {
                at.get(worker).is_some_and(|at| at.listens)
            };
            let wanted = if waits { 0 } else { pushed.source.receivers() };
            let rests = |unable: &BTreeMap<WorkerId, Unable>, worker: &WorkerId| {
                unable.get(worker).is_some_and(|unable| unable.until > now)
            };
            let slow = &self.slow;
            // Others may find the address in use until the slow worker has closed it.
            let tries =
                |worker: &WorkerId| pushed.unable.get(worker).is_some_and(|u| u.tries < TRIES);
            let waits_for_fast = able.iter().any(|worker| !slow.contains(worker) && tries(worker));
            for _ in pushed.listening()..wanted {
                let free = load.iter_mut().filter(|(worker, _)| {
                    let waits = waits_for_fast && slow.contains(worker);
                    !listens(&pushed.at, worker) && !rests(&pushed.unable, worker) && !waits
                });
                let least =
                    free.min_by_key(|(worker, load)| (slow.contains(worker), **load, **worker));
                let Some((worker, load)) = least else { break };
                *load += 1;
                pushed.in_vain = slow.contains(worker);
                pushed.at.entry(*worker).or_default().listens = true;
                assigned.push((source, *worker, true));
            }
            for worker in &able {
                if !pushed.at.contains_key(worker) {
                    pushed.at.insert(*worker, At::default());
                    assigned.push((source, *worker, false));
                }
            }
            // From here on the source waits for them.
            pushed.at.keys().for_each(|worker| pushed.source.opened(*worker));
        }
        assigned
    }

    /// A receiver listens: one that was told to, or was open when there was another master, or before its worker was
    /// given up. One that listens goes before those that were only told to.
    pub(crate) fn opened(&mut self, source: SourceId, worker: WorkerId, url: String) -> Listens {
        let Some(pushed) = self.get(source) else { return Listens::Stays };
        let is_known = pushed.at.get(&worker).is_some_and(|at| at.listens);
        let mut stays = Listens::Stays;
        if !is_known && pushed.listening() >= pushed.source.receivers() {
            let told = pushed.at.iter_mut().find(|(_, at)| at.listens && at.url.is_none());
            let Some((other, at)) = told else { return Listens::IsTooMany };
            at.listens = false;
            stays = Listens::InsteadOf(*other);
        }
        let at = pushed.at.entry(worker).or_default();
        (at.listens, at.url) = (true, Some(url));
        pushed.unable.clear();
        pushed.has_listened = true;
        pushed.source.opened(worker);
        stays
    }

    /// A worker cannot listen at a source's address: others are told to, and it again later. Whether it has just begun
    /// to be so, and whether the address is to be given up.
    pub(crate) fn cannot_listen(
        &mut self,
        source: SourceId,
        worker: WorkerId,
        why: String,
        now: Instant,
    ) -> (bool, bool) {
        let Some(pushed) = self.sources.get_mut(source.index()).and_then(Option::as_mut) else {
            return (false, false);
        };
        if let Some(at) = pushed.at.get_mut(&worker) {
            (at.listens, at.url) = (false, None);
        }
        let before = pushed.unable.get(&worker);
        let (since, tries) = before.map_or((now, 0), |unable| (unable.since, unable.tries));
        let rest = RETRY_MOST.min(RETRY * 2_u32.saturating_pow(tries.min(16)));
        let is_news = before.is_none_or(|unable| unable.why != why);
        let unable = Unable { why, since, last: now, tries: tries + 1, until: now + rest };
        pushed.unable.insert(worker, unable);
        let is_wrong = |unable: &Unable| unable.last - unable.since >= GIVE_UP;
        let gives_up = !pushed.has_listened && pushed.unable.values().all(is_wrong);
        (is_news, gives_up)
    }

    /// A worker has come that may have received for another master, or before it was given up, while all are to
    /// stop: whether it is to be told so, and waited for.
    pub(super) fn reopened(&mut self, worker: WorkerId) -> bool {
        for pushed in self.sources.iter_mut().flatten() {
            pushed.at.entry(worker).or_default();
            pushed.source.opened(worker);
        }
        self.any()
    }

    /// A receiver turned away this many more clients.
    pub(super) fn turned_away(&mut self, source: SourceId, worker: WorkerId, clients: u64) {
        if let Some(at) = self.get(source).and_then(|pushed| pushed.at.get_mut(&worker)) {
            at.turned_away = at.turned_away.saturating_add(clients);
        }
    }

    /// A receiver has ended.
    pub(crate) fn closed(&mut self, source: SourceId, worker: WorkerId) {
        if let Some(pushed) = self.get(source) {
            pushed.at.remove(&worker);
            pushed.source.closed(worker);
        }
    }

    /// A worker holds something of the time of another master; none if nothing is received for that source
    /// at all.
    pub(crate) fn reclaim(
        &mut self,
        source: SourceId,
        worker: WorkerId,
        received_block: ReceivedBlock,
        records: u64,
    ) -> Option<Registered> {
        let pushed = self.get(source)?;
        let how = pushed.source.reclaim(received_block, records, worker);
        if how == Registered::Taken {
            pushed.count(received_block.receiver, records);
        }
        Some(how)
    }

    /// What clients were told is safe and no worker holds: of what waits for a batch, and these that batches need.
    pub(super) fn unheld(&self, needed: &[Needed]) -> Vec<(SourceId, Unheld)> {
        let mut all = Vec::new();
        for (source, pushed) in self.each() {
            let of = |(batch, of, receiver, number): &Needed| {
                (*of == source).then_some((*batch, *receiver, *number))
            };
            let needed: Vec<_> = needed.iter().filter_map(of).collect();
            let mut unheld = pushed.source.unheld();
            for taken in pushed.source.taken(&needed) {
                match unheld.iter_mut().find(|unheld| unheld.receiver == taken.receiver) {
                    Some(unheld) => unheld.join(taken),
                    None => unheld.push(taken),
                }
            }
            all.extend(unheld.into_iter().map(|unheld| (source, unheld)));
        }
        all
    }

    /// The job goes on without these.
    pub(crate) fn give_up(&self, source: SourceId, receiver: WorkerId, blocks: &RangeSet) {
        let pushed = self.sources.get(source.index()).and_then(Option::as_ref);
        pushed.into_iter().for_each(|pushed| pushed.source.give_up(receiver, blocks));
    }

    /// Every worker that was there with another master has had time to come.
    pub(crate) fn complete(&self) {
        self.each().for_each(|(_, pushed)| pushed.source.complete());
    }

    /// No worker comes any more that was there with another master.
    pub(crate) fn all_came(&self) {
        self.each().for_each(|(_, pushed)| pushed.source.all_came());
    }

    /// A worker has received something; none if it is not to receive for that source at all.
    pub(crate) fn register(
        &mut self,
        source: SourceId,
        worker: WorkerId,
        received_block: ReceivedBlock,
        records: u64,
    ) -> Option<Result<Registered, Refusal>> {
        let pushed = self.get(source)?;
        let how =
            pushed.source.register(ReceivedBlock { receiver: worker, ..received_block }, records);
        if how == Ok(Registered::Taken) {
            pushed.count(worker, records);
        }
        Some(how)
    }

    /// What a worker has received another one has a copy of, too.
    pub(crate) fn copied(
        &mut self,
        source: SourceId,
        receiver: WorkerId,
        number: u64,
        by: WorkerId,
    ) {
        if let Some(pushed) = self.get(source) {
            pushed.source.copied(receiver, number, by);
        }
    }

    /// Another worker has these, too.
    pub(super) fn held_by(&mut self, numbers: BlockRange, by: WorkerId) {
        let BlockRange { receiver, source, from, to } = numbers;
        if let Some(pushed) = self.get(source) {
            pushed.source.held_by(receiver, from..to, by);
        }
    }

    /// Batches before this one are complete: returns, per worker, the received blocks of which no copy is needed
    /// any more. None if that was reported before, or nothing is pushed.
    pub(crate) fn over(&mut self, oldest: BatchSeq) -> Option<Vec<(SourceId, WorkerId, RangeSet)>> {
        if oldest <= self.oldest || !self.any() {
            return None;
        }
        self.oldest = oldest;
        let over = |(source, pushed): (SourceId, &Pushed)| {
            let over = pushed.source.over(oldest).into_iter();
            over.map(move |(receiver, blocks)| (source, receiver, blocks))
        };
        Some(self.each().flat_map(over).collect())
    }

    /// A worker is about to leave; whether it receives something, which it should not any more.
    pub(crate) fn drains(&mut self, worker: WorkerId) -> bool {
        self.leaving.insert(worker);
        self.each().any(|(_, pushed)| pushed.at.contains_key(&worker))
    }

    /// A worker is gone, and what it held with it.
    pub(crate) fn gone(&mut self, worker: WorkerId) {
        self.leaving.remove(&worker);
        self.slow.remove(&worker);
        self.owners.remove(&worker);
        for pushed in self.sources.iter_mut().flatten() {
            pushed.at.remove(&worker);
            pushed.unable.remove(&worker);
            pushed.source.gone(worker);
        }
    }

    /// Whether a worker may still receive something.
    pub(super) fn receives(&self, worker: WorkerId) -> bool {
        self.each().any(|(_, pushed)| pushed.at.contains_key(&worker))
    }

    /// All workers that receive.
    pub(super) fn all(&self) -> BTreeSet<WorkerId> {
        self.each().flat_map(|(_, pushed)| pushed.at.keys().copied()).collect()
    }

    /// Who takes in what clients of the library send for a source, unless it is about to leave.
    pub(super) fn open(&self) -> impl Iterator<Item = (SourceId, WorkerId, u64)> {
        self.each().flat_map(|(source, pushed)| {
            let stays = pushed.at.keys().filter(|worker| !self.leaving.contains(worker));
            stays.map(move |worker| (source, *worker, pushed.source.waiting()))
        })
    }

    /// All receivers that listen, and where none does, the workers that cannot.
    pub(crate) fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        self.each().flat_map(|(source, pushed)| {
            let listening = pushed
                .at
                .iter()
                .filter_map(|(worker, at)| Some((*worker, at.url.as_deref()?, at.records, None)));
            let unable = pushed.unable.iter().map(|(worker, unable)| {
                let records = pushed.at.get(worker).map_or(0, |at| at.records);
                (*worker, "", records, Some(unable.why.as_str()))
            });
            let waiting = |worker| pushed.source.waiting_of(worker);
            listening.chain(unable).map(move |(worker, url, records, why)| Seen {
                source,
                worker,
                url,
                records,
                waiting: waiting(worker),
                turned_away: pushed.at.get(&worker).map_or(0, |at| at.turned_away),
                why,
            })
        })
    }
}

#[cfg(test)]
mod tests;
