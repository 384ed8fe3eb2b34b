//! The master's core: it owns the life cycle of batches, and says who owns which partition.
//!
//! It decides when a batch is cut, tells the workers that it exists, counts the tasks that have run, commits and
//! publishes batches in order, each once, and decides what happens when something fails or a worker comes or goes.
//! It never sends a task: workers know the plan. It never sees a clock: `now_ms`, in the time of the timetable, is
//! an argument.
//!
//! Invariants: batches in flight have consecutive numbers; at most one, the newest, is being cut; a batch is
//! published only when all before it are, and only with the token that its commit is durable; a failed job
//! publishes nothing at or after the batch that failed; a batch is cut only when every member knows the placement
//! it runs under.

mod batch;
mod batches;
mod checkpoints;
mod epochs;
mod event;
mod gaps;
mod groups;
mod intake;
mod journal;
mod losses;
mod members;
mod rate;
mod recover;
mod resume;
mod slow;
mod stragglers;
mod tasks;
mod waits;
mod workers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::batch::{Batch, Cutting, Phase, Running};
use self::batches::NextCut;
use self::checkpoints::Checkpoints;
use self::epochs::Epochs;
pub use self::event::{Cause, MasterAction, MasterConfig, MasterEvent, Outcome};
use self::gaps::Gaps;
use self::intake::{End, Intake, Mode};
pub use self::journal::CommitToken;
use self::journal::{Durable, Journal};
use self::members::Members;
pub use self::members::{Gone, Standing};
use self::rate::Rate;
pub use self::resume::Unfit;
use self::stragglers::Stragglers;
use super::MAX_IN_FLIGHT;
use super::Past;
use super::attempt::Restarts;
use super::message::{Failure, JournalEntry, LostRow, ToMaster, ToWorker};
use super::placement::{place, place_by_weight};
use super::shape::Shape;
use crate::guards::{Guard, left_out};
use crate::id::{Attempt, BatchSeq, Epoch, JournalSeq, SourceId, TaskId, WorkerId};
use crate::plan::Plan;
use crate::source::{Position, Range};
use crate::time::Timetable;

/// The life cycle of a job's batches.
#[derive(Debug)]
pub struct MasterCore {
    shape: Shape,
    config: MasterConfig,
    epochs: Epochs,
    members: Members,
    intake: Intake,
    journal: Journal,
    /// Batches in flight, oldest first.
    batches: VecDeque<Batch>,
    next: BatchSeq,
    /// Intervals whose batch could not be cut.
    gaps: Gaps,
    /// How much a batch takes in.
    rate: Rate,
    /// While sources are drained, when the last batch was cut, unless it brought something; and how long after that
    /// nothing is cut.
    drained: Option<(u64, u64)>,
    /// Tasks that have failed: the number of their current run.
    failing: BTreeMap<TaskId, Attempt>,
    failed: Option<(BatchSeq, Cause)>,
    /// What lineage begins with, if workers may be lost.
    checkpoints: Option<Checkpoints>,
    /// The newest batch for which states were looked for to be saved.
    checkpointed: BatchSeq,
    /// The inputs of batches that are published and not over, oldest first.
    kept: VecDeque<(BatchSeq, Vec<Vec<Vec<Range>>>)>,
    /// The last batch that is published and has read what clients have pushed.
    pushed: BatchSeq,
    /// The last batch that is durably known to be published; kept with the journal.
    shown: BatchSeq,
    /// Workers that were lost and whose partitions have no new owners yet.
    dead: BTreeSet<WorkerId>,
    /// How many workers must be there before lost partitions get new owners: more than one after a start without
    /// workers.
    gathers: u32,
    restarts: Restarts,
    /// Who owned partitions when all placements were forgotten, and was told no other since.
    cleared: BTreeSet<WorkerId>,
    /// What is too slow, if anything may run twice.
    stragglers: Option<Stragglers>,
    timer: Option<u64>,
    finished: bool,
    actions: VecDeque<MasterAction>,
}

impl MasterCore {
    /// A master of a job that begins; it waits for its workers. One that may lose workers begins its journal.
    #[must_use]
    pub fn new(plan: &'static Plan, config: MasterConfig) -> Self {
        let mut core = Self::waiting(plan, config);
        core.begin_journal();
        core
    }

    fn waiting(plan: &'static Plan, config: MasterConfig) -> Self {
        let shape = Shape::new(plan, config.partitions);
        let interval = config.timetable.interval().as_millis().max(1) as u64;
        let every = config.checkpoint_ms.map(|ms| ms.div_ceil(interval));
        // What a run elsewhere is for must be kept until it is not needed any more.
        let stragglers = (config.speculate && every.is_some()).then(Stragglers::default);
        Self {
            checkpoints: every.map(|every| Checkpoints::new(&shape, config.first, every)),
            checkpointed: BatchSeq(0),
            kept: VecDeque::new(),
            pushed: BatchSeq(0),
            shown: BatchSeq(0),
            dead: BTreeSet::new(),
            gathers: 0,
            restarts: Restarts::new(),
            cleared: BTreeSet::new(),
            shape,
            intake: Intake::new(&config.live, &config.drains),
            next: config.first,
            gaps: Gaps::new(plan, &config),
            rate: Rate::new(interval, config.batch_bytes, config.live.len()),
            drained: None,
            members: Members::new(config.lease_ms),
            epochs: Epochs::new(config.term),
            config,
            journal: Journal::default(),
            batches: VecDeque::new(),
            failing: BTreeMap::new(),
            failed: None,
            stragglers,
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
        if self.finished {
            return;
        }
        match event {
            MasterEvent::Worker(worker, message) => {
                // Of what workers say, nearly nothing makes anything else possible.
                if !self.worker(now_ms, worker, message) {
                    return;
                }
            }
            MasterEvent::Left(worker, why) => self.left(now_ms, worker, why),
            MasterEvent::Comes { worker, name, inside } => {
                return self.holder_comes(worker, name, inside);
            }
            MasterEvent::Holder(change) => return self.holder_changes(change),
            MasterEvent::Drain(worker) => self.drain(worker),
            MasterEvent::CutDone { batch, source, inputs, position, ended, waiting } => {
                self.cut_done(batch, source, inputs, position, End { ended, waiting });
            }
            MasterEvent::CutFailed { batch, source, message } => {
                if self.cutting(batch).is_some_and(|cutting| cutting.waits_for(source)) {
                    self.fail(batch, Cause::Source { batch, source, message });
                }
            }
            MasterEvent::Synced(seq) => self.synced(seq),
            MasterEvent::Fenced { why } => return self.fenced(why),
            MasterEvent::Published { batch } => self.published(batch),
            MasterEvent::PublishFailed { batch, output, message } => {
                if self.is_publishing(batch) {
                    self.fail(batch, Cause::Output { batch, output, message });
                }
            }
            MasterEvent::Lost { rows, how } => self.lost_records(rows, how),
            MasterEvent::Tick => {
                self.timer = None;
                self.evict(now_ms);
            }
            MasterEvent::Stop => self.stop(),
        }
        self.advance(now_ms);
    }

    /// Does everything that has become possible.
    fn advance(&mut self, now_ms: u64) {
        self.commit();
        self.publish();
        self.dismiss(now_ms);
        self.recover();
        let (retry, due) = loop {
            // States are saved as they are before anything moves.
            let retry = self.checkpoint(now_ms);
            self.place();
            match self.cut(now_ms) {
                NextCut::Empty => {}
                NextCut::Waits => break (retry, None),
                NextCut::At(due) => break (retry, Some(due)),
            }
        };
        let late = self.speculate(now_ms);
        let due = [due, retry, late].into_iter().flatten().min();
        let is_over = self.intake.mode() == Mode::Closed && self.batches.is_empty();
        if is_over && !self.must_save() {
            self.finished = true;
            let outcome = match self.failed.take() {
                None => {
                    self.end_journal();
                    Outcome::Done
                }
                Some((_, cause)) => Outcome::Failed(cause),
            };
            return self.actions.push_back(MasterAction::Finish(outcome));
        }
        self.set_timer(due);
    }

    /// A timer that is earlier than necessary is left alone.
    fn set_timer(&mut self, due: Option<u64>) {
        let at = [due, self.members.check_at()].into_iter().flatten().min();
        if let Some(at) = at.filter(|at| self.timer.is_none_or(|timer| *at < timer)) {
            self.timer = Some(at);
            self.actions.push_back(MasterAction::SetTimer(at));
        }
    }

    /// The oldest batch that is not over. Those that were given up never will be.
    fn oldest(&self) -> BatchSeq {
        let given_up = self.failed.as_ref().map_or(self.next, |(seq, _)| *seq);
        let oldest = self.batches.front().map_or(given_up, |batch| batch.seq);
        self.kept.front().map_or(oldest, |(seq, _)| *seq)
    }

    /// What batches before this one have read is not needed any more, not even by a master that finds the newest
    /// saved states damaged.
    #[must_use]
    pub fn spent(&self) -> BatchSeq {
        let spare = self.checkpoints.as_ref().and_then(Checkpoints::spare);
        let spare = spare.filter(|_| !left_out(Guard::KeptForOlder));
        let oldest = self.oldest();
        spare.map_or(oldest, |spare| oldest.min(BatchSeq(spare.0.saturating_add(1))))
    }

    /// When batches end: those that are not over, and the next.
    #[must_use]
    pub fn timetable(&self) -> &Timetable {
        &self.config.timetable
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
}

#[cfg(test)]
mod tests;
