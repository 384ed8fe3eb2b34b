//! The master's core: it owns the life cycle of batches.
//!
//! It decides when a batch is cut, tells the workers that it exists, counts the tasks that have run,
//! commits and publishes batches in order, each once, and decides what happens when something fails.
//! It never sends a task: workers know the plan. It never sees a clock: `now_ms`, in the time of the
//! timetable, is an argument.
//!
//! Invariants: batches in flight have consecutive numbers; at most one, the newest, is being cut; a
//! batch is published only when all before it are, and only with the token that its commit is
//! durable; a failed job publishes nothing at or after the batch that failed.

mod batch;
mod event;
mod intake;
mod journal;

use std::collections::{BTreeMap, VecDeque};

use self::batch::{Batch, Cutting, Phase, Running};
pub use self::event::{Cause, MasterAction, MasterConfig, MasterEvent, Outcome};
use self::intake::{Intake, Mode};
pub use self::journal::CommitToken;
use self::journal::{Durable, Journal};
use super::MAX_IN_FLIGHT;
use super::message::{Failure, JournalEntry, ToMaster, ToWorker};
use super::placement::place;
use super::shape::Shape;
use crate::id::{Attempt, BatchSeq, Epoch, JournalSeq, SourceId, TaskId, WorkerId};
use crate::plan::Plan;
use crate::source::Range;

#[derive(Debug, Default)]
struct Member {
    /// The newest placement it was told; none for one that stands by.
    told: Epoch,
    /// The newest placement it has acknowledged.
    placed: Epoch,
}

/// The life cycle of a job's batches.
#[derive(Debug)]
pub struct MasterCore {
    shape: Shape,
    config: MasterConfig,
    epoch: Epoch,
    placement: Vec<WorkerId>,
    members: BTreeMap<WorkerId, Member>,
    intake: Intake,
    journal: Journal,
    /// Batches in flight, oldest first.
    batches: VecDeque<Batch>,
    next: BatchSeq,
    /// Tasks that have failed: the number of their current run.
    failing: BTreeMap<TaskId, Attempt>,
    failed: Option<(BatchSeq, Cause)>,
    timer: Option<u64>,
    finished: bool,
    actions: VecDeque<MasterAction>,
}

impl MasterCore {
    /// A master that waits for its workers.
    #[must_use]
    pub fn new(plan: &'static Plan, config: MasterConfig) -> Self {
        Self {
            shape: Shape::new(plan, config.partitions),
            intake: Intake::new(&config.live),
            next: config.first,
            config,
            epoch: Epoch(0),
            placement: Vec::new(),
            members: BTreeMap::new(),
            journal: Journal::default(),
            batches: VecDeque::new(),
            failing: BTreeMap::new(),
            failed: None,
            timer: None,
            finished: false,
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do. The driver polls until there is none.
    pub fn poll(&mut self) -> Option<MasterAction> {
        self.actions.pop_front()
    }

    /// Takes in one event; what follows from it is there to be polled.
    pub fn handle(&mut self, now_ms: u64, event: MasterEvent) {
        match event {
            MasterEvent::Worker(worker, message) => self.worker(worker, message),
            MasterEvent::CutDone { batch, source, inputs, ended } => {
                self.cut_done(batch, source, inputs, ended);
            }
            MasterEvent::CutFailed { batch, source, message } => {
                if self.cutting(batch).is_some_and(|cutting| cutting.waits_for(source)) {
                    self.fail(batch, Cause::Source { batch, source, message });
                }
            }
            MasterEvent::Synced(seq) => self.synced(seq),
            MasterEvent::Published { batch } => self.published(batch),
            MasterEvent::PublishFailed { batch, output, message } => {
                if self.is_publishing(batch) {
                    self.fail(batch, Cause::Output { batch, output, message });
                }
            }
            MasterEvent::Tick => self.timer = None,
            MasterEvent::Stop => {
                if self.intake.drain() {
                    self.actions.push_back(MasterAction::StopSources);
                }
            }
        }
        self.advance(now_ms);
    }

    fn worker(&mut self, worker: WorkerId, message: ToMaster) {
        match message {
            ToMaster::Joined { slots: _ } => {
                self.members.entry(worker).or_default();
                let members: Vec<WorkerId> = self.members.keys().copied().collect();
                // Later workers stand by: partitions move when somebody leaves.
                if self.epoch == Epoch(0) && members.len() >= self.config.workers as usize {
                    self.epoch = Epoch(1);
                    self.members.values_mut().for_each(|member| member.told = Epoch(1));
                    self.placement = place(self.shape.partitions, &members, &[], self.epoch);
                    let (epoch, placement) = (self.epoch, self.placement.clone());
                    let first = self.config.first;
                    self.tell_all(|| ToWorker::Place {
                        epoch,
                        placement: placement.clone(),
                        first,
                        start: first,
                    });
                }
            }
            ToMaster::Placed { epoch } => {
                if let Some(member) = self.members.get_mut(&worker) {
                    member.placed = epoch.min(member.told).max(member.placed);
                }
            }
            ToMaster::TaskDone { epoch, task, .. } if epoch == self.epoch => self.task_done(task),
            ToMaster::TaskFailed { epoch, task, attempt, failure } if epoch == self.epoch => {
                self.task_failed(task, attempt, failure);
            }
            ToMaster::TaskDone { .. } | ToMaster::TaskFailed { .. } => {}
        }
    }

    fn tell_all(&mut self, message: impl Fn() -> ToWorker) {
        let members = self.members.iter().filter(|(_, member)| member.told == self.epoch);
        self.actions.extend(members.map(|(worker, _)| MasterAction::Tell(*worker, message())));
    }

    fn batch(&mut self, seq: BatchSeq) -> Option<&mut Batch> {
        let oldest = self.batches.front()?.seq;
        let at = usize::try_from(seq.0.checked_sub(oldest.0)?).ok()?;
        self.batches.get_mut(at)
    }

    fn cutting(&mut self, seq: BatchSeq) -> Option<&mut Cutting> {
        match &mut self.batch(seq)?.phase {
            Phase::Cutting(cutting) => Some(cutting),
            _ => None,
        }
    }

    fn running(&mut self, seq: BatchSeq) -> Option<&mut Running> {
        match &mut self.batch(seq)?.phase {
            Phase::Running(running) => Some(running),
            _ => None,
        }
    }

    fn is_publishing(&self, seq: BatchSeq) -> bool {
        let oldest = self.batches.front();
        oldest.is_some_and(|b| b.seq == seq && matches!(b.phase, Phase::Publishing))
    }

    fn cut_done(&mut self, seq: BatchSeq, source: SourceId, inputs: Vec<Vec<Range>>, ended: bool) {
        let Some(cutting) = self.cutting(seq).filter(|cutting| cutting.waits_for(source)) else {
            return;
        };
        let (drains, drained) = (cutting.drains, cutting.drains && inputs.is_empty());
        cutting.answer(source, inputs);
        let complete = cutting.complete();
        self.intake.answered(source, ended, drained);
        let Some(inputs) = complete else { return };
        if drains && inputs.iter().all(Vec::is_empty) {
            self.batches.pop_back();
            self.next = seq;
            self.actions.push_back(MasterAction::Unneeded { batch: seq });
            return;
        }
        self.begin(seq, inputs);
    }

    /// All sources have been cut: the batch exists.
    fn begin(&mut self, seq: BatchSeq, inputs: Vec<Vec<Vec<Range>>>) {
        let counts: Vec<u32> = inputs.iter().map(|inputs| inputs.len() as u32).collect();
        let stages = self.shape.plan.stages.iter();
        let tasks: u32 = stages.map(|row| self.shape.tasks(row, seq, &counts)).sum();
        let running = Running::new(tasks as usize, self.shape.slots());
        let Some(batch) = self.batch(seq) else { return };
        batch.phase = Phase::Running(running);
        let epoch = self.epoch;
        let entry = JournalEntry::Cut { epoch, batch: seq, inputs };
        let at = self.journal.cut(seq);
        self.actions.push_back(MasterAction::Persist(at, entry));
        // Tasks may run before the cut is durable: nothing of them is visible until it is.
        let time = self.config.timetable.end(seq);
        let oldest = self.batches.front().map_or(seq, |batch| batch.seq);
        self.tell_all(|| ToWorker::Begin {
            epoch,
            batch: seq,
            time,
            inputs: counts.clone(),
            ranges: Vec::new(),
            oldest,
        });
    }

    fn task_done(&mut self, task: TaskId) {
        let Some(slot) = self.shape.slot(task) else {
            return;
        };
        if self.running(task.batch).is_some_and(|running| running.done(slot)) {
            self.failing.remove(&task);
        }
    }

    fn task_failed(&mut self, task: TaskId, attempt: Attempt, failure: Failure) {
        let Some(slot) = self.shape.slot(task) else {
            return;
        };
        let current = self.failing.get(&task).copied().unwrap_or_default();
        let counts = self.running(task.batch).is_some_and(|running| !running.is_done(slot));
        if !counts || attempt != current {
            return;
        }
        let attempts = attempt.0 + 1;
        if !failure.again || attempts >= self.config.attempts {
            self.fail(task.batch, Cause::Task { task, attempts, failure });
            return;
        }
        let Some(owner) = self.placement.get(task.partition.index()).copied() else {
            return;
        };
        let (epoch, attempt) = (self.epoch, Attempt(attempts));
        self.failing.insert(task, attempt);
        self.actions.push_back(MasterAction::Tell(owner, ToWorker::Again { epoch, task, attempt }));
    }

    /// Nothing at or after `seq` will be published; what is before it will.
    fn fail(&mut self, seq: BatchSeq, cause: Cause) {
        self.intake.close();
        if self.failed.as_ref().is_some_and(|(before, _)| *before <= seq) {
            return;
        }
        self.failed = Some((seq, cause));
        self.batches.retain(|batch| batch.seq < seq);
        self.failing.retain(|task, _| task.batch < seq);
        let epoch = self.epoch;
        self.tell_all(|| ToWorker::Abandon { epoch, from: seq });
    }

    fn synced(&mut self, seq: JournalSeq) {
        while let Some((batch, durable)) = self.journal.synced(seq) {
            // A batch that is gone by now was given up after its entry was written.
            let Some(batch) = self.batch(batch) else {
                continue;
            };
            match (&mut batch.phase, durable) {
                (Phase::Running(running), Durable::Cut(token)) => running.cut = Some(token),
                (phase @ Phase::Committing, Durable::Commit(token)) => {
                    *phase = Phase::Committed(token);
                }
                _ => {}
            }
        }
    }

    fn published(&mut self, seq: BatchSeq) {
        if !self.is_publishing(seq) {
            return;
        }
        self.batches.pop_front();
        let (epoch, oldest) = (self.epoch, BatchSeq(seq.0 + 1));
        self.tell_all(|| ToWorker::Release { epoch, oldest });
    }

    /// Does everything that has become possible. Called after every event.
    fn advance(&mut self, now_ms: u64) {
        if self.finished {
            return;
        }
        self.commit();
        self.publish();
        self.cut(now_ms);
        if self.intake.mode() == Mode::Closed && self.batches.is_empty() {
            self.finished = true;
            let outcome = match self.failed.take() {
                None => Outcome::Done,
                Some((_, cause)) => Outcome::Failed(cause),
            };
            self.actions.push_back(MasterAction::Finish(outcome));
        }
    }

    /// Commits the batches whose tasks have run, in order.
    fn commit(&mut self) {
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
            let entry = JournalEntry::Commit { epoch: self.epoch, batch: batch.seq };
            batch.phase = Phase::Committing;
            self.actions.push_back(MasterAction::Persist(self.journal.commit(cut), entry));
        }
    }

    /// Publishes the oldest batch, if it is committed.
    fn publish(&mut self) {
        let Some(batch) = self.batches.front_mut() else {
            return;
        };
        match std::mem::replace(&mut batch.phase, Phase::Publishing) {
            Phase::Committed(token) => {
                self.actions.push_back(MasterAction::Publish { batch: batch.seq, token });
            }
            other => batch.phase = other,
        }
    }

    /// Cuts the next batch, if it is due and there is room for it.
    fn cut(&mut self, now_ms: u64) {
        let placed = |member: &Member| member.placed == member.told;
        let ready = self.epoch > Epoch(0) && self.members.values().all(placed);
        let room = self.batches.len() < self.config.in_flight.clamp(1, MAX_IN_FLIGHT) as usize;
        let busy = matches!(self.batches.back(), Some(Batch { phase: Phase::Cutting(_), .. }));
        if !ready || !room || busy || self.intake.mode() == Mode::Closed {
            return;
        }
        let due = self.config.timetable.end(self.next).0;
        let drains = self.intake.mode() == Mode::Draining;
        if self.intake.is_live() && !drains && now_ms < due {
            if self.timer != Some(due) {
                self.timer = Some(due);
                self.actions.push_back(MasterAction::SetTimer(due));
            }
            return;
        }
        let seq = self.next;
        self.next = BatchSeq(seq.0 + 1);
        for source in self.intake.asked() {
            self.actions.push_back(MasterAction::Cut { batch: seq, source });
        }
        let cutting = Cutting::new(self.config.live.len(), self.intake.asked(), drains);
        self.batches.push_back(Batch { seq, phase: Phase::Cutting(cutting) });
    }
}

#[cfg(test)]
mod tests;
