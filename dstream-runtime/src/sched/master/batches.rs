//! Batches: cut when they are due, begun, committed, published, in order.

use super::*;
use crate::guards::{Guard, guard, left_out};
use crate::source::receive::receiver_of;

/// Sources that are drained and bring nothing are asked again after so long, in milliseconds, then after twice as
/// long, and so on: each time makes a batch, whose time may not have come, and the next one is later still.
const REST_MS: u64 = 20;
/// But at least so often, so that a job which can end does.
const MAX_REST_MS: u64 = 1000;

/// What becomes of the next cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextCut {
    /// It waits for something else than time.
    Waits,
    /// It is due then.
    At(u64),
    /// It has begun without input, and there may be room for the next.
    Empty,
}

impl MasterCore {
    /// Cuts the next batch, if there is room for it and it is due; if that is all that is missing,
    /// says when it will be.
    pub(super) fn cut(&mut self, now_ms: u64) -> NextCut {
        let completes = self.intake.mode() == Mode::Completing;
        if completes && self.is_complete() {
            self.intake.close();
        }
        let placed = guard(Guard::CutWhenPlaced, self.members.all_placed());
        let ready = self.epochs.newest().is_some() && placed && self.dead.is_empty();
        let room = self.batches.len() < self.config.in_flight.clamp(1, MAX_IN_FLIGHT) as usize;
        let room = room && !self.is_full();
        if !ready || !room || self.is_cutting() || self.intake.mode() == Mode::Closed {
            self.gaps.crowded = ready;
            return NextCut::Waits;
        }
        let due = self.config.timetable.end(self.next).0;
        let drains = self.intake.mode() == Mode::Draining;
        if self.intake.is_live() && !drains {
            if now_ms < due {
                self.gaps.crowded = false;
                return NextCut::At(due);
            }
            if self.catch_up(now_ms, due) {
                return NextCut::Empty;
            }
        }
        if completes {
            self.push_empty(now_ms);
            return NextCut::Empty;
        }
        // Sources may be open still that bring nothing.
        let rest = self.drained.map(|(before, rest)| before..before.saturating_add(rest));
        if let Some(rest) = rest.filter(|rest| drains && rest.contains(&now_ms)) {
            return NextCut::At(rest.end);
        }
        let rest = self.drained.map_or(REST_MS, |(_, rest)| (2 * rest).min(MAX_REST_MS));
        self.drained = Some((now_ms, rest)).filter(|_| drains);
        let asked: Vec<SourceId> = self.intake.asked().collect();
        self.push_batch(now_ms, asked.into_iter(), drains);
        NextCut::Waits
    }

    /// Whether all input has been in a result of each output that is seen.
    fn is_complete(&self) -> bool {
        let Some(ended) = self.intake.ended() else { return false };
        let outputs = self.shape.plan.outputs.iter().zip(&self.config.seen);
        let stages = outputs.filter(|(_, seen)| **seen).map(|(row, _)| row.stage);
        stages.map(|stage| self.shape.plan.completes(stage, ended)).all(|last| last < self.next)
    }

    /// The next batch, without input.
    pub(super) fn push_empty(&mut self, now_ms: u64) {
        let (seq, inputs) = (self.next, vec![Vec::new(); self.config.live.len()]);
        self.push_batch(now_ms, std::iter::empty(), false);
        self.begin(seq, inputs);
    }

    /// The next batch: these sources are asked for it.
    pub(super) fn push_batch(
        &mut self,
        now_ms: u64,
        asked: impl Iterator<Item = SourceId> + Clone,
        drains: bool,
    ) {
        let batch = self.next;
        self.next = BatchSeq(batch.0 + 1);
        let time = self.config.timetable.end(batch);
        self.actions.push_back(MasterAction::NewBatch { batch, time });
        let limit = self.limit(now_ms, batch, drains);
        let live: Vec<SourceId> = asked.clone().filter(|source| self.is_live(*source)).collect();
        for source in asked.clone() {
            let limit = match self.is_live(source) && !(drains && left_out(Guard::StopFitsInterval))
            {
                true => self.rate.share(source, &live, limit),
                false => u64::MAX,
            };
            self.actions.push_back(MasterAction::Cut { batch, source, limit });
        }
        let phase = Phase::Cutting(Cutting::new(self.config.live.len(), asked, drains));
        self.batches.push_back(Batch { seq: batch, since_ms: now_ms, phase, inputs: Vec::new() });
    }

    /// How many bytes a batch may take in, of all live sources together. Those that take in what is left when a job is
    /// stopped are cut as soon as there is room for them, not in time: one is as large as another, whatever is under way.
    fn limit(&mut self, now_ms: u64, batch: BatchSeq, drains: bool) -> u64 {
        let left = self.batches.iter().filter_map(|batch| match &batch.phase {
            Phase::Running(running) if !drains => Some((batch.seq, running.part_left())),
            _ => None,
        });
        self.rate.begins(batch, now_ms, left)
    }

    pub(super) fn is_live(&self, source: SourceId) -> bool {
        self.config.live.get(source.index()).copied().unwrap_or(false)
    }

    pub(super) fn is_cutting(&self) -> bool {
        matches!(self.batches.back(), Some(Batch { phase: Phase::Cutting(_), .. }))
    }

    pub(super) fn cut_done(
        &mut self,
        seq: BatchSeq,
        source: SourceId,
        inputs: Vec<Vec<Range>>,
        position: Option<Position>,
        end: End,
    ) {
        let Some(cutting) = self.cutting(seq).filter(|cutting| cutting.waits_for(source)) else {
            return;
        };
        let (drains, drained) = (cutting.drains, cutting.drains && inputs.is_empty());
        cutting.answer(source, inputs);
        let complete = cutting.complete();
        self.intake.answered(seq, source, position, end, drained);
        let Some(inputs) = complete else { return };
        if inputs.iter().flatten().any(|ranges| !ranges.is_empty()) {
            self.drained = None;
        }
        if drains && inputs.iter().all(Vec::is_empty) {
            self.batches.pop_back();
            self.rate.dropped(seq);
            self.next = seq;
            self.actions.push_back(MasterAction::Unneeded { batch: seq });
            return;
        }
        self.begin(seq, inputs);
    }

    /// All sources have been cut: the batch exists.
    pub(super) fn begin(&mut self, seq: BatchSeq, inputs: Vec<Vec<Vec<Range>>>) {
        self.gaps.begins(&inputs);
        let counts: Vec<u32> = inputs.iter().map(|inputs| inputs.len() as u32).collect();
        let running = self.tasks_of(seq, &inputs);
        let recovers = self.checkpoints.is_some();
        let Some(batch) = self.batch(seq) else { return };
        batch.phase = Phase::Running(running);
        if recovers {
            batch.inputs.clone_from(&inputs);
        }
        let Some(row) = self.epochs.of(seq) else { return };
        let (epoch, dealt) = (row.epoch, row.deal(&inputs));
        let (positions, reach) = (self.intake.positions().to_vec(), self.intake.reach(seq));
        let journaled = reach.clone();
        let entry = JournalEntry::Cut { epoch, batch: seq, inputs, positions, reach: journaled };
        let at = self.journal.cut(seq);
        self.actions.push_back(MasterAction::Persist(at, entry));
        // Tasks may run before the cut is durable: nothing of them is visible until it is.
        let (time, oldest) = (self.config.timetable.end(seq), self.oldest());
        for (member, ranges) in row.members.iter().zip(dealt) {
            if !self.members.is_member(*member) {
                // Its new owner will be told.
                continue;
            }
            let inputs = counts.clone();
            let reach = reach.clone();
            let begin = ToWorker::Begin { epoch, batch: seq, time, reach, inputs, ranges, oldest };
            self.actions.push_back(MasterAction::Tell(*member, begin));
        }
    }

    pub(super) fn synced(&mut self, seq: JournalSeq) {
        let mut counts = false;
        while let Some(durable) = self.journal.synced(seq) {
            // A batch that is gone by now was given up after its entry was written.
            match durable {
                Durable::Cut(batch, token) => {
                    if let Some(running) = self.running(batch) {
                        running.cut = Some(token);
                    }
                }
                Durable::Commit(batch, token) => {
                    if let Some(Batch { phase: phase @ Phase::Committing, .. }) = self.batch(batch)
                    {
                        *phase = Phase::Committed(token);
                    }
                }
                Durable::Saved(token) => {
                    let obsolete = self.checkpoints.as_mut().map(|all| all.durable(&token));
                    let obsolete = obsolete.into_iter().flatten();
                    self.actions.extend(obsolete.map(MasterAction::Obsolete));
                    counts = true;
                }
                Durable::Comes(worker) => self.actions.push_back(MasterAction::Admit(worker)),
                Durable::Published(batch) => {
                    self.shown = batch;
                    counts = true;
                }
            }
        }
        if counts {
            self.let_go();
        }
    }

    pub(super) fn published(&mut self, seq: BatchSeq) {
        if !self.is_publishing(seq) {
            return;
        }
        let Some(batch) = self.batches.pop_front() else { return };
        if self.checkpoints.is_some() {
            self.keep(seq, batch.inputs);
            let entry = JournalEntry::Published { batch: seq };
            self.actions.push_back(MasterAction::Persist(self.journal.published(seq), entry));
            return self.count();
        }
        self.release(BatchSeq(seq.0 + 1));
    }

    /// A batch is published, and may have to be run again for all that.
    pub(super) fn keep(&mut self, seq: BatchSeq, inputs: Vec<Vec<Vec<Range>>>) {
        if has_pushed(&inputs) {
            self.pushed = self.pushed.max(seq);
        }
        self.kept.push_back((seq, inputs));
    }

    /// Batches before `oldest` are over.
    pub(super) fn release(&mut self, oldest: BatchSeq) {
        self.intake.forget(oldest);
        let newest = BatchSeq(oldest.0 - 1);
        let Some(epoch) = self.epochs.of(newest).map(|row| row.epoch) else { return };
        self.tell_owners(&ToWorker::Release { epoch, oldest });
        self.retire();
    }

    /// Nothing at or after `seq` will be published; what is before it will.
    pub(super) fn fail(&mut self, seq: BatchSeq, cause: Cause) {
        self.intake.close();
        if self.failed.as_ref().is_some_and(|(before, _)| *before <= seq) {
            return;
        }
        self.failed = Some((seq, cause));
        self.batches.retain(|batch| batch.seq < seq);
        self.failing.retain(|task, _| task.batch < seq);
        let Some(epoch) = self.epochs.of(seq).map(|row| row.epoch) else { return };
        self.tell_owners(&ToWorker::Abandon { epoch, from: seq });
    }

    /// Tells every worker that takes part in a batch that is not complete, or will.
    fn tell_owners(&mut self, message: &ToWorker) {
        for owner in self.epochs.owners() {
            if self.members.is_member(owner) {
                self.actions.push_back(MasterAction::Tell(owner, message.clone()));
            }
        }
    }

    /// Commits the batches whose tasks have run, in order.
    pub(super) fn commit(&mut self) {
        for batch in &mut self.batches {
            let Phase::Running(running) = &mut batch.phase else {
                match batch.phase {
                    Phase::Cutting(_) => break,
                    _ => continue,
                }
            };
            if running.left > 0 {
                break;
            }
            let Some(cut) = running.cut.take() else { break };
            let epoch = self.epochs.of(batch.seq).map_or(Epoch(0), |row| row.epoch);
            let entry = JournalEntry::Commit { epoch, batch: batch.seq };
            batch.phase = Phase::Committing;
            self.actions.push_back(MasterAction::Persist(self.journal.commit(cut), entry));
        }
    }

    /// Publishes the oldest batch, if it is committed.
    pub(super) fn publish(&mut self) {
        let ended = self.intake.ended();
        let Some(batch) = self.batches.front_mut() else {
            return;
        };
        match std::mem::replace(&mut batch.phase, Phase::Publishing) {
            Phase::Committed(token) => {
                self.actions.push_back(MasterAction::Publish { batch: batch.seq, token, ended });
            }
            other => batch.phase = other,
        }
    }
}

/// Whether a batch reads what clients have pushed.
pub(super) fn has_pushed(inputs: &[Vec<Vec<Range>>]) -> bool {
    let mut ranges = inputs.iter().flatten().flatten();
    ranges.any(|range| receiver_of(&range.split).is_some())
}
