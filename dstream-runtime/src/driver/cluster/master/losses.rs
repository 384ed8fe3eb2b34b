//! Whether what clients were told is safe is lost: which workers may still come with it, and what tasks have
//! asked for in vain.
//!
//! A worker whose process has ended does not come again. One that is only out of reach does, with what it holds,
//! and is waited for, a bounded time; so are the workers of the time before this master that its journal names, from the
//! moment when the first worker is there. Invariants: nothing is lost while a worker is waited for, or while a worker that is there
//! has not been asked for it; what is not lost then is held by a worker that is there. What waits for a batch is known to
//! this master alone, so that all that is lost must be said at once: every worker that is there is heard before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::receivers::Receivers;
use crate::driver::cluster::worker::BlockRange;
use crate::guards::{Guard, guard};
use crate::id::{BatchSeq, SourceId, WorkerId};
use crate::sched::message::{HolderChange, LostRow};
use crate::sched::{MasterCore, Past};
use crate::source::receive::{RangeSet, receiver_of};

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

/// Workers of the time before a master that may come with what they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Earlier {
    /// There was a master before.
    pub(crate) goes_on: bool,
    /// Their names.
    names: BTreeSet<String>,
    /// There may be others.
    others: bool,
}

impl Earlier {
    /// Of a job's first master.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Of a master that goes on from this; if the journal says nothing, any worker may come.
    pub(crate) fn of(past: Option<&Past>) -> Self {
        let Some(holders) = past.map(Past::holders) else {
            return Self { goes_on: true, names: BTreeSet::new(), others: true };
        };
        let names = holders.may_come().map(str::to_owned).collect();
        Self { goes_on: true, names, others: holders.has_others() }
    }
}

/// Workers of the time before this master that are not known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// There are none, or they have had their time.
    Over,
    /// No worker is there yet.
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
    /// Those of the time before this master that have not come yet.
    earlier: BTreeSet<String>,
    /// Until when they may come, once a worker is there.
    until: Option<Instant>,
    others: Others,
    /// Those that were waited for in vain.
    overdue: BTreeSet<String>,
    /// Workers that are not known by name were waited for, and it is not known whether all have come.
    had_others: bool,
    /// What later masters are to know once nothing is missed.
    unsaid: Vec<HolderChange>,
    goes_on: bool,
    /// Workers of the time before this master may run.
    were_there: bool,
    missing: BTreeMap<WorkerId, Missing>,
    /// When something was found to be lost that no worker is waited for with.
    found: Option<Instant>,
    /// What is lost, and the job goes on without.
    dropped: BTreeMap<(SourceId, WorkerId), RangeSet>,
}

/// A received block that a batch needs.
pub(super) type Needed = (BatchSeq, SourceId, WorkerId, u64);

/// Received blocks that the tasks of a worker wait for, and the workers that it has asked in vain.
struct Missing {
    all: Vec<BlockRange>,
    asked: BTreeSet<WorkerId>,
}

impl Losses {
    /// Of a master after those with which these workers were.
    pub(crate) fn new(earlier: Earlier, grace: Duration) -> Self {
        let Earlier { goes_on, names, others } = earlier;
        Self {
            grace,
            absent: BTreeMap::new(),
            were_there: others || !names.is_empty(),
            earlier: names,
            until: None,
            others: if others { Others::Absent } else { Others::Over },
            overdue: BTreeSet::new(),
            had_others: others,
            unsaid: Vec::new(),
            goes_on,
            missing: BTreeMap::new(),
            found: None,
            dropped: BTreeMap::new(),
        }
    }

    /// Workers of the time before were waited for in vain, and the job has stopped. They have had their time, so that
    /// they have little more; those that were there have theirs from now on.
    pub(crate) fn were_overdue(&mut self, now: Instant) {
        self.until = Some(now + self.grace);
        (self.others, self.had_others) = (Others::Until(now + ONCE_MORE.min(self.grace)), true);
        self.were_there = true;
    }

    /// Whether there was a master before, and whether workers of its time may run.
    pub(crate) fn goes_on(&self) -> Option<bool> {
        self.goes_on.then_some(self.were_there)
    }

    /// A worker is about to join: later masters hear so, and wait for it.
    pub(crate) fn comes(&mut self, name: &str) {
        self.unsaid.retain(|change| *change != gone(name));
    }

    /// A worker is there, and has said what it holds.
    pub(crate) fn ready(&mut self, name: &str, now: Instant) {
        self.absent.remove(name);
        self.overdue.remove(name);
        self.earlier.remove(name);
        self.until.get_or_insert(now + self.grace);
        if self.others == Others::Absent {
            self.others = Others::Until(now + self.grace);
        }
    }

    /// A worker is gone. What later masters are to know of it, if anything.
    pub(crate) fn gone(
        &mut self,
        worker: WorkerId,
        name: &str,
        returns: Returns,
        now: Instant,
    ) -> Option<HolderChange> {
        self.missing.remove(&worker);
        // Another process of that name may be missed, which this one has not come for.
        let is_awaited = self.absent.contains_key(name)
            || self.earlier.contains(name)
            || self.overdue.contains(name);
        if self.overdue.contains(name) {
            self.unsaid.push(gone(name));
        }
        if is_awaited {
            return None;
        }
        match returns {
            Returns::Never => Some(gone(name)),
            Returns::Maybe => {
                self.absent.insert(name.to_owned(), now + self.grace);
                None
            }
        }
    }

    /// The tasks of a worker wait for these, and for nothing else, and none of the workers that it has asked has any.
    pub(in crate::driver::cluster) fn missing(
        &mut self,
        worker: WorkerId,
        all: Vec<BlockRange>,
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
        let mut overdue: Vec<String> =
            self.absent.extract_if(.., |_, until| *until <= now).map(|(name, _)| name).collect();
        if self.until.is_some_and(|until| until <= now) {
            overdue.extend(std::mem::take(&mut self.earlier));
        }
        self.unsaid.extend(overdue.iter().map(|name| gone(name)));
        self.overdue.extend(overdue);
        if matches!(self.others, Others::Until(until) if until <= now) {
            self.others = Others::Over;
            self.unsaid.push(HolderChange::NoOthers);
        }
    }

    /// When a wait ends next.
    pub(crate) fn due(&self) -> Option<Instant> {
        let others = match self.others {
            Others::Until(until) => Some(until),
            Others::Over | Others::Absent => None,
        };
        let earlier = self.until.filter(|_| !self.earlier.is_empty());
        self.absent.values().copied().chain(others).chain(earlier).min()
    }

    /// Until when some worker is waited for at the longest; none if it is not known, or none is.
    pub(crate) fn ends(&self) -> Option<Instant> {
        let others = match self.others {
            Others::Until(until) => Some(until),
            Others::Absent => return None,
            Others::Over => None,
        };
        let earlier = match self.earlier.is_empty() {
            true => None,
            false => Some(self.until?),
        };
        self.absent.values().copied().chain(others).chain(earlier).max()
    }

    /// The names of the workers that are waited for; there may be more, of the time before this master.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = &str> {
        self.absent.keys().chain(&self.earlier).map(String::as_str)
    }

    /// Whether no worker of the time before this master is waited for.
    pub(crate) fn all_came(&self) -> bool {
        self.earlier.is_empty() && self.others == Others::Over
    }

    /// Whether no worker is waited for.
    pub(crate) fn is_complete(&self) -> bool {
        let complete = self.absent.is_empty() && self.all_came();
        guard(Guard::AbsentAreAwaited, complete)
    }

    /// Nothing is missed that workers may have which were waited for in vain, or the job stops for it or goes on
    /// without: what later masters are to know of them.
    pub(crate) fn settle(&mut self) -> Vec<HolderChange> {
        std::mem::take(&mut self.unsaid)
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
            self.dropped.entry((row.source, row.receiver)).or_default().join(&row.blocks);
        }
    }

    /// All that the job goes on without.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = (SourceId, WorkerId, &RangeSet)> {
        self.dropped.iter().map(|((source, receiver), blocks)| (*source, *receiver, blocks))
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
            receiver: unheld.receiver,
            blocks: unheld.blocks,
            records: unheld.records,
            exact: unheld.exact,
            first: unheld.first,
            last: unheld.last,
            since_ms: core.begins(unheld.first).0,
        };
        unheld.map(row).collect()
    }

    /// Received blocks that batches need and no worker has: all of them if there is no worker.
    fn needed(&self, core: &MasterCore, there: &BTreeSet<WorkerId>) -> Vec<Needed> {
        let nowhere = self.nowhere(there);
        let is_nowhere = |source: SourceId, receiver: WorkerId, number: u64| {
            there.is_empty()
                || nowhere.iter().any(|all| {
                    (all.receiver, all.source) == (receiver, source)
                        && (all.from..all.to).contains(&number)
                })
        };
        let is_dropped = |source, receiver, number| {
            self.dropped.get(&(source, receiver)).is_some_and(|spans| spans.contains(number))
        };
        let mut needed = Vec::new();
        for (batch, source, range) in core.needed() {
            let Some((receiver, _)) = receiver_of(&range.split) else { continue };
            let numbers = (range.start..range.end).filter(|number| {
                is_nowhere(source, receiver, *number) && !is_dropped(source, receiver, *number)
            });
            needed.extend(numbers.map(|number| (batch, source, receiver, number)));
        }
        needed
    }

    /// Whether what is lost is lost for good: no worker that was waited for in vain may come yet.
    pub(crate) fn is_certain(&self) -> bool {
        self.overdue.is_empty() && !self.had_others
    }

    /// Received blocks that tasks wait for and that none of the connected workers has. Answers from before a worker
    /// was lost are stale: it may have handed over what it held.
    fn nowhere(&self, there: &BTreeSet<WorkerId>) -> Vec<BlockRange> {
        let all_asked = |(worker, missing): &(&WorkerId, &Missing)| {
            let others = there.iter().filter(|other| other != worker);
            guard(Guard::AllAreAsked, others.eq(&missing.asked))
        };
        self.missing.iter().filter(all_asked).flat_map(|(_, m)| m.all.iter().copied()).collect()
    }
}

fn gone(name: &str) -> HolderChange {
    HolderChange::Gone { name: name.to_owned() }
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

    fn some() -> Vec<BlockRange> {
        vec![BlockRange { receiver: A, source: SourceId(0), from: 3, to: 5 }]
    }

    #[test]
    fn a_worker_whose_process_has_ended_is_not_waited_for_and_one_out_of_reach_is() {
        let (mut losses, begun) = (Losses::new(Earlier::none(), GRACE), Instant::now());
        assert!(losses.is_complete());
        losses.gone(A, "a", Returns::Never, begun);
        assert!(losses.is_complete());
        losses.gone(B, "b", Returns::Maybe, begun);
        losses.gone(C, "c", Returns::Maybe, at(begun, 5));
        assert_eq!((losses.due(), losses.ends()), (Some(at(begun, 30)), Some(at(begun, 35))));
        losses.ready("b", at(begun, 7));
        losses.pass(at(begun, 34));
        assert!(!losses.is_complete());
        assert_eq!(losses.awaited().collect::<Vec<_>>(), ["c"]);
        losses.pass(at(begun, 35));
        assert!(losses.is_complete() && !losses.is_certain());
        assert_eq!((losses.due(), losses.all_came()), (None, true));
        losses.ready("c", at(begun, 40));
        assert!(losses.is_certain());
    }

    #[test]
    fn workers_that_no_journal_names_are_waited_for_from_when_the_first_is_there() {
        let (mut losses, begun) = (Losses::new(Earlier::of(None), GRACE), Instant::now());
        losses.pass(at(begun, 1000));
        assert!(!losses.is_complete() && losses.due().is_none());
        losses.ready("a", at(begun, 1000));
        losses.ready("b", at(begun, 1010));
        assert_eq!(losses.due(), Some(at(begun, 1030)));
        losses.pass(at(begun, 1030));
        assert!(losses.is_complete());
    }

    fn earlier(names: &[&str]) -> Losses {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Losses::new(Earlier { goes_on: true, names, others: false }, GRACE)
    }

    #[test]
    fn nothing_is_waited_for_when_all_that_the_journal_names_have_come() {
        let (mut losses, begun) = (earlier(&["a", "b", "c"]), Instant::now());
        losses.pass(at(begun, 1000));
        assert!(!losses.is_complete() && losses.due().is_none() && losses.ends().is_none());
        losses.ready("a", at(begun, 1000));
        losses.ready("d", at(begun, 1001));
        // One that connects and is lost before it has said what it holds has not come.
        assert_eq!(losses.gone(B, "b", Returns::Never, at(begun, 1001)), None);
        losses.ready("b", at(begun, 1002));
        losses.pass(at(begun, 1029));
        assert_eq!((losses.due(), losses.ends()), (Some(at(begun, 1030)), Some(at(begun, 1030))));
        assert_eq!(losses.awaited().collect::<Vec<_>>(), ["c"]);
        assert!(!losses.is_complete() && !losses.all_came());
        losses.ready("c", at(begun, 1029));
        assert!(losses.is_complete() && losses.all_came() && losses.is_certain());
        assert_eq!((losses.due(), losses.settle()), (None, Vec::new()));
    }

    #[test]
    fn nothing_is_waited_for_when_no_worker_can_come() {
        let mut losses = earlier(&[]);
        assert!(losses.is_complete() && losses.all_came() && losses.is_certain());
        assert_eq!((losses.due(), losses.goes_on()), (None, Some(false)));
        losses.were_overdue(Instant::now());
        assert!(!losses.is_complete() && !losses.is_certain());
    }

    #[test]
    fn later_masters_hear_who_has_gone_and_who_was_waited_for_in_vain() {
        let (mut losses, begun) = (earlier(&["a", "b"]), Instant::now());
        losses.ready("a", begun);
        losses.ready("c", begun);
        assert_eq!(losses.gone(C, "c", Returns::Never, at(begun, 1)), Some(gone("c")));
        assert_eq!(losses.gone(A, "a", Returns::Maybe, at(begun, 10)), None);
        losses.pass(at(begun, 30));
        assert!(!losses.is_complete(), "a may come");
        // It connects, and is lost again before it has said what it holds: its time is no longer for that.
        assert_eq!(losses.gone(A, "a", Returns::Maybe, at(begun, 39)), None);
        losses.pass(at(begun, 40));
        assert!(losses.is_complete() && !losses.is_certain());
        // One that comes after all is not said to have gone.
        losses.comes("b");
        assert_eq!(losses.settle(), [gone("a")]);
        assert_eq!(losses.gone(B, "b", Returns::Maybe, at(begun, 41)), None);
        assert_eq!(losses.settle(), [gone("b")]);
        losses.comes("a");
        losses.ready("a", at(begun, 42));
        losses.ready("b", at(begun, 42));
        assert!(losses.is_certain() && losses.settle().is_empty());
    }

    #[test]
    fn workers_that_were_waited_for_in_vain_have_little_time_after_a_restart() {
        let (mut losses, begun) = (Losses::new(Earlier::of(None), GRACE), Instant::now());
        losses.were_overdue(begun);
        assert_eq!((losses.due(), losses.ends()), (Some(at(begun, 3)), Some(at(begun, 3))));
        losses.ready("a", at(begun, 2));
        losses.pass(at(begun, 2));
        assert!(!losses.is_complete(), "others may be about to come");
        losses.pass(at(begun, 3));
        assert!(losses.is_complete() && !losses.is_certain());
        // Those that were there then have the time that any worker has.
        let mut losses = earlier(&["a"]);
        losses.were_overdue(begun);
        losses.pass(at(begun, 3));
        assert_eq!((losses.is_complete(), losses.due()), (false, Some(at(begun, 30))));
        losses.ready("a", at(begun, 4));
        assert!(losses.is_complete() && !losses.is_certain());
    }

    #[test]
    fn what_is_lost_is_all_known_when_every_worker_that_is_there_was_heard() {
        let (mut losses, begun) = (Losses::new(Earlier::none(), GRACE), Instant::now());
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
        let mut losses = Losses::new(Earlier::none(), GRACE);
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
