//! A master that begins: a job's first one, and one that goes on where another has stopped.
//!
//! The later one takes over as if all workers had been lost: every partition is unowned, and the workers that join
//! get them as they would get a lost worker's partitions (see [`recover`](super::recover)). Batches that are
//! published run again only as far as states are made from them; those that are not, run and are committed and
//! published (again). What was cut stays cut: it is never cut another way.

use super::batches::has_pushed;
use super::epochs::UNOWNED;
use super::*;
use crate::guards::{Guard, left_out};

/// How often states are saved by a master that goes on and was not told how often, in milliseconds.
const CHECKPOINT_MS: u64 = 10_000;

/// Why a master cannot go on from what its journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Other states are in the journal than in the plan.
    #[error(
        "the journal is of a job with other states: start the program that wrote it, or use another --state"
    )]
    States,
    /// The input of a batch is not in the journal.
    #[error(
        "the journal does not say what {batch} consists of, and the states in safety do not have it \
         in them: restore the state directory, or start again with another --state"
    )]
    Missing {
        /// The batch.
        batch: BatchSeq,
    },
}

impl MasterCore {
    /// A master that goes on where those before it have stopped: at the place that the journal says, with its
    /// timetable and its partitions, whatever `config` says of these. No worker gets partitions before
    /// `config.workers` have joined.
    ///
    /// # Errors
    /// When the journal is not whole, or not of this plan.
    pub fn resume(
        plan: &'static Plan,
        mut config: MasterConfig,
        past: &Past,
        now_ms: u64,
    ) -> Result<Self, Unfit> {
        let (Some(timetable), Some(partitions)) = (past.timetable(), past.partitions()) else {
            return Ok(Self::new(plan, config));
        };
        (config.timetable, config.partitions) = (timetable.clone(), partitions);
        config.first = past.first();
        config.checkpoint_ms.get_or_insert(CHECKPOINT_MS);
        let workers = config.workers.max(1);
        let mut core = Self::waiting(plan, config);
        if let Some(checkpoints) = &mut core.checkpoints {
            if !past.groups().eq(checkpoints.groups().iter().map(Vec::as_slice)) {
                return Err(Unfit::States);
            }
            checkpoints.resume(past);
        }
        if past.next() > past.first() {
            core.intake = Intake::resume(&core.config.live, &core.config.drains, past);
            core.next = past.next();
            core.gaps.resume(past, now_ms);
            core.shown = past.published();
            core.take_over(past, now_ms)?;
            let placement = vec![UNOWNED; core.shape.partitions as usize];
            core.epochs.push(core.oldest(), placement);
            core.dead.insert(UNOWNED);
            core.gathers = workers;
        }
        let stopping = past.is_stopping();
        if past.is_stopped() || (stopping && !core.config.completes_stop) {
            core.write(JournalEntry::GoOn);
        } else if stopping {
            core.stop();
        }
        core.advance(now_ms);
        Ok(core)
    }

    /// The batches that are cut and not over.
    fn take_over(&mut self, past: &Past, now_ms: u64) -> Result<(), Unfit> {
        let published = past.published();
        let pushed =
            past.batches().filter(|(seq, batch)| *seq <= published && has_pushed(&batch.inputs));
        self.pushed = pushed.map(|(seq, _)| seq).max().unwrap_or_default();
        let base = self.checkpoints.as_ref().and_then(Checkpoints::base).unwrap_or(published);
        for seq in (base.0 + 1..past.next().0).map(BatchSeq) {
            let inputs = past.batch(seq).ok_or(Unfit::Missing { batch: seq })?.inputs.clone();
            if seq <= published {
                self.keep(seq, inputs);
                continue;
            }
            let mut running = self.tasks_of(seq, &inputs);
            running.cut = Some(Journal::was_cut(seq));
            let phase = Phase::Running(running);
            self.batches.push_back(Batch { seq, since_ms: now_ms, phase, inputs });
        }
        Ok(())
    }

    /// All tasks of a batch, none of which has run.
    pub(super) fn tasks_of(&self, seq: BatchSeq, inputs: &[Vec<Vec<Range>>]) -> Running {
        let counts: Vec<u32> = inputs.iter().map(|inputs| inputs.len() as u32).collect();
        let stages = self.shape.plan.stages.iter();
        let tasks = stages.map(|row| self.shape.tasks(row, seq, &counts)).collect();
        Running::new(tasks, self.shape.slots())
    }

    /// Writes down what a job begins with. Without saved states no master reads a journal.
    pub(super) fn begin_journal(&mut self) {
        let Some(checkpoints) = &self.checkpoints else { return };
        let timetable = &self.config.timetable;
        let entry = JournalEntry::Start {
            zero_ms: timetable.zero_ms(),
            interval_ms: timetable.interval().as_millis() as u64,
            partitions: self.shape.partitions,
            first: self.config.first,
            groups: checkpoints.groups(),
        };
        self.write(entry);
    }

    /// Writes down why the job ends well: there is nothing to go on with, or it was stopped.
    pub(super) fn end_journal(&mut self) {
        match self.intake.has_ended() {
            true => self.write(JournalEntry::Finished),
            false => self.write(JournalEntry::Stopped),
        }
    }

    /// Sources take in nothing new, and the next master knows it. Twice is once.
    pub(super) fn stop(&mut self) {
        if self.intake.drain() {
            self.actions.push_back(MasterAction::StopSources);
            self.write(JournalEntry::Stop);
        }
    }

    /// Writes an entry that nothing waits for. Without saved states no master reads a journal.
    pub(super) fn write(&mut self, entry: JournalEntry) {
        if self.checkpoints.is_some() {
            let at = self.journal.note();
            self.actions.push_back(MasterAction::Persist(at, entry));
        }
    }

    /// Another master has taken over: from here on this one says and shows nothing more.
    pub(super) fn fenced(&mut self, why: String) {
        self.finished = true;
        if !left_out(Guard::FencedIsSilent) {
            self.actions.clear();
        }
        self.actions.push_back(MasterAction::Finish(Outcome::Failed(Cause::Fenced { why })));
    }
}
