//! Copies of received blocks: what other workers want this one to have, what it wants to have of them, and the end
//! of both.

use super::Driver;
use super::replicas::fetches::{FetchRequest, Nowhere, PendingFetches};
use super::replicas::{BlockRange, Entry, Key};
use crate::driver::cluster::arrivals::Arrivals;
use crate::driver::cluster::note::{PeerNote, WorkerNote};
use crate::host;
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::net::PeerId;
use crate::sched::worker::RunTask;
use crate::source::receive::RangeSet;
use crate::store::KeptBlock;

impl Driver<'_> {
    /// Another worker has sent a copy: because this one is to have it, or because it has asked for it.
    pub(super) fn copy(&mut self, peer: PeerId, key: Key, entry: Entry, lines: KeptBlock) {
        if self.replicas.has_handed_over() {
            // It goes: who has sent this must not believe that it is kept here.
            return;
        }
        let other = self.peers.speaker(peer);
        // A peer that sends a block of this worker's, and knows no other holder, holds it.
        let lone = self.replicas.lone(BlockRange::one(key));
        self.replicas.keep(key, entry, lines, other, &self.kernels.blocks);
        let (receiver, source, number) = key;
        // If it is gone, the answer is not needed.
        let _ = self.net.send(peer, &PeerNote::Copied { receiver, source, number });
        if let Some(run) = self.fetches.came(key) {
            self.start(run);
        }
        if let Some(by) = other
            && !lone.is_empty()
        {
            self.shared(lone, by);
        }
        self.go_on_handing_over();
    }

    /// Another worker holds these, too.
    fn shared(&mut self, keys: Vec<Key>, by: WorkerId) {
        for key in keys {
            let settled = self.replicas.shared(key, by);
            self.settle(key, settled);
        }
        self.report_received();
    }

    /// A task is ready except for received blocks that are not here.
    pub(super) fn want(&mut self, run: RunTask, missing: &[Key]) {
        let requests = self.fetches.want(run, missing, &self.peers.there());
        self.ask(requests);
    }

    /// Other workers may be reached that could not be before.
    pub(super) fn meet_all(&mut self) {
        for worker in self.peers.there() {
            if self.met.insert(worker)
                && let Some(holding) = self.replicas.holding()
                && let Some(peer) = self.peers.peer(worker)
            {
                // If it is gone, the end of its connection reports that.
                let _ = self.net.send(peer, &PeerNote::Holding(holding));
            }
            let requests = self.fetches.is_there(worker);
            self.ask(requests);
        }
    }

    /// A worker is gone that may have been asked for something.
    pub(super) fn not_at_lost(&mut self, worker: WorkerId) {
        let requests = self.fetches.gone(worker, &self.peers.there());
        self.ask(requests);
    }

    /// A worker says that it has none of these.
    pub(super) fn not_found(&mut self, peer: PeerId, numbers: BlockRange) {
        let Some(worker) = self.peers.worker(peer) else { return };
        let requests = self.fetches.not_at(worker, numbers, &self.peers.there());
        self.ask(requests);
    }

    /// Asks again for what tasks wait for and no worker has, and tells the master what that is, if that is news.
    pub(super) fn say_missing(&mut self) {
        let requests = self.fetches.again(host::now(), &self.peers.there());
        self.ask(requests);
        let missing = self.fetches.nowhere();
        if missing != self.missing {
            let (all, asked) = (missing.all.clone(), missing.asked.iter().copied().collect());
            self.tell_master(&WorkerNote::Missing { all, asked });
            self.missing = missing;
        }
    }

    /// These received blocks are lost, and the job goes on without them.
    pub(super) fn lose_replicas(
        &mut self,
        source: SourceId,
        receiver: WorkerId,
        blocks: &RangeSet,
    ) {
        self.replicas.lose(receiver, source, blocks);
        for key in self.fetches.lost(receiver, source, blocks) {
            if let Some(run) = self.fetches.came(key) {
                self.start(run);
            }
        }
    }

    /// Another worker says what it holds of the time of another master.
    fn holding_of(&mut self, by: WorkerId, all: &[BlockRange]) {
        let lone = all.iter().flat_map(|numbers| self.replicas.lone(*numbers)).collect();
        self.shared(lone, by);
    }

    /// See [`PeerNote::Holding`].
    pub(super) fn holding(&mut self, peer: PeerId, all: &[BlockRange]) {
        if let Some(by) = self.peers.speaker(peer) {
            self.holding_of(by, all);
        }
    }

    /// This worker joins again, after its master was replaced: what it has received and the copies that it
    /// has stay, and everything else of the time before is forgotten. To be called before anything is heard
    /// of the new master and the others.
    pub(super) fn rejoin_replicas(&mut self, id: WorkerId) {
        self.replicas.rejoined(id);
        (self.fetches, self.missing) = (PendingFetches::default(), Nowhere::default());
        self.copies = Arrivals::default();
        self.met.clear();
        self.to_open.clear();
    }

    /// Tells a new master of the receivers that are open and of what is held here; before it hears that this
    /// worker is ready.
    pub(super) fn say_held(&mut self) {
        self.announce_receivers();
        for note in self.replicas.holds() {
            self.tell_master(&note);
        }
    }

    fn ask(&self, requests: Vec<FetchRequest>) {
        for (worker, numbers) in requests {
            // If it is gone, the end of its connection reports that.
            if let Some(peer) = self.peers.peer(worker) {
                let _ = self.net.send(peer, &PeerNote::Want(numbers));
            }
        }
    }

    /// Another worker needs some received blocks.
    pub(super) fn wanted(&mut self, peer: PeerId, numbers: BlockRange) {
        let by = self.peers.speaker(peer);
        let mut gaps = self.replicas.gaps(numbers);
        for key in self.replicas.held(numbers).collect::<Vec<_>>() {
            if by.is_some_and(|by| self.replicas.is_shared_with(key, by)) {
                // It is on its way.
                continue;
            }
            match self.replicas.copy_of(key) {
                Some((entry, lines)) => self.send_copy_to(peer, key, entry, lines),
                None => gaps.push(BlockRange::one(key)),
            }
        }
        for gap in gaps {
            // If it is gone, the answer is not needed.
            let _ = self.net.send(peer, &PeerNote::NotFound(gap));
        }
    }

    /// What batches before this one have read is not needed any more.
    pub(super) fn release_replicas(&mut self, before: BatchSeq) {
        let released = self.replicas.release(before);
        self.tell_dropped(released.drop);
        self.tell_safe(released.safe);
        self.go_on_handing_over();
    }

    /// Another worker says that these will not be read any more.
    pub(super) fn drop_replicas(&mut self, peer: PeerId, numbers: BlockRange) {
        let released = self.replicas.drop(numbers, self.peers.worker(peer));
        self.tell_dropped(released.drop);
        self.tell_safe(released.safe);
        self.go_on_handing_over();
        // This may have overtaken a copy, but not what announces it.
        let dropped = numbers.from..numbers.to;
        self.copies.abandon(|(of, (receiver, source, number))| {
            *of == peer
                && (*receiver, *source) == (numbers.receiver, numbers.source)
                && dropped.contains(number)
        });
    }

    /// Tells the holders of other copies that these will not be read any more: all peers if the one that knows the
    /// holder is gone.
    pub(super) fn tell_dropped(&self, dropped: impl IntoIterator<Item = (WorkerId, BlockRange)>) {
        for (to, numbers) in dropped {
            let to = match self.peers.peer(to) {
                Some(_) => vec![to],
                None => self.peers.there(),
            };
            for peer in to.into_iter().filter_map(|to| self.peers.peer(to)) {
                // One that is gone has dropped everything.
                let _ = self.net.send(peer, &PeerNote::Drop(numbers));
            }
        }
    }
}
