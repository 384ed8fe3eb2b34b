//! Copies of receipts: what other workers want this one to have, what it wants to have of them, and the end
//! of both.

use super::Driver;
use super::receipts::wanted::{Nowhere, Question, Wanted};
use super::receipts::{Entry, Key, Numbers};
use crate::driver::cluster::arrivals::Arrivals;
use crate::driver::cluster::note::{PeerNote, WorkerNote};
use crate::host;
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::net::PeerId;
use crate::sched::worker::RunTask;
use crate::source::receive::Spans;
use crate::store::KeptBlock;

impl Driver<'_> {
    /// Another worker has sent a copy: because this one is to have it, or because it has asked for it.
    pub(super) fn copy(&mut self, peer: PeerId, key: Key, entry: Entry, lines: KeptBlock) {
        if self.receipts.has_handed_over() {
            // It goes: who has sent this must not believe that it is kept here.
            return;
        }
        let other = self.colleagues.speaker(peer);
        // Whoever sends what this worker has, and knows no other holder of, is one.
        let lone = self.receipts.lone(Numbers::one(key));
        self.receipts.keep(key, entry, lines, other, &self.kernels.blocks);
        let (taker, source, number) = key;
        // If it is gone, nobody waits for this.
        let _ = self.net.send(peer, &PeerNote::Copied { taker, source, number });
        if let Some(run) = self.wanted.came(key) {
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
            let settled = self.receipts.shared(key, by);
            self.settle(key, settled);
        }
        self.report_receipts();
    }

    /// A task is ready but for receipts that are not here.
    pub(super) fn want(&mut self, run: RunTask, missing: &[Key]) {
        let questions = self.wanted.want(run, missing, &self.colleagues.there());
        self.ask(questions);
    }

    /// Other workers may be reached that could not be before.
    pub(super) fn meet_all(&mut self) {
        for worker in self.colleagues.there() {
            if self.met.insert(worker)
                && let Some(holding) = self.receipts.holding()
                && let Some(peer) = self.colleagues.peer(worker)
            {
                // If it is gone, that is said when its connection ends.
                let _ = self.net.send(peer, &PeerNote::Holding(holding));
            }
            let questions = self.wanted.is_there(worker);
            self.ask(questions);
        }
    }

    /// A worker is gone that may have been asked for something.
    pub(super) fn not_at_lost(&mut self, worker: WorkerId) {
        let questions = self.wanted.gone(worker, &self.colleagues.there());
        self.ask(questions);
    }

    /// A worker says that it has none of these.
    pub(super) fn not_here(&mut self, peer: PeerId, numbers: Numbers) {
        let Some(worker) = self.colleagues.worker(peer) else { return };
        let questions = self.wanted.not_at(worker, numbers, &self.colleagues.there());
        self.ask(questions);
    }

    /// Asks again for what tasks wait for and no worker has, and tells the master what that is, if that is news.
    pub(super) fn say_missing(&mut self) {
        let questions = self.wanted.again(host::now(), &self.colleagues.there());
        self.ask(questions);
        let missing = self.wanted.nowhere();
        if missing != self.missing {
            let (all, asked) = (missing.all.clone(), missing.asked.iter().copied().collect());
            self.tell_master(&WorkerNote::Missing { all, asked });
            self.missing = missing;
        }
    }

    /// These receipts are lost, and the job goes on without them.
    pub(super) fn lose_receipts(&mut self, source: SourceId, taker: WorkerId, receipts: &Spans) {
        self.receipts.lose(taker, source, receipts);
        for key in self.wanted.lost(taker, source, receipts) {
            if let Some(run) = self.wanted.came(key) {
                self.start(run);
            }
        }
    }

    /// Another worker says what it holds of the time of another master.
    fn holding_of(&mut self, by: WorkerId, all: &[Numbers]) {
        let lone = all.iter().flat_map(|numbers| self.receipts.lone(*numbers)).collect();
        self.shared(lone, by);
    }

    /// See [`PeerNote::Holding`].
    pub(super) fn holding(&mut self, peer: PeerId, all: &[Numbers]) {
        if let Some(by) = self.colleagues.speaker(peer) {
            self.holding_of(by, all);
        }
    }

    /// This worker joins again, after its master was replaced: what it has received and the copies that it
    /// has stay, and everything else of the time before is forgotten. To be called before anything is heard
    /// of the new master and the others.
    pub(super) fn rejoin_receipts(&mut self, id: WorkerId) {
        self.receipts.rejoined(id);
        (self.wanted, self.missing) = (Wanted::default(), Nowhere::default());
        self.copies = Arrivals::default();
        self.met.clear();
        self.to_open.clear();
    }

    /// Tells a new master of the receivers that are open and of what is held here; before it hears that this
    /// worker is ready.
    pub(super) fn say_held(&mut self) {
        self.announce_receivers();
        for note in self.receipts.holds() {
            self.tell_master(&note);
        }
    }

    fn ask(&self, questions: Vec<Question>) {
        for (worker, numbers) in questions {
            // If it is gone, that is said when its connection ends.
            if let Some(peer) = self.colleagues.peer(worker) {
                let _ = self.net.send(peer, &PeerNote::Want(numbers));
            }
        }
    }

    /// Another worker needs some receipts.
    pub(super) fn wanted(&mut self, peer: PeerId, numbers: Numbers) {
        let by = self.colleagues.speaker(peer);
        let mut gaps = self.receipts.gaps(numbers);
        for key in self.receipts.held(numbers).collect::<Vec<_>>() {
            if by.is_some_and(|by| self.receipts.is_shared_with(key, by)) {
                // It is on its way.
                continue;
            }
            match self.receipts.copy_of(key) {
                Some((entry, lines)) => self.send_copy_to(peer, key, entry, lines),
                None => gaps.push(Numbers::one(key)),
            }
        }
        for gap in gaps {
            // If it is gone, nobody waits for this.
            let _ = self.net.send(peer, &PeerNote::NotHere(gap));
        }
    }

    /// What batches before this one have read is not needed any more.
    pub(super) fn release_receipts(&mut self, before: BatchSeq) {
        let released = self.receipts.release(before);
        self.tell_dropped(released.drop);
        self.tell_safe(released.safe);
        self.go_on_handing_over();
    }

    /// Another worker says that nobody will read these any more.
    pub(super) fn drop_receipts(&mut self, peer: PeerId, numbers: Numbers) {
        let released = self.receipts.drop(numbers, self.colleagues.worker(peer));
        self.tell_dropped(released.drop);
        self.tell_safe(released.safe);
        self.go_on_handing_over();
        // This may have overtaken a copy, but not what announces it.
        let dropped = numbers.from..numbers.to;
        self.copies.abandon(|(of, (taker, source, number))| {
            *of == peer
                && (*taker, *source) == (numbers.taker, numbers.source)
                && dropped.contains(number)
        });
    }

    /// Tells whoever has other copies that nobody will read these any more: everybody, if the one who would
    /// know who that is is gone.
    pub(super) fn tell_dropped(&self, dropped: impl IntoIterator<Item = (WorkerId, Numbers)>) {
        for (to, numbers) in dropped {
            let to = match self.colleagues.peer(to) {
                Some(_) => vec![to],
                None => self.colleagues.there(),
            };
            for peer in to.into_iter().filter_map(|to| self.colleagues.peer(to)) {
                // One that is gone has dropped everything.
                let _ = self.net.send(peer, &PeerNote::Drop(numbers));
            }
        }
    }
}
