//! Broken links between workers.
//!
//! Two workers have lost each other. If one of them is lost to the master too, the master recovers from that. If
//! both stay connected, the messages between them are lost and are not sent again, so one of them is evicted, or
//! the job fails if it cannot recover. The decision waits until the master would have noticed a lost worker.

use std::collections::VecDeque;
use std::time::Duration;

use crate::id::WorkerId;

/// A worker reports that it has lost another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokenLink {
    pub(crate) from: WorkerId,
    pub(crate) to: WorkerId,
    pub(crate) why: String,
    /// The other worker was silent for nearly as long as a lease; the connection stands.
    pub(crate) silent: bool,
}

/// What a broken link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// One worker is evicted because of its link to the other.
    Evict { worker: WorkerId, other: WorkerId, why: String },
    /// The job cannot recover.
    Fail { from: WorkerId, to: WorkerId, why: String },
}

/// Broken links that are not judged yet.
#[derive(Debug)]
pub(super) struct LinkFailures {
    recovers: bool,
    lease: Duration,
    /// By the time of the decision.
    links: VecDeque<(Duration, BrokenLink)>,
}

impl LinkFailures {
    /// For a job that recovers from a lost worker, or fails with it.
    pub(super) fn new(recovers: bool, lease: Duration) -> Self {
        Self { recovers, lease, links: VecDeque::new() }
    }

    /// A link is broken.
    pub(super) fn report(&mut self, now: Duration, link: BrokenLink) {
        // A worker that was silent to another this long would soon be silent to this master.
        let time = if link.silent { self.lease / 4 } else { 2 * self.lease };
        let judged = now + time;
        let at = self.links.partition_point(|(other, _)| *other <= judged);
        self.links.insert(at, (judged, link));
    }

    /// When the next decision is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.links.front().map(|(judged, _)| *judged)
    }

    /// Judges the first link if it is due. Of two connected workers, the one with more broken links is evicted.
    pub(super) fn judge(
        &mut self,
        now: Duration,
        is_there: impl Fn(WorkerId) -> bool,
    ) -> Option<Verdict> {
        self.next().filter(|due| *due <= now)?;
        let (_, BrokenLink { from, to, why, .. }) = self.links.pop_front()?;
        if !is_there(from) || !is_there(to) {
            return None;
        }
        if !self.recovers {
            return Some(Verdict::Fail { from, to, why });
        }
        let (worker, other) =
            if self.count(to) > self.count(from) { (to, from) } else { (from, to) };
        Some(Verdict::Evict { worker, other, why })
    }

    /// Counts the other broken links of a worker.
    fn count(&self, worker: WorkerId) -> usize {
        self.links.iter().filter(|(_, link)| link.from == worker || link.to == worker).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(400);

    fn link(from: u32, to: u32, silent: bool) -> BrokenLink {
        BrokenLink { from: WorkerId(from), to: WorkerId(to), why: "cut".to_owned(), silent }
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn evicts(worker: u32, other: u32) -> Option<Verdict> {
        let (worker, other) = (WorkerId(worker), WorkerId(other));
        Some(Verdict::Evict { worker, other, why: "cut".to_owned() })
    }

    #[test]
    fn links_are_judged_when_due_and_silent_ones_first() {
        let mut links = LinkFailures::new(true, LEASE);
        links.report(at(0), link(1, 2, false));
        links.report(at(10), link(3, 4, true));
        assert_eq!(links.next(), Some(at(110)));
        assert_eq!(links.judge(at(109), |_| true), None);
        assert_eq!(links.judge(at(110), |_| true), evicts(3, 4));
        assert_eq!(links.next(), Some(at(800)));
        assert_eq!(links.judge(at(799), |_| true), None);
        assert_eq!(links.judge(at(800), |_| true), evicts(1, 2));
        assert_eq!((links.next(), links.judge(at(9000), |_| true)), (None, None));
    }

    #[test]
    fn a_worker_that_several_have_lost_is_evicted() {
        let mut links = LinkFailures::new(true, LEASE);
        links.report(at(0), link(1, 3, false));
        links.report(at(0), link(2, 3, false));
        assert_eq!(links.judge(at(800), |_| true), evicts(3, 1));
        assert_eq!(links.judge(at(800), |worker| worker != WorkerId(3)), None, "it is lost");
        assert_eq!(links.next(), None);
    }

    #[test]
    fn a_job_that_cannot_recover_fails() {
        let mut links = LinkFailures::new(false, LEASE);
        links.report(at(0), link(1, 2, false));
        let (from, to) = (WorkerId(1), WorkerId(2));
        let fails = Verdict::Fail { from, to, why: "cut".to_owned() };
        assert_eq!(links.judge(at(800), |_| true), Some(fails));
    }
}
