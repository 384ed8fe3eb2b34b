//! Master and workers in one thread, from a seed: messages are reordered and doubled, tasks take any
//! time and fail, journal and outputs answer late. What must hold is checked from outside, against
//! the plan alone.

use std::collections::{BTreeMap, BTreeSet};

use super::message::{Failure, FailureKind, JournalEntry, TaskTally, ToMaster, ToPeer, ToWorker};
use super::testplan::{plan, stage, word_count};
use super::worker::RunTask;
use super::*;
use crate::id::*;
use crate::plan::{Dependency, Plan, TailRow, Tasks};
use crate::sched::master::{Cause, Outcome};
use crate::source::Range;
use crate::time::Timetable;

/// xorshift64*: enough for a test, and the same everywhere.
struct Seed(u64);

impl Seed {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone)]
enum Message {
    ToMaster(WorkerId, ToMaster),
    ToWorker(WorkerId, ToWorker),
    ToPeer(WorkerId, ToPeer),
    Synced(JournalSeq),
    Published(BatchSeq),
    Cut(BatchSeq, SourceId),
    Ran(WorkerId, TaskId, Attempt),
    Tick(u64),
    Stop,
}

/// What a run is like.
struct World {
    plan: &'static Plan,
    partitions: u32,
    live: bool,
    batches: u64,
    seed: Seed,
    now: u64,
    master: MasterCore,
    workers: Vec<WorkerCore>,
    network: Vec<Message>,
    /// Inputs per batch and source.
    inputs: BTreeMap<(BatchSeq, SourceId), u32>,
    /// The blocks that each task made.
    made: BTreeMap<TaskId, Vec<(TailId, Partition)>>,
    running: BTreeMap<TaskId, WorkerId>,
    done: BTreeSet<TaskId>,
    /// The last batch whose commit was written.
    committed: BatchSeq,
    durable_cuts: BTreeSet<BatchSeq>,
    durable_commits: BTreeSet<BatchSeq>,
    entries: BTreeMap<JournalSeq, JournalEntry>,
    published: Vec<BatchSeq>,
    /// Chance of a task to fail: one in so many; 0 for never.
    failing: u64,
    /// A task that always fails.
    doomed: Option<TaskId>,
    outcome: Option<Outcome>,
}

impl World {
    fn new(plan: &'static Plan, seed: u64) -> Self {
        let mut seed = Seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let partitions = 1 + seed.below(6) as u32;
        let workers = 1 + seed.below(4) as u32;
        let live = seed.one_in(3);
        let config = MasterConfig {
            partitions,
            in_flight: 1 + seed.below(5) as u32,
            attempts: 50,
            workers,
            lease_ms: None,
            timetable: Timetable::new(0, 100),
            live: vec![live; plan.sources.len()],
            first: BatchSeq(1),
        };
        let worker = |id| WorkerCore::new(WorkerId(id), plan, partitions, 1, Retention::Consumed);
        Self {
            plan,
            partitions,
            live,
            batches: 1 + seed.below(12),
            now: 0,
            master: MasterCore::new(plan, config),
            workers: (0..workers).map(worker).collect(),
            network: Vec::new(),
            inputs: BTreeMap::new(),
            made: BTreeMap::new(),
            running: BTreeMap::new(),
            done: BTreeSet::new(),
            committed: BatchSeq(0),
            durable_cuts: BTreeSet::new(),
            durable_commits: BTreeSet::new(),
            entries: BTreeMap::new(),
            published: Vec::new(),
            failing: [0, 3, 20][seed.below(3) as usize],
            doomed: None,
            outcome: None,
            seed,
        }
    }

    /// Runs to the end; panics if there is none, or if something does not hold.
    fn run(&mut self) {
        for _ in 0..200_000 {
            self.act();
            if self.network.is_empty() {
                break;
            }
            // Any message may be the next one, and may come again later.
            let at = self.seed.below(self.network.len() as u64) as usize;
            let message = self.network.swap_remove(at);
            if self.seed.one_in(8) && !matches!(message, Message::Ran(..)) {
                self.network.push(message.clone());
            }
            self.deliver(message);
        }
        assert!(self.outcome.is_some(), "the job has not ended");
    }

    fn send(&mut self, message: Message) {
        self.network.push(message);
    }

    fn act(&mut self) {
        while let Some(action) = self.master.poll() {
            self.master_asks(action);
        }
        for index in 0..self.workers.len() {
            let from = WorkerId(index as u32);
            while let Some(action) = self.workers[index].poll() {
                match action {
                    WorkerAction::Run(run) => self.start(from, &run),
                    WorkerAction::Report(message) => self.send(Message::ToMaster(from, message)),
                    WorkerAction::Tell(to, message) => self.send(Message::ToPeer(to, message)),
                    WorkerAction::SendState { .. } => unreachable!(),
                    WorkerAction::Drop { batch, stage } => self.dropped(from, batch, stage),
                    WorkerAction::Forget { oldest } => {
                        let over = self.published.len() as u64 + 1;
                        assert!(oldest.0 <= over, "{oldest} is forgotten before {over} is over");
                    }
                }
            }
        }
    }

    fn master_asks(&mut self, action: MasterAction) {
        assert!(self.outcome.is_none(), "{action:?} after the end");
        match action {
            MasterAction::Cut { batch, source } => self.send(Message::Cut(batch, source)),
            MasterAction::Dismiss(_) | MasterAction::Evict(..) | MasterAction::Refuse { .. } => {
                unreachable!()
            }
            MasterAction::Tell(to, message) => self.send(Message::ToWorker(to, message)),
            MasterAction::Persist(seq, entry) => {
                if let JournalEntry::Commit { batch, .. } = entry {
                    self.committed.0 += 1;
                    assert_eq!(batch, self.committed, "batches are committed in order");
                }
                self.entries.insert(seq, entry);
                self.send(Message::Synced(seq));
            }
            MasterAction::Publish { batch, token } => {
                assert_eq!(token.batch(), batch);
                assert!(self.durable_cuts.contains(&batch));
                assert!(self.durable_commits.contains(&batch));
                assert_eq!(self.done_in(batch), self.tasks_of(batch), "{batch} is incomplete");
                assert_eq!(batch.0, self.published.len() as u64 + 1, "out of order, or twice");
                self.published.push(batch);
                self.send(Message::Published(batch));
            }
            MasterAction::SetTimer(at) => self.send(Message::Tick(at)),
            MasterAction::StopSources | MasterAction::Unneeded { .. } => {}
            MasterAction::Finish(outcome) => self.outcome = Some(outcome),
        }
    }

    fn deliver(&mut self, message: Message) {
        let event = match message {
            Message::ToWorker(to, message) => {
                return self.workers[to.index()].handle(WorkerEvent::Master(message));
            }
            Message::ToPeer(to, message) => {
                return self.workers[to.index()].handle(WorkerEvent::Peer(message));
            }
            Message::Ran(on, task, attempt) => return self.finish(on, task, attempt),
            Message::ToMaster(from, message) => MasterEvent::Worker(from, message),
            Message::Synced(seq) => {
                for entry in self.entries.range(..=seq).map(|(_, entry)| entry) {
                    match entry {
                        JournalEntry::Cut { batch, .. } => self.durable_cuts.insert(*batch),
                        JournalEntry::Commit { batch, .. } => self.durable_commits.insert(*batch),
                    };
                }
                MasterEvent::Synced(seq)
            }
            Message::Published(batch) => MasterEvent::Published { batch },
            Message::Cut(batch, source) => self.cut(batch, source),
            Message::Tick(at) => {
                self.now = self.now.max(at + self.seed.below(250));
                MasterEvent::Tick
            }
            Message::Stop => MasterEvent::Stop,
        };
        self.master.handle(self.now, event);
    }

    fn cut(&mut self, batch: BatchSeq, source: SourceId) -> MasterEvent {
        let fresh = self.seed.below(u64::from(self.partitions) + 1) as u32;
        let count = *self.inputs.entry((batch, source)).or_insert(fresh);
        let range = Range { split: "s".into(), start: batch.0, end: batch.0 + 1 };
        if self.live && batch.0 == self.batches {
            self.send(Message::Stop);
        }
        MasterEvent::CutDone {
            batch,
            source,
            inputs: vec![vec![range]; count as usize],
            ended: batch.0 >= self.batches + if self.live { 2 } else { 0 },
        }
    }

    fn tasks_in(&self, batch: BatchSeq, stage: StageId) -> u32 {
        let row = self.plan.stage(stage);
        if !batch.0.is_multiple_of(u64::from(row.every)) {
            return 0;
        }
        match row.tasks {
            Tasks::PerRange(source) => self.inputs.get(&(batch, source)).copied().unwrap_or(0),
            Tasks::PerPartition => self.partitions,
            Tasks::One => 1,
        }
    }

    fn tasks_of(&self, batch: BatchSeq) -> usize {
        self.plan.stages.iter().map(|row| self.tasks_in(batch, row.id) as usize).sum()
    }

    fn done_in(&self, batch: BatchSeq) -> usize {
        self.done.iter().filter(|task| task.batch == batch).count()
    }

    /// A worker starts a task: everything that its lineage row names must be there, and nothing else
    /// is read.
    fn start(&mut self, on: WorkerId, run: &RunTask) {
        let RunTask { task, inputs, .. } = run;
        assert!(task.partition.0 < self.tasks_in(task.batch, task.stage), "{task} does not exist");
        assert!(!self.done.contains(task), "{task} runs again after it was done");
        assert_eq!(self.running.insert(*task, on), None, "{task} runs twice at a time");
        let row = self.plan.stage(task.stage);
        for (index, input) in row.inputs.iter().enumerate() {
            let mut expected = Vec::new();
            for (from, tail) in input.from {
                for producer in 0..self.tasks_in(task.batch, *from) {
                    let narrow = input.dependency == Dependency::Narrow;
                    if narrow && producer != task.partition.0 {
                        continue;
                    }
                    let producer =
                        TaskId { batch: task.batch, stage: *from, partition: Partition(producer) };
                    assert!(self.done.contains(&producer), "{task} before {producer}");
                    if self.made[&producer].contains(&(*tail, task.partition)) {
                        expected.push(BlockId { producer, tail: *tail, partition: task.partition });
                    }
                }
            }
            assert_eq!(inputs.get(index).cloned().unwrap_or_default(), expected, "{task}");
        }
        if row.state.is_some() && task.batch.0 > u64::from(row.every) {
            let before = BatchSeq(task.batch.0 - u64::from(row.every));
            let before = TaskId { batch: before, ..*task };
            assert!(self.done.contains(&before), "{task} without the state of {before}");
        }
        self.send(Message::Ran(on, *task, run.attempt));
    }

    fn finish(&mut self, on: WorkerId, task: TaskId, attempt: Attempt) {
        assert_eq!(self.running.remove(&task), Some(on));
        let unlucky = self.failing > 0 && self.seed.one_in(self.failing);
        let event = if unlucky || self.doomed == Some(task) {
            let failure = Failure {
                message: "unlucky".into(),
                at: None,
                kind: FailureKind::Panic,
                again: true,
            };
            WorkerEvent::Failed { task, attempt, failure }
        } else {
            let blocks = self.blocks(task);
            self.made.insert(task, blocks.clone());
            self.done.insert(task);
            WorkerEvent::Ran { task, attempt, blocks, tally: TaskTally::default() }
        };
        self.workers[on.index()].handle(event);
    }

    /// Some of the blocks that the tails of a task can make.
    fn blocks(&mut self, task: TaskId) -> Vec<(TailId, Partition)> {
        let mut blocks = Vec::new();
        for (index, tail) in self.plan.stage(task.stage).tails.iter().enumerate() {
            let targets = match tail {
                TailRow::Combine | TailRow::Partition => 0..self.partitions,
                TailRow::Keep | TailRow::Rows => task.partition.0..task.partition.0 + 1,
                TailRow::Partial => 0..1,
                TailRow::Output(_) => 0..0,
            };
            for target in targets {
                if !self.seed.one_in(3) {
                    blocks.push((TailId(index as u16), Partition(target)));
                }
            }
        }
        blocks
    }

    /// No task on that worker may still want a block that it lets go.
    fn dropped(&self, on: WorkerId, batch: BatchSeq, stage: StageId) {
        let readers = self.plan.stages.iter().filter(|row| {
            row.inputs.iter().any(|input| input.from.iter().any(|(from, _)| *from == stage))
        });
        for reader in readers {
            for partition in 0..self.tasks_in(batch, reader.id) {
                let task = TaskId { batch, stage: reader.id, partition: Partition(partition) };
                let elsewhere = self.workers.len() > 1 && self.running.get(&task) != Some(&on);
                assert!(self.done.contains(&task) || elsewhere, "{task} still needs {stage}");
            }
        }
    }
}

/// Everything that a plan can have: two sources, unions, slides, chained states, gathers.
fn rich() -> &'static Plan {
    plan(
        2,
        vec![
            stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Rows).tail(TailRow::Combine),
            stage(Tasks::PerRange(SourceId(1))).tail(TailRow::Rows).tail(TailRow::Combine),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(0, 0), (1, 0)])
                .tail(TailRow::Partition),
            stage(Tasks::PerPartition)
                .reads(Dependency::Shuffle, &[(1, 1), (0, 1)])
                .state()
                .tail(TailRow::Keep),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(3, 0)])
                .state()
                .every(1, 3)
                .tail(TailRow::Keep),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(4, 0)])
                .reads(Dependency::Shuffle, &[(2, 0)])
                .every(3, 3)
                .state()
                .tail(TailRow::Partial)
                .tail(TailRow::Output(OutputId(0))),
            stage(Tasks::One)
                .reads(Dependency::Gather, &[(5, 0)])
                .every(3, 3)
                .tail(TailRow::Combine),
            stage(Tasks::PerPartition)
                .reads(Dependency::Shuffle, &[(6, 0)])
                .every(3, 3)
                .tail(TailRow::Output(OutputId(1))),
        ],
    )
}

#[test]
fn every_batch_is_published_once_in_order_from_complete_inputs() {
    for (name, plan) in [("word count", word_count()), ("rich", rich())] {
        for seed in 1..=300 {
            let mut world = World::new(plan, seed);
            world.run();
            let (published, batches) = (world.published.len() as u64, world.batches);
            assert_eq!(world.outcome, Some(Outcome::Done), "{name}, seed {seed}");
            assert!(world.running.is_empty(), "{name}, seed {seed}");
            match world.live {
                false => assert_eq!(published, batches, "{name}, seed {seed}"),
                // The last tick is the one at which the job was stopped; what was received by
                // then may make more batches.
                true => {
                    assert!((batches..=batches + 2).contains(&published), "{name}, seed {seed}")
                }
            }
        }
    }
}

#[test]
fn a_task_that_always_fails_ends_the_job_after_the_batches_before() {
    for seed in 1..=200 {
        let mut world = World::new(rich(), seed);
        let batch = BatchSeq(1 + seed % world.batches);
        let doomed = TaskId { batch, stage: StageId(3), partition: Partition(0) };
        world.doomed = Some(doomed);
        world.run();
        let Some(Outcome::Failed(Cause::Task { task, attempts, .. })) = world.outcome else {
            panic!("seed {seed}: {:?}", world.outcome)
        };
        assert_eq!((task, attempts), (doomed, 50), "seed {seed}");
        assert_eq!(world.published.len() as u64, batch.0 - 1, "seed {seed}");
    }
}
