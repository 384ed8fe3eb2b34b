//! Which worker receives what is pushed for which source.
//!
//! Clients of the library may send to any worker that owns partitions. The address that the source's own
//! URL names is listened on by one of them, or by as many as its option `receivers` says, as far as there are
//! so many; sources are spread over workers. A receiver moves when its worker leaves or is lost.
//!
//! A worker may be unable to listen: of several on one host, one alone can have a fixed port, and one that is stopped or
//! was given up still has it. Then others are told to, and each again after a while. The worker that listens keeps the
//! role: after a restart of the master too, whoever else was told to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::losses::Needed;
use crate::driver::cluster::worker::Numbers;
use crate::guards::{Guard, guard};
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::source::receive::{PushSource, Receipt, Refusal, Registered, Spans, Unheld};

pub(crate) struct Receivers {
    sources: Vec<Option<Pushed>>,
    /// Who owns partitions.
    owners: BTreeSet<WorkerId>,
    /// Who is about to leave.
    leaving: BTreeSet<WorkerId>,
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

/// A worker that could not listen is told to again after so long, then after twice as long, and so on.
const RETRY: Duration = Duration::from_millis(200);
/// But at least so often.
const RETRY_MOST: Duration = Duration::from_secs(5);
/// An address at which none has ever listened is given up after so long: it is most likely wrong.
const GIVE_UP: Duration = Duration::from_secs(5);
/// After a restart of the master, a worker that listens already has so long to come before another one is told to.
const COMES_AGAIN: Duration = Duration::from_secs(1);

/// What is to be done about a worker that says that it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listens {
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
}

impl Pushed {
    /// How many listen at the source's own address, or were told to.
    fn listening(&self) -> usize {
        self.at.values().filter(|at| at.listens).count()
    }

    /// Of something that a worker has received.
    fn count(&mut self, taker: WorkerId, records: u64) {
        if let Some(at) = self.at.get_mut(&taker) {
            at.records += records;
        }
    }
}

/// A receiver, for people.
pub(super) struct Seen<'r> {
    pub(super) source: SourceId,
    pub(super) worker: WorkerId,
    pub(super) url: &'r str,
    /// Taken in by this worker.
    pub(super) records: u64,
    /// Bytes of it that no batch has taken yet.
    pub(super) waiting: u64,
    /// Why it does not listen, if it should.
    pub(super) why: Option<&'r str>,
}

impl Receivers {
    /// Of these sources, those that are not pushed left out.
    pub(crate) fn new(pushed: Vec<Option<PushSource>>) -> Self {
        let fresh = |source| Pushed {
            source,
            at: BTreeMap::new(),
            unable: BTreeMap::new(),
            has_listened: false,
        };
        let sources = pushed.into_iter().map(|source| source.map(fresh)).collect();
        let (owners, leaving) = (BTreeSet::new(), BTreeSet::new());
        Self { sources, owners, leaving, oldest: BatchSeq(0), not_before: None }
    }

    /// There was a master before: workers may listen already.
    pub(super) fn goes_on(&mut self, now: Instant) {
        self.not_before = Some(now + COMES_AGAIN);
        self.sources.iter_mut().flatten().for_each(|pushed| pushed.has_listened = true);
    }

    /// When workers are to be told next to listen.
    pub(super) fn due(&self) -> Option<Instant> {
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
    pub(super) fn is_placed(&self) -> bool {
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

    /// Who is to receive what from now on, and whether it listens at the source's own address.
    pub(crate) fn assign(&mut self, now: Instant) -> Vec<(SourceId, WorkerId, bool)> {
        self.not_before = self.not_before.filter(|until| *until > now);
        let waits = self.not_before.is_some();
        let able: Vec<WorkerId> = self.owners.difference(&self.leaving).copied().collect();
        let mut load: BTreeMap<WorkerId, usize> = able.iter().map(|worker| (*worker, 0)).collect();
        let listening = self.each().flat_map(|(_, p)| p.at.iter().filter(|(_, at)| at.listens));
        for (worker, _) in listening {
            if let Some(load) = load.get_mut(worker) {
                *load += 1;
            }
        }
        let mut assigned = Vec::new();
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
            for _ in pushed.listening()..wanted {
                let free = load.iter_mut().filter(|(worker, _)| {
                    !listens(&pushed.at, worker) && !rests(&pushed.unable, worker)
                });
                let least = free.min_by_key(|(worker, load)| (**load, **worker));
                let Some((worker, load)) = least else { break };
                *load += 1;
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
    pub(super) fn opened(&mut self, source: SourceId, worker: WorkerId, url: String) -> Listens {
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
    pub(super) fn cannot_listen(
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

    /// A receiver has ended.
    pub(super) fn closed(&mut self, source: SourceId, worker: WorkerId) {
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
        receipt: Receipt,
        records: u64,
    ) -> Option<Registered> {
        let pushed = self.get(source)?;
        let how = pushed.source.reclaim(receipt, records, worker);
        if how == Registered::Taken {
            pushed.count(receipt.taker, records);
        }
        Some(how)
    }

    /// What clients were told is safe and no worker holds: of what waits for a batch, and these that batches need.
    pub(super) fn unheld(&self, needed: &[Needed]) -> Vec<(SourceId, Unheld)> {
        let mut all = Vec::new();
        for (source, pushed) in self.each() {
            let of = |(batch, of, taker, number): &Needed| {
                (*of == source).then_some((*batch, *taker, *number))
            };
            let needed: Vec<_> = needed.iter().filter_map(of).collect();
            let mut unheld = pushed.source.unheld();
            for taken in pushed.source.taken(&needed) {
                match unheld.iter_mut().find(|unheld| unheld.taker == taken.taker) {
                    Some(unheld) => unheld.join(taken),
                    None => unheld.push(taken),
                }
            }
            all.extend(unheld.into_iter().map(|unheld| (source, unheld)));
        }
        all
    }

    /// The job goes on without these.
    pub(super) fn give_up(&self, source: SourceId, taker: WorkerId, receipts: &Spans) {
        let pushed = self.sources.get(source.index()).and_then(Option::as_ref);
        pushed.into_iter().for_each(|pushed| pushed.source.give_up(taker, receipts));
    }

    /// Every worker that was there with another master has had time to come.
    pub(crate) fn complete(&self) {
        self.each().for_each(|(_, pushed)| pushed.source.complete());
    }

    /// A worker has received something; none if it is not to receive for that source at all.
    pub(crate) fn register(
        &mut self,
        source: SourceId,
        worker: WorkerId,
        receipt: Receipt,
        records: u64,
    ) -> Option<Result<Registered, Refusal>> {
        let pushed = self.get(source)?;
        let how = pushed.source.register(Receipt { taker: worker, ..receipt }, records);
        if how == Ok(Registered::Taken) {
            pushed.count(worker, records);
        }
        Some(how)
    }

    /// What a worker has received another one has a copy of, too.
    pub(crate) fn copied(&mut self, source: SourceId, taker: WorkerId, number: u64, by: WorkerId) {
        if let Some(pushed) = self.get(source) {
            pushed.source.copied(taker, number, by);
        }
    }

    /// Another worker has these, too.
    pub(super) fn held_by(&mut self, numbers: Numbers, by: WorkerId) {
        let Numbers { taker, source, from, to } = numbers;
        if let Some(pushed) = self.get(source) {
            pushed.source.held_by(taker, from..to, by);
        }
    }

    /// What batches before this one have read is not needed any more: of whom nobody needs a copy of anything.
    /// None if that was said before, or nothing is pushed.
    pub(crate) fn over(&mut self, oldest: BatchSeq) -> Option<Vec<(SourceId, WorkerId, Spans)>> {
        if oldest <= self.oldest || !self.any() {
            return None;
        }
        self.oldest = oldest;
        let over = |(source, pushed): (SourceId, &Pushed)| {
            let over = pushed.source.over(oldest).into_iter();
            over.map(move |(taker, receipts)| (source, taker, receipts))
        };
        Some(self.each().flat_map(over).collect())
    }

    /// A worker is about to leave; whether it receives something, which it should not any more.
    pub(super) fn drains(&mut self, worker: WorkerId) -> bool {
        self.leaving.insert(worker);
        self.each().any(|(_, pushed)| pushed.at.contains_key(&worker))
    }

    /// A worker is gone, and what it held with it.
    pub(crate) fn gone(&mut self, worker: WorkerId) {
        self.leaving.remove(&worker);
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
    pub(super) fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
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
                why,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receivers(urls: &[&str]) -> Receivers {
        let open = |(id, url): (usize, &&str)| PushSource::open(url, SourceId(id as u16)).ok();
        Receivers::new(urls.iter().enumerate().map(open).collect())
    }

    fn placed(receivers: &mut Receivers, workers: &[u32]) -> Vec<(u16, u32)> {
        receivers.placed(&workers.iter().copied().map(WorkerId).collect::<Vec<_>>(), |_| true);
        listening(receivers)
    }

    /// Who is told to listen, by source.
    fn listening(receivers: &mut Receivers) -> Vec<(u16, u32)> {
        told(receivers.assign(Instant::now()))
    }

    fn told(all: Vec<(SourceId, WorkerId, bool)>) -> Vec<(u16, u32)> {
        let told = all.into_iter();
        told.filter(|(.., listens)| *listens)
            .map(|(source, worker, _)| (source.0, worker.0))
            .collect()
    }

    fn url(worker: u32) -> String {
        format!("tcp://10.0.0.{worker}:9000")
    }

    #[test]
    fn as_many_listen_as_are_wanted_and_streams_are_spread() {
        let mut two =
            receivers(&["tcp://0.0.0.0:1?receivers=2", "tcp://0.0.0.0:2", "tcp://0.0.0.0:3"]);
        assert_eq!(placed(&mut two, &[1]), [(0, 1), (1, 1), (2, 1)]);
        // Another one comes: nothing moves, and what was missing is there.
        assert_eq!(placed(&mut two, &[1, 2]), [(0, 2)]);
        assert_eq!(placed(&mut two, &[1, 2, 3]), []);
        let mut spread = receivers(&["tcp://0.0.0.0:1?receivers=2", "tcp://0.0.0.0:2"]);
        assert_eq!(placed(&mut spread, &[1, 2, 3]), [(0, 1), (0, 2), (1, 3)]);
    }

    #[test]
    fn no_receiver_is_too_few() {
        for (url, is_sound) in
            [("receivers=0", false), ("receivers=two", false), ("receivers=1", true)]
        {
            let url = format!("tcp://0.0.0.0:1?{url}");
            assert_eq!(PushSource::open(&url, SourceId(0)).is_ok(), is_sound, "{url}");
        }
    }

    #[test]
    fn a_receiver_that_is_lost_or_leaves_moves_and_the_others_stay() {
        let mut all = receivers(&["http://0.0.0.0:1/views?receivers=2"]);
        assert_eq!(placed(&mut all, &[1, 2, 3, 4]), [(0, 1), (0, 2)]);
        for worker in [1, 2] {
            assert_eq!(all.opened(SourceId(0), WorkerId(worker), url(worker)), Listens::Stays);
        }
        // One that was open with another master is one too many.
        assert_eq!(all.opened(SourceId(0), WorkerId(3), url(3)), Listens::IsTooMany);
        all.gone(WorkerId(1));
        assert_eq!(listening(&mut all), [(0, 3)]);
        assert_eq!(all.opened(SourceId(0), WorkerId(3), url(3)), Listens::Stays);
        // One that leaves goes on until it has received everything.
        assert!(all.drains(WorkerId(2)));
        assert_eq!(listening(&mut all), []);
        all.closed(SourceId(0), WorkerId(2));
        assert_eq!(listening(&mut all), [(0, 4)]);
        let seen: Vec<_> = all.seen().map(|seen| (seen.worker.0, seen.url.to_owned())).collect();
        assert_eq!(seen, [(3, url(3))]);
    }

    #[test]
    fn a_worker_that_cannot_listen_rests_while_others_try_and_then_tries_again() {
        let (mut all, begun) = (receivers(&["tcp://0.0.0.0:1"]), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        let cannot = |all: &mut Receivers, worker: u32, ms| {
            let why = "the address is in use".to_owned();
            all.cannot_listen(SourceId(0), WorkerId(worker), why, at(ms))
        };
        all.placed(&[1, 2].map(WorkerId), |_| true);
        assert_eq!(told(all.assign(at(0))), [(0, 1)]);
        assert_eq!(cannot(&mut all, 1, 10), (true, false));
        assert_eq!(told(all.assign(at(10))), [(0, 2)]);
        assert_eq!(cannot(&mut all, 2, 20), (true, false));
        assert_eq!((told(all.assign(at(20))), all.due()), (vec![], Some(at(210))));
        let seen: Vec<_> = all.seen().map(|seen| (seen.worker.0, seen.why.is_some())).collect();
        assert_eq!(seen, [(1, true), (2, true)]);
        assert_eq!(told(all.assign(at(210))), [(0, 1)]);
        assert_eq!(cannot(&mut all, 1, 211), (false, false), "it is said once");
        // Where one has ever listened it is never given up.
        assert_eq!(told(all.assign(at(7000))), [(0, 1)]);
        assert_eq!(
            cannot(&mut all, 1, 7000),
            (false, false),
            "the other one has not tried so long"
        );
        assert_eq!(told(all.assign(at(7000))), [(0, 2)]);
        assert_eq!(cannot(&mut all, 2, 7001), (false, true));
        all.opened(SourceId(0), WorkerId(2), url(2));
        assert_eq!(cannot(&mut all, 1, 9000), (true, false));
        assert_eq!(cannot(&mut all, 1, 90_000), (false, false));
    }

    #[test]
    fn a_worker_that_listened_with_another_master_goes_before_one_that_was_told_to() {
        let (mut all, begun) = (receivers(&["tcp://0.0.0.0:1"]), Instant::now());
        all.goes_on(begun);
        all.placed(&[1, 2].map(WorkerId), |_| true);
        assert_eq!((told(all.assign(begun)), all.due()), (vec![], Some(begun + COMES_AGAIN)));
        assert_eq!(told(all.assign(begun + COMES_AGAIN)), [(0, 1)]);
        let instead = all.opened(SourceId(0), WorkerId(2), url(2));
        assert_eq!(instead, Listens::InsteadOf(WorkerId(1)));
        assert_eq!(all.opened(SourceId(0), WorkerId(1), url(1)), Listens::IsTooMany);
        assert_eq!((told(all.assign(begun + COMES_AGAIN)), all.due()), (vec![], None));
    }

    #[test]
    fn a_worker_that_is_lost_before_its_placement_is_told_receives_nothing() {
        let mut all = receivers(&["tcp://0.0.0.0:1"]);
        placed(&mut all, &[1, 2, 3]);
        // Both are lost, and then the core says what it had decided when it knew of one of them.
        [1, 3].into_iter().for_each(|lost| all.gone(WorkerId(lost)));
        all.placed(&[2, 3].map(WorkerId), |worker| worker == WorkerId(2));
        assert_eq!(listening(&mut all), [(0, 2)]);
        assert_eq!(all.all(), BTreeSet::from([WorkerId(2)]), "nothing waits for the other");
    }

    #[test]
    fn what_was_received_is_counted_where_it_was() {
        let mut all = receivers(&["tcp://0.0.0.0:1?receivers=2"]);
        placed(&mut all, &[1, 2]);
        for (worker, records) in [(1, 5), (2, 7), (2, 1)] {
            let taker = WorkerId(worker);
            assert_eq!(all.opened(SourceId(0), taker, url(worker)), Listens::Stays);
            let receipt =
                Receipt { taker, number: records, copy: None, bytes: 10 * records, client: None };
            let how = all.register(SourceId(0), taker, receipt, records);
            assert_eq!(how, Some(Ok(Registered::Taken)));
        }
        let seen: Vec<_> = all.seen().map(|s| (s.worker.0, s.records, s.waiting)).collect();
        assert_eq!(seen, [(1, 5, 50), (2, 8, 80)]);
    }
}
