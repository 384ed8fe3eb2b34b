//! Workers that are about to leave, after their tasks and states are handed over: each takes in nothing more, then
//! hands over what it holds of what clients have sent, and then goes.
//!
//! ```text
//! receives ──► hands over ──► goes
//! ```
//!
//! The worker itself knows best what it holds, and which workers hold copies (see the worker's
//! `replicas::handover`). This module decides whether that is still true. Invariant: a worker that may go has named
//! those that hold its data, and none of these has been lost since.

use std::collections::BTreeMap;

use crate::id::WorkerId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Receives,
    HandsOver,
}

/// Who is about to leave.
#[derive(Debug, Default)]
pub(super) struct Draining(BTreeMap<WorkerId, Phase>);

impl Draining {
    /// A worker has no tasks and states any more.
    pub(super) fn begin(&mut self, worker: WorkerId) {
        self.0.entry(worker).or_insert(Phase::Receives);
    }

    /// Those that can be told to hand over what they hold, once: they receive nothing any more.
    pub(super) fn ready(&mut self, receives: impl Fn(WorkerId) -> bool) -> Vec<WorkerId> {
        let mut ready = Vec::new();
        for (worker, phase) in &mut self.0 {
            if *phase == Phase::Receives && !receives(*worker) {
                *phase = Phase::HandsOver;
                ready.push(*worker);
            }
        }
        ready
    }

    /// A worker reports that these hold all that it had. Returns whether it may go; if one of them has been lost,
    /// the worker hears of that, too, and hands over again.
    pub(super) fn may_go(
        &mut self,
        worker: WorkerId,
        to: &[WorkerId],
        is_there: impl Fn(WorkerId) -> bool,
    ) -> bool {
        let hands_over = self.0.get(&worker) == Some(&Phase::HandsOver);
        let may_go = hands_over && to.iter().all(|worker| is_there(*worker));
        if may_go {
            self.0.remove(&worker);
        }
        may_go
    }

    /// A worker is gone, politely or not.
    pub(super) fn gone(&mut self, worker: WorkerId) {
        self.0.remove(&worker);
    }

    /// Whether a worker is about to leave.
    #[cfg(test)]
    pub(super) fn contains(&self, worker: WorkerId) -> bool {
        self.0.contains_key(&worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_stops_receiving_and_hands_over_to_those_who_are_there() {
        let (mut draining, leaver) = (Draining::default(), WorkerId(1));
        draining.begin(leaver);
        assert_eq!(draining.ready(|_| true), []);
        assert!(!draining.may_go(leaver, &[], |_| true), "it was not told to hand over");
        assert_eq!(draining.ready(|_| false), [leaver]);
        assert_eq!(draining.ready(|_| false), [], "once");
        draining.begin(leaver);
        let to = [WorkerId(2), WorkerId(3)];
        assert!(!draining.may_go(leaver, &to, |worker| worker == WorkerId(2)));
        assert!(draining.contains(leaver));
        assert!(draining.may_go(leaver, &to, |_| true));
        assert!(!draining.may_go(leaver, &to, |_| true), "it has gone");
    }
}
