//! States that cannot be saved, for people: which, where, why, and what to do about it.
//!
//! Nothing is decided here. A job that is to end waits for its states to be saved when what they have read cannot
//! be read again: that can take as long as the storage is away, and is said again and again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Driver;
use crate::driver::cluster::{ClusterError, UnsavedStatus};
use crate::host;
use crate::id::{Partition, StageId, WorkerId};

/// After so long people hear what the end of a job waits for, if it is not over by then.
const SOON: Duration = Duration::from_secs(3);
/// How long after that they hear it again, at first and at most.
const AGAIN: Duration = Duration::from_secs(10);
const AT_MOST: Duration = Duration::from_secs(300);

/// States that could not be saved.
#[derive(Default)]
pub(super) struct Unsaved {
    failing: BTreeMap<(StageId, Partition), Failing>,
    /// While the end of the job waits for states to be saved: when that is reported next, and the pause after that.
    tells: Option<(Instant, Duration)>,
}

struct Failing {
    worker: WorkerId,
    since: Instant,
    tries: u32,
    why: String,
}

impl Unsaved {
    /// A state could not be saved.
    pub(super) fn failed(
        &mut self,
        state: (StageId, Partition),
        worker: WorkerId,
        why: String,
        now: Instant,
    ) {
        let fresh = || Failing { worker, since: now, tries: 0, why: String::new() };
        let failing = self.failing.entry(state).or_insert_with(fresh);
        (failing.worker, failing.tries, failing.why) = (worker, failing.tries + 1, why);
    }

    /// A state was saved.
    pub(super) fn saved(&mut self, stage: StageId, partition: Partition) {
        self.failing.remove(&(stage, partition));
    }

    /// A worker is gone: what it could not save others may.
    pub(super) fn gone(&mut self, worker: WorkerId) {
        self.failing.retain(|_, failing| failing.worker != worker);
    }

    /// The one that could not be saved for longest.
    fn oldest(&self) -> Option<(StageId, Partition, &Failing)> {
        let oldest = self.failing.iter().min_by_key(|(_, failing)| failing.since);
        oldest.map(|((stage, partition), failing)| (*stage, *partition, failing))
    }

    /// When something is to be said.
    pub(super) fn tells_at(&self) -> Option<Instant> {
        self.tells.map(|(at, _)| at)
    }

    /// Whether it is to be said now what the end of the job waits for, if it `waits`.
    fn tells(&mut self, waits: bool, now: Instant) -> bool {
        if !waits {
            self.tells = None;
            return false;
        }
        // What has failed is said at once, the first time.
        let first = match self.failing.is_empty() {
            true => now + SOON,
            false => now,
        };
        let (at, again) = self.tells.get_or_insert((first, AGAIN));
        if *again == AGAIN && first < *at {
            *at = first;
        }
        let due = *at <= now;
        if due {
            *at = now + *again;
            *again = (*again * 2).min(AT_MOST);
        }
        due
    }
}

impl Driver<'_> {
    /// Says what the end of the job waits for, if it does.
    pub(super) fn watch_end(&mut self) {
        let waits = self.is_stopping() && self.master.must_save();
        if !self.unsaved.tells(waits, host::now()) {
            return;
        }
        let why = self.why_unsaved();
        self.master.warn(&format!(
            "all that was received is processed, and {why}; it is tried again until it succeeds. Until then \
             the workers hold what clients have sent: nothing is lost as long as they run\n  help: see to it that \
             the workers can write to {}. `stop --now` ends the job all the same, and what clients have sent since \
             its states were saved last is lost for a job that goes on from there",
            self.setup.saves.as_deref().unwrap_or_default()
        ));
    }

    /// What the end of the job waits for, and why that is not done.
    fn why_unsaved(&self) -> String {
        let name = |worker| format!("worker `{}`", self.members.name(worker));
        let cause = self.master.core_status().cause(&name);
        let cause = cause.unwrap_or_else(|| "the job ends".to_owned());
        match self.unsaved() {
            Some(UnsavedStatus { operator, partition, worker, why, .. }) => format!(
                "{cause}; worker `{worker}` cannot save that of `{operator}`, {partition}: {why}"
            ),
            None => cause,
        }
    }

    /// Why the end of the job is no good one, if it comes now.
    pub(super) fn ends_unsaved(&self) -> Option<ClusterError> {
        self.master.must_save().then(|| ClusterError::Unsaved { why: self.why_unsaved() })
    }

    /// The state that could not be saved for longest.
    pub(super) fn unsaved(&self) -> Option<UnsavedStatus> {
        let (stage, partition, failing) = self.unsaved.oldest()?;
        Some(UnsavedStatus {
            operator: self.plan.stages.get(stage.index()).map_or("", |row| row.name).to_owned(),
            partition,
            worker: self.members.name(failing.worker),
            url: self.setup.saves.clone().unwrap_or_default(),
            for_ms: host::since(failing.since).as_millis() as u64,
            tries: failing.tries,
            why: failing.why.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: (StageId, Partition) = (StageId(1), Partition(2));

    #[test]
    fn what_the_end_waits_for_is_said_and_said_again_ever_more_seldom() {
        let (mut unsaved, begun) = (Unsaved::default(), Instant::now());
        let at = |s| begun + Duration::from_secs(s);
        assert!(!unsaved.tells(false, at(0)));
        assert_eq!(unsaved.tells_at(), None);
        // Usually it is over before it is reported.
        assert!(!unsaved.tells(true, at(1)));
        assert_eq!(unsaved.tells_at(), Some(at(4)));
        assert!(!unsaved.tells(true, at(3)) && unsaved.tells(true, at(4)));
        assert!(!unsaved.tells(true, at(13)) && unsaved.tells(true, at(14)));
        assert!(!unsaved.tells(true, at(33)) && unsaved.tells(true, at(34)));
        assert!(!unsaved.tells(false, at(35)));
        assert_eq!(unsaved.tells_at(), None);
    }

    #[test]
    fn what_has_failed_is_said_at_once() {
        let (mut unsaved, now) = (Unsaved::default(), Instant::now());
        assert!(!unsaved.tells(true, now));
        unsaved.failed(STATE, WorkerId(3), "no room".to_owned(), now);
        assert!(unsaved.tells(true, now) && !unsaved.tells(true, now));
        assert_eq!(unsaved.tells_at(), Some(now + AGAIN));
    }

    #[test]
    fn a_state_is_unsaved_until_it_is_saved_or_its_worker_is_gone() {
        let (mut unsaved, now) = (Unsaved::default(), Instant::now());
        let other = (StageId(1), Partition(0));
        unsaved.failed(STATE, WorkerId(3), "no room".to_owned(), now);
        unsaved.failed(other, WorkerId(4), "no room".to_owned(), now + SOON);
        unsaved.failed(STATE, WorkerId(3), "away".to_owned(), now + SOON);
        let oldest = |unsaved: &Unsaved| {
            unsaved
                .oldest()
                .map(|(stage, partition, f)| ((stage, partition), f.tries, f.why.clone()))
        };
        assert_eq!(oldest(&unsaved), Some((STATE, 2, "away".to_owned())));
        unsaved.saved(STATE.0, STATE.1);
        assert_eq!(oldest(&unsaved), Some((other, 1, "no room".to_owned())));
        unsaved.gone(WorkerId(4));
        assert_eq!(oldest(&unsaved), None);
    }
}
