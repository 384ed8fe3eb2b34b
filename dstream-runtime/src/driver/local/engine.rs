//! The engine's thread: carries out what the cores ask for, and tells them what happened.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::super::batch::InFlight;
use super::super::error::{JobError, Place, TaskFailure};
use super::super::executor::Queue;
use super::super::intake::{CutError, Intake};
use super::super::publish::{PublishError, Publisher};
use super::super::report::{BatchReport, Observer, OutputReport, Savepoint, Summary};
use super::super::store::Store;
use super::super::task::{self, Kernels, Ran, Work};
use super::clock::Clock;
use super::light::Light;
use super::totals::Totals;
use super::{Event, LocalConfig};
use crate::block::Block;
use crate::exec::task::{Made, SavedState, TailMade, TaskError};
use crate::id::{BatchSeq, OperatorId, OutputId, Partition, SourceId, TailId, TaskId, WorkerId};
use crate::plan::{Plan, TailRow, Tasks};
use crate::sched::master::{Cause, Outcome};
use crate::sched::message::{Failure, TaskTally};
use crate::sched::worker::RunTask;
use crate::sched::{
    MasterAction, MasterConfig, MasterCore, MasterEvent, Retention, WorkerAction, WorkerCore,
    WorkerEvent,
};
use crate::source::Cut;
use crate::time::Timetable;

/// The only worker.
const HERE: WorkerId = WorkerId(0);
/// A live job that is later than this, and than two intervals, is said to fall behind.
const LATE: Duration = Duration::from_secs(1);

/// Where data enters and leaves.
pub(super) struct Ends {
    pub(super) intakes: Vec<Intake>,
    pub(super) live: Vec<bool>,
    pub(super) publisher: Publisher,
    /// Per source the index of the sink of its dead letters.
    pub(super) dead_sinks: Vec<Option<usize>>,
}

/// Both cores and everything they act on.
pub(super) struct Engine<'e> {
    plan: &'static Plan,
    kernels: &'e Kernels,
    queue: &'e Queue,
    config: LocalConfig,
    ends: Ends,
    observer: &'e mut dyn Observer,
    master: MasterCore,
    worker: WorkerCore,
    store: Store<Block>,
    clock: Clock,
    timetable: Timetable,
    live: bool,
    /// Batches in flight, oldest first.
    batches: VecDeque<InFlight>,
    /// What was made of the batch that is being published.
    publishing: Vec<OutputReport>,
    /// Ready tasks that go to executors, and those that run here.
    heavy: Vec<Work>,
    light: Light,
    /// When the master wants to be told the time.
    timer: Option<Instant>,
    totals: Totals,
    /// The last error of each task that failed.
    errors: BTreeMap<TaskId, TaskError>,
    /// The first batch that a source, an output or the engine itself failed, and how.
    failure: Option<(BatchSeq, JobError)>,
    outcome: Option<Outcome>,
    last: BatchSeq,
    behind: bool,
}

impl<'e> Engine<'e> {
    pub(super) fn new(
        plan: &'static Plan,
        kernels: &'e Kernels,
        queue: &'e Queue,
        mut config: LocalConfig,
        ends: Ends,
        observer: &'e mut dyn Observer,
    ) -> Result<Self, JobError> {
        let from = config.from.take();
        let clock = Clock::start();
        let live = ends.live.contains(&true);
        let interval = config
            .interval
            .map_or(plan.interval_ms, |i| i.as_millis() as u64);
        let timetable = match &from {
            Some(savepoint) => Timetable::new(savepoint.zero_ms, interval),
            None if live => Timetable::starting(clock.now_ms(), interval),
            None => Timetable::new(0, interval),
        };
        let last = from
            .as_ref()
            .map_or(BatchSeq(0), |savepoint| savepoint.batch);
        let first = BatchSeq(last.0 + 1);
        let master = MasterCore::new(
            plan,
            MasterConfig {
                partitions: config.partitions,
                in_flight: config.in_flight,
                attempts: config.attempts,
                workers: 1,
                timetable,
                live: ends.live.clone(),
                first,
            },
        );
        let slots = config.cores as u32;
        let retention = Retention::Consumed;
        let worker = WorkerCore::new(HERE, plan, config.partitions, slots, retention);
        let mut store = Store::new(plan.stages.len(), config.partitions, first);
        if let Some(savepoint) = &from {
            restore(plan, kernels, savepoint, &mut store)?;
        }
        Ok(Self {
            plan,
            kernels,
            queue,
            ends,
            observer,
            master,
            worker,
            store,
            clock,
            timetable,
            live,
            batches: VecDeque::new(),
            publishing: Vec::new(),
            heavy: Vec::new(),
            light: Light::new(plan.stages.len()),
            timer: None,
            totals: Totals::new(plan),
            errors: BTreeMap::new(),
            failure: None,
            outcome: None,
            last,
            behind: false,
            config,
        })
    }

    /// Runs the job to its end.
    pub(super) fn run(mut self, events: &Receiver<Event>, stop: bool) -> Result<Summary, JobError> {
        if stop {
            self.tell_master(MasterEvent::Stop);
        }
        loop {
            self.turn();
            if let Some(outcome) = self.outcome.take() {
                return self.end(outcome);
            }
            match self.wait(events) {
                Some(event) => self.happened(event),
                None => self.tell_master(MasterEvent::Tick),
            }
            // Whatever else has happened meanwhile is acted upon at once.
            while let Ok(event) = events.try_recv() {
                self.happened(event);
            }
        }
    }

    /// The next event, or nothing if the timer was first.
    fn wait(&mut self, events: &Receiver<Event>) -> Option<Event> {
        let event = match self.timer {
            Some(at) => events.recv_deadline(at),
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if event.is_err() {
            self.timer = None;
        }
        event.ok()
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Ran(ran) => self.ran(ran),
            Event::Cut {
                batch,
                source,
                result,
            } => self.cut(batch, source, result),
            Event::Published { batch, result } => self.published(batch, result),
            Event::Stop => self.tell_master(MasterEvent::Stop),
        }
    }

    fn tell_master(&mut self, event: MasterEvent) {
        let now = self.clock.now_ms();
        self.master.handle(now, event);
    }

    /// Does everything that there is to do without waiting.
    fn turn(&mut self) {
        self.light.begin_turn();
        loop {
            while let Some(action) = self.worker.poll() {
                self.worker_asks(action);
            }
            if let Some(action) = self.master.poll() {
                self.master_asks(action);
                continue;
            }
            // Executors first: they can work while this thread does.
            self.queue.push(&mut self.heavy);
            match self.light.next() {
                Some(work) => {
                    let ran = task::run(self.kernels, work);
                    self.ran(ran);
                }
                None => {
                    self.light.rest(&mut self.heavy);
                    self.queue.push(&mut self.heavy);
                    return;
                }
            }
        }
    }

    fn worker_asks(&mut self, action: WorkerAction) {
        match action {
            WorkerAction::Run(run) => self.prepare(run),
            WorkerAction::Report(message) => self.tell_master(MasterEvent::Worker(HERE, message)),
            WorkerAction::Drop { batch, stage } => self.store.drop_stage(batch, stage),
            WorkerAction::Forget { oldest } => self.store.forget(oldest),
            // There is nobody else.
            WorkerAction::Tell(..) => {}
        }
    }

    fn master_asks(&mut self, action: MasterAction) {
        match action {
            MasterAction::Cut { batch, source } => {
                if self.batches.back().is_none_or(|newest| newest.seq < batch) {
                    let time = self.timetable.end(batch);
                    self.batches
                        .push_back(InFlight::new(self.plan, batch, time));
                }
                let partitions = self.config.partitions as usize;
                if let Some(result) = self.ends.intakes[source.index()].cut(batch, partitions) {
                    self.cut(batch, source, result);
                }
            }
            MasterAction::StopSources => self.ends.intakes.iter_mut().for_each(Intake::stop),
            // All of a local job lives as long as its process: there is nobody to read a journal.
            MasterAction::Persist(seq, _) => self.tell_master(MasterEvent::Synced(seq)),
            MasterAction::Tell(_, message) => self.worker.handle(WorkerEvent::Master(message)),
            MasterAction::Publish { batch, token: _ } => self.publish(batch),
            MasterAction::Unneeded { batch } => self.batches.retain(|b| b.seq != batch),
            MasterAction::SetTimer(at) => self.timer = Some(self.clock.instant(at)),
            MasterAction::Finish(outcome) => self.outcome = Some(outcome),
        }
    }

    fn batch(&mut self, seq: BatchSeq) -> Option<&mut InFlight> {
        let oldest = self.batches.front()?.seq;
        let at = usize::try_from(seq.0.checked_sub(oldest.0)?).ok()?;
        self.batches.get_mut(at)
    }

    fn cut(&mut self, batch: BatchSeq, source: SourceId, result: Result<Cut, CutError>) {
        let event = match result {
            Ok(Cut { inputs, ended }) => {
                let ranges = inputs.iter().map(|input| input.ranges.clone()).collect();
                if let Some(batch) = self.batch(batch) {
                    batch.inputs[source.index()] = inputs;
                }
                MasterEvent::CutDone {
                    batch,
                    source,
                    inputs: ranges,
                    ended,
                }
            }
            Err(error) => {
                let row = &self.plan.sources[source.index()];
                let (name, at) = (
                    row.name.to_owned(),
                    Place::operator(self.plan, row.operator),
                );
                let error = match error {
                    CutError::Source(error) => JobError::Source { name, at, error },
                    CutError::Panic(panic) => JobError::Broken {
                        what: format!("source `{name}`"),
                        panic,
                    },
                };
                let message = error.to_string();
                self.failed(batch, error);
                MasterEvent::CutFailed {
                    batch,
                    source,
                    message,
                }
            }
        };
        self.tell_master(event);
    }

    /// Keeps the error of the earliest batch, as the master does.
    fn failed(&mut self, batch: BatchSeq, error: JobError) {
        if self
            .failure
            .as_ref()
            .is_none_or(|(before, _)| batch < *before)
        {
            self.failure = Some((batch, error));
        }
    }

    /// Gives a ready task what it reads, and to whoever is to run it.
    fn prepare(&mut self, run: RunTask) {
        let RunTask {
            task,
            attempt,
            time,
            emits,
            ..
        } = run;
        let inputs = match self.store.inputs(&run) {
            Ok(inputs) => inputs,
            Err(block) => {
                let message = format!("{task} misses a block of {}", block.producer);
                let failure = Failure {
                    message,
                    at: None,
                    again: false,
                };
                return self.worker.handle(WorkerEvent::Failed {
                    task,
                    attempt,
                    failure,
                });
            }
        };
        let source = match self.plan.stage(task.stage).tasks {
            Tasks::PerRange(source) => self.batch(task.batch).and_then(|batch| {
                batch
                    .inputs
                    .get(source.index())?
                    .get(task.partition.index())
                    .cloned()
            }),
            Tasks::PerPartition | Tasks::One => None,
        };
        let state = self.store.state(task.stage, task.partition).take();
        let work = Work {
            task,
            attempt,
            time,
            emits,
            inputs,
            source,
            state,
        };
        if let Err(work) = self.light.accept(work) {
            self.heavy.push(work);
        }
    }

    fn ran(&mut self, ran: Ran) {
        self.light.learn(&ran);
        let Ran {
            task,
            attempt,
            state,
            result,
            ..
        } = ran;
        *self.store.state(task.stage, task.partition) = state;
        let event = match result {
            Ok(made) => {
                let (blocks, tally) = self.keep(task, made);
                WorkerEvent::Ran {
                    task,
                    attempt,
                    blocks,
                    tally,
                }
            }
            Err(error) => {
                let failure = failure(&error);
                self.errors.insert(task, error);
                WorkerEvent::Failed {
                    task,
                    attempt,
                    failure,
                }
            }
        };
        self.worker.handle(event);
    }

    /// Keeps what a task made.
    fn keep(&mut self, task: TaskId, made: Made) -> (Vec<(TailId, Partition)>, TaskTally) {
        let Made {
            tails,
            records,
            bytes,
            dead,
        } = made;
        let row = self.plan.stage(task.stage);
        let mut tally = TaskTally {
            records,
            bytes,
            dead: dead.count,
            blocks: 0,
        };
        let (mut kept, mut ids) = (Vec::with_capacity(tails.len()), Vec::new());
        for (index, tail) in tails.into_iter().enumerate() {
            let blocks = match tail {
                TailMade::Blocks(blocks) => blocks,
                TailMade::Part { part, preview } => {
                    if let (Some(TailRow::Output(output)), Some(batch)) =
                        (row.tails.get(index), self.batch(task.batch))
                    {
                        let made = &mut batch.outputs[output.index()];
                        if !preview.is_empty() {
                            made.previews.push((task.partition, preview));
                        }
                        if part.records > 0 {
                            made.parts.push(part);
                        }
                    }
                    Vec::new()
                }
            };
            let tail = TailId(index as u16);
            ids.extend(blocks.iter().map(|(partition, _)| (tail, *partition)));
            kept.push(blocks);
        }
        tally.blocks = ids.len() as u32;
        if !ids.is_empty() {
            self.store.put(task, kept);
        }
        if let (Tasks::PerRange(source), Some(batch)) = (row.tasks, self.batch(task.batch)) {
            let read = &mut batch.reads[source.index()];
            read.records += records;
            read.bytes += bytes;
            read.dead_letters += dead.count;
            if dead.count > 0 {
                batch.dead.push((source, task.partition, dead));
            }
        }
        (ids, tally)
    }

    fn publish(&mut self, seq: BatchSeq) {
        let (plan, kernels, lines) = (self.plan, self.kernels, self.config.preview);
        let dead_sinks = std::mem::take(&mut self.ends.dead_sinks);
        let publication = self.batch(seq).map(|batch| {
            let reports = batch.reports(lines);
            (reports, batch.publication(plan, kernels, &dead_sinks))
        });
        self.ends.dead_sinks = dead_sinks;
        let Some((reports, publication)) = publication else {
            return;
        };
        self.publishing = reports;
        if let Some(result) = self.ends.publisher.publish(publication) {
            self.published(seq, result);
        }
    }

    fn published(&mut self, seq: BatchSeq, result: Result<(), (usize, PublishError)>) {
        let event = match result {
            Ok(()) => {
                self.report(seq);
                MasterEvent::Published { batch: seq }
            }
            Err((sink, error)) => {
                let error = self.refused(seq, sink, error);
                let message = error.to_string();
                self.failed(seq, error);
                MasterEvent::PublishFailed {
                    batch: seq,
                    output: OutputId(sink as u16),
                    message,
                }
            }
        };
        self.tell_master(event);
    }

    fn refused(&self, seq: BatchSeq, sink: usize, error: PublishError) -> JobError {
        let (name, operator) = match self.plan.outputs.get(sink) {
            Some(row) => (row.name.to_owned(), row.operator),
            None => {
                let source = self.ends.dead_sinks.iter().position(|of| *of == Some(sink));
                let row = source.and_then(|source| self.plan.sources.get(source));
                let operator = row.map_or(OperatorId(u16::MAX), |row| row.operator);
                (format!("{}.dead", row.map_or("", |row| row.name)), operator)
            }
        };
        match error {
            PublishError::Sink(error) => {
                let at = Place::operator(self.plan, operator);
                JobError::Output {
                    name,
                    at,
                    time: self.timetable.end(seq),
                    error,
                }
            }
            PublishError::Panic(panic) => JobError::Broken {
                what: format!("output `{name}`"),
                panic,
            },
        }
    }

    /// A batch is visible.
    fn report(&mut self, seq: BatchSeq) {
        if self.batches.front().is_none_or(|batch| batch.seq != seq) {
            return;
        }
        let Some(mut batch) = self.batches.pop_front() else {
            return;
        };
        self.last = seq;
        batch
            .dead
            .sort_by_key(|(source, partition, _)| (*source, *partition));
        for (source, _, letters) in &batch.dead {
            let name = self.plan.sources[source.index()].name;
            self.observer.on_dead_letters(name, &letters.first);
        }
        let outputs = std::mem::take(&mut self.publishing);
        let delay = self.live.then(|| self.clock.since(batch.time));
        self.totals.add(&batch.reads, &outputs, delay);
        self.observer.on_batch(&BatchReport {
            batch: seq,
            time: batch.time,
            sources: &batch.reads,
            outputs: &outputs,
            processing: batch.asked.elapsed(),
            delay,
        });
        if let Some(delay) = delay {
            self.warn_if_late(seq, delay);
        }
    }

    /// Says once that a live job falls behind, and again after it has caught up.
    fn warn_if_late(&mut self, seq: BatchSeq, delay: Duration) {
        let interval = self.timetable.interval();
        let late = delay > LATE.max(interval * 2);
        if late && !self.behind {
            self.observer.on_warning(&format!(
                "batches take longer than their interval of {interval:?}: {seq} was published \
                 {:.1} s after its time; sources are slowed down. Use more --cores or a longer \
                 --interval.",
                delay.as_secs_f64()
            ));
        }
        self.behind = late || (self.behind && delay > interval);
    }

    fn end(mut self, outcome: Outcome) -> Result<Summary, JobError> {
        let Outcome::Failed(cause) = outcome else {
            let savepoint = self
                .config
                .savepoint
                .then(|| self.savepoint())
                .transpose()?;
            return Ok(self
                .totals
                .summary(self.plan, self.clock.elapsed(), savepoint));
        };
        if let Cause::Task {
            task,
            attempts,
            failure,
        } = cause
        {
            let time = self.timetable.end(task.batch);
            return Err(match self.errors.remove(&task) {
                Some(error) => JobError::Task(Box::new(TaskFailure::new(
                    self.plan, task, time, attempts, error,
                ))),
                None => JobError::Internal(failure.message),
            });
        }
        let unknown = || JobError::Internal(format!("the job failed without an error: {cause:?}"));
        Err(self.failure.take().map_or_else(unknown, |(_, error)| error))
    }

    fn savepoint(&self) -> Result<Savepoint, JobError> {
        let mut states = BTreeMap::new();
        for (stage, partition, state) in self.store.states() {
            let saved = self.kernels.stages[stage.index()].save(state);
            let saved: SavedState = saved.map_err(|error| JobError::Savepoint {
                doing: "saved",
                stage: self.plan.stage(stage).name.to_owned(),
                error,
            })?;
            states.insert((stage, partition), saved);
        }
        Ok(Savepoint {
            batch: self.last,
            zero_ms: self.timetable.zero_ms(),
            states,
        })
    }
}

fn restore(
    plan: &'static Plan,
    kernels: &Kernels,
    savepoint: &Savepoint,
    store: &mut Store<Block>,
) -> Result<(), JobError> {
    // All of it is looked at before any of it is loaded.
    for (stage, partition) in savepoint.states.keys() {
        let row = plan
            .stages
            .get(stage.index())
            .filter(|row| row.state.is_some());
        if row.is_none() || partition.0 >= kernels.partitions {
            return Err(JobError::Foreign {
                what: format!("{stage}, {partition}"),
            });
        }
    }
    for ((stage, partition), saved) in &savepoint.states {
        let state = kernels.stages[stage.index()].load(saved);
        *store.state(*stage, *partition) = state.map_err(|error| JobError::Savepoint {
            doing: "restored",
            stage: plan.stage(*stage).name.to_owned(),
            error,
        })?;
    }
    Ok(())
}

/// An error as the cores pass it on.
fn failure(error: &TaskError) -> Failure {
    let at = match error {
        TaskError::Panic(panic) => panic.at.clone(),
        _ => None,
    };
    // A record that was refused on request is refused again, and one too large stays so.
    let again = !matches!(error, TaskError::DeadLetter(_) | TaskError::TooLarge(_));
    Failure {
        message: error.to_string(),
        at,
        again,
    }
}
