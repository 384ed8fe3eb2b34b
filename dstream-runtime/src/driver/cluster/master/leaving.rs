//! How workers go: lost, evicted, drained, or with the job; and what they are told. `sched::membership` decides.

use super::{Driver, Returns};
use crate::driver::cluster::note::MasterNote;
use crate::driver::cluster::{ClusterError, ClusterNews};
use crate::host;
use crate::id::WorkerId;
use crate::net::PeerId;
use crate::sched::master::{Cause, Outcome};
use crate::sched::membership::Verdict;

impl Driver<'_> {
    pub(super) fn lifeline_ended(&mut self, peer: PeerId) {
        // A dismissed worker ends its process.
        if let Some(worker) = self.members.worker(peer).filter(|worker| self.members.stays(*worker))
        {
            self.membership.lifeline_ended(self.elapsed(), worker);
            self.send(peer, &MasterNote::Ping);
        }
    }

    /// Evicts suspected workers that did not answer.
    pub(super) fn evict_lost(&mut self) {
        for worker in self.membership.lost(self.elapsed()) {
            self.evict(worker, "its process has ended".to_owned(), Returns::Never);
        }
    }

    /// Warns, once, that the end of a process is noticed late.
    pub(super) fn no_lifeline(&mut self, peer: PeerId) {
        let Some(worker) = self.members.worker(peer) else { return };
        if !std::mem::replace(&mut self.lacks_lifelines, true) {
            let (name, lease) = (self.members.name(worker), self.lease.as_millis());
            let port = self.net.local_addr().port();
            self.master.warn(&format!(
                "worker `{name}` cannot reach this master by TCP: when its process ends, that is noticed \
                 after {lease} ms of silence, not at once; let TCP through to port {port}, as UDP is"
            ));
        }
    }

    /// Evicts a worker because of a broken link, or fails the job.
    pub(super) fn judge_broken_link(&mut self) {
        let is_there = |worker| self.members.peer(worker).is_some();
        match self.membership.judge_link(self.elapsed(), is_there) {
            Some(Verdict::Evict { worker, other, why }) => {
                let other = self.members.name(other);
                let why = format!("it and worker `{other}` have lost each other: {why}");
                self.evict(worker, why, Returns::Maybe);
            }
            Some(Verdict::Fail { from, to, why }) => {
                let (from, to) = (self.members.name(from), self.members.name(to));
                self.fatal.get_or_insert(ClusterError::BrokenLink { from, to, why });
            }
            None => {}
        }
    }

    /// The time of `membership`: since this master started.
    pub(super) fn elapsed(&self) -> std::time::Duration {
        host::now().saturating_duration_since(self.started)
    }

    /// A worker may go as far as its tasks are concerned: it does when others have what it holds of what clients
    /// have sent.
    pub(super) fn dismiss(&mut self, worker: WorkerId) {
        match self.receivers.any() {
            true => self.membership.drained(worker),
            false => self.let_go(worker),
        }
    }

    /// Has workers that receive nothing any more hand over what they hold.
    pub(super) fn see_off(&mut self) {
        for worker in self.membership.hand_over(|worker| self.receivers.receives(worker)) {
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
