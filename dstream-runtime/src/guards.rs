//! Checks that keep anything from being lost or counted twice, by name.
//!
//! In a job a guard is the check that it is given, and nothing else. In tests one of them can be left out:
//! then the simulation must find that something goes wrong (see `sched/simulation/whole/mutations.rs`). So a
//! check that matters is seen to be tested, and a simulation that finds nothing is seen to look.

/// A check, by the mistake that leaving it out would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Whoever reports a task as done is its owner.
    ReportOfOwner,
    /// A task counts once, however often it is reported.
    TaskCountsOnce,
    /// What an entry of the journal allows is done when the entry is durable.
    DurableFirst,
    /// A saved state counts if its owner has saved it.
    SavedByOwner,
    /// A run after a loss has another number than those before.
    RunsAreRenumbered,
    /// A batch is cut when everybody knows the placement that it runs under.
    CutWhenPlaced,
    /// A batch is cut when lost partitions have heirs.
    CutWithHeirs,
    /// A master that goes on lets batches go that it knows to be published, and no others.
    ShownGoesOn,
    /// A master that has been replaced says and shows nothing more.
    FencedIsSilent,
    /// A second run counts if it is the one that was asked for.
    SecondAsAsked,
    /// A placement is forgotten when all state that moves away from it has come.
    StateCameFirst,
    /// A worker that was drained goes when it owns nothing any more.
    LeavesEmpty,
    /// What the master says about a batch counts in the epoch of that batch.
    EpochOfMaster,
    /// What another worker says about a batch counts in the epochs that were known here for that batch.
    EpochOfPeer,
    /// What a worker says that knows of a newer recovery waits for that.
    NotTooEarly,
    /// What was said before a partition was taken over was not said for it.
    SaidForHeir,
    /// A producer counts once.
    HeardOnce,
    /// What was heard of a partition before it was taken over is forgotten.
    HeirBeginsAnew,
    /// A task does not run again on a later state.
    StateIsNotLater,
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
    /// What a lost worker held is copied to another.
    CopiedAgain,
    /// What a worker holds that leaves others hold, too, as they have said since it was to leave.
    HoldersAreAsked,
    /// What was received is kept for the older of the saved states, too.
    KeptForOlder,
    /// A job that is stopped, and may go on later, ends when its states have in them what clients have pushed.
    SavedAtTheEnd,
    /// What it ends with is saved twice: one of the two may turn out to be damaged.
    SavedTwiceAtTheEnd,
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
pub(crate) use planted::{MISSED, guard, left_out, without};

#[cfg(test)]
mod planted {
    use std::cell::Cell;

    use super::Guard::{self, *};

    thread_local! {
        static LEFT_OUT: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    /// Those that are missed, and a world in which. Nobody has missed the others so far: what they refuse
    /// nobody says, as long as a worker that was given up is not heard any more, what the master tells a
    /// worker arrives in order, and tasks that run again make the same.
    pub(crate) const MISSED: [(Guard, u64); 16] = [
        (TaskCountsOnce, 1),
        (DurableFirst, 5),
        (LeavesEmpty, 76),
        (NotTooEarly, 13),
        (SaidForHeir, 139),
        (HeardOnce, 10),
        (DroppedRunsAfterAll, 560),
        (AppendCountsOnce, 174),
        (ReclaimedOnce, 18),
        (HoldersAreAwaited, 37),
        (CopiedAgain, 114),
        (KeptForOlder, 53),
        (SavedAtTheEnd, 47),
        (StateIsExpected, 1238),
        (HoldersAreAsked, 1318),
        (SavedTwiceAtTheEnd, 2700),
    ];

    /// Whether a check holds, or was left out.
    pub(crate) fn guard(guard: Guard, holds: bool) -> bool {
        holds || left_out(guard)
    }

    /// Whether a check was left out, on this thread.
    pub(crate) fn left_out(guard: Guard) -> bool {
        LEFT_OUT.get() == Some(guard)
    }

    /// Does something without a check. It must not panic.
    pub(crate) fn without<T>(guard: Guard, then: impl FnOnce() -> T) -> T {
        let before = LEFT_OUT.replace(Some(guard));
        let result = then();
        LEFT_OUT.set(before);
        result
    }
}
