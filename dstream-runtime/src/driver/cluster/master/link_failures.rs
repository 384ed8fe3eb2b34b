//! How workers go: politely, because they are given up, or with the job; and what they are told.

use std::time::Instant;

use super::{Driver, Returns};
use crate::driver::cluster::note::MasterNote;
use crate::driver::cluster::{ClusterError, ClusterNews};
use crate::id::WorkerId;
use crate::sched::master::{Cause, Outcome};

/// A worker that has lost another one.
pub(super) struct BrokenLink {
    pub(super) from: WorkerId,
    pub(super) to: WorkerId,
    pub(super) why: String,
    /// When it is clear whether one of them is gone.
    pub(super) judged: Instant,
}

impl Driver<'_> {
    /// Two workers had lost each other. If one of them is gone by now, the core recovers from that; if both are
    /// still there, what was on its way between them is lost and will not be sent again: one of them is given up,
    /// where others can go on with what it had.
    pub(super) fn judge_broken_links(&mut self) {
        let Some(BrokenLink { from, to, why, .. }) = self.broken_links.pop_front() else { return };
        if self.members.peer(from).is_none() || self.members.peer(to).is_none() {
            return;
        }
        if self.saves.is_some() {
            // One whom several have lost is given up before all of those.
            let lost = |worker| {
                self.broken_links.iter().filter(|p| p.from == worker || p.to == worker).count()
            };
            let (out, other) = if lost(to) > lost(from) { (to, from) } else { (from, to) };
            let why =
                format!("it and worker `{}` have lost each other: {why}", self.members.name(other));
            return self.evict(out, why, Returns::Maybe);
        }
        let (from, to) = (self.members.name(from), self.members.name(to));
        self.fatal.get_or_insert(ClusterError::BrokenLink { from, to, why });
    }

    /// A worker may go as far as its tasks are concerned: it does when others have what it holds of what clients
    /// have sent.
    pub(super) fn dismiss(&mut self, worker: WorkerId) {
        match self.receivers.any() {
            true => self.draining.begin(worker),
            false => self.let_go(worker),
        }
    }

    /// Has workers that receive nothing any more hand over what they hold.
    pub(super) fn see_off(&mut self) {
        for worker in self.draining.ready(|worker| self.receivers.receives(worker)) {
            self.tell_note(worker, &MasterNote::HandOver);
        }
    }

    /// A worker goes.
    pub(super) fn let_go(&mut self, worker: WorkerId) {
        let Some(peer) = self.members.peer(worker) else { return };
        self.master.tell(&ClusterNews::Drained { worker: self.members.name(worker) });
        self.send(peer, &MasterNote::Dismissed);
        self.members.let_go(worker);
    }

    pub(super) fn refuse(&mut self, worker: WorkerId, why: &str) {
        let name = self.members.name(worker);
        self.master.warn(&format!("worker `{name}` cannot be drained: {why}"));
        self.kept.insert(worker);
        self.tell_note(worker, &MasterNote::Kept { why: why.to_owned() });
    }

    pub(super) fn evict(&mut self, worker: WorkerId, why: String, returns: Returns) {
        let Some(peer) = self.members.peer(worker) else { return };
        let note = match self.saves {
            // Others go on with what it had; as a new worker it is as good as any.
            Some(_) => MasterNote::JoinAgain { why: why.clone() },
            None => MasterNote::Dismiss { why: why.clone() },
        };
        self.send(peer, &note);
        self.net.close(peer);
        self.gone(peer, &why, returns);
    }

    /// Says the name of a worker that the job failed with: the core knows numbers.
    pub(super) fn with_name(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed(Cause::Worker { worker, why }) => {
                let why = format!("worker `{}`: {why}", self.members.name(worker));
                Outcome::Failed(Cause::Worker { worker, why })
            }
            other => other,
        }
    }

    /// What workers are told at the end. They wait for another master if one can go on, with what they have
    /// acknowledged to clients.
    pub(super) fn farewell(&self, outcome: &Outcome) -> MasterNote {
        let why = match outcome {
            Outcome::Failed(Cause::Fenced { .. }) => {
                "another master has taken over, or this one cannot write its journal"
            }
            Outcome::Failed(_) if self.saves.is_some() && self.receivers.any() => {
                "the job has failed, and goes on when its master is started again"
            }
            _ => return MasterNote::Over,
        };
        MasterNote::JoinAgain { why: why.to_owned() }
    }

    /// The job is over, or is another master's.
    pub(super) fn dismiss_all(&mut self, note: &MasterNote) {
        for peer in self.members.peers() {
            self.send(peer, note);
        }
    }
}
