//! Durable before visible, as types.
//!
//! A [`CutToken`] says that the cut of a batch is durable, a [`CommitToken`] that its commit is. Only
//! [`Journal::synced`] makes them, a commit can be written only for a cut token, and publishing
//! takes a commit token: code that publishes too early does not compile.

use std::collections::VecDeque;

use crate::id::{BatchSeq, JournalSeq};

/// The cut of a batch is durable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutToken(BatchSeq);

/// The commit of a batch is durable: it may be published.
#[derive(Debug, PartialEq, Eq)]
pub struct CommitToken(BatchSeq);

impl CommitToken {
    /// The batch that may be published.
    #[must_use]
    pub fn batch(&self) -> BatchSeq {
        self.0
    }
}

/// What has become durable.
#[derive(Debug)]
pub(super) enum Durable {
    Cut(CutToken),
    Commit(CommitToken),
}

/// Entries that were handed to the driver and are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Journal {
    last: JournalSeq,
    /// The batch of each, and whether it is the commit.
    waiting: VecDeque<(JournalSeq, BatchSeq, bool)>,
}

impl Journal {
    pub(super) fn cut(&mut self, batch: BatchSeq) -> JournalSeq {
        self.append(batch, false)
    }

    pub(super) fn commit(&mut self, cut: CutToken) -> JournalSeq {
        self.append(cut.0, true)
    }

    fn append(&mut self, batch: BatchSeq, commit: bool) -> JournalSeq {
        self.last.0 += 1;
        self.waiting.push_back((self.last, batch, commit));
        self.last
    }

    /// The next entry that is durable now that all up to `seq` are. Call it until there is none.
    pub(super) fn synced(&mut self, seq: JournalSeq) -> Option<(BatchSeq, Durable)> {
        let (_, batch, commit) = self.waiting.pop_front_if(|(first, ..)| *first <= seq)?;
        let durable = match commit {
            true => Durable::Commit(CommitToken(batch)),
            false => Durable::Cut(CutToken(batch)),
        };
        Some((batch, durable))
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
        let Some((_, Durable::Cut(token))) = journal.synced(cut) else { panic!("no cut token") };
        assert!(journal.synced(cut).is_none(), "an entry is durable once");
        let commit = journal.commit(token);
        assert!(journal.synced(cut).is_none());
        let durable = journal.synced(commit);
        assert!(matches!(durable, Some((_, Durable::Commit(t))) if t.batch() == BatchSeq(4)));
    }
}
