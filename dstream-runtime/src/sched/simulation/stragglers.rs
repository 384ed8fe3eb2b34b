//! Workers that are slow, slow down, recover, or freeze, in a world with a clock: a task takes time in
//! proportion to its input and its worker's slowness, and a worker runs one task at a time.
//!
//! Every batch is published once, in order, and equal to a run without workers; each task counts once. In a
//! steady world nothing runs twice. A slow worker costs less with speculation than without, loses
//! partitions, and gets them back.

use std::collections::{BTreeMap, BTreeSet};

use super::held::Held;
use super::reference::{Reference, has_output};
use super::world::range;
use super::{Seed, rich, seeds};
use crate::id::*;
use crate::plan::{Plan, Tasks};
use crate::sched::master::Outcome;
use crate::sched::message::*;
use crate::sched::testplan::word_count;
use crate::sched::worker::RunTask;
use crate::sched::*;
use crate::source::Range;
use crate::source::receive::PushSource;
use crate::time::Timetable;

const WORKERS: u32 = 4;
const PARTITIONS: u32 = 8;
/// How long a task takes that reads one unit, in milliseconds.
const READ_MS: u64 = 200;
/// How many bytes are read in a millisecond.
const BYTES_PER_MS: u64 = 1000;
/// How long one takes that reads blocks.
const MERGE_MS: u64 = 4;

enum Event {
    ToMaster(WorkerId, ToMaster, Option<u64>),
    ToWorker(WorkerId, ToWorker),
    ToPeer(WorkerId, ToPeer, Vec<u64>),
    Ran(WorkerId, u64),
    Synced(JournalSeq),
    Published(BatchSeq),
    Cut(BatchSeq, SourceId),
    Saved(WorkerId, Saved),
    Tick,
    /// Engines report.
    Beat,
}

impl Event {
    /// The worker of an event; `None` for the master.
    fn on(&self) -> Option<WorkerId> {
        match self {
            Self::ToWorker(on, _)
            | Self::ToPeer(on, ..)
            | Self::Ran(on, _)
            | Self::Saved(on, _) => Some(*on),
            _ => None,
        }
    }
}

struct Process {
    core: WorkerCore,
    held: Held,
    /// Waiting tasks; the oldest runs first.
    queue: BTreeMap<(TaskId, Attempt), u64>,
    running: Option<Running>,
}

/// A task that runs.
struct Running {
    task: TaskId,
    attempt: Attempt,
    result: u64,
    /// How long it takes, and for how long of that it has a processor, in milliseconds.
    took: u64,
    busy: u64,
    /// Its number among all runs.
    number: u64,
}

/// What a batch reads.
enum Feed {
    /// Eight ranges of files.
    History,
    /// A live source that brings this many ranges.
    Followed(usize),
    /// What one worker receives and another one has copies of.
    Pushed(starved::Pushed),
    /// What one worker receives, which is all that there is to do.
    Received(receiving::Receiving),
}

impl Feed {
    fn pushed(&self) -> Option<&PushSource> {
        match self {
            Self::Pushed(pushed) => Some(&pushed.source),
            Self::Received(receiving) => Some(&receiving.source),
            Self::History | Self::Followed(_) => None,
        }
    }
}

/// When a worker is how slow, in milliseconds.
#[derive(Clone, Copy)]
struct Spell {
    worker: WorkerId,
    from: u64,
    until: u64,
    /// It is frozen.
    frozen: bool,
    times: u64,
}

struct World {
    seed: Seed,
    now: u64,
    number: u64,
    events: BTreeMap<(u64, u64), Event>,
    master: MasterCore,
    processes: BTreeMap<WorkerId, Process>,
    reference: Reference,
    spells: Vec<Spell>,
    /// Whether a running task can be stopped.
    stops: bool,
    /// Variation of the duration of tasks, in percent.
    jitter: u64,
    last: BatchSeq,
    parts: BTreeMap<TaskId, u64>,
    published: Vec<(BatchSeq, u64)>,
    begun: BTreeMap<BatchSeq, u64>,
    outcome: Option<Outcome>,
    cancelled: u32,
    /// Reported slow workers, their slowness, and the partitions that they then owned.
    said: Vec<(WorkerId, u32, u32)>,
    /// A nondeterministic task, if any.
    liar: Option<TaskId>,
    feed: Feed,
    /// When each batch ends: intervals may have been stepped over.
    ends: BTreeMap<BatchSeq, u64>,
    /// How long a task takes that reads blocks, in milliseconds.
    merge_ms: u64,
    /// How long reading an input takes, in milliseconds.
    read_ms: BTreeMap<(BatchSeq, Partition), u64>,
}

fn config(plan: &'static Plan, in_flight: u32, speculate: bool) -> MasterConfig {
    MasterConfig {
        partitions: PARTITIONS,
        in_flight,
        attempts: 3,
        workers: WORKERS,
        lease_ms: None,
        checkpoint_ms: Some(1000),
        speculate,
        timetable: Timetable::new(0, 1000),
        batch_bytes: u64::MAX,
        publishes_empty: false,
        seen: vec![true; 9],
        live: vec![false; plan.sources.len()],
        drains: vec![false; plan.sources.len()],
        first: BatchSeq(1),
        term: 0,
        completes_stop: false,
    }
}

impl World {
    fn new(plan: &'static Plan, number: u64, batches: u64, speculate: bool) -> Self {
        let mut seed = Seed(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (partitions, first) = (PARTITIONS, BatchSeq(1));
        let config = config(plan, 1 + seed.below(3) as u32, speculate);
        let process = |id| Process {
            core: WorkerCore::new(id, plan, partitions, 1, Retention::Released),
            held: Held::default(),
            queue: BTreeMap::new(),
            running: None,
        };
        Self {
            seed,
            now: 0,
            number: 0,
            events: BTreeMap::new(),
            master: MasterCore::new(plan, config),
            processes: (0..WORKERS).map(|id| (WorkerId(id), process(WorkerId(id)))).collect(),
            reference: Reference::new(plan, partitions, first, number),
            spells: Vec::new(),
            stops: true,
            jitter: 10,
            last: BatchSeq(batches),
            parts: BTreeMap::new(),
            published: Vec::new(),
            begun: BTreeMap::new(),
            outcome: None,
            cancelled: 0,
            said: Vec::new(),
            liar: None,
            feed: Feed::History,
            ends: BTreeMap::new(),
            merge_ms: MERGE_MS,
            read_ms: BTreeMap::new(),
        }
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.number += 1;
        self.events.insert((self.now + ms, self.number), event);
    }

    fn spell(&self, worker: WorkerId) -> Option<&Spell> {
        let holds = |spell: &&Spell| (spell.from..spell.until).contains(&self.now);
        self.spells.iter().filter(|spell| spell.worker == worker).find(holds)
    }

    fn run(&mut self) {
        for _ in 0..2_000_000 {
            self.act();
            if self.outcome.is_some() {
                return;
            }
            let Some(((at, number), event)) = self.events.pop_first() else {
                panic!("nothing happens: {:#?}", self.master.status(self.now));
            };
            self.now = at.max(self.now);
            if let Some(spell) = event.on().and_then(|on| self.spell(on)).filter(|s| s.frozen) {
                self.events.insert((spell.until, number), event);
                continue;
            }
            self.deliver(event);
        }
        panic!("the job has not ended: {:#?}", self.master.status(self.now));
    }

    /// The median duration of the batches from one on, in milliseconds.
    fn median(&self, from: u64) -> u64 {
        let times = self.published.iter().filter(|(batch, _)| batch.0 >= from);
        let mut times: Vec<_> = times.map(|(batch, at)| at - self.begun[batch]).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    fn act(&mut self) {
        while let Some(action) = self.master.poll() {
            self.master_asks(action);
        }
        for worker in (0..WORKERS).map(WorkerId) {
            while let Some(action) = self.processes.get_mut(&worker).and_then(|p| p.core.poll()) {
                self.worker_asks(worker, action);
            }
            self.begin_next(worker);
        }
    }

    fn begin_next(&mut self, on: WorkerId) {
        let times = self.spell(on).map_or(1, |spell| spell.times);
        let vary = 100 + self.seed.below(self.jitter + 1);
        let Some(process) = self.processes.get_mut(&on).filter(|p| p.running.is_none()) else {
            return;
        };
        let Some(((task, attempt), result)) = process.queue.pop_first() else { return };
        let base = match self.reference.plan.stage(task.stage).tasks {
            Tasks::PerRange(_) => {
                self.read_ms.get(&(task.batch, task.partition)).copied().unwrap_or(0)
            }
            _ => self.merge_ms,
        };
        let (busy, number) = (base * vary / 100, self.number);
        let took = busy * times;
        process.running = Some(Running { task, attempt, result, took, busy, number });
        self.after(took, Event::Ran(on, number));
    }

    fn master_asks(&mut self, action: MasterAction) {
        match action {
            MasterAction::Cut { batch, source, .. } => self.after(1, Event::Cut(batch, source)),
            MasterAction::Weights(weights) => {
                self.feed.pushed().into_iter().for_each(|source| source.weigh(&weights));
            }
            MasterAction::Tell(to, message) => {
                if let (ToWorker::Place { placement, .. }, Some(source)) =
                    (&message, self.feed.pushed())
                {
                    source.placed(placement);
                }
                if let ToWorker::Begin { batch, .. } = &message {
                    self.begun.entry(*batch).or_insert(self.now);
                }
                self.after(1, Event::ToWorker(to, message));
            }
            MasterAction::Persist(seq, _) => self.after(2, Event::Synced(seq)),
            MasterAction::Publish { batch, .. } => {
                self.publish(batch);
                self.after(2, Event::Published(batch));
            }
            MasterAction::SetTimer(at) => self.after(at.saturating_sub(self.now), Event::Tick),
            MasterAction::Slow { worker, factor, partitions, .. } => {
                self.said.push((worker, factor, partitions));
                if let Feed::Received(receiving) = &mut self.feed {
                    receiving.is_slow(worker, factor);
                }
            }
            MasterAction::Finish(outcome) => self.outcome = Some(outcome),
            MasterAction::NewBatch { batch, time } => drop(self.ends.insert(batch, time.0)),
            MasterAction::Missed { .. }
            | MasterAction::Obsolete(_)
            | MasterAction::Unneeded { .. } => {}
            other => panic!("no worker joins or leaves: {other:?}"),
        }
    }

    /// Asserts that published parts equal those of a run without faults.
    fn publish(&mut self, batch: BatchSeq) {
        assert_eq!(batch.0, self.published.len() as u64 + 1, "out of order, or twice");
        self.published.push((batch, self.now));
        let first = |batch| TaskId { batch, stage: StageId(0), partition: Partition(0) };
        let range = first(batch)..first(BatchSeq(batch.0 + 1));
        let plan = self.reference.plan;
        let expected = self.reference.results.range(range.clone());
        let expected = expected.filter(|(task, _)| has_output(plan, **task)).collect::<Vec<_>>();
        assert_eq!(self.parts.range(range).collect::<Vec<_>>(), expected, "{batch}");
    }

    fn worker_asks(&mut self, from: WorkerId, action: WorkerAction) {
        let delay = 1 + self.seed.below(3);
        let Some(process) = self.processes.get_mut(&from) else { return };
        match action {
            WorkerAction::Run(run) => self.start(from, &run),
            WorkerAction::Cancel { task, attempt } => {
                let is_it = |run: &mut Running| (run.task, run.attempt) == (task, attempt);
                let stops = self.stops && process.running.take_if(is_it).is_some();
                if stops || process.queue.remove(&(task, attempt)).is_some() {
                    self.cancelled += 1;
                    process.core.handle(WorkerEvent::Cancelled { task, attempt });
                }
            }
            WorkerAction::Report(message) => {
                let part = match &message {
                    ToMaster::TaskDone { task, attempt, .. } => process.held.part(*task, *attempt),
                    _ => None,
                };
                self.after(1, Event::ToMaster(from, message, part));
            }
            WorkerAction::Tell(to, message) => {
                let contents = process.held.contents(&message);
                self.after(delay, Event::ToPeer(to, message, contents));
            }
            WorkerAction::SendState { to, epoch, stage, partition } => {
                let state = process.held.take_state((stage, partition));
                let message = ToPeer::State { epoch, stage, partition };
                self.after(delay, Event::ToPeer(to, message, vec![state]));
            }
            WorkerAction::Save { stage, partition, after, .. } => {
                let objects = vec![format!("{stage} {partition} {after}")];
                let saved = Saved { stage, partition, after, objects };
                self.after(20, Event::Saved(from, saved));
            }
            WorkerAction::Discard { stage, partition } => process.held.discard((stage, partition)),
            WorkerAction::Forget { oldest } => process.held.forget(oldest),
            WorkerAction::Load { .. } | WorkerAction::Drop { .. } => panic!("no worker is lost"),
        }
    }

    fn start(&mut self, on: WorkerId, run: &RunTask) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let (_, result) = process.held.begin(on, run, &mut self.reference);
        process.queue.insert((run.task, run.attempt), result);
    }

    fn deliver(&mut self, event: Event) {
        let event = match event {
            Event::ToWorker(to, message) => {
                return self.tell(to, WorkerEvent::Master(message));
            }
            Event::ToPeer(to, message, contents) => return self.peer_hears(to, message, &contents),
            Event::Ran(on, number) => return self.ran(on, number),
            Event::Saved(on, saved) => return self.tell(on, WorkerEvent::Saved(saved)),
            Event::ToMaster(from, message, part) => {
                if self.master.accepts(from, &message)
                    && let (ToMaster::TaskDone { task, .. }, Some(part)) = (&message, part)
                {
                    assert_eq!(self.parts.insert(*task, part), None, "{task} counts twice");
                }
                MasterEvent::Worker(from, message)
            }
            Event::Synced(seq) => MasterEvent::Synced(seq),
            Event::Published(batch) => MasterEvent::Published { batch },
            Event::Cut(batch, source) => {
                let inputs = self.feed(batch);
                self.reference.cut(batch, source, inputs.clone());
                let ended = batch >= self.last;
                MasterEvent::CutDone {
                    batch,
                    source,
                    inputs,
                    position: None,
                    ended,
                    waiting: false,
                }
            }
            Event::Tick => MasterEvent::Tick,
            Event::Beat => return self.beat(),
        };
        self.master.handle(self.now, event);
    }

    /// What a batch reads, and how long that takes.
    fn feed(&mut self, batch: BatchSeq) -> Vec<Vec<Range>> {
        let inputs = match &mut self.feed {
            Feed::History => {
                let input = |input| {
                    let range = range(batch, Partition(input));
                    let end = range.start + size(batch, Partition(input));
                    vec![Range { end, ..range }]
                };
                (0..8).map(input).collect()
            }
            Feed::Followed(ranges) => starved::followed(&self.master, batch, *ranges),
            Feed::Pushed(pushed) => pushed.cut(),
            Feed::Received(receiving) => receiving.cut(batch),
        };
        for (partition, ranges) in (0..).map(Partition).zip(&inputs) {
            let size: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            let unit = match &self.feed {
                Feed::History => READ_MS,
                Feed::Followed(ranges) => starved::READ_MS / *ranges as u64,
                Feed::Pushed(_) => starved::READ_MS / starved::BLOCKS,
                Feed::Received(_) => 0,
            };
            self.read_ms.insert((batch, partition), size * unit);
        }
        inputs
    }

    fn tell(&mut self, worker: WorkerId, event: WorkerEvent) {
        if let Some(process) = self.processes.get_mut(&worker) {
            process.core.handle(event);
        }
    }

    fn peer_hears(&mut self, to: WorkerId, message: ToPeer, contents: &[u64]) {
        let Some(process) = self.processes.get_mut(&to) else { return };
        process.held.take_in(&process.core, &message, contents);
        process.core.handle(WorkerEvent::Peer(message));
    }

    fn ran(&mut self, on: WorkerId, number: u64) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let run = process.running.take_if(|run| run.number == number);
        let Some(Running { task, attempt, result, took, busy, .. }) = run else { return };
        let blocks = process.held.ran(task, attempt, result, &self.reference);
        let lie = if self.liar == Some(task) { u64::from(on.0) } else { 0 };
        let of = self.read_ms.get(&(task.batch, task.partition)).copied();
        let reads = matches!(self.reference.plan.stage(task.stage).tasks, Tasks::PerRange(_));
        let bytes = of.filter(|_| reads).unwrap_or(0) * BYTES_PER_MS;
        let (micros, busy_micros) = (took as u32 * 1000, busy as u32 * 1000);
        let content = result ^ lie;
        let tally = TaskTally { micros, busy_micros, bytes, content, ..TaskTally::default() };
        process.core.handle(WorkerEvent::Ran { task, attempt, blocks, tally });
    }
}

/// The input of a task, in units.
fn size(batch: BatchSeq, partition: Partition) -> u64 {
    1 + (batch.0 * 7 + u64::from(partition.0)) % 2
}

fn slow(worker: u32, from: u64, until: u64, times: u64) -> Spell {
    Spell { worker: WorkerId(worker), from, until, frozen: false, times }
}

mod receiving;
mod starved;
mod tests;

pub(super) use starved::bounded;
