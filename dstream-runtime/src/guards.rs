//! Guards: named checks that prevent loss and double counting.
//!
//! In a job, [`guard`] returns its argument. Tests can leave out one guard; the simulation must then find a
//! failure (see `sched/simulation/whole/mutations.rs`). That proves that every guard is tested, and that the
//! simulation can fail.
//!
//! Every guard is missed when left out. Further checks are not guards: what they refuse cannot happen while
//! the guards hold, a lost worker is not heard any more, a master's messages arrive in order, and tasks are
//! deterministic. They remain in case one of these assumptions fails.

/// A guard, named for what it ensures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A task counts once, however often it is reported.
    TaskCountsOnce,
    /// A journal entry takes effect once it is durable.
    DurableFirst,
    /// A batch is cut once every worker knows its placement.
    CutWhenPlaced,
    /// A replaced master sends and publishes nothing more.
    FencedIsSilent,
    /// A placement is dropped once all state that moves away from it has arrived.
    StateCameFirst,
    /// A draining worker exits once it owns nothing.
    LeavesEmpty,
    /// A message from after a newer recovery waits for that recovery.
    NotTooEarly,
    /// A message from before a partition changed its owner does not count for the new owner.
    SaidForNewOwner,
    /// A producer counts once.
    HeardOnce,
    /// A state is accepted only if it is expected.
    StateIsExpected,
    /// A dropped run is repeated if its result is needed after all.
    DroppedRunsAfterAll,
    /// An append is acknowledged once a second worker holds it.
    CopiedFirst,
    /// A repeated append counts once.
    AppendCountsOnce,
    /// Blocks reported by their holders are cut once.
    ReclaimedOnce,
    /// A job does not end before holders of received blocks had time to report them.
    HoldersAreAwaited,
    /// Received blocks are lost only after their absent holders had time to rejoin.
    AbsentAreAwaited,
    /// A worker may hold received blocks once the journal names it: a later master waits for it.
    HolderIsWritten,
    /// What is lost is written down: a later master neither misses it nor waits for it.
    LossIsWritten,
    /// What tasks miss is lost only when all workers that are there have said that they do not have it.
    AllAreAsked,
    /// What is lost is said when every worker that is there was heard: another one may have ended with more.
    AllAreHeard,
    /// A worker that was lost before its placement was told receives nothing.
    ReceiversAreThere,
    /// A receiver that owes an answer is asked about.
    OwedIsDoubted,
    /// A worker that another one does not hear is lost to it.
    SilentIsLost,
    /// What a lost worker held is copied to another.
    CopiedAgain,
    /// A draining worker's blocks have other holders that confirmed them after the drain began.
    HoldersAreAsked,
    /// Received blocks are retained for the older of the saved states too.
    KeptForOlder,
    /// A master's epochs come after those of all masters before it.
    EpochsOfTerms,
    /// A save continues only objects that the master keeps for it.
    ContinuesWhatIsKept,
    /// A state is loaded or dropped only when no task runs on it.
    RunsEndFirst,
    /// A stopped job that can resume ends once its saved states contain everything that clients have pushed.
    SavedAtTheEnd,
    /// Empty batches are skipped only when all windows are empty.
    GapsAtRest,
    /// Skipped time is journaled: batch times never go back.
    GapIsWritten,
    /// The final states are saved twice: one of the two may be damaged.
    SavedTwiceAtTheEnd,
    /// A batch takes in what can be processed in about its interval.
    BatchFitsInterval,
    /// So do the batches that take in what is left when a job is stopped.
    StopFitsInterval,
    /// A slow worker owns less.
    SlowOwnsLess,
    /// A slow worker reads less.
    SlowReadsLess,
    /// A worker that reads alone is judged by what others have shown before.
    LoneIsJudged,
    /// A worker whose tasks are too short to judge is judged by its engine.
    ReceiverIsJudged,
}

/// Returns whether the check holds.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn guard(_: Guard, holds: bool) -> bool {
    holds
}

/// Whether a guard is left out; only in tests.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn left_out(_: Guard) -> bool {
    false
}

#[cfg(test)]
pub(crate) use planted::{MISSED, Ring, guard, inherit, inherited, left_out, without};

#[cfg(test)]
mod planted {
    use std::cell::Cell;

    use super::Guard::{self, *};

    thread_local! {
        static LEFT_OUT: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    /// The simulation that misses a left-out guard.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Ring {
        /// Whole clusters, with faults, in virtual time.
        Whole,
        /// Workers of a job without checkpoints join and leave; messages take any time.
        Churn,
        /// More comes than can be processed.
        Overload,
        /// A worker of a live job is starved for a while.
        Starved,
    }

    /// Guards, and a world in which each is missed. None is known for `HolderIsWritten`: links come at once in these worlds.
    pub(crate) const MISSED: [(Guard, Ring, u64); 36] = [
        (LossIsWritten, Ring::Whole, 387),
        (AllAreHeard, Ring::Whole, 28441),
        (SlowOwnsLess, Ring::Starved, 3),
        (SlowReadsLess, Ring::Starved, 3),
        (LoneIsJudged, Ring::Starved, 42),
        (ReceiverIsJudged, Ring::Starved, 4),
        (ReceiversAreThere, Ring::Whole, 1053),
        (AbsentAreAwaited, Ring::Whole, 18),
        (AllAreAsked, Ring::Whole, 866),
        (TaskCountsOnce, Ring::Whole, 1),
        (DurableFirst, Ring::Whole, 5),
        (LeavesEmpty, Ring::Whole, 76),
        (NotTooEarly, Ring::Whole, 28),
        (SaidForNewOwner, Ring::Whole, 139),
        (HeardOnce, Ring::Whole, 12),
        (DroppedRunsAfterAll, Ring::Whole, 560),
        (AppendCountsOnce, Ring::Whole, 174),
        (ReclaimedOnce, Ring::Whole, 18),
        (HoldersAreAwaited, Ring::Whole, 37),
        (CopiedAgain, Ring::Whole, 13),
        (KeptForOlder, Ring::Whole, 60),
        (SavedAtTheEnd, Ring::Whole, 47),
        (StateIsExpected, Ring::Whole, 554),
        (EpochsOfTerms, Ring::Whole, 4),
        (ContinuesWhatIsKept, Ring::Whole, 97),
        (RunsEndFirst, Ring::Whole, 305),
        (FencedIsSilent, Ring::Whole, 1432),
        (StateCameFirst, Ring::Whole, 1702),
        (CopiedFirst, Ring::Whole, 47),
        (CutWhenPlaced, Ring::Churn, 7),
        (HoldersAreAsked, Ring::Whole, 1318),
        (SavedTwiceAtTheEnd, Ring::Whole, 6600),
        (GapsAtRest, Ring::Whole, 37),
        (GapIsWritten, Ring::Whole, 22),
        (BatchFitsInterval, Ring::Overload, 0),
        (StopFitsInterval, Ring::Overload, 32),
    ];

    /// Returns whether the check holds or is left out.
    pub(crate) fn guard(guard: Guard, holds: bool) -> bool {
        holds || left_out(guard)
    }

    /// Whether a guard is left out on this thread.
    pub(crate) fn left_out(guard: Guard) -> bool {
        LEFT_OUT.get() == Some(guard)
    }

    /// The guard left out on this thread, for a thread that it starts.
    pub(crate) fn inherited() -> Option<Guard> {
        LEFT_OUT.get()
    }

    /// Called by a new thread: leaves out the guard of its parent.
    pub(crate) fn inherit(guard: Option<Guard>) {
        LEFT_OUT.set(guard);
    }

    /// Runs `then` with a guard left out. It must not panic.
    pub(crate) fn without<T>(guard: Guard, then: impl FnOnce() -> T) -> T {
        let before = LEFT_OUT.replace(Some(guard));
        let result = then();
        LEFT_OUT.set(before);
        result
    }
}
