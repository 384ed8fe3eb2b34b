//! Checks that keep anything from being lost or counted twice, by name.
//!
//! In a job a guard is the check that it is given, and nothing else. In tests one of them can be left out:
//! then the simulation must find that something goes wrong (see `sched/simulation/whole/mutations.rs`). So a
//! check that matters is seen to be tested, and a simulation that finds nothing is seen to look.
//!
//! All guards are missed. There are more checks, which are no guards: what they refuse does not come about as
//! long as the guards hold, a worker that was given up is not heard any more, what the master tells a worker
//! arrives in order, and tasks that run again make the same. They are there in case one of that should not be.

/// A check, by the mistake that leaving it out would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A task counts once, however often it is reported.
    TaskCountsOnce,
    /// What an entry of the journal allows is done when the entry is durable.
    DurableFirst,
    /// A batch is cut when everybody knows the placement that it runs under.
    CutWhenPlaced,
    /// A master that has been replaced says and shows nothing more.
    FencedIsSilent,
    /// A placement is forgotten when all state that moves away from it has come.
    StateCameFirst,
    /// A worker that was drained goes when it owns nothing any more.
    LeavesEmpty,
    /// What a worker says that knows of a newer recovery waits for that.
    NotTooEarly,
    /// What was said before a partition was taken over was not said for it.
    SaidForHeir,
    /// A producer counts once.
    HeardOnce,
    /// A state that comes is taken in if it is expected.
    StateIsExpected,
    /// A run that was dropped is made up for when somebody needs it after all.
    DroppedRunsAfterAll,
    /// A client is told that its lines are safe when a second worker holds them.
    CopiedFirst,
    /// What a client sends again counts once.
    AppendCountsOnce,
    /// What another worker holds is cut once.
    ReclaimedOnce,
    /// A job does not end before those who hold something of it had time to say so.
    HoldersAreAwaited,
    /// A worker that may come again with what it holds is waited for before that counts as lost.
    AbsentAreAwaited,
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
    /// What a worker holds that leaves others hold, too, as they have said since it was to leave.
    HoldersAreAsked,
    /// What was received is kept for the older of the saved states, too.
    KeptForOlder,
    /// The epochs of a master come after those of all masters before it.
    EpochsOfTerms,
    /// What is saved continues nothing but what the master keeps for it.
    ContinuesWhatIsKept,
    /// A state is loaded, or dropped, when no task runs on it any more.
    RunsEndFirst,
    /// A job that is stopped, and may go on later, ends when its states have in them what clients have pushed.
    SavedAtTheEnd,
    /// Time is stepped over when windows hold nothing any more.
    GapsAtRest,
    /// That time was stepped over is written down: batch times never go back.
    GapIsWritten,
    /// What it ends with is saved twice: one of the two may turn out to be damaged.
    SavedTwiceAtTheEnd,
    /// A batch takes in what can be processed in about its interval.
    BatchFitsInterval,
    /// A slow worker owns less.
    SlowOwnsLess,
    /// A slow worker reads less.
    SlowReadsLess,
    /// A worker that reads alone is judged by what others have shown before.
    LoneIsJudged,
}

/// Whether a check holds.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn guard(_: Guard, holds: bool) -> bool {
    holds
}

/// Whether a check was left out, which happens in tests alone.
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

    /// Where it is missed that a check was left out.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Ring {
        /// Whole clusters, with faults, in virtual time.
        Whole,
        /// Workers of a job that saves no states come and go; messages take any time.
        Churn,
        /// More comes than can be processed.
        Overload,
        /// A worker of a live job is starved for a while.
        Starved,
    }

    /// All guards, and a world in which each is missed.
    pub(crate) const MISSED: [(Guard, Ring, u64); 34] = [
        (LossIsWritten, Ring::Whole, 387),
        (AllAreHeard, Ring::Whole, 979),
        (SlowOwnsLess, Ring::Starved, 3),
        (SlowReadsLess, Ring::Starved, 3),
        (LoneIsJudged, Ring::Starved, 42),
        (ReceiversAreThere, Ring::Whole, 1053),
        (AbsentAreAwaited, Ring::Whole, 18),
        (AllAreAsked, Ring::Whole, 866),
        (TaskCountsOnce, Ring::Whole, 1),
        (DurableFirst, Ring::Whole, 5),
        (LeavesEmpty, Ring::Whole, 76),
        (NotTooEarly, Ring::Whole, 28),
        (SaidForHeir, Ring::Whole, 139),
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
        (SavedTwiceAtTheEnd, Ring::Whole, 2700),
        (GapsAtRest, Ring::Whole, 37),
        (GapIsWritten, Ring::Whole, 22),
        (BatchFitsInterval, Ring::Overload, 0),
    ];

    /// Whether a check holds, or was left out.
    pub(crate) fn guard(guard: Guard, holds: bool) -> bool {
        holds || left_out(guard)
    }

    /// Whether a check was left out, on this thread.
    pub(crate) fn left_out(guard: Guard) -> bool {
        LEFT_OUT.get() == Some(guard)
    }

    /// What is left out on this thread, for one that it starts.
    pub(crate) fn inherited() -> Option<Guard> {
        LEFT_OUT.get()
    }

    /// Of a thread that has just begun: leaves out what is left out where it was started.
    pub(crate) fn inherit(guard: Option<Guard>) {
        LEFT_OUT.set(guard);
    }

    /// Does something without a check. It must not panic.
    pub(crate) fn without<T>(guard: Guard, then: impl FnOnce() -> T) -> T {
        let before = LEFT_OUT.replace(Some(guard));
        let result = then();
        LEFT_OUT.set(before);
        result
    }
}
