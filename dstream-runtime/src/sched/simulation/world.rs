//! The world: its processes, the messages in flight, and the next event.

use std::collections::{BTreeMap, BTreeSet};

use super::Seed;
use super::checks::Checks;
use crate::id::*;
use crate::plan::{Plan, TailRow};
use crate::sched::master::Outcome;
use crate::sched::message::*;
use crate::sched::*;
use crate::source::Range;
use crate::time::Timetable;

/// Workers of a world, at most.
const WORKERS: usize = 16;
const LEASE_MS: u64 = 1000;

#[derive(Clone)]
enum Message {
    ToMaster(WorkerId, ToMaster),
    ToWorker(WorkerId, ToWorker),
    /// From, to.
    ToPeer(WorkerId, WorkerId, ToPeer),
    Synced(JournalSeq),
    Published(BatchSeq),
    Cut(BatchSeq, SourceId),
    Ran(WorkerId, TaskId, Attempt),
    Left(WorkerId),
    Tick(u64),
    Stop,
}

/// The properties of a run.
pub(super) struct World {
    pub(super) live: bool,
    pub(super) batches: u64,
    /// Whether owners may be lost.
    pub(super) loses_owners: bool,
    /// A task that always fails.
    pub(super) doomed: Option<TaskId>,
    pub(super) outcome: Option<Outcome>,
    pub(super) lost: BTreeSet<WorkerId>,
    pub(super) moved: u32,
    pub(super) dismissed: u32,
    pub(super) evicted: u32,
    pub(super) refused: u32,
    checks: Checks,
    leases: bool,
    /// Workers needed before anything happens.
    needed: usize,
    seed: Seed,
    now: u64,
    master: MasterCore,
    /// By id; `None` for lost ones.
    workers: Vec<Option<WorkerCore>>,
    /// They send nothing any more.
    silent: BTreeSet<WorkerId>,
    network: Vec<Message>,
    entries: BTreeMap<JournalSeq, JournalEntry>,
    /// One in this many tasks fails; 0 for none.
    failing: u64,
    /// Chance that a worker joins or leaves, per step.
    churn: u64,
}

impl World {
    pub(super) fn new(plan: &'static Plan, seed: u64) -> Self {
        let mut seed = Seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let partitions = 1 + seed.below(6) as u32;
        let workers = 1 + seed.below(4) as u32;
        let live = seed.one_in(3);
        let first = BatchSeq(1 + seed.below(2) * seed.below(20));
        let leases = seed.one_in(2);
        let config = MasterConfig {
            partitions,
            in_flight: 1 + seed.below(5) as u32,
            attempts: 50,
            workers,
            lease_ms: leases.then_some(LEASE_MS),
            speculate: false,
            checkpoint_ms: None,
            timetable: Timetable::new(0, 100),
            batch_bytes: u64::MAX,
            publishes_empty: false,
            seen: vec![true; 9],
            live: vec![live; plan.sources.len()],
            drains: vec![live; plan.sources.len()],
            first,
            term: 0,
            completes_stop: false,
        };
        let mut world = Self {
            live,
            batches: 1 + seed.below(12),
            loses_owners: false,
            doomed: None,
            outcome: None,
            lost: BTreeSet::new(),
            moved: 0,
            dismissed: 0,
            evicted: 0,
            refused: 0,
            leases,
            needed: workers as usize,
            checks: Checks::new(plan, partitions, first),
            now: 0,
            master: MasterCore::new(plan, config),
            workers: Vec::new(),
            silent: BTreeSet::new(),
            network: Vec::new(),
            entries: BTreeMap::new(),
            failing: [0, 3, 20][seed.below(3) as usize],
            churn: [0, 4, 12, 50][seed.below(4) as usize],
            seed,
        };
        (0..workers).for_each(|_| world.join());
        world
    }

    pub(super) fn first(&self) -> u64 {
        self.checks.first.0
    }

    /// The number of published batches.
    pub(super) fn published(&self) -> u64 {
        self.checks.published.len() as u64
    }

    /// Cuts asked for after the last batch.
    pub(super) fn asked_late(&self) -> usize {
        let last = self.first() + self.batches - 1;
        let late = self.checks.inputs.keys().map(|(batch, _)| *batch);
        late.filter(|batch| batch.0 > last).collect::<BTreeSet<_>>().len()
    }

    /// Whether no task is running.
    pub(super) fn is_quiet(&self) -> bool {
        self.checks.running.is_empty()
    }

    fn join(&mut self) {
        let (id, checks) = (WorkerId(self.workers.len() as u32), &self.checks);
        let retention = if self.seed.one_in(2) { Retention::Consumed } else { Retention::Released };
        let core = WorkerCore::new(id, checks.plan, checks.partitions, 1, retention);
        self.workers.push(Some(core));
    }

    /// Runs to the end; panics if it does not end, or a check fails.
    pub(super) fn run(&mut self) {
        for step in 0..200_000 {
            self.act();
            // Churn stops at some time: nothing can start where all workers leave.
            if step < 5_000 && self.seed.one_in(self.churn) && self.outcome.is_none() {
                self.come_or_go();
                self.act();
            }
            if self.network.is_empty() {
                if self.outcome.is_some() {
                    break;
                }
                self.replace();
                continue;
            }
            // Any message may be the next, and may be repeated later.
            let at = self.seed.below(self.network.len() as u64) as usize;
            let message = self.network.swap_remove(at);
            let once = matches!(message, Message::Ran(..) | Message::Left(_) | Message::Tick(_));
            if self.seed.one_in(8) && !once {
                self.network.push(message.clone());
            }
            self.deliver(message);
        }
        assert!(
            self.outcome.is_some(),
            "the job has not ended: {:?}",
            self.master.status(self.now)
        );
    }

    /// Starts a worker if there are too few.
    fn replace(&mut self) {
        let there = (0..self.workers.len() as u32).map(WorkerId);
        let there = there.filter(|w| self.is_there(*w) && !self.silent.contains(w));
        let there: Vec<_> = there.collect();
        let status = self.master.status(self.now);
        assert!(there.len() < self.needed, "nothing happens: {there:?}, {status:?}");
        self.join();
    }

    fn come_or_go(&mut self) {
        let worker = WorkerId(self.seed.below(self.workers.len() as u64) as u32);
        let owns = self.checks.was_placed(worker);
        match self.seed.below(4) {
            0 if self.workers.len() < WORKERS => self.join(),
            1 => self.master.handle(self.now, MasterEvent::Drain(worker)),
            // While it is silent, or before its loss is known, it may become an owner.
            2 if self.loses_owners && self.leases && self.seed.one_in(4) => {
                self.lost.insert(worker);
                self.silent.insert(worker);
            }
            3 if self.is_there(worker) && (!owns || self.loses_owners && self.seed.one_in(4)) => {
                self.workers[worker.index()] = None;
                if self.loses_owners {
                    self.lost.insert(worker);
                    return self.send(Message::Left(worker));
                }
                self.deliver(Message::Left(worker));
            }
            _ => {}
        }
    }

    /// A process ends; messages between workers may be lost with it.
    fn ends(&mut self, worker: WorkerId) {
        self.workers[worker.index()] = None;
        self.silent.insert(worker);
        self.checks.running.retain(|_, on| *on != worker);
        self.network.retain(|m| !matches!(m, Message::ToPeer(from, ..) if *from == worker));
    }

    fn is_there(&self, worker: WorkerId) -> bool {
        self.workers.get(worker.index()).is_some_and(Option::is_some)
    }

    fn send(&mut self, message: Message) {
        self.network.push(message);
    }

    fn act(&mut self) {
        while let Some(action) = self.master.poll() {
            self.master_asks(action);
        }
        for index in 0..self.workers.len() {
            while let Some(action) = self.workers[index].as_mut().and_then(WorkerCore::poll) {
                self.worker_asks(WorkerId(index as u32), action);
            }
        }
    }

    fn worker_asks(&mut self, from: WorkerId, action: WorkerAction) {
        match action {
            WorkerAction::Run(run) => {
                self.checks.starts(from, &run);
                self.send(Message::Ran(from, run.task, run.attempt));
            }
            WorkerAction::Report(message) => self.send(Message::ToMaster(from, message)),
            WorkerAction::Tell(to, message) => self.send(Message::ToPeer(from, to, message)),
            WorkerAction::SendState { to, epoch, stage, partition } => {
                self.checks.sends_state(from, to, epoch, stage, partition);
                let message = ToPeer::State { epoch, stage, partition };
                self.send(Message::ToPeer(from, to, message));
                self.moved += 1;
            }
            WorkerAction::Cancel { .. }
            | WorkerAction::Save { .. }
            | WorkerAction::Load { .. }
            | WorkerAction::Discard { .. } => panic!("not asked for"),
            WorkerAction::Drop { batch, stage } => self.checks.dropped(from, batch, stage),
            WorkerAction::Forget { oldest } => self.checks.forgets(from, oldest),
        }
    }

    fn master_asks(&mut self, action: MasterAction) {
        assert!(self.outcome.is_none(), "{action:?} after the end");
        match action {
            MasterAction::Cut { batch, source, .. } => self.send(Message::Cut(batch, source)),
            MasterAction::Tell(to, message) => {
                self.checks.told(to, &message);
                self.send(Message::ToWorker(to, message));
            }
            MasterAction::Persist(seq, entry) => {
                if let JournalEntry::Commit { batch, .. } = entry {
                    self.checks.commits(batch);
                }
                self.entries.insert(seq, entry);
                self.send(Message::Synced(seq));
            }
            MasterAction::Publish { batch, token, .. } => {
                assert_eq!(token.batch(), batch);
                self.checks.publishes(batch);
                self.send(Message::Published(batch));
            }
            MasterAction::SetTimer(at) => self.send(Message::Tick(at)),
            MasterAction::Dismiss(worker) => {
                self.checks.dismissed(worker);
                self.dismissed += 1;
                self.ends(worker);
            }
            MasterAction::Evict(worker, _) => {
                assert!(self.silent.contains(&worker) || !self.is_there(worker), "{worker} lives");
                self.evicted += 1;
                self.ends(worker);
            }
            MasterAction::Slow { .. } | MasterAction::Weights(_) | MasterAction::Admit(_) => {
                panic!("nothing was asked about it")
            }
            MasterAction::Refuse { .. } => self.refused += 1,
            MasterAction::NewBatch { batch, .. } => {
                if self.live && batch.0 == self.first() + self.batches - 1 {
                    self.send(Message::Stop);
                }
            }
            MasterAction::StopSources
            | MasterAction::Missed { .. }
            | MasterAction::Unneeded { .. }
            | MasterAction::Obsolete(_) => {}
            MasterAction::Finish(outcome) => self.outcome = Some(outcome),
        }
    }

    fn worker_is_told(&mut self, worker: WorkerId, event: WorkerEvent) {
        if let Some(core) = self.workers[worker.index()].as_mut() {
            core.handle(event);
        }
    }

    fn deliver(&mut self, message: Message) {
        let event = match message {
            Message::ToWorker(to, message) => {
                return self.worker_is_told(to, WorkerEvent::Master(message));
            }
            Message::ToPeer(_, to, message) => {
                if let (ToPeer::State { epoch, stage, partition }, Some(core)) =
                    (&message, &self.workers[to.index()])
                    && core.expects_state(*epoch, *stage, *partition)
                {
                    self.checks.loads_state(to, *epoch, *stage, *partition);
                }
                return self.worker_is_told(to, WorkerEvent::Peer(message));
            }
            Message::Ran(on, task, attempt) => return self.finish(on, task, attempt),
            Message::ToMaster(from, _) if self.silent.contains(&from) => return,
            Message::ToMaster(from, message) => MasterEvent::Worker(from, message),
            Message::Left(worker) => {
                self.ends(worker);
                MasterEvent::Left(worker, "it was killed".into())
            }
            Message::Synced(seq) => {
                for entry in self.entries.range(..=seq).map(|(_, entry)| entry) {
                    self.checks.durable(entry);
                }
                MasterEvent::Synced(seq)
            }
            Message::Published(batch) => MasterEvent::Published { batch },
            Message::Cut(batch, source) => self.cut(batch, source),
            Message::Tick(at) => {
                self.now = self.now.max(at + self.seed.below(250));
                self.heartbeats();
                if self.seed.one_in(4) && self.master.status(self.now).epoch == Epoch(0) {
                    self.join();
                }
                MasterEvent::Tick
            }
            Message::Stop => MasterEvent::Stop,
        };
        self.master.handle(self.now, event);
    }

    /// Sent as often as time passes, so that none is late.
    fn heartbeats(&mut self) {
        for worker in (0..self.workers.len() as u32).map(WorkerId) {
            if self.is_there(worker) && !self.silent.contains(&worker) {
                let event = MasterEvent::Worker(
                    worker,
                    ToMaster::Heartbeat { engine: EngineTime::default() },
                );
                self.master.handle(self.now, event);
            }
        }
    }

    fn cut(&mut self, batch: BatchSeq, source: SourceId) -> MasterEvent {
        let fresh = self.seed.below(u64::from(self.checks.partitions) + 1) as u32;
        let count = *self.checks.inputs.entry((batch, source)).or_insert(fresh);
        let last = self.first() + self.batches - 1;
        let inputs = (0..count).map(|input| vec![range(batch, Partition(input))]).collect();
        let ended = batch.0 >= last + if self.live { 2 } else { 0 };
        MasterEvent::CutDone { batch, source, inputs, position: None, ended, waiting: false }
    }

    fn finish(&mut self, on: WorkerId, task: TaskId, attempt: Attempt) {
        if !self.is_there(on) {
            return;
        }
        let unlucky = self.seed.one_in(self.failing);
        let event = if unlucky || self.doomed == Some(task) {
            self.checks.failed(on, task);
            let (message, kind) = ("unlucky".into(), FailureKind::Panic);
            let failure = Failure { message, at: None, kind, again: true };
            WorkerEvent::Failed { task, attempt, failure }
        } else {
            let blocks = self.blocks(task);
            self.checks.ran(on, task, blocks.clone());
            WorkerEvent::Ran { task, attempt, blocks, tally: TaskTally::default() }
        };
        self.worker_is_told(on, event);
    }

    /// Some of the blocks that the tails of a task can make.
    fn blocks(&mut self, task: TaskId) -> Vec<(TailId, Partition)> {
        let mut blocks = Vec::new();
        for (index, tail) in self.checks.plan.stage(task.stage).tails.iter().enumerate() {
            let targets = match tail {
                TailRow::Combine | TailRow::Partition | TailRow::Broadcast => {
                    0..self.checks.partitions
                }
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
}

/// The ranges of an input of a batch.
pub(super) fn range(batch: BatchSeq, input: Partition) -> Range {
    let start = batch.0 * 1000 + u64::from(input.0);
    Range { split: "s".into(), start, end: start + 1 }
}
