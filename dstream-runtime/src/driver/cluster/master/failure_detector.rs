//! Workers whose lifelines have ended: most likely with their processes, and perhaps because of something on
//! the way.
//!
//! Such a worker is asked. One that does not answer for a moment is lost; one that answers is no longer in doubt,
//! and its lease goes on as before. So the end of a lifeline alone loses no worker, whatever process caused it, and
//! a worker without a lifeline is missed by its lease.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Driver, Returns};
use crate::driver::cluster::note::MasterNote;
use crate::host;
use crate::id::WorkerId;
use crate::net::PeerId;

/// How long a worker in doubt may say nothing where others can go on for it. A worker that lives answers within
/// a round trip and shows beside that every [`HEARTBEAT`](super::HEARTBEAT) that it does.
const PATIENCE: Duration = Duration::from_millis(100);
/// The same where the job ends with it: an error could not be made good.
const LONG_PATIENCE: Duration = Duration::from_secs(1);

/// Who is in doubt.
pub(super) struct FailureDetector {
    patience: Duration,
    /// When each is judged unless it is heard before.
    judged: BTreeMap<WorkerId, Instant>,
}

impl FailureDetector {
    /// For a job that goes on, or does not, without a worker.
    pub(super) fn new(goes_on: bool) -> Self {
        let patience = if goes_on { PATIENCE } else { LONG_PATIENCE };
        Self { patience, judged: BTreeMap::new() }
    }

    fn begin(&mut self, worker: WorkerId, now: Instant) {
        self.judged.insert(worker, now + self.patience);
    }

    /// It has said something, perhaps before its end: what was on its way proves nothing, but has to be heard.
    pub(super) fn heard(&mut self, worker: WorkerId, now: Instant) {
        if let Some(judged) = self.judged.get_mut(&worker) {
            *judged = now + self.patience;
        }
    }

    /// It has answered, or is gone.
    pub(super) fn end(&mut self, worker: WorkerId) {
        self.judged.remove(&worker);
    }

    /// When the next worker is due to be judged.
    pub(super) fn next(&self) -> Option<Instant> {
        self.judged.values().min().copied()
    }

    /// Those who are lost by now.
    fn lost(&mut self, now: Instant) -> Vec<WorkerId> {
        for judged in self.judged.values_mut() {
            // Who looks so late was away itself, and may have answers to read.
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

impl Driver<'_> {
    pub(super) fn lifeline_ended(&mut self, peer: PeerId) {
        // One that was told to go does as it was told.
        if let Some(worker) = self.members.worker(peer).filter(|worker| self.members.stays(*worker))
        {
            self.detector.begin(worker, host::now());
            self.send(peer, &MasterNote::Ping);
        }
    }

    pub(super) fn judge_suspects(&mut self) {
        for worker in self.detector.lost(host::now()) {
            self.evict(worker, "its process has ended".to_owned(), Returns::Never);
        }
    }

    /// Says, once, that workers cannot be missed at once.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    /// `ms` after a lifeline has ended.
    fn at(begun: Instant, ms: u64) -> Instant {
        begun + Duration::from_millis(ms)
    }

    #[test]
    fn a_worker_that_says_nothing_is_lost_and_one_that_answers_is_not() {
        let (mut detector, begun) = (FailureDetector::new(true), Instant::now());
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
        let (mut detector, begun) = (FailureDetector::new(true), Instant::now());
        detector.begin(A, begun);
        detector.heard(A, at(begun, 20));
        detector.heard(B, at(begun, 20));
        assert_eq!(detector.next(), Some(at(begun, 120)));
        assert_eq!(detector.lost(at(begun, 119)), []);
        assert_eq!(detector.lost(at(begun, 121)), [A]);
    }

    #[test]
    fn a_master_that_was_away_itself_waits_once_more() {
        let (mut detector, begun) = (FailureDetector::new(true), Instant::now());
        detector.begin(A, begun);
        assert_eq!(detector.lost(at(begun, 5000)), []);
        assert_eq!(detector.next(), Some(at(begun, 5100)));
        assert_eq!(detector.lost(at(begun, 5100)), [A]);
    }

    #[test]
    fn where_the_job_ends_with_a_worker_more_silence_is_needed() {
        let (mut detector, begun) = (FailureDetector::new(false), Instant::now());
        detector.begin(A, begun);
        assert_eq!(detector.lost(at(begun, 999)), []);
        assert_eq!(detector.lost(at(begun, 1000)), [A]);
    }
}
