//! Workers whose lifelines have ended: their processes have probably ended, but the network may be the cause.
//!
//! The master pings a suspected worker. A worker that stays silent is lost; a worker that answers is no longer
//! suspected, and its lease continues. The end of a lifeline alone loses no worker. A worker without a lifeline
//! is missed by its lease.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::WorkerId;

/// A suspected worker may be silent this long if others can take over its work. A live worker answers within a
/// round trip, and sends heartbeats besides.
const PATIENCE: Duration = Duration::from_millis(100);
/// The same if the loss ends the job: that error could not be undone.
const LONG_PATIENCE: Duration = Duration::from_secs(1);

/// Suspected workers.
#[derive(Debug)]
pub(super) struct FailureDetector {
    patience: Duration,
    /// When each worker is lost unless it is heard before.
    judged: BTreeMap<WorkerId, Duration>,
}

impl FailureDetector {
    /// For a job that recovers from a lost worker, or fails with it.
    pub(super) fn new(recovers: bool) -> Self {
        let patience = if recovers { PATIENCE } else { LONG_PATIENCE };
        Self { patience, judged: BTreeMap::new() }
    }

    /// Suspects a worker.
    pub(super) fn begin(&mut self, worker: WorkerId, now: Duration) {
        self.judged.insert(worker, now + self.patience);
    }

    /// A worker was heard. The message may be from before its end: it postpones the decision and proves nothing.
    pub(super) fn heard(&mut self, worker: WorkerId, now: Duration) {
        if let Some(judged) = self.judged.get_mut(&worker) {
            *judged = now + self.patience;
        }
    }

    /// A worker has answered, or is lost.
    pub(super) fn end(&mut self, worker: WorkerId) {
        self.judged.remove(&worker);
    }

    /// When the next decision is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.judged.values().min().copied()
    }

    /// Removes and returns the workers that are lost.
    pub(super) fn lost(&mut self, now: Duration) -> Vec<WorkerId> {
        for judged in self.judged.values_mut() {
            // The master itself was suspended; answers may be unread.
            if now >= *judged + self.patience {
                *judged = now + self.patience;
            }
        }
        let lost: Vec<_> =
            self.judged.iter().filter(|(_, judged)| **judged <= now).map(|(of, _)| *of).collect();
        self.judged.retain(|_, judged| *judged > now);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    /// `ms` after a lifeline has ended.
    fn at(begun: Duration, ms: u64) -> Duration {
        begun + Duration::from_millis(ms)
    }

    #[test]
    fn a_worker_that_says_nothing_is_lost_and_one_that_answers_is_not() {
        let (mut detector, begun) = (FailureDetector::new(true), Duration::from_secs(7));
        assert_eq!(detector.next(), None);
        detector.begin(A, begun);
        detector.begin(B, at(begun, 30));
        assert_eq!(detector.next(), Some(at(begun, 100)));
        assert_eq!(detector.lost(at(begun, 99)), []);
        detector.end(B);
        assert_eq!(detector.lost(at(begun, 100)), [A]);
        assert_eq!((detector.next(), detector.lost(at(begun, 190))), (None, vec![]));
    }

    #[test]
    fn what_was_on_its_way_delays_the_judgement_and_proves_nothing() {
        let (mut detector, begun) = (FailureDetector::new(true), Duration::from_secs(7));
        detector.begin(A, begun);
        detector.heard(A, at(begun, 20));
        detector.heard(B, at(begun, 20));
        assert_eq!(detector.next(), Some(at(begun, 120)));
        assert_eq!(detector.lost(at(begun, 119)), []);
        assert_eq!(detector.lost(at(begun, 121)), [A]);
    }

    #[test]
    fn a_master_that_was_away_itself_waits_once_more() {
        let (mut detector, begun) = (FailureDetector::new(true), Duration::from_secs(7));
        detector.begin(A, begun);
        assert_eq!(detector.lost(at(begun, 5000)), []);
        assert_eq!(detector.next(), Some(at(begun, 5100)));
        assert_eq!(detector.lost(at(begun, 5100)), [A]);
    }

    #[test]
    fn where_the_job_ends_with_a_worker_more_silence_is_needed() {
        let (mut detector, begun) = (FailureDetector::new(false), Duration::from_secs(7));
        detector.begin(A, begun);
        assert_eq!(detector.lost(at(begun, 999)), []);
        assert_eq!(detector.lost(at(begun, 1000)), [A]);
    }
}
