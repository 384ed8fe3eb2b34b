//! Durable before visible, as types.
//!
//! A [`CutToken`] says that the cut of a batch is durable, a [`CommitToken`] that its commit is, a
//! [`SavedToken`] that a group's saved states count. Only [`Journal::synced`] makes them (and a cut that an
//! earlier master made durable is so still); a commit can be written only for a cut token, publishing takes
//! a commit token, and what was saved before goes only for a saved token: code that publishes or removes too
//! early does not compile.

use std::collections::VecDeque;

use crate::guards::{Guard, guard};
use crate::id::{BatchSeq, JournalSeq, WorkerId};

/// The cut of a batch is durable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutToken(BatchSeq);

/// The commit of a batch is durable: it may be published.
#[derive(Debug, PartialEq, Eq)]
pub struct CommitToken(BatchSeq);

/// That the newest states of a group count is durable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SavedToken(usize);

impl CommitToken {
    /// The batch that may be published.
    #[must_use]
    pub fn batch(&self) -> BatchSeq {
        self.0
    }
}

impl SavedToken {
    /// The number of the group.
    pub(super) fn group(&self) -> usize {
        self.0
    }
}

/// What has become durable.
#[derive(Debug)]
pub(super) enum Durable {
    Cut(BatchSeq, CutToken),
    Commit(BatchSeq, CommitToken),
    Saved(SavedToken),
    Published(BatchSeq),
    Comes(WorkerId),
}

/// Entries that were handed to the driver and are not durable yet, as far as anything waits for them.
#[derive(Debug, Default)]
pub(super) struct Journal {
    last: JournalSeq,
    waiting: VecDeque<(JournalSeq, Durable)>,
}

impl Journal {
    pub(super) fn cut(&mut self, batch: BatchSeq) -> JournalSeq {
        self.append(Durable::Cut(batch, CutToken(batch)))
    }

    pub(super) fn commit(&mut self, cut: CutToken) -> JournalSeq {
        self.append(Durable::Commit(cut.0, CommitToken(cut.0)))
    }

    pub(super) fn saved(&mut self, group: usize) -> JournalSeq {
        self.append(Durable::Saved(SavedToken(group)))
    }

    pub(super) fn published(&mut self, batch: BatchSeq) -> JournalSeq {
        self.append(Durable::Published(batch))
    }

    pub(super) fn comes(&mut self, worker: WorkerId) -> JournalSeq {
        self.append(Durable::Comes(worker))
    }

    /// An entry that nothing waits for.
    pub(super) fn note(&mut self) -> JournalSeq {
        self.last.0 += 1;
        self.last
    }

    /// A cut that an earlier master has made durable.
    pub(super) fn was_cut(batch: BatchSeq) -> CutToken {
        CutToken(batch)
    }

    fn append(&mut self, then: Durable) -> JournalSeq {
        let seq = self.note();
        self.waiting.push_back((seq, then));
        seq
    }

    /// The next entry that is durable now that all up to `seq` are. Call it until there is none.
    pub(super) fn synced(&mut self, seq: JournalSeq) -> Option<Durable> {
        let is_durable = |first: JournalSeq| guard(Guard::DurableFirst, first <= seq);
        self.waiting.pop_front_if(|(first, _)| is_durable(*first)).map(|(_, durable)| durable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_token_comes_only_after_its_entry_is_synced() {
        let mut journal = Journal::default();
        let cut = journal.cut(BatchSeq(4));
        assert!(journal.synced(JournalSeq(0)).is_none());
        let Some(Durable::Cut(_, token)) = journal.synced(cut) else { panic!("no cut token") };
        assert!(journal.synced(cut).is_none(), "an entry is durable once");
        let commit = journal.commit(token);
        assert!(journal.synced(cut).is_none());
        let durable = journal.synced(commit);
        assert!(matches!(durable, Some(Durable::Commit(_, t)) if t.batch() == BatchSeq(4)));
    }

    #[test]
    fn entries_that_are_not_waited_for_are_not_kept() {
        let mut journal = Journal::default();
        (0..5).for_each(|_| assert!(journal.note() > JournalSeq(0)));
        let saved = journal.saved(3);
        assert_eq!((saved, journal.waiting.len()), (JournalSeq(6), 1));
        assert!(matches!(journal.synced(saved), Some(Durable::Saved(t)) if t.group() == 3));
    }
}
