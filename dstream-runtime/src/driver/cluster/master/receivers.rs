//! Which worker receives what is pushed for which source.
//!
//! Clients of the library may send to any worker that owns partitions. The address that the source's own
//! URL names is listened on by one of them; sources are spread over workers. That moves when its worker
//! leaves or is lost.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Records registered.
    records: u64,
}

struct At {
    /// Whether it listens at the source's own address.
    listens: bool,
    /// Where that is, once it does.
    url: Option<String>,
}

/// A receiver, for people.
pub(super) struct Seen<'r> {
    pub(super) source: SourceId,
    pub(super) worker: WorkerId,
    pub(super) url: &'r str,
    pub(super) records: u64,
    /// Bytes that no batch has taken yet.
    pub(super) waiting: u64,
}

impl Receivers {
    /// Of these sources, those that are not pushed left out.
    pub(super) fn new(pushed: Vec<Option<PushSource>>) -> Self {
        let fresh = |source| Pushed { source, at: BTreeMap::new(), records: 0 };
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
            if !pushed.at.values().any(|at| at.listens) {
                let least = load.iter_mut().min_by_key(|(worker, load)| (**load, **worker));
                if let Some((worker, load)) = least {
                    *load += 1;
                    pushed.at.insert(*worker, At { listens: true, url: None });
                    assigned.push((source, *worker, true));
                }
            }
            for worker in &able {
                if !pushed.at.contains_key(worker) {
                    pushed.at.insert(*worker, At { listens: false, url: None });
                    assigned.push((source, *worker, false));
                }
            }
            // From here on the source waits for them.
            pushed.at.keys().for_each(|worker| pushed.source.opened(*worker));
        }
        assigned
    }

    /// A receiver listens: one that was told to, or was open when there was another master. Whether it is to
    /// be closed, since another one listens.
    pub(super) fn opened(&mut self, source: SourceId, worker: WorkerId, url: String) -> bool {
        let Some(pushed) = self.get(source) else { return false };
        if pushed.at.iter().any(|(other, at)| *other != worker && at.listens) {
            return true;
        }
        pushed.at.insert(worker, At { listens: true, url: Some(url) });
        pushed.source.opened(worker);
        false
    }

    /// A worker has come that may have received for another master, or before it was given up, while all are to
    /// stop: whether it is to be told so, and waited for.
    pub(super) fn reopened(&mut self, worker: WorkerId) -> bool {
        for pushed in self.sources.iter_mut().flatten() {
            pushed.at.entry(worker).or_insert(At { listens: false, url: None });
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
            pushed.records += records;
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
            pushed.records += records;
        }
        Some(how)
    }

    /// What a worker has received another one has a copy of, too.
    pub(super) fn copied(&mut self, source: SourceId, taker: WorkerId, number: u64, by: WorkerId) {
        if let Some(pushed) = self.get(source) {
            pushed.source.copied(taker, number, by);
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

    /// Whether a worker has something that no batch has taken, or may still receive something.
    pub(super) fn holds(&self, worker: WorkerId) -> bool {
        self.each().any(|(_, p)| p.at.contains_key(&worker) || p.source.holds(worker))
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
                    records: pushed.records,
                    waiting: pushed.source.waiting(),
                })
            })
        })
    }
}
