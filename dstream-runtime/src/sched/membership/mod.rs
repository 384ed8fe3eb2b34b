//! Decisions of a master about connected workers: which one is suspected and lost, which one a broken link evicts,
//! and when a drained one may exit.
//!
//! The core has no clock, lock or socket. Times are durations since the master started. The driver reports what
//! happens, and sends, closes and recovers as the core decides; so does the simulation.

mod draining;
mod failure_detector;
mod links;

use std::time::Duration;

use self::draining::Draining;
use self::failure_detector::FailureDetector;
use self::links::LinkFailures;
pub(crate) use self::links::{BrokenLink, Verdict};
use crate::id::WorkerId;

/// Suspected and draining workers, and broken links between workers.
#[derive(Debug)]
pub(crate) struct Membership {
    detector: FailureDetector,
    links: LinkFailures,
    draining: Draining,
}

impl Membership {
    /// For a job that recovers from a lost worker, or fails with it.
    pub(crate) fn new(recovers: bool, lease: Duration) -> Self {
        Self {
            detector: FailureDetector::new(recovers),
            links: LinkFailures::new(recovers, lease),
            draining: Draining::default(),
        }
    }

    /// The lifeline of a worker has ended: it is suspected, and is to be pinged.
    pub(crate) fn lifeline_ended(&mut self, now: Duration, worker: WorkerId) {
        self.detector.begin(worker, now);
    }

    /// A message of a worker has arrived.
    pub(crate) fn heard(&mut self, now: Duration, worker: WorkerId) {
        self.detector.heard(worker, now);
    }

    /// A suspected worker has answered a ping.
    pub(crate) fn answered(&mut self, worker: WorkerId) {
        self.detector.end(worker);
    }

    /// Returns the suspected workers that are lost, each once.
    pub(crate) fn lost(&mut self, now: Duration) -> Vec<WorkerId> {
        self.detector.lost(now)
    }

    /// When the next suspected worker is lost.
    pub(crate) fn suspects_due(&self) -> Option<Duration> {
        self.detector.next()
    }

    /// A connected worker has lost another one.
    pub(crate) fn link_broken(&mut self, now: Duration, link: BrokenLink) {
        self.links.report(now, link);
    }

    /// When the next broken link is judged.
    pub(crate) fn links_due(&self) -> Option<Duration> {
        self.links.next()
    }

    /// Judges the next broken link if it is due. Unread messages are to be handled before: they may say that
    /// one of its workers is lost.
    pub(crate) fn judge_link(
        &mut self,
        now: Duration,
        is_there: impl Fn(WorkerId) -> bool,
    ) -> Option<Verdict> {
        self.links.judge(now, is_there)
    }

    /// A draining worker has no tasks and states any more.
    pub(crate) fn drained(&mut self, worker: WorkerId) {
        self.draining.begin(worker);
    }

    /// Returns the drained workers that are to hand over their received blocks, each once.
    pub(crate) fn hand_over(&mut self, receives: impl Fn(WorkerId) -> bool) -> Vec<WorkerId> {
        self.draining.ready(receives)
    }

    /// A drained worker reports that these hold its received blocks. Returns whether it may exit, once.
    pub(crate) fn may_exit(
        &mut self,
        worker: WorkerId,
        holders: &[WorkerId],
        stays: impl Fn(WorkerId) -> bool,
    ) -> bool {
        self.draining.may_go(worker, holders, stays)
    }

    /// Whether a worker has been drained and is to exit.
    #[cfg(test)]
    pub(crate) fn is_drained(&self, worker: WorkerId) -> bool {
        self.draining.contains(worker)
    }

    /// The connection of a worker has ended.
    pub(crate) fn gone(&mut self, worker: WorkerId) {
        self.detector.end(worker);
        self.draining.gone(worker);
    }
}
