//! The engine's thread: carries out what the cores ask for, and tells them what happened.

mod end;
mod outputs;
mod tasks;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use self::end::restore;
use super::clock::Clock;
use super::lateness::Lateness;
use super::light::Light;
use super::totals::Totals;
use super::{Event, LocalConfig};
use crate::block::Block;
use crate::driver::batch::InFlight;
use crate::driver::error::{JobError, Place};
use crate::driver::executor::Queue;
use crate::driver::intake::{CutError, Intake};
use crate::driver::publish::Publisher;
use crate::driver::report::{Observer, OutputReport, Summary};
use crate::driver::store::Store;
use crate::driver::task::{self, Kernels, Work};
use crate::exec::task::TaskError;
use crate::id::{BatchSeq, SourceId, TaskId, WorkerId};
use crate::plan::Plan;
use crate::sched::master::Outcome;
use crate::sched::{
    MasterAction, MasterConfig, MasterCore, MasterEvent, Retention, WorkerAction, WorkerCore,
    WorkerEvent,
};
use crate::source::Cut;
use crate::time::Timetable;

/// The only worker.
const HERE: WorkerId = WorkerId(0);

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
    lateness: Lateness,
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
        let interval = config.interval.map_or(plan.interval_ms, |i| i.as_millis() as u64);
        let timetable = match &from {
            Some(savepoint) => Timetable::new(savepoint.zero_ms, interval),
            None if live => Timetable::starting(clock.now_ms(), interval),
            None => Timetable::new(0, interval),
        };
        let last = from.as_ref().map_or(BatchSeq(0), |savepoint| savepoint.batch);
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
            lateness: Lateness::default(),
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
            Event::Cut { batch, source, result } => self.cut(batch, source, result),
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
                    self.batches.push_back(InFlight::new(self.plan, batch, time));
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
                MasterEvent::CutDone { batch, source, inputs: ranges, ended }
            }
            Err(error) => {
                let row = &self.plan.sources[source.index()];
                let (name, at) =
                    (row.name.to_owned(), Box::new(Place::operator(self.plan, row.operator)));
                let error = match error {
                    CutError::Source(error) => JobError::Source { name, at, error },
                    CutError::Panic(panic) => {
                        JobError::Broken { what: format!("source `{name}`"), panic }
                    }
                };
                let message = error.to_string();
                self.failed(batch, error);
                MasterEvent::CutFailed { batch, source, message }
            }
        };
        self.tell_master(event);
    }

    /// Keeps the error of the earliest batch, as the master does.
    fn failed(&mut self, batch: BatchSeq, error: JobError) {
        if self.failure.as_ref().is_none_or(|(before, _)| batch < *before) {
            self.failure = Some((batch, error));
        }
    }
}
