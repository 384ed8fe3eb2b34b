//! Who takes part, how each stands, and who has not been heard of for too long.
//!
//! ```text
//! Joining ──► Active ──► Draining ──► (gone)
//!    └──► StandingBy ───────┴──────────►┘
//! ```
//!
//! It knows nothing of batches, and of placements only what each member was told and has said about them.
//! Invariant: `unplaced` is the number of members that were told the newest placement and have not
//! acknowledged it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, WorkerId};

/// How many of the lost workers are remembered, for the status.
const REMEMBERED: usize = 16;

/// How a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is there, and has no partitions yet.
    Joining,
    /// There are no partitions for it: it takes over when another leaves.
    StandingBy,
    /// It owns partitions.
    Active,
    /// It hands over what it owns.
    Draining,
}

/// A worker that takes part.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) standing: Standing,
    pub(super) slots: u32,
    /// The newest placement it was told; none for one that has none.
    told: Epoch,
    /// The newest placement it has acknowledged.
    placed: Epoch,
    /// The newest epoch whose state has arrived at it.
    settled: Epoch,
    /// When it was last heard of.
    pub(super) heard_ms: u64,
}

/// A worker that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The worker.
    pub worker: WorkerId,
    /// Why it is gone.
    pub why: String,
    /// When, in the timetable's milliseconds.
    pub at_ms: u64,
}

/// The workers of a job.
#[derive(Debug)]
pub(super) struct Members {
    members: BTreeMap<WorkerId, Member>,
    gone: VecDeque<Gone>,
    lease_ms: Option<u64>,
    /// No lease ends before this.
    check_at: Option<u64>,
    unplaced: usize,
    draining: usize,
    /// A worker should own partitions and owns none, or the other way round.
    changed: bool,
}

impl Members {
    pub(super) fn new(lease_ms: Option<u64>) -> Self {
        Self {
            members: BTreeMap::new(),
            gone: VecDeque::new(),
            lease_ms,
            check_at: None,
            unplaced: 0,
            draining: 0,
            changed: false,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Member)> {
        self.members.iter().map(|(worker, member)| (*worker, member))
    }

    pub(super) fn gone(&self) -> impl Iterator<Item = &Gone> {
        self.gone.iter()
    }

    pub(super) fn is_member(&self, worker: WorkerId) -> bool {
        self.members.contains_key(&worker)
    }

    /// Takes a worker in; one that is known stays as it is.
    pub(super) fn joined(&mut self, worker: WorkerId, slots: u32, now_ms: u64) {
        if self.is_member(worker) {
            return self.heard(worker, now_ms);
        }
        let member = Member {
            standing: Standing::Joining,
            slots,
            told: Epoch(0),
            placed: Epoch(0),
            settled: Epoch(0),
            heard_ms: now_ms,
        };
        self.members.insert(worker, member);
        self.changed = true;
        if let Some(lease) = self.lease_ms {
            self.check_at.get_or_insert(now_ms.saturating_add(lease));
        }
    }

    /// A worker has said something.
    pub(super) fn heard(&mut self, worker: WorkerId, now_ms: u64) {
        if self.lease_ms.is_some()
            && let Some(member) = self.members.get_mut(&worker)
        {
            member.heard_ms = now_ms;
        }
    }

    /// When leases must be looked at.
    pub(super) fn check_at(&self) -> Option<u64> {
        self.check_at
    }

    /// Those whose lease is over, and for how long they have been silent. Costs nothing before the first
    /// lease can be over.
    pub(super) fn expired(&mut self, now_ms: u64) -> Vec<(WorkerId, u64)> {
        let (Some(lease), Some(check)) = (self.lease_ms, self.check_at) else {
            return Vec::new();
        };
        if now_ms < check {
            return Vec::new();
        }
        // A master that was away itself (stopped, or its host asleep) has not listened.
        if now_ms - check >= lease {
            self.members.values_mut().for_each(|member| member.heard_ms = now_ms);
        }
        let silent = |member: &Member| now_ms.saturating_sub(member.heard_ms);
        let expired = self.iter().filter(|(_, member)| silent(member) >= lease);
        let expired: Vec<_> = expired.map(|(worker, member)| (worker, silent(member))).collect();
        let rest = self.members.values().filter(|member| silent(member) < lease);
        self.check_at = rest.map(|member| member.heard_ms.saturating_add(lease)).min();
        expired
    }

    /// A worker is to hand over what it owns. False if it is not there, or does so already.
    pub(super) fn drain(&mut self, worker: WorkerId) -> bool {
        let Some(member) = self.members.get_mut(&worker) else {
            return false;
        };
        let new = member.standing != Standing::Draining;
        if new {
            member.standing = Standing::Draining;
            self.draining += 1;
            self.changed = true;
        }
        new
    }

    /// Whether there is another worker that can own partitions.
    pub(super) fn has_other(&self, worker: WorkerId) -> bool {
        self.iter().any(|(other, m)| other != worker && m.standing != Standing::Draining)
    }

    /// Those that hand over what they own.
    pub(super) fn draining(&self) -> Vec<WorkerId> {
        if self.draining == 0 {
            return Vec::new();
        }
        let draining = self.iter().filter(|(_, member)| member.standing == Standing::Draining);
        draining.map(|(worker, _)| worker).collect()
    }

    /// Forgets a worker. False if it is not there.
    pub(super) fn remove(&mut self, worker: WorkerId, why: &str, now_ms: u64) -> bool {
        let Some(member) = self.members.remove(&worker) else {
            return false;
        };
        self.draining -= usize::from(member.standing == Standing::Draining);
        self.unplaced -= usize::from(member.told > member.placed);
        if self.gone.len() == REMEMBERED {
            self.gone.pop_front();
        }
        self.gone.push_back(Gone { worker, why: why.to_owned(), at_ms: now_ms });
        true
    }

    /// Those that may own partitions, ascending.
    pub(super) fn owners_to_be(&self) -> Vec<WorkerId> {
        let stay = self.iter().filter(|(_, member)| member.standing != Standing::Draining);
        stay.map(|(worker, _)| worker).collect()
    }

    /// How many tasks a member runs at a time.
    pub(super) fn slots(&self, worker: WorkerId) -> Option<u32> {
        self.members.get(&worker).map(|member| member.slots)
    }

    /// Members are to own more or fewer partitions than before.
    pub(super) fn reweigh(&mut self) {
        self.changed = true;
    }

    /// Whether partitions should be placed anew.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Nothing of any placement holds any more.
    pub(super) fn unplace(&mut self) {
        for member in self.members.values_mut() {
            (member.told, member.placed) = (Epoch(0), Epoch(0));
        }
        (self.unplaced, self.changed) = (0, true);
    }

    /// Partitions have been placed: those with a share in `owns`, and those who must hear of it.
    pub(super) fn place(&mut self, owns: impl Fn(WorkerId) -> bool) {
        self.changed = false;
        for (worker, member) in &mut self.members {
            member.standing = match member.standing {
                Standing::Draining => Standing::Draining,
                Standing::Active if owns(*worker) => Standing::Active,
                _ if owns(*worker) => Standing::Joining,
                _ => Standing::StandingBy,
            };
        }
    }

    /// Partitions of lost members have gone to others.
    pub(super) fn inherit(&mut self, owns: impl Fn(WorkerId) -> bool) {
        for (worker, member) in &mut self.members {
            if owns(*worker) && member.standing == Standing::StandingBy {
                member.standing = Standing::Joining;
            }
        }
    }

    /// Members are told a placement, or a recovery; no worker has to acknowledge another any more.
    pub(super) fn tell(&mut self, told: &[WorkerId], epoch: Epoch) {
        self.unplaced = 0;
        self.members.values_mut().for_each(|member| member.placed = member.told);
        for worker in told {
            if let Some(member) = self.members.get_mut(worker) {
                member.told = epoch;
                self.unplaced += 1;
            }
        }
    }

    /// A member knows a placement.
    pub(super) fn placed(&mut self, worker: WorkerId, epoch: Epoch) {
        let Some(member) = self.members.get_mut(&worker) else {
            return;
        };
        if member.placed < member.told && epoch == member.told {
            member.placed = epoch;
            self.unplaced -= 1;
            if member.standing == Standing::Joining {
                member.standing = Standing::Active;
            }
        }
    }

    /// Whether every member knows the newest placement.
    pub(super) fn all_placed(&self) -> bool {
        self.unplaced == 0
    }

    /// Those that were told the newest placement and have not acknowledged it.
    pub(super) fn unplaced(&self) -> impl Iterator<Item = WorkerId> {
        self.iter().filter(|(_, member)| member.placed < member.told).map(|(worker, _)| worker)
    }

    /// The state that moves to a member up to that epoch has arrived.
    pub(super) fn settle(&mut self, worker: WorkerId, epoch: Epoch) {
        if let Some(member) = self.members.get_mut(&worker) {
            member.settled = epoch.min(member.told).max(member.settled);
        }
    }

    pub(super) fn settled(&self, worker: WorkerId) -> Epoch {
        self.members.get(&worker).map_or(Epoch(0), |member| member.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    #[test]
    fn a_lease_ends_for_those_that_are_silent_only() {
        let mut members = Members::new(Some(400));
        members.joined(A, 1, 0);
        members.joined(B, 1, 100);
        assert_eq!(members.check_at(), Some(400));
        members.heard(A, 300);
        assert_eq!(members.expired(399), []);
        assert_eq!(members.expired(400), [], "it was heard at 300");
        assert_eq!(members.check_at(), Some(500));
        members.heard(A, 450);
        assert_eq!(members.expired(500), [(B, 400)]);
        assert_eq!(members.check_at(), Some(850));
    }

    #[test]
    fn a_master_that_was_away_itself_waits_another_lease() {
        let mut members = Members::new(Some(400));
        members.joined(A, 1, 0);
        assert_eq!(members.expired(10_000), []);
        assert_eq!(members.check_at(), Some(10_400));
        assert_eq!(members.expired(10_400), [(A, 400)]);
    }

    #[test]
    fn without_leases_no_worker_is_too_late() {
        let mut members = Members::new(None);
        members.joined(A, 1, 0);
        assert_eq!((members.check_at(), members.expired(u64::MAX)), (None, vec![]));
    }

    #[test]
    fn an_acknowledgement_counts_once_and_only_that_of_the_placement_told() {
        let mut members = Members::new(None);
        members.joined(A, 1, 0);
        members.joined(B, 1, 0);
        members.place(|_| true);
        members.tell(&[A, B], Epoch(1));
        members.placed(A, Epoch(9));
        members.placed(A, Epoch(1));
        members.placed(A, Epoch(1));
        assert!(!members.all_placed());
        assert_eq!(members.unplaced().collect::<Vec<_>>(), [B]);
        members.remove(B, "gone", 7);
        assert!(members.all_placed());
        members.placed(B, Epoch(1));
        assert!(members.all_placed());
    }

    #[test]
    fn a_drained_worker_is_no_owner_to_be_and_the_last_one_has_no_other() {
        let mut members = Members::new(None);
        members.joined(A, 1, 0);
        assert!(!members.has_other(A));
        members.joined(B, 1, 0);
        assert!(members.has_other(A) && members.drain(A) && !members.drain(A));
        assert_eq!((members.owners_to_be(), members.draining()), (vec![B], vec![A]));
        assert!(!members.has_other(B), "the other one leaves");
    }
}
