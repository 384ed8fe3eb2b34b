//! More arrives than can be processed, for a while: clients push to two workers, whose tasks take as long as what they
//! read, and both how much comes and how fast it is processed change, in a world that has a clock.
//!
//! What must hold: what a client was told is safe is in one batch, which is published as it is without workers; a
//! batch takes in no more than some intervals' work once the job has met a load for a few batches; a job with more
//! than it can do does most of what it can; and what waits is as much as receivers may hold, the rest is with the
//! clients. When less comes than can be processed, all of it is processed. A job that is stopped while much waits takes
//! it in as batches that are no larger than others.

use std::collections::{BTreeMap, BTreeSet};

use super::Seed;
use super::held::Held;
use super::reference::{Reference, has_output};
use crate::id::*;
use crate::plan::Tasks;
use crate::sched::master::Outcome;
use crate::sched::message::*;
use crate::sched::testplan::word_count;
use crate::sched::worker::RunTask;
use crate::sched::*;
use crate::source::Source;
use crate::source::receive::{PushSource, ReceivedBlock, receiver_of};
use crate::time::Timetable;

const WORKERS: u32 = 2;
const PARTITIONS: u32 = 8;
const SOURCE: SourceId = SourceId(0);
/// How many intervals a phase lasts.
const PHASE: u64 = 50;
/// Batches after which a job has settled from a change: those in flight were cut for another load.
const SETTLED: u64 = 10;
/// A batch of a job that has settled has no more intervals' work.
const MOST: u64 = 4;

enum Event {
    ToMaster(WorkerId, ToMaster, Option<u64>),
    ToWorker(WorkerId, ToWorker),
    ToPeer(WorkerId, ToPeer, Vec<u64>),
    Ran(WorkerId, RunTask, u64, u64),
    Synced(JournalSeq),
    Published(BatchSeq),
    Tick,
    /// Clients send.
    Push,
}

/// What is the same for some time.
#[derive(Debug, Clone, Copy)]
struct Phase {
    /// How many bytes come in a millisecond.
    comes: u64,
    /// How many bytes a worker reads in a millisecond.
    reads: u64,
}

struct Process {
    core: WorkerCore,
    held: Held,
    /// Ready tasks with their results, the oldest first.
    queue: BTreeMap<(TaskId, Attempt), (RunTask, u64)>,
    is_busy: bool,
}

/// A world, whose clock is in microseconds.
struct World {
    seed: Seed,
    now: u64,
    number: u64,
    events: BTreeMap<(u64, u64), Event>,
    interval: u64,
    phases: Vec<Phase>,
    /// How long a task takes beside what it reads, in microseconds.
    fixed: u64,
    master: MasterCore,
    processes: BTreeMap<WorkerId, Process>,
    reference: Reference,
    source: PushSource,
    /// What receivers may hold, and what each delivery has at most, in bytes.
    bound: u64,
    piece: u64,
    /// Bytes that clients have and no receiver has taken, and that receivers have and no batch.
    unsent: u64,
    waiting: u64,
    /// Bytes per received block, and the batch that has it.
    safe: BTreeMap<(WorkerId, u64), (u64, Option<BatchSeq>)>,
    /// The first batch after the last change of the load.
    changed: BatchSeq,
    /// The newest batch, and how many bytes were cut in each phase once the job had settled, with the time of the first.
    newest: BatchSeq,
    settled: Vec<(u64, u64)>,
    parts: BTreeMap<TaskId, u64>,
    published: u64,
    stopped: bool,
    /// It is stopped while there is more to be read.
    stops_early: bool,
    outcome: Option<Outcome>,
}

impl World {
    fn new(number: u64) -> Self {
        let mut seed = Seed(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let interval = [10, 50, 250, 1000][seed.below(4) as usize];
        let reads = [100, 1000, 10_000][seed.below(3) as usize];
        let phase = |seed: &mut Seed| {
            let reads =
                reads * [1, 1, 3][seed.below(3) as usize] / [1, 1, 4][seed.below(3) as usize];
            // Of what both workers can read: less, about that, or several times as much.
            let comes = 2 * reads * [30, 90, 200, 400][seed.below(4) as usize] / 100;
            Phase { comes, reads }
        };
        let mut phases: Vec<Phase> = (0..4).map(|_| phase(&mut seed)).collect();
        // Once there is too much.
        phases[1].comes = phases[1].reads * 6;
        let plan = word_count();
        let config = MasterConfig {
            partitions: PARTITIONS,
            in_flight: 2 + seed.below(3) as u32,
            attempts: 3,
            workers: WORKERS,
            lease_ms: None,
            checkpoint_ms: None,
            speculate: false,
            timetable: Timetable::new(0, interval),
            batch_bytes: u64::MAX,
            publishes_empty: false,
            seen: vec![true; 9],
            live: vec![true],
            drains: vec![true],
            first: BatchSeq(1),
            term: 0,
            completes_stop: false,
        };
        let process = |id| Process {
            core: WorkerCore::new(id, plan, PARTITIONS, 1, Retention::Consumed),
            held: Held::default(),
            queue: BTreeMap::new(),
            is_busy: false,
        };
        let source = PushSource::open("tcp://127.0.0.1:1", SOURCE).expect("it is pushed");
        (0..WORKERS).for_each(|worker| source.opened(WorkerId(worker)));
        // A tenth of an interval's work at most, as small as receivers make them.
        let piece = (2 * reads / 4 * interval / 10).clamp(64, 128 << 10);
        let fixed = 1000 * interval * seed.below(4) / 100;
        let stops_early = seed.one_in(2);
        if stops_early {
            // With much that waits.
            phases[3].comes = phases[3].reads * 6;
        }
        let mut world = Self {
            seed,
            now: 0,
            number: 0,
            events: BTreeMap::new(),
            interval,
            phases,
            fixed,
            master: MasterCore::new(plan, config),
            processes: (0..WORKERS).map(|id| (WorkerId(id), process(WorkerId(id)))).collect(),
            reference: Reference::new(plan, PARTITIONS, BatchSeq(1), number),
            source,
            bound: 40 * reads * interval,
            piece,
            unsent: 0,
            waiting: 0,
            safe: BTreeMap::new(),
            changed: BatchSeq(1),
            newest: BatchSeq(0),
            settled: vec![(0, 0); 5],
            parts: BTreeMap::new(),
            published: 0,
            stopped: false,
            stops_early,
            outcome: None,
        };
        world.after(0, Event::Push);
        world
    }

    fn now_ms(&self) -> u64 {
        self.now / 1000
    }

    fn after(&mut self, micros: u64, event: Event) {
        self.number += 1;
        self.events.insert((self.now + micros, self.number), event);
    }

    /// The phase, and its number: at the end nothing more comes.
    fn phase(&self) -> (usize, Phase) {
        let at = (self.now_ms() / (PHASE * self.interval)) as usize;
        let last = self.phases[self.phases.len() - 1];
        (at.min(self.phases.len()), *self.phases.get(at).unwrap_or(&Phase { comes: 0, ..last }))
    }

    fn run(&mut self) {
        for _ in 0..4_000_000 {
            self.act();
            if self.outcome.is_some() {
                return self.check_end();
            }
            let Some(((at, _), event)) = self.events.pop_first() else {
                panic!("nothing happens: {:#?}", self.master.status(self.now_ms()));
            };
            let before = self.phase().0;
            self.now = at.max(self.now);
            if self.phase().0 != before {
                self.check_throughput(before);
                self.changed = BatchSeq(self.newest.0 + 1);
            }
            self.deliver(event);
        }
        panic!("the job has not ended: {:#?}", self.master.status(self.now_ms()));
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
        let (vary, (_, phase)) = (90 + self.seed.below(21), self.phase());
        let Some(process) = self.processes.get_mut(&on).filter(|p| !p.is_busy) else { return };
        let Some((_, (run, result))) = process.queue.pop_first() else { return };
        process.is_busy = true;
        let bytes = bytes(&self.safe, &run.ranges);
        let took = (self.fixed / 4 + bytes * 1000 / phase.reads) * vary / 100;
        self.after(took, Event::Ran(on, run, result, bytes));
    }

    fn master_asks(&mut self, action: MasterAction) {
        match action {
            MasterAction::Cut { batch, source, limit } => self.cut(batch, source, limit),
            MasterAction::Tell(to, message) => {
                if let ToWorker::Place { placement, .. } = &message {
                    self.source.placed(placement);
                }
                self.after(100, Event::ToWorker(to, message));
            }
            MasterAction::Persist(seq, _) => self.after(50, Event::Synced(seq)),
            MasterAction::Publish { batch, .. } => {
                self.publish(batch);
                self.after(200, Event::Published(batch));
            }
            MasterAction::SetTimer(at) => {
                self.after((1000 * at).saturating_sub(self.now), Event::Tick);
            }
            MasterAction::StopSources => {
                self.source.stop();
                (0..WORKERS).for_each(|worker| self.source.closed(WorkerId(worker)));
            }
            MasterAction::Finish(outcome) => self.outcome = Some(outcome),
            MasterAction::NewBatch { .. }
            | MasterAction::Missed { .. }
            | MasterAction::Unneeded { .. } => {}
            other => panic!("no worker joins or leaves: {other:?}"),
        }
    }

    /// A batch takes in what it may.
    fn cut(&mut self, batch: BatchSeq, source: SourceId, limit: u64) {
        self.source.next_batch(batch);
        self.source.limit(limit);
        let cut = self.source.cut(PARTITIONS as usize).expect("it can be cut");
        let inputs: Vec<_> = cut.inputs.into_iter().map(|input| input.ranges).collect();
        for range in inputs.iter().flatten() {
            let (receiver, _) = receiver_of(&range.split).expect("it names received blocks");
            for number in range.start..range.end {
                let (_, of) = self.safe.get_mut(&(receiver, number)).expect("it was registered");
                assert_eq!(of.replace(batch), None, "received block {number} is in two batches");
            }
        }
        let all: u64 = inputs.iter().map(|ranges| bytes(&self.safe, ranges)).sum();
        (self.newest, self.waiting) = (batch, self.waiting - all);
        self.judge(batch, all);
        self.reference.cut(batch, source, inputs.clone());
        let (position, ended) = (cut.position, cut.ended);
        let event = MasterEvent::CutDone { batch, source, inputs, position, ended, waiting: false };
        self.master.handle(self.now_ms(), event);
    }

    /// A batch of a job that has met its load for a while has not much more than an interval's work.
    fn judge(&mut self, batch: BatchSeq, bytes: u64) {
        let (at, phase) = self.phase();
        if batch.0 < self.changed.0 + SETTLED {
            return;
        }
        let most = MOST * self.interval * 2 * phase.reads + 2 * self.piece;
        assert!(bytes <= most.max(1 << 10), "{batch} has {bytes} bytes, more than {most}");
        let (since, sum) = self.settled[at];
        self.settled[at] = (if sum == 0 { self.now } else { since }, sum + bytes);
    }

    /// In a phase with more than could be done most was done.
    fn check_throughput(&self, at: usize) {
        let (Phase { comes, reads }, (since, sum)) = (self.phases[at], self.settled[at]);
        let time = self.now.saturating_sub(since.max(1)) / 1000;
        let enough = comes >= 4 * reads && time >= 20 * self.interval;
        assert!(
            !enough || sum * 2 >= 2 * reads * time,
            "phase {at}: {sum} bytes in {time} ms, of {} that could be read",
            2 * reads * time
        );
    }

    /// What is published is exactly what a run without workers publishes.
    fn publish(&mut self, batch: BatchSeq) {
        assert_eq!(batch.0, self.published + 1, "out of order, or twice");
        self.published = batch.0;
        let first = |batch| TaskId { batch, stage: StageId(0), partition: Partition(0) };
        let range = first(batch)..first(BatchSeq(batch.0 + 1));
        self.reference.up_to(batch);
        let plan = self.reference.plan;
        let expected = self.reference.results.range(range.clone());
        let expected = expected.filter(|(task, _)| has_output(plan, **task)).collect::<Vec<_>>();
        assert_eq!(self.parts.range(range).collect::<Vec<_>>(), expected, "{batch}");
    }

    fn worker_asks(&mut self, from: WorkerId, action: WorkerAction) {
        let delay = 100 + self.seed.below(300);
        let Some(process) = self.processes.get_mut(&from) else { return };
        match action {
            WorkerAction::Run(run) => {
                let (_, result) = process.held.begin(from, &run, &mut self.reference);
                process.queue.insert((run.task, run.attempt), (run, result));
            }
            WorkerAction::Report(message) => {
                let part = match &message {
                    ToMaster::TaskDone { task, attempt, .. } => process.held.part(*task, *attempt),
                    _ => None,
                };
                self.after(100, Event::ToMaster(from, message, part));
            }
            WorkerAction::Tell(to, message) => {
                let contents = process.held.contents(&message);
                self.after(delay, Event::ToPeer(to, message, contents));
            }
            WorkerAction::Forget { oldest } => process.held.forget(oldest),
            WorkerAction::Drop { .. } => {}
            _ => panic!("no worker joins, leaves or saves"),
        }
    }

    fn deliver(&mut self, event: Event) {
        let event = match event {
            Event::Push => return self.push(),
            Event::ToWorker(to, message) => {
                if let Some(process) = self.processes.get_mut(&to) {
                    process.core.handle(WorkerEvent::Master(message));
                }
                return;
            }
            Event::ToPeer(to, message, contents) => {
                if let Some(process) = self.processes.get_mut(&to) {
                    process.held.take_in(&process.core, &message, &contents);
                    process.core.handle(WorkerEvent::Peer(message));
                }
                return;
            }
            Event::Ran(on, run, result, bytes) => return self.ran(on, &run, result, bytes),
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
            Event::Tick => MasterEvent::Tick,
        };
        self.master.handle(self.now_ms(), event);
    }

    fn ran(&mut self, on: WorkerId, run: &RunTask, result: u64, bytes: u64) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        process.is_busy = false;
        let (task, attempt) = (run.task, run.attempt);
        let blocks = process.held.ran(task, attempt, result, &self.reference);
        let reads = matches!(self.reference.plan.stage(task.stage).tasks, Tasks::PerRange(_));
        let bytes = if reads { bytes } else { 0 };
        let tally = TaskTally { bytes, content: result, ..TaskTally::default() };
        process.core.handle(WorkerEvent::Ran { task, attempt, blocks, tally });
    }

    /// Clients send what receivers have room for.
    fn push(&mut self) {
        let every = self.interval * 1000 / 5;
        let (at, phase) = self.phase();
        self.unsent += phase.comes * every / 1000;
        while self.unsent > 0 && self.waiting < self.bound {
            let bytes = self.unsent.min(1 + self.seed.below(self.piece));
            self.unsent -= bytes;
            self.waiting += bytes;
            let receiver = self.safe.len() as u32 % WORKERS;
            let (receiver, copy) = (WorkerId(receiver), Some(WorkerId(1 - receiver)));
            let number = self.safe.len() as u64 / u64::from(WORKERS) + 1;
            let received_block = ReceivedBlock { receiver, number, copy, bytes, client: None };
            self.source.register(received_block, bytes).expect("it is no client's");
            self.safe.insert((receiver, number), (bytes, None));
        }
        assert_eq!(self.source.waiting(), self.waiting);
        let is_done = self.stops_early || self.unsent + self.waiting == 0;
        let is_over = at == self.phases.len() && is_done;
        if is_over && !self.stopped {
            self.stopped = true;
            self.master.handle(self.now_ms(), MasterEvent::Stop);
        }
        if !self.stopped {
            self.after(every, Event::Push);
        }
    }

    fn check_end(&self) {
        assert_eq!(self.outcome, Some(Outcome::Done));
        let batches: BTreeSet<BatchSeq> = self.safe.values().filter_map(|(_, of)| *of).collect();
        assert!(self.safe.values().all(|(_, of)| of.is_some()), "what was safe is in no batch");
        assert!(batches.last().is_some_and(|last| last.0 <= self.published), "not published");
    }
}

/// How many bytes received blocks have.
fn bytes(
    safe: &BTreeMap<(WorkerId, u64), (u64, Option<BatchSeq>)>,
    ranges: &[crate::source::Range],
) -> u64 {
    let of = |range: &crate::source::Range| -> u64 {
        let Some((receiver, _)) = receiver_of(&range.split) else { return 0 };
        (range.start..range.end).map(|number| safe[&(receiver, number)].0).sum()
    };
    ranges.iter().map(of).sum()
}

/// One world.
pub(super) fn overload(number: u64) {
    World::new(number).run();
}

#[test]
fn batches_fit_their_interval_whatever_comes() {
    for number in super::numbers(12) {
        let run = std::panic::AssertUnwindSafe(|| overload(number));
        std::panic::catch_unwind(run).unwrap_or_else(|panic| {
            eprintln!("overload, seed {number}");
            std::panic::resume_unwind(panic)
        });
    }
}
