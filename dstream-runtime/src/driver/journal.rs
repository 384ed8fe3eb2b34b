//! The journal, as a master's half of a driver sees it.
//!
//! It keeps the fold of what is written, and writes that down in one piece from time to time, so that the
//! next master has little to read and old objects can go. It decides nothing: what is written is the
//! core's, how it gets into safety is [`durable::journal`](crate::durable::journal)'s.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::Event;
use crate::block::BufferPool;
use crate::durable::journal::{self, JournalError, OpenJournal, Writer};
use crate::durable::{CheckpointStore, Durable};
use crate::exec::stage::RunStage;
use crate::id::{BatchSeq, JournalSeq, SourceId};
use crate::sched::Past;
use crate::sched::message::{JournalEntry, LostRow};
use crate::sched::past::NothingBefore;

/// How many entries are written one by one before all of it is written in one piece.
const ENTRIES: usize = 1000;

/// Where a master writes what it decides, and all that was decided so far.
pub(super) struct Journal {
    writer: Writer<JournalEntry, Past>,
    past: Past,
    /// Entries since the last snapshot.
    entries: usize,
    term: u64,
    /// The last entry that was appended by this master, and the last one that is durable.
    appended: JournalSeq,
    synced: JournalSeq,
}

impl Journal {
    /// What there is to go on from in a state directory, if there is a job that has not come to its end.
    /// Nothing is taken over.
    ///
    /// # Errors
    /// When its journal cannot be read, or is another plan's.
    pub(super) fn look(store: &Durable, plan: u64) -> Result<Option<Past>, JournalError> {
        Self::said(store, plan).map(|past| Some(past).filter(Past::is_under_way))
    }

    /// All that is written, also of a job that has come to its end. Nothing is taken over.
    ///
    /// # Errors
    /// When it cannot be read, or is another plan's.
    pub(super) fn said(store: &Durable, plan: u64) -> Result<Past, JournalError> {
        let (snapshot, entries) = journal::look(store, plan)?;
        Ok(fold(snapshot, &entries))
    }

    /// Takes the journal over. What is damaged in it is in the second part of the result, for people.
    ///
    /// # Errors
    /// When it cannot be read, is another plan's, or a newer master has it.
    pub(super) fn open(
        store: &Durable,
        plan: u64,
        who: &str,
        events: Sender<Event>,
    ) -> Result<(Self, Vec<String>), JournalError> {
        // If the engine has ended, news is dropped.
        let news = move |news| drop(events.send(Event::Journal(news)));
        let opened: OpenJournal<JournalEntry, Past> = journal::open(store, plan, who, news)?;
        let OpenJournal { term, snapshot, entries, warnings, needs_snapshot, writer } = opened;
        let mut past = fold(snapshot, &entries);
        if needs_snapshot {
            // Entries may be lost that name workers.
            past.doubt_holders();
        }
        let (appended, synced) = (JournalSeq(0), JournalSeq(0));
        let mut journal = Self { writer, past, entries: 0, term, appended, synced };
        if needs_snapshot {
            journal.snapshot();
        }
        Ok((journal, warnings))
    }

    /// The number of this master among those of the job, from 1.
    pub(super) fn term(&self) -> u64 {
        self.term
    }

    /// What there is to go on from; nothing if no job has begun, or it has come to its end.
    pub(super) fn past(&self) -> Option<&Past> {
        Some(&self.past).filter(|past| past.is_under_way())
    }

    /// The job begins with a savepoint: that stands for all that was written before.
    pub(super) fn begin_with(&mut self, past: Past) {
        self.past = past;
        self.snapshot();
    }

    /// The job goes on without what is lost; that, if anything was.
    pub(super) fn accept_loss(&mut self) -> Option<Vec<LostRow>> {
        let lost = self.past.lost().to_vec();
        if lost.is_empty() {
            return None;
        }
        self.past.accept_loss();
        self.snapshot();
        Some(lost)
    }

    /// The job goes on without what cannot be read: see [`Past::give_up`].
    pub(super) fn give_up(
        &mut self,
        sources: Vec<SourceId>,
        inputs: Vec<(BatchSeq, SourceId, u32)>,
    ) {
        if !sources.is_empty() || !inputs.is_empty() {
            self.past.give_up(sources, inputs);
            self.snapshot();
        }
    }

    /// All that is written, and the entry that must be durable before any process may rely on it.
    pub(super) fn so_far(&self) -> (&Past, JournalSeq) {
        (&self.past, self.appended)
    }

    /// All up to an entry is durable.
    pub(super) fn synced(&mut self, seq: JournalSeq) {
        self.synced = self.synced.max(seq);
    }

    /// Whether all up to an entry is durable.
    pub(super) fn is_durable(&self, seq: JournalSeq) -> bool {
        seq <= self.synced
    }

    /// Looks at the saved states that count, and falls back on those before where one cannot be read.
    /// Returns what was found to be wrong, for people.
    ///
    /// # Errors
    /// When there are none before.
    pub(super) fn check(
        &mut self,
        saves: &CheckpointStore,
        stages: &[Arc<dyn RunStage>],
    ) -> Result<Vec<String>, (String, NothingBefore)> {
        if !self.past.is_under_way() {
            return Ok(Vec::new());
        }
        let pool = BufferPool::new(0);
        let wrong = self.past.fall_back_where(|saved| {
            let door = |tag| stages.get(saved.stage.index())?.state_door(tag);
            Some(saves.read(saved, &pool, door).err()?.to_string())
        })?;
        if !wrong.is_empty() {
            self.snapshot();
        }
        Ok(wrong)
    }

    /// Writes an entry; news follow when it is durable.
    pub(super) fn append(&mut self, seq: JournalSeq, entry: &JournalEntry) {
        self.past.apply(entry);
        self.writer.append(seq.0, entry);
        self.appended = seq;
        self.entries += 1;
        if self.entries >= ENTRIES {
            self.snapshot();
        }
    }

    /// The job was stopped, whatever its core has not done: no other master takes it over.
    pub(super) fn stopped(&mut self) {
        self.append(JournalSeq(self.appended.0 + 1), &JournalEntry::Stopped);
    }

    fn snapshot(&mut self) {
        self.writer.snapshot(&self.past);
        self.entries = 0;
    }

    /// Waits until everything is durable, or cannot be.
    pub(super) fn close(self) {
        self.writer.close();
    }
}

/// All that was written, as one.
fn fold(snapshot: Option<Past>, entries: &[(u64, JournalEntry)]) -> Past {
    let mut past = snapshot.unwrap_or_default();
    entries.iter().for_each(|(_, entry)| past.apply(entry));
    past
}
