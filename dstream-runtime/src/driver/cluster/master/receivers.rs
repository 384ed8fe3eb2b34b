//! Which worker receives what is pushed for which source.
//!
//! Clients of the library may send to any worker that owns partitions. The address that the source's own
//! URL names is listened on by one of them, or by as many as its option `receivers` says, as far as there are
//! so many; sources are spread over workers. A receiver moves when its worker leaves or is lost.

use std::collections::{BTreeMap, BTreeSet};

use crate::driver::cluster::worker::Numbers;
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::source::receive::{PushSource, Receipt, Refusal, Registered, Spans};

pub(super) struct Receivers {
    sources: Vec<Option<Pushed>>,
    /// Who owns partitions.
    owners: BTreeSet<WorkerId>,
    /// Who is about to leave.
    leaving: BTreeSet<WorkerId>,
    /// What batches before this one have read is not needed any more.
    oldest: BatchSeq,
}

struct Pushed {
    source: PushSource,
    /// Who receives, or was told to.
    at: BTreeMap<WorkerId, At>,
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
}

impl Receivers {
    /// Of these sources, those that are not pushed left out.
    pub(super) fn new(pushed: Vec<Option<PushSource>>) -> Self {
        let fresh = |source| Pushed { source, at: BTreeMap::new() };
        let sources = pushed.into_iter().map(|source| source.map(fresh)).collect();
        Self { sources, owners: BTreeSet::new(), leaving: BTreeSet::new(), oldest: BatchSeq(0) }
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

    /// A placement holds from the next cut on.
    pub(super) fn placed(&mut self, placement: &[WorkerId]) {
        self.owners = placement.iter().copied().collect();
        for (_, pushed) in self.each() {
            pushed.source.placed(placement);
        }
    }

    /// Who is to receive what from now on, and whether it listens at the source's own address.
    pub(super) fn assign(&mut self) -> Vec<(SourceId, WorkerId, bool)> {
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
            for _ in pushed.listening()..pushed.source.receivers() {
                let free = load.iter_mut().filter(|(worker, _)| !listens(&pushed.at, worker));
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

    /// A receiver listens: one that was told to, or was open when there was another master. Whether it is to
    /// be closed, since others listen, as many as are wanted.
    pub(super) fn opened(&mut self, source: SourceId, worker: WorkerId, url: String) -> bool {
        let Some(pushed) = self.get(source) else { return false };
        let is_known = pushed.at.get(&worker).is_some_and(|at| at.listens);
        if !is_known && pushed.listening() >= pushed.source.receivers() {
            return true;
        }
        let at = pushed.at.entry(worker).or_default();
        (at.listens, at.url) = (true, Some(url));
        pushed.source.opened(worker);
        false
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
    pub(super) fn reclaim(
        &mut self,
        source: SourceId,
        worker: WorkerId,
        receipt: Receipt,
        records: u64,
    ) -> Option<Registered> {
        let pushed = self.get(source)?;
        let how = pushed.source.reclaim(receipt, worker);
        if how == Registered::Taken {
            pushed.count(receipt.taker, records);
        }
        Some(how)
    }

    /// Every worker that was there with another master has had time to come.
    pub(super) fn complete(&self) {
        self.each().for_each(|(_, pushed)| pushed.source.complete());
    }

    /// A worker has received something; none if it is not to receive for that source at all.
    pub(super) fn register(
        &mut self,
        source: SourceId,
        worker: WorkerId,
        receipt: Receipt,
        records: u64,
    ) -> Option<Result<Registered, Refusal>> {
        let pushed = self.get(source)?;
        let how = pushed.source.register(Receipt { taker: worker, ..receipt });
        if how == Ok(Registered::Taken) {
            pushed.count(worker, records);
        }
        Some(how)
    }

    /// What a worker has received another one has a copy of, too.
    pub(super) fn copied(&mut self, source: SourceId, taker: WorkerId, number: u64, by: WorkerId) {
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
    pub(super) fn over(&mut self, oldest: BatchSeq) -> Option<Vec<(SourceId, WorkerId, Spans)>> {
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
    pub(super) fn gone(&mut self, worker: WorkerId) {
        self.leaving.remove(&worker);
        self.owners.remove(&worker);
        for pushed in self.sources.iter_mut().flatten() {
            pushed.at.remove(&worker);
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

    /// All receivers that listen.
    pub(super) fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        self.each().flat_map(|(source, pushed)| {
            pushed.at.iter().filter_map(move |(worker, at)| {
                Some(Seen {
                    source,
                    worker: *worker,
                    url: at.url.as_deref()?,
                    records: at.records,
                    waiting: pushed.source.waiting_of(*worker),
                })
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
        receivers.placed(&workers.iter().copied().map(WorkerId).collect::<Vec<_>>());
        listening(receivers)
    }

    /// Who is told to listen, by source.
    fn listening(receivers: &mut Receivers) -> Vec<(u16, u32)> {
        let told = receivers.assign().into_iter();
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
            assert!(!all.opened(SourceId(0), WorkerId(worker), url(worker)));
        }
        // One that was open with another master is one too many.
        assert!(all.opened(SourceId(0), WorkerId(3), url(3)));
        all.gone(WorkerId(1));
        assert_eq!(listening(&mut all), [(0, 3)]);
        assert!(!all.opened(SourceId(0), WorkerId(3), url(3)));
        // One that leaves goes on until it has received everything.
        assert!(all.drains(WorkerId(2)));
        assert_eq!(listening(&mut all), []);
        all.closed(SourceId(0), WorkerId(2));
        assert_eq!(listening(&mut all), [(0, 4)]);
        let seen: Vec<_> = all.seen().map(|seen| (seen.worker.0, seen.url.to_owned())).collect();
        assert_eq!(seen, [(3, url(3))]);
    }

    #[test]
    fn what_was_received_is_counted_where_it_was() {
        let mut all = receivers(&["tcp://0.0.0.0:1?receivers=2"]);
        placed(&mut all, &[1, 2]);
        for (worker, records) in [(1, 5), (2, 7), (2, 1)] {
            let taker = WorkerId(worker);
            assert!(!all.opened(SourceId(0), taker, url(worker)));
            let receipt =
                Receipt { taker, number: records, copy: None, bytes: 10 * records, client: None };
            let how = all.register(SourceId(0), taker, receipt, records);
            assert_eq!(how, Some(Ok(Registered::Taken)));
        }
        let seen: Vec<_> = all.seen().map(|s| (s.worker.0, s.records, s.waiting)).collect();
        assert_eq!(seen, [(1, 5, 50), (2, 8, 80)]);
    }
}
