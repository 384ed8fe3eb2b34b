//! Whether what clients were told is safe is lost: which workers may still come with it, and what tasks have
//! asked for in vain.
//!
//! A worker whose process has ended does not come again. One that is only out of reach does, with what it holds,
//! and is waited for, a bounded time; so are the workers of the time before this master, from the moment when the
//! first of them is there. Invariants: nothing is lost while a worker is waited for, or while a worker that is there
//! has not been asked for it; what is not lost then is held by a worker that is there. What waits for a batch is known to
//! this master alone, so that all that is lost must be said at once: every worker that is there is heard before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::receivers::Receivers;
use crate::driver::cluster::worker::Numbers;
use crate::guards::{Guard, guard};
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::sched::MasterCore;
use crate::sched::message::LostRow;
use crate::source::receive::{Spans, taker_of};

/// How long workers that were waited for in vain have to come once their master was started again: those that run look for
/// it several times a second.
const ONCE_MORE: Duration = Duration::from_secs(3);

/// A worker that was heard so long after something was found to be lost was there then: less, and it may have ended since,
/// together with those that are missed.
const HEARD: Duration = Duration::from_millis(250);

/// Whether a worker that is gone may come again with what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returns {
    /// Its process has ended, or it has handed over what it held.
    Never,
    /// It is out of reach.
    Maybe,
}

/// The workers of the time before this master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// There are none, or they have had their time.
    Over,
    /// None of them is there yet.
    Absent,
    /// They may come until then.
    Until(Instant),
}

/// What is known about losses.
pub(crate) struct Losses {
    /// How long a worker is waited for.
    grace: Duration,
    /// Workers that are gone and may come again, by name, and until when each is waited for.
    absent: BTreeMap<String, Instant>,
    /// Those of them that were waited for in vain.
    overdue: BTreeSet<String>,
    before: Before,
    /// Workers of the time before this master were waited for, and it is not known whether all have come.
    was_before: bool,
    missing: BTreeMap<WorkerId, Missing>,
    /// When something was found to be lost that no worker is waited for with.
    found: Option<Instant>,
    /// What is lost, and the job goes on without.
    dropped: BTreeMap<(SourceId, WorkerId), Spans>,
}

/// A receipt that a batch needs.
pub(super) type Needed = (BatchSeq, SourceId, WorkerId, u64);

/// Receipts that the tasks of a worker wait for, and that no worker has which it has asked.
struct Missing {
    all: Vec<Numbers>,
    asked: BTreeSet<WorkerId>,
}

impl Losses {
    /// Of a master; `goes_on`: there was one before it.
    pub(crate) fn new(goes_on: bool, grace: Duration) -> Self {
        let before = if goes_on { Before::Absent } else { Before::Over };
        let (missing, dropped) = (BTreeMap::new(), BTreeMap::new());
        let (absent, overdue) = (BTreeMap::new(), BTreeSet::new());
        let (was_before, found) = (goes_on, None);
        Self { grace, absent, overdue, before, was_before, missing, found, dropped }
    }

    /// Workers of the time before were waited for in vain, and the job has stopped. They have had their time, so that
    /// they have little more.
    pub(crate) fn were_overdue(&mut self, now: Instant) {
        self.before = Before::Until(now + ONCE_MORE.min(self.grace));
    }

    /// A worker is there, and has said what it holds.
    pub(crate) fn ready(&mut self, name: &str, now: Instant) {
        self.absent.remove(name);
        self.overdue.remove(name);
        if self.before == Before::Absent {
            self.before = Before::Until(now + self.grace);
        }
    }

    /// A worker is gone.
    pub(crate) fn gone(&mut self, worker: WorkerId, name: &str, returns: Returns, now: Instant) {
        self.missing.remove(&worker);
        if returns == Returns::Maybe {
            self.absent.insert(name.to_owned(), now + self.grace);
        }
    }

    /// The tasks of a worker wait for these, and for nothing else, and none of the workers that it has asked has any.
    pub(in crate::driver::cluster) fn missing(
        &mut self,
        worker: WorkerId,
        all: Vec<Numbers>,
        asked: impl IntoIterator<Item = WorkerId>,
    ) {
        match all.is_empty() {
            true => self.missing.remove(&worker),
            false => {
                self.missing.insert(worker, Missing { all, asked: asked.into_iter().collect() })
            }
        };
    }

    /// Time has passed.
    pub(crate) fn pass(&mut self, now: Instant) {
        let overdue = self.absent.extract_if(.., |_, until| *until <= now);
        self.overdue.extend(overdue.map(|(name, _)| name));
        if matches!(self.before, Before::Until(until) if until <= now) {
            self.before = Before::Over;
        }
    }

    /// When a wait ends next.
    pub(crate) fn due(&self) -> Option<Instant> {
        let before = match self.before {
            Before::Until(until) => Some(until),
            Before::Over | Before::Absent => None,
        };
        self.absent.values().copied().chain(before).min()
    }

    /// Until when some worker is waited for at the longest; none if it is not known, or none is.
    pub(crate) fn ends(&self) -> Option<Instant> {
        let before = match self.before {
            Before::Until(until) => Some(until),
            Before::Absent => return None,
            Before::Over => None,
        };
        self.absent.values().copied().chain(before).max()
    }

    /// The names of the workers that are waited for, and whether there may be more, of the time before this master.
    pub(crate) fn awaited(&self) -> (impl Iterator<Item = &str>, bool) {
        (self.absent.keys().map(String::as_str), self.before != Before::Over)
    }

    /// Whether no worker is waited for.
    pub(crate) fn is_complete(&self) -> bool {
        let complete = self.absent.is_empty() && self.before == Before::Over;
        guard(Guard::AbsentAreAwaited, complete)
    }

    /// Whether all of what is lost is known, if anything is: when all workers that are there were heard last.
    pub(crate) fn is_all_known(
        &mut self,
        is_lost: bool,
        mut heard: impl Iterator<Item = Instant>,
        now: Instant,
    ) -> bool {
        if !is_lost || !self.is_complete() {
            self.found = None;
            return false;
        }
        let found = *self.found.get_or_insert(now);
        guard(Guard::AllAreHeard, heard.all(|heard| heard >= found + HEARD))
    }

    /// The job goes on without these.
    pub(crate) fn drop(&mut self, rows: &[LostRow]) {
        for row in rows {
            self.dropped.entry((row.source, row.taker)).or_default().join(&row.receipts);
        }
    }

    /// All that the job goes on without.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = (SourceId, WorkerId, &Spans)> {
        self.dropped.iter().map(|((source, taker), receipts)| (*source, *taker, receipts))
    }

    /// What clients were told is safe, and is held by no worker that is `there`: lost, if no worker is waited for.
    pub(crate) fn unheld(
        &self,
        core: &MasterCore,
        receivers: &Receivers,
        there: &BTreeSet<WorkerId>,
    ) -> Vec<LostRow> {
        let needed = match there.is_empty() || !self.missing.is_empty() {
            true => self.needed(core, there),
            false => Vec::new(),
        };
        let unheld = receivers.unheld(&needed).into_iter();
        let row = |(source, unheld): (SourceId, crate::source::receive::Unheld)| LostRow {
            source,
            taker: unheld.taker,
            receipts: unheld.receipts,
            records: unheld.records,
            exact: unheld.exact,
            first: unheld.first,
            last: unheld.last,
            since_ms: core.begins(unheld.first).0,
        };
        unheld.map(row).collect()
    }

    /// Receipts that batches need and that no worker has: all of them if there is no worker.
    fn needed(&self, core: &MasterCore, there: &BTreeSet<WorkerId>) -> Vec<Needed> {
        let nowhere = self.nowhere(there);
        let is_nowhere = |source: SourceId, taker: WorkerId, number: u64| {
            there.is_empty()
                || nowhere.iter().any(|all| {
                    (all.taker, all.source) == (taker, source)
                        && (all.from..all.to).contains(&number)
                })
        };
        let is_dropped = |source, taker, number| {
            self.dropped.get(&(source, taker)).is_some_and(|spans| spans.contains(number))
        };
        let mut needed = Vec::new();
        for (batch, source, range) in core.needed() {
            let Some((taker, _)) = taker_of(&range.split) else { continue };
            let numbers = (range.start..range.end).filter(|number| {
                is_nowhere(source, taker, *number) && !is_dropped(source, taker, *number)
            });
            needed.extend(numbers.map(|number| (batch, source, taker, number)));
        }
        needed
    }

    /// Whether what is lost is lost for good: no worker that was waited for in vain may come yet.
    pub(crate) fn is_certain(&self) -> bool {
        self.overdue.is_empty() && !self.was_before
    }

    /// Receipts that tasks wait for and that no worker has of those that are there. A worker that is gone may have
    /// handed over what it held: what was said while it was there is stale.
    fn nowhere(&self, there: &BTreeSet<WorkerId>) -> Vec<Numbers> {
        let all_asked = |(worker, missing): &(&WorkerId, &Missing)| {
            let others = there.iter().filter(|other| other != worker);
            guard(Guard::AllAreAsked, others.eq(&missing.asked))
        };
        self.missing.iter().filter(all_asked).flat_map(|(_, m)| m.all.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SourceId;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);
    const C: WorkerId = WorkerId(3);
    const GRACE: Duration = Duration::from_secs(30);

    fn at(begun: Instant, seconds: u64) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    fn some() -> Vec<Numbers> {
        vec![Numbers { taker: A, source: SourceId(0), from: 3, to: 5 }]
    }

    #[test]
    fn a_worker_whose_process_has_ended_is_not_waited_for_and_one_out_of_reach_is() {
        let (mut losses, begun) = (Losses::new(false, GRACE), Instant::now());
        assert!(losses.is_complete());
        losses.gone(A, "a", Returns::Never, begun);
        assert!(losses.is_complete());
        losses.gone(B, "b", Returns::Maybe, begun);
        losses.gone(C, "c", Returns::Maybe, at(begun, 5));
        assert_eq!((losses.due(), losses.ends()), (Some(at(begun, 30)), Some(at(begun, 35))));
        losses.ready("b", at(begun, 7));
        losses.pass(at(begun, 34));
        assert!(!losses.is_complete());
        assert_eq!(losses.awaited().0.collect::<Vec<_>>(), ["c"]);
        losses.pass(at(begun, 35));
        assert!(losses.is_complete() && !losses.is_certain());
        assert_eq!((losses.due(), losses.awaited().1), (None, false));
        losses.ready("c", at(begun, 40));
        assert!(losses.is_certain());
    }

    #[test]
    fn workers_of_the_time_before_are_waited_for_from_when_the_first_is_there() {
        let (mut losses, begun) = (Losses::new(true, GRACE), Instant::now());
        losses.pass(at(begun, 1000));
        assert!(!losses.is_complete() && losses.due().is_none());
        losses.ready("a", at(begun, 1000));
        losses.ready("b", at(begun, 1010));
        assert_eq!(losses.due(), Some(at(begun, 1030)));
        losses.pass(at(begun, 1030));
        assert!(losses.is_complete());
    }

    #[test]
    fn workers_that_were_waited_for_in_vain_have_little_time_after_a_restart() {
        let (mut losses, begun) = (Losses::new(true, GRACE), Instant::now());
        losses.were_overdue(begun);
        assert_eq!((losses.due(), losses.ends()), (Some(at(begun, 3)), Some(at(begun, 3))));
        losses.ready("a", at(begun, 2));
        losses.pass(at(begun, 2));
        assert!(!losses.is_complete(), "others may be about to come");
        losses.pass(at(begun, 3));
        assert!(losses.is_complete() && !losses.is_certain());
    }

    #[test]
    fn what_is_lost_is_all_known_when_every_worker_that_is_there_was_heard() {
        let (mut losses, begun) = (Losses::new(false, GRACE), Instant::now());
        let ms = |ms| begun + Duration::from_millis(ms);
        assert!(losses.is_all_known(true, std::iter::empty(), begun), "there is none");
        assert!(!losses.is_all_known(false, std::iter::empty(), begun));
        assert!(!losses.is_all_known(true, [ms(990)].into_iter(), ms(1000)));
        assert!(!losses.is_all_known(true, [ms(1200), ms(1300)].into_iter(), ms(1300)));
        assert!(losses.is_all_known(true, [ms(1250), ms(1300)].into_iter(), ms(1300)));
        // One of them is gone instead.
        losses.gone(B, "b", Returns::Maybe, ms(1400));
        assert!(!losses.is_all_known(true, [ms(1400)].into_iter(), ms(1400)));
    }

    #[test]
    fn what_is_missing_is_nowhere_once_all_that_are_there_were_asked() {
        let mut losses = Losses::new(false, GRACE);
        losses.missing(A, some(), [B]);
        assert_eq!(losses.nowhere(&BTreeSet::from([A, B, C])), [], "C may have it");
        assert_eq!(losses.nowhere(&BTreeSet::from([A, B])), some());
        losses.missing(A, some(), [B, C]);
        assert_eq!(losses.nowhere(&BTreeSet::from([A, B, C])), some());
        assert_eq!(losses.nowhere(&BTreeSet::from([A, B])), [], "C may have given it to B");
        losses.missing(A, Vec::new(), [B, C]);
        assert_eq!(losses.nowhere(&BTreeSet::from([A, B, C])), []);
        losses.missing(A, some(), [B]);
        losses.gone(A, "a", Returns::Never, Instant::now());
        assert_eq!(losses.nowhere(&BTreeSet::from([B])), [], "nothing waits for it");
    }
}
