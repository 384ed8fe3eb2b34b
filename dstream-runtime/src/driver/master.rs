//! What a master does in whatever process: its core, the sources that it cuts, the batches in flight, and
//! the sinks that it publishes to.
//!
//! The half of a driver that knows nothing of tasks' data, of blocks and of other processes. Its owner
//! hands it events, polls it until it asks for nothing more, and carries out what it asks for.

mod batch;
mod before;
mod clock;
mod dead;
mod end;
mod ends;
mod intake;
mod lateness;
mod outputs;
mod pace;
mod print;
mod publish;
mod spread;
mod totals;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use self::batch::InFlight;
pub(super) use self::before::Before;
use self::clock::Clock;
pub(super) use self::ends::{Ends, Opened, check, dead_sinks, output_settings};
pub(super) use self::intake::{Answer, AskError, Intake, asked};
use self::lateness::Lateness;
use self::outputs::Refusing;
pub(super) use self::publish::{Closed, Publisher, Refused};
pub(super) use self::spread::nothing;
use self::spread::{deal, spread};
use self::totals::Totals;
use super::cluster::{ClusterNews, PublishedStatus, RefusedStatus};
use super::error::JobError;
use super::journal::Journal;
use super::report::{Observer, OutputReport, SourceReport, Summary};
use super::worker::Leaving;
use crate::durable::journal::JournalEvent;
use crate::host;
use crate::id::{BatchSeq, JournalSeq, SourceId, TaskId, WorkerId};
use crate::plan::{Plan, StageRow};
use crate::sched::master::Outcome;
use crate::sched::message::{ToMaster, ToWorker};
use crate::sched::status::Status;
use crate::sched::{MasterAction, MasterConfig, MasterCore, MasterEvent, Past};
use crate::source::{Cut, Input, News};
use crate::time::Timetable;

/// How batches are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) partitions: u32,
    pub(super) in_flight: u32,
    pub(super) attempts: u32,
    /// How many workers must have joined before the first batch is cut.
    pub(super) workers: u32,
    /// After how long a silence a worker counts as gone.
    pub(super) lease: Option<Duration>,
    /// About how often states are saved, so that a worker may be lost.
    pub(super) checkpoint: Option<Duration>,
    /// Whether late tasks are run on other workers too, where states are saved.
    pub(super) speculate: bool,
    /// The batch interval, if it is not the plan's.
    pub(super) interval: Option<Duration>,
    /// How many bytes a batch of live sources takes in at most.
    pub(super) batch_bytes: u64,
    /// How many records of each output and batch are shown to the observer.
    pub(super) preview: u32,
    /// Whether a stop that the master before has begun is completed.
    pub(super) completes_stop: bool,
    /// The last batch that is cut.
    pub(super) until: Option<BatchSeq>,
}

/// The journal of a master, and the inputs of the batches in it, made again.
pub(super) struct Written {
    pub(super) journal: Journal,
    pub(super) inputs: BTreeMap<BatchSeq, Vec<Vec<Input>>>,
}

/// How far a job has come.
pub(super) struct Progress {
    /// Whether it ends only when it is told to.
    pub(super) live: bool,
    pub(super) published: Option<PublishedStatus>,
    /// The age of the oldest batch that should be visible and is not, if the job is live.
    pub(super) delay_ms: Option<u64>,
    /// Per source.
    pub(super) sources: Vec<SourceReport>,
    /// Records per output.
    pub(super) outputs: Vec<u64>,
    /// Late records.
    pub(super) late: u64,
    /// Why nothing is published now.
    pub(super) refused: Option<RefusedStatus>,
    /// How far the wall clock is behind batch times, if that is more than usual.
    pub(super) clock_behind_ms: Option<u64>,
}

/// What a master asks of its owner.
pub(super) enum Asks {
    /// Tell a worker.
    Tell(WorkerId, ToWorker),
    /// A worker that is about to join may.
    Admit(WorkerId),
    /// A worker that was drained may go.
    Dismiss(WorkerId),
    /// A worker counts as gone, and why.
    Evict(WorkerId, String),
    /// A worker cannot be drained, and why.
    Refuse(WorkerId, String),
    /// A slow worker: its time as a multiple of the others' (in thousandths), the partitions that it owns, and its share
    /// of the input (in percent).
    Slow(WorkerId, u32, u32, u32),
    /// Workers read what they hold in proportion to these weights.
    Weights(Vec<(WorkerId, u32)>),
    /// This state will not be loaded any more.
    Obsolete(String),
}

/// The life of a job's batches.
pub(super) struct Master<'e> {
    plan: &'static Plan,
    settings: Settings,
    ends: Ends,
    observer: &'e mut dyn Observer,
    core: MasterCore,
    clock: Clock,
    live: bool,
    /// It was told to stop.
    stopped: bool,
    /// Batches in flight, oldest first.
    batches: VecDeque<InFlight>,
    /// The inputs of batches that are published, while they may have to be read again.
    past: BTreeMap<BatchSeq, Vec<Vec<Input>>>,
    /// What was made of the batch that is being published.
    publishing: Vec<OutputReport>,
    /// The output that does not take the batch that is being published, and is tried again.
    refusing: Option<Refusing>,
    /// When the core wants to be told the time.
    timer: Option<Instant>,
    totals: Totals,
    /// The first batch that a source, an output or the engine itself failed, and how.
    failure: Option<(BatchSeq, JobError)>,
    outcome: Option<Outcome>,
    last: BatchSeq,
    lateness: Lateness,
    /// When the first batch was cut.
    begun: Option<Instant>,
    /// Where decisions are written down, if another master may have to go on from there.
    journal: Option<Journal>,
}

impl<'e> Master<'e> {
    /// A job's first master, or one that goes on from what is `written`.
    ///
    /// # Errors
    /// When what is written is not of this plan, or lacks something.
    pub(super) fn new(
        plan: &'static Plan,
        settings: Settings,
        ends: Ends,
        observer: &'e mut dyn Observer,
        written: Option<Written>,
    ) -> Result<Self, JobError> {
        let live = ends.live.contains(&true);
        let past = written.as_ref().and_then(|written| written.journal.past());
        let interval = settings.interval.map_or(plan.interval_ms, |i| i.as_millis() as u64);
        let wall_ms = host::wall().as_millis() as u64;
        let timetable = match past.and_then(Past::timetable) {
            Some(timetable) => timetable.clone(),
            None if live => Timetable::starting(wall_ms, interval),
            None => Timetable::new(0, interval),
        };
        let cut = past.map_or(BatchSeq(0), |past| BatchSeq(past.next().0.saturating_sub(1)));
        let last = past.map_or(BatchSeq(0), Past::published);
        let goes_on = live && cut > BatchSeq(0);
        let clock = Clock::start(if goes_on { timetable.end(cut).0 } else { 0 });
        let term = written.as_ref().map_or(0, |written| written.journal.term());
        let config = MasterConfig {
            partitions: settings.partitions,
            in_flight: settings.in_flight,
            attempts: settings.attempts,
            workers: settings.workers,
            timetable: timetable.clone(),
            publishes_empty: ends.publishes_empty,
            seen: ends
                .outputs
                .iter()
                .map(|output| output.format.is_some() || output.rows)
                .collect(),
            batch_bytes: settings.batch_bytes,
            live: ends.live.clone(),
            drains: ends.drains.clone(),
            first: BatchSeq(last.0 + 1),
            checkpoint_ms: settings.checkpoint.map(|every| every.as_millis() as u64),
            speculate: settings.speculate,
            lease_ms: settings.lease.map(|lease| lease.as_millis() as u64),
            // No job is started that often.
            term: u32::try_from(term).unwrap_or(u32::MAX),
            completes_stop: settings.completes_stop,
        };
        let core = match past {
            Some(past) => MasterCore::resume(plan, config, past, clock.now_ms())
                .map_err(|unfit| JobError::Journal { why: unfit.to_string() })?,
            None => MasterCore::new(plan, config),
        };
        let (journal, inputs) = match written {
            Some(Written { journal, inputs }) => (Some(journal), inputs),
            None => (None, BTreeMap::new()),
        };
        let mut past = inputs;
        let unpublished = past.split_off(&BatchSeq(last.0 + 1)).into_iter();
        let in_flight =
            |(seq, inputs)| InFlight { inputs, ..InFlight::new(plan, seq, timetable.end(seq)) };
        let batches = unpublished.map(in_flight).collect();
        let totals = Totals::new(plan, BatchSeq(last.0 + 1), &ends.live, &ends.dead_sinks);
        let mut master = Self {
            plan,
            settings,
            ends,
            observer,
            core,
            clock,
            live,
            stopped: false,
            batches,
            past,
            publishing: Vec::new(),
            refusing: None,
            timer: None,
            totals,
            failure: None,
            outcome: None,
            last,
            lateness: Lateness::default(),
            begun: None,
            journal,
        };
        master.say_if_ahead();
        Ok(master)
    }

    /// Takes in an event of the core.
    pub(super) fn handle(&mut self, event: MasterEvent) {
        let (now, followed) = self.clock.tick();
        if let Some(by) = followed.filter(|_| self.live) {
            self.say_followed(by);
        }
        self.stopped |= matches!(event, MasterEvent::Stop);
        self.core.handle(now, event);
    }

    /// A worker said something; what left the job with a task that is done is here.
    pub(super) fn worker_said(&mut self, worker: WorkerId, message: ToMaster, leaving: Leaving) {
        // A task whose worker was lost may be reported by another as well: it counts once.
        if let ToMaster::TaskDone { task, tally, .. } = &message
            && self.core.accepts(worker, &message)
        {
            let (task, tally) = (*task, *tally);
            let source = self.plan.stages.get(task.stage.index()).and_then(StageRow::source);
            if let Some(batch) = self.batch(task.batch) {
                if let Some(read) = source.and_then(|s| batch.reads.get_mut(s.index())) {
                    read.records += tally.records;
                    read.bytes += tally.bytes;
                    read.dead_letters += tally.dead;
                }
                batch.late += tally.late;
                batch.take(task, leaving);
            }
        }
        self.handle(MasterEvent::Worker(worker, message));
    }

    /// A source has answered.
    pub(super) fn cut(&mut self, batch: BatchSeq, source: SourceId, answer: Answer) {
        self.news(source, &answer.news);
        let event = match answer.cut {
            Ok(Cut { mut inputs, ended, waiting, position }) => {
                let partitions = self.settings.partitions as usize;
                inputs = match self.ends.live.get(source.index()) {
                    Some(false) => spread(inputs, batch, partitions),
                    _ => deal(inputs, |pieces| self.core.readers(batch, pieces)),
                };
                let ranges = inputs.iter().map(|input| input.ranges.clone()).collect();
                if let Some(batch) = self.batch(batch) {
                    batch.inputs[source.index()] = inputs;
                }
                MasterEvent::CutDone { batch, source, inputs: ranges, position, ended, waiting }
            }
            Err(error) => {
                let message = self.source_failed(batch, source, error);
                MasterEvent::CutFailed { batch, source, message }
            }
        };
        self.handle(event);
    }

    /// Says and counts what a source has met.
    pub(super) fn news(&mut self, source: SourceId, news: &News) {
        let name = self.plan.sources.get(source.index()).map_or("", |row| row.name);
        for warning in &news.warnings {
            self.observer.on_warning(&format!("source `{name}`: {warning}"));
        }
        self.totals.news(source, news);
    }

    /// Keeps what is wrong with a source, and says it.
    fn source_failed(&mut self, batch: BatchSeq, source: SourceId, error: AskError) -> String {
        let error = error.of(self.plan, source);
        let message = error.to_string();
        self.failed(batch, error);
        message
    }

    /// Its core, to be looked at.
    pub(super) fn core(&self) -> &MasterCore {
        &self.core
    }

    /// Whether the job waits only for its states to be saved.
    pub(super) fn must_save(&self) -> bool {
        self.core.must_save()
    }

    /// How the core is doing.
    pub(super) fn core_status(&self) -> Status {
        self.core.status(self.clock.now_ms())
    }

    /// How far the job has come.
    pub(super) fn progress(&self) -> Progress {
        let due = self.batches.front().filter(|_| self.live).map(|oldest| {
            let late = self.clock.since(oldest.time);
            late.as_millis() as u64
        });
        Progress {
            live: self.live,
            published: self.totals.published(),
            delay_ms: due.filter(|late| *late > 0),
            sources: self.totals.sources().to_vec(),
            outputs: self.totals.outputs().to_vec(),
            late: self.totals.all_late(),
            refused: self.refusing.as_ref().map(Refusing::status),
            clock_behind_ms: self.clock_behind().map(|behind| behind.as_millis() as u64),
        }
    }

    /// Tells the observer what happens in a cluster.
    pub(super) fn tell(&mut self, news: &ClusterNews) {
        self.observer.on_cluster(news);
    }

    /// Tells the observer what needs attention.
    pub(super) fn warn(&mut self, message: &str) {
        self.observer.on_warning(message);
    }

    /// The input of a task as it was cut, while its batch is in flight.
    pub(super) fn input(&self, task: TaskId) -> Option<Input> {
        let source = self.plan.stages.get(task.stage.index())?.source()?;
        let of = |inputs: &Vec<Vec<Input>>| {
            inputs.get(source.index())?.get(task.partition.index()).cloned()
        };
        if let Some(inputs) = self.past.get(&task.batch) {
            return of(inputs);
        }
        let at = usize::try_from(task.batch.0.checked_sub(self.batches.front()?.seq.0)?).ok()?;
        of(&self.batches.get(at)?.inputs)
    }

    /// When the core wants to be told the time.
    pub(super) fn timer(&self) -> Option<Instant> {
        self.timer
    }

    /// The time that the core wanted to be told has come.
    pub(super) fn tick(&mut self) {
        self.timer = None;
        self.handle(MasterEvent::Tick);
    }

    /// The result of the job, once it is over.
    pub(super) fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// All decisions so far that will take effect at some time, and the entry that must be durable before a process
    /// relies on it; nothing if they are not written down.
    pub(super) fn so_far(&self) -> Option<(&Past, JournalSeq)> {
        Some(self.journal.as_ref()?.so_far())
    }

    /// The number of this master among those of the job; 0 without a journal.
    pub(super) fn term(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::term)
    }

    /// Whether all up to an entry is durable.
    pub(super) fn is_durable(&self, seq: JournalSeq) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.is_durable(seq))
    }

    /// What was written down is durable, or will never be.
    pub(super) fn written(&mut self, news: JournalEvent) {
        let event = match news {
            JournalEvent::Synced(seq) => {
                if let Some(journal) = &mut self.journal {
                    journal.synced(JournalSeq(seq));
                }
                MasterEvent::Synced(JournalSeq(seq))
            }
            JournalEvent::Failing { why, retry_for: patience } => {
                return self.warn(&format!(
                    "the journal cannot be written ({why}): nothing is published until it can, and the job \
                     stops if that takes {} s",
                    patience.as_secs()
                ));
            }
            JournalEvent::Fenced { by } => MasterEvent::Fenced {
                why: by.unwrap_or_else(|| "its name is not known".to_owned()),
            },
            JournalEvent::Failed(why) => {
                // Nothing can be made durable any more: it is as if another had taken over.
                let help = "nothing is lost: see to it that the state directory can be written, and start \
                            the master again";
                let error = JobError::Journal { why: format!("{why}\n  help: {help}") };
                self.failure = Some((BatchSeq(0), error));
                MasterEvent::Fenced { why }
            }
        };
        self.handle(event);
    }

    /// See [`MasterCore::spent`].
    pub(super) fn spent(&self) -> BatchSeq {
        self.core.spent()
    }

    /// Whether all batches up to the last one that is cut are published, and no state is being saved: the rest is
    /// the next master's.
    pub(super) fn is_left(&self) -> bool {
        self.settings.until.is_some_and(|until| self.last >= until) && !self.core.is_saving()
    }

    /// The last batch that was published.
    pub(super) fn last_published(&self) -> BatchSeq {
        self.last
    }

    /// The next thing that the owner must do; what can be done here is done on the way.
    pub(super) fn poll(&mut self) -> Option<Asks> {
        loop {
            match self.core.poll()? {
                MasterAction::Tell(worker, message) => {
                    if let ToWorker::Release { oldest, .. } | ToWorker::Begin { oldest, .. } =
                        &message
                        && !self.past.is_empty()
                    {
                        self.past = self.past.split_off(oldest);
                    }
                    return Some(Asks::Tell(worker, message));
                }
                MasterAction::Admit(worker) => return Some(Asks::Admit(worker)),
                MasterAction::Dismiss(worker) => return Some(Asks::Dismiss(worker)),
                MasterAction::Evict(worker, why) => return Some(Asks::Evict(worker, why)),
                MasterAction::Slow { worker, factor, partitions, share } => {
                    return Some(Asks::Slow(worker, factor, partitions, share));
                }
                MasterAction::Weights(weights) => return Some(Asks::Weights(weights)),
                MasterAction::Refuse { worker, why } => return Some(Asks::Refuse(worker, why)),
                MasterAction::NewBatch { batch, time } => {
                    self.begun.get_or_insert_with(host::now);
                    self.batches.push_back(InFlight::new(self.plan, batch, time));
                }
                MasterAction::Missed { intervals, run } => self.say_missed(intervals, run),
                // It is left to the next master: this one waits for the answer until it ends.
                MasterAction::Cut { batch, .. }
                    if self.settings.until.is_some_and(|until| batch > until) => {}
                MasterAction::Cut { batch, source, limit } => {
                    let partitions = self.settings.partitions as usize;
                    let answer = self.ends.intakes[source.index()].cut(batch, partitions, limit);
                    if let Some(answer) = answer {
                        self.cut(batch, source, answer);
                    }
                }
                MasterAction::StopSources => self.ends.intakes.iter_mut().for_each(Intake::stop),
                MasterAction::Persist(seq, entry) => match &mut self.journal {
                    Some(journal) => journal.append(seq, &entry),
                    // All of the job lives as long as its master: no other process reads a journal.
                    None => self.handle(MasterEvent::Synced(seq)),
                },
                MasterAction::Publish { batch, token: _, ended } => self.publish(batch, ended),
                MasterAction::Unneeded { batch } => self.batches.retain(|b| b.seq != batch),
                MasterAction::Obsolete(object) => return Some(Asks::Obsolete(object)),
                MasterAction::SetTimer(at) => self.timer = Some(self.clock.instant(at)),
                MasterAction::Finish(outcome) => self.outcome = Some(outcome),
            }
        }
    }

    fn batch(&mut self, seq: BatchSeq) -> Option<&mut InFlight> {
        let oldest = self.batches.front()?.seq;
        let at = usize::try_from(seq.0.checked_sub(oldest.0)?).ok()?;
        self.batches.get_mut(at)
    }

    /// Keeps the error of the earliest batch, as the core does.
    fn failed(&mut self, batch: BatchSeq, error: JobError) {
        if self.failure.as_ref().is_none_or(|(before, _)| batch < *before) {
            self.failure = Some((batch, error));
        }
    }

    /// What a job did that ends here and now: it is `stopped`, or left to the next master.
    pub(super) fn break_off(&mut self, stopped: bool) -> Summary {
        if let Some(mut journal) = self.journal.take() {
            if stopped {
                journal.stopped();
            }
            journal.close();
        }
        end::summary(self)
    }

    /// The job fails for a reason that is not its core's: what it did until then is told.
    pub(super) fn breaks(&mut self) {
        let done = end::summary(self);
        self.observer.on_failed(&done);
    }

    /// The end of a job that is over: what it did, or why it failed.
    pub(super) fn end(mut self, outcome: Outcome) -> Result<Summary, JobError> {
        if let Some(journal) = self.journal.take() {
            journal.close();
        }
        let done = end::summary(&self);
        if let Outcome::Failed(_) = outcome {
            self.observer.on_failed(&done);
        }
        end::end(self, done, outcome)
    }
}
