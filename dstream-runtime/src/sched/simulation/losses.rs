//! Workers are lost at any time, with everything that they held, and some of them go on as zombies.
//!
//! Blocks, states and saved states have contents here, so whatever happens, every task must have the result
//! that it has without workers (see [`reference`](super::reference)); nothing may be asked of anybody that
//! he does not hold; outputs are published once, in order, whole; only what was lost runs again; nothing is
//! kept for ever; and when no more is lost, every job ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::reference::{Reference, State, content, result};
use super::world::range;
use super::{Seed, rich, seeds};
use crate::id::*;
use crate::plan::{Dependency, Plan, TailRow, Tasks};
use crate::sched::attempt::is_speculative;
use crate::sched::master::Outcome;
use crate::sched::message::*;
use crate::sched::testplan::{plan, stage, word_count};
use crate::sched::worker::RunTask;
use crate::sched::*;
use crate::time::Timetable;

const WORKERS: usize = 14;

#[derive(Clone)]
enum Message {
    /// With the result of a task that makes an output.
    ToMaster(WorkerId, ToMaster, Option<u64>),
    /// With the contents of blocks, or of the state.
    ToPeer(WorkerId, WorkerId, ToPeer, Vec<u64>),
    Synced(JournalSeq),
    Published(BatchSeq),
    Cut(BatchSeq, SourceId),
    Ran(WorkerId, TaskId, Attempt, u64),
    Saved(WorkerId, Saved, u64),
    Loaded(WorkerId, Saved, Epoch),
    Left(WorkerId),
    Tick(u64),
}

struct Process {
    core: WorkerCore,
    /// What the master has told it and has not arrived.
    told: VecDeque<ToWorker>,
    blocks: BTreeMap<BlockId, u64>,
    /// None while a task uses it.
    states: BTreeMap<State, Option<u64>>,
    /// The master has given it up, and it does not know.
    zombie: bool,
    /// Nothing that the master says arrives any more.
    deaf: bool,
    /// Results that have not been reported.
    parts: BTreeMap<(TaskId, Attempt), u64>,
}

struct World {
    seed: Seed,
    now: u64,
    master: MasterCore,
    processes: BTreeMap<WorkerId, Process>,
    next: u32,
    network: Vec<Message>,
    storage: BTreeMap<String, u64>,
    reference: Reference,
    last: BatchSeq,
    parts: BTreeMap<TaskId, u64>,
    published: Vec<BatchSeq>,
    outcome: Option<Outcome>,
    done: BTreeSet<TaskId>,
    lost: BTreeSet<Partition>,
    /// The tasks that were to run on another worker too.
    twice: BTreeSet<TaskId>,
    cancelled: u32,
    helpers_lost: u32,
    losses: u32,
    zombies: u32,
    again: u32,
    loads: u32,
    saves: u32,
    failing: u64,
    churn: u64,
    bad_storage: u64,
}

impl World {
    fn new(plan: &'static Plan, number: u64) -> Self {
        let mut seed = Seed(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let partitions = 1 + seed.below(5) as u32;
        let first = BatchSeq(1 + seed.below(2) * seed.below(20));
        let workers = 1 + seed.below(4) as u32;
        let config = MasterConfig {
            partitions,
            in_flight: 1 + seed.below(4) as u32,
            attempts: 100,
            workers,
            lease_ms: None,
            speculate: true,
            checkpoint_ms: Some(100 * (1 + seed.below(6))),
            timetable: Timetable::new(0, 100),
            live: vec![false; plan.sources.len()],
            first,
        };
        let mut world = Self {
            now: 0,
            master: MasterCore::new(plan, config),
            processes: BTreeMap::new(),
            next: 0,
            network: Vec::new(),
            storage: BTreeMap::from([(String::new(), 0)]),
            reference: Reference::new(plan, partitions, first, number),
            last: BatchSeq(first.0 + 3 + seed.below(14)),
            parts: BTreeMap::new(),
            published: Vec::new(),
            outcome: None,
            done: BTreeSet::new(),
            lost: BTreeSet::new(),
            twice: BTreeSet::new(),
            cancelled: 0,
            helpers_lost: 0,
            losses: 0,
            zombies: 0,
            again: 0,
            loads: 0,
            saves: 0,
            failing: [0, 30][seed.below(2) as usize],
            churn: [20, 60, 150][seed.below(3) as usize],
            bad_storage: [0, 4][seed.below(2) as usize],
            seed,
        };
        (0..workers).for_each(|_| world.join());
        world
    }

    fn join(&mut self) {
        let id = WorkerId(self.next);
        self.next += 1;
        let Reference { plan, partitions, .. } = self.reference;
        let core = WorkerCore::new(id, plan, partitions, 1, Retention::Released);
        let process = Process {
            core,
            told: VecDeque::new(),
            blocks: BTreeMap::new(),
            states: BTreeMap::new(),
            zombie: false,
            deaf: false,
            parts: BTreeMap::new(),
        };
        self.processes.insert(id, process);
    }

    fn run(&mut self) {
        let quiet = 200 + self.seed.below(2500);
        for step in 0..400_000u64 {
            self.act();
            if self.outcome.is_some() {
                return self.finish();
            }
            if step < quiet && self.seed.one_in(self.churn) {
                self.come_or_go();
                continue;
            }
            let told: Vec<_> = self
                .processes
                .iter()
                .filter(|(_, p)| !p.told.is_empty())
                .map(|(w, _)| *w)
                .collect();
            let choices = told.len() + self.network.len();
            if choices == 0 {
                assert!(
                    self.alive().is_empty() || self.needs_more(),
                    "nothing happens: {:?}",
                    self.master.status(self.now)
                );
                self.join();
                continue;
            }
            let at = self.seed.below(choices as u64) as usize;
            if let Some(worker) = told.get(at) {
                let process = self.processes.get_mut(worker).unwrap();
                let message = process.told.pop_front().unwrap();
                process.core.handle(WorkerEvent::Master(message));
                continue;
            }
            let message = self.network.swap_remove(at - told.len());
            let doubles = matches!(message, Message::ToMaster(..) | Message::ToPeer(..));
            if doubles && self.seed.one_in(8) {
                self.network.push(message.clone());
            }
            self.deliver(message);
        }
        panic!("the job has not ended: {:#?}", self.master.status(self.now));
    }

    fn alive(&self) -> Vec<WorkerId> {
        self.processes.iter().filter(|(_, p)| !p.zombie).map(|(w, _)| *w).collect()
    }

    fn needs_more(&self) -> bool {
        matches!(self.master.status(self.now).cut, status::CutWait::Workers { .. })
    }

    fn come_or_go(&mut self) {
        let alive = self.alive();
        match self.seed.below(6) {
            0 | 1 if self.processes.len() < WORKERS => self.join(),
            2 if !alive.is_empty() => {
                let worker = alive[self.seed.below(alive.len() as u64) as usize];
                self.master.handle(self.now, MasterEvent::Drain(worker));
            }
            3 | 4 if !alive.is_empty() => {
                let worker = alive[self.seed.below(alive.len() as u64) as usize];
                self.losses += 1;
                self.network.push(Message::Left(worker));
                if self.seed.one_in(3) {
                    self.zombies += 1;
                    let process = self.processes.get_mut(&worker).unwrap();
                    process.zombie = true;
                    if self.seed.one_in(2) {
                        process.told.clear();
                        process.deaf = true;
                    }
                } else {
                    self.kill(worker);
                }
            }
            5 => {
                let zombies = self.processes.iter().filter(|(_, p)| p.zombie);
                let zombie = zombies.map(|(worker, _)| *worker).next();
                zombie.into_iter().for_each(|worker| self.kill(worker));
            }
            _ => {}
        }
    }

    /// A process ends; some of what it has sent still arrives.
    fn kill(&mut self, worker: WorkerId) {
        self.processes.remove(&worker);
        let kept = self.seed.below(3);
        let seed = &mut self.seed;
        self.network.retain(|message| match message {
            Message::ToPeer(from, ..) | Message::ToMaster(from, ..) if *from == worker => {
                kept == 0 || kept == 1 && seed.one_in(2)
            }
            _ => true,
        });
    }

    fn act(&mut self) {
        while let Some(action) = self.master.poll() {
            self.master_asks(action);
        }
        for worker in self.processes.keys().copied().collect::<Vec<_>>() {
            while let Some(action) = self.processes.get_mut(&worker).and_then(|p| p.core.poll()) {
                self.worker_asks(worker, action);
            }
        }
    }

    fn master_asks(&mut self, action: MasterAction) {
        match action {
            MasterAction::Cut { batch, source } => self.network.push(Message::Cut(batch, source)),
            MasterAction::Tell(to, message) => {
                if let ToWorker::Recover(recover) = &message {
                    self.lost.extend(&recover.lost);
                }
                if let ToWorker::Speculate { task, .. } = &message {
                    self.twice.insert(*task);
                }
                match self.processes.get_mut(&to) {
                    // A connection that is cut delivers a beginning of what was sent.
                    Some(process) if process.zombie && self.seed.one_in(2) => process.deaf = true,
                    Some(process) if !process.deaf => process.told.push_back(message),
                    _ => {}
                }
            }
            MasterAction::Persist(seq, _) => self.network.push(Message::Synced(seq)),
            MasterAction::Publish { batch, token } => {
                assert_eq!(token.batch(), batch);
                self.publish(batch);
                self.network.push(Message::Published(batch));
            }
            MasterAction::SetTimer(at) => self.network.push(Message::Tick(at)),
            MasterAction::Dismiss(worker) => {
                self.kill(worker);
            }
            MasterAction::Obsolete(saved) => {
                assert!(self.storage.remove(&saved.object).is_some(), "{saved:?} went before");
            }
            MasterAction::Evict(..) => panic!("there are no leases"),
            MasterAction::Slow { .. }
            | MasterAction::Refuse { .. }
            | MasterAction::StopSources
            | MasterAction::Unneeded { .. } => {}
            MasterAction::Finish(outcome) => self.outcome = Some(outcome),
        }
    }

    /// What is published is exactly what a run without faults publishes.
    fn publish(&mut self, batch: BatchSeq) {
        let next = self.published.last().map_or(self.reference.first, |last| BatchSeq(last.0 + 1));
        assert_eq!(batch, next, "out of order, or twice");
        self.published.push(batch);
        let first = |batch| TaskId { batch, stage: StageId(0), partition: Partition(0) };
        let range = first(batch)..first(BatchSeq(batch.0 + 1));
        let got: Vec<_> =
            self.parts.range(range.clone()).map(|(task, part)| (*task, *part)).collect();
        let outputs = |task: &TaskId| has_output(self.reference.plan, *task);
        let expected = self.reference.results.range(range).filter(|(task, _)| outputs(task));
        let expected: Vec<_> = expected.map(|(task, result)| (*task, *result)).collect();
        assert_eq!(got, expected, "{batch}");
    }

    fn worker_asks(&mut self, from: WorkerId, action: WorkerAction) {
        let process = self.processes.get_mut(&from).unwrap();
        match action {
            WorkerAction::Run(run) => self.start(from, &run),
            // It may have begun.
            WorkerAction::Cancel { task, attempt } if self.seed.one_in(2) => {
                let runs = |m: &Message| matches!(m, Message::Ran(on, t, a, _) if (*on, *t, *a) == (from, task, attempt));
                if let Some(at) = self.network.iter().position(runs) {
                    self.network.swap_remove(at);
                    self.cancelled += 1;
                    process.core.handle(WorkerEvent::Cancelled { task, attempt });
                }
            }
            WorkerAction::Cancel { .. } => {}
            WorkerAction::Report(message) => {
                let part = match &message {
                    ToMaster::TaskDone { task, attempt, .. } => {
                        process.parts.remove(&(*task, *attempt))
                    }
                    _ => None,
                };
                self.network.push(Message::ToMaster(from, message, part));
            }
            WorkerAction::Tell(to, message) => {
                let contents = match &message {
                    ToPeer::Produced { task, blocks, .. } => {
                        let ids = blocks.iter().map(|(tail, partition)| BlockId {
                            producer: *task,
                            tail: *tail,
                            partition: *partition,
                        });
                        ids.map(|id| *process.blocks.get(&id).expect("it sends what it holds"))
                            .collect()
                    }
                    _ => Vec::new(),
                };
                self.network.push(Message::ToPeer(from, to, message, contents));
            }
            WorkerAction::SendState { to, epoch, stage, partition } => {
                let state = process.states.remove(&(stage, partition)).unwrap_or(Some(0));
                let state = state.expect("it is in use");
                let message = ToPeer::State { epoch, stage, partition };
                self.network.push(Message::ToPeer(from, to, message, vec![state]));
            }
            WorkerAction::Save { stage, partition, after } => {
                let state = process.states.get(&(stage, partition)).copied().unwrap_or(Some(0));
                let state = state.expect("it is in use");
                self.reference.up_to(after);
                let expected = self.reference.state(after, (stage, partition));
                assert_eq!(state, expected, "{stage}, {partition} is saved after {after}");
                let object = format!("{from}/{stage}/{partition}/{after}/{}", self.saves);
                self.saves += 1;
                let saved = Saved { stage, partition, after, object };
                self.network.push(Message::Saved(from, saved, state));
            }
            WorkerAction::Load { state, recovery } => {
                let key = (state.stage, state.partition);
                assert_ne!(process.states.get(&key), Some(&None), "{key:?} is in use");
                self.network.push(Message::Loaded(from, state, recovery));
            }
            WorkerAction::Discard { stage, partition } => {
                assert_ne!(process.states.remove(&(stage, partition)), Some(None), "in use");
            }
            WorkerAction::Drop { .. } => panic!("everything is kept until its batch is over"),
            WorkerAction::Forget { oldest } => {
                process.blocks.retain(|block, _| block.producer.batch >= oldest);
            }
        }
    }

    fn start(&mut self, on: WorkerId, run: &RunTask) {
        let process = self.processes.get_mut(&on).unwrap();
        let (task, row) = (run.task, self.reference.plan.stage(run.task.stage));
        let mut inputs = Vec::new();
        for input in &run.inputs {
            let content = |id: &BlockId| {
                let content = process.blocks.get(id);
                (*id, *content.unwrap_or_else(|| panic!("{task} reads {id:?}, which is not here")))
            };
            inputs.push(input.iter().map(content).collect());
        }
        let state = match row.state {
            Some(_) => {
                let state = process.states.entry((task.stage, task.partition)).or_insert(Some(0));
                state.take().unwrap_or_else(|| panic!("{task} uses a state that is in use"))
            }
            None => 0,
        };
        let result = result(task, state, &inputs, &run.ranges);
        self.reference.up_to(task.batch);
        assert_eq!(self.reference.results.get(&task), Some(&result), "{task} on {on}");
        if self.done.contains(&task) {
            self.again += 1;
            let twice = self.twice.contains(&task);
            assert!(
                twice || self.lost.contains(&task.partition),
                "{task} runs again and was not lost"
            );
        }
        if self.seed.one_in(self.failing) {
            // Its state is as before.
            if row.state.is_some() {
                process.states.insert((task.stage, task.partition), Some(state));
            }
            let (message, kind) = ("unlucky".into(), FailureKind::Panic);
            let failure = Failure { message, at: None, kind, again: true };
            let failed = WorkerEvent::Failed { task, attempt: run.attempt, failure };
            return process.core.handle(failed);
        }
        self.network.push(Message::Ran(on, task, run.attempt, result));
    }

    fn deliver(&mut self, message: Message) {
        let event = match message {
            Message::ToPeer(_, to, message, contents) => {
                return self.peer_hears(to, message, &contents);
            }
            Message::Ran(on, task, attempt, result) => return self.ran(on, task, attempt, result),
            Message::Saved(on, saved, state) => {
                let Saved { stage, partition, after, .. } = saved;
                let event = if self.seed.one_in(self.bad_storage) {
                    WorkerEvent::NotSaved { stage, partition, after }
                } else {
                    self.storage.insert(saved.object.clone(), state);
                    WorkerEvent::Saved(saved)
                };
                return self.tell(on, event);
            }
            Message::Loaded(on, saved, recovery) => return self.loaded(on, saved, recovery),
            // Who is gone does not join again under his number.
            Message::ToMaster(from, ToMaster::Joined { .. }, _)
                if self.processes.get(&from).is_none_or(|p| p.zombie) =>
            {
                return;
            }
            Message::ToMaster(from, message, part) => {
                if self.master.accepts(from, &message)
                    && let (ToMaster::TaskDone { task, .. }, Some(part)) = (&message, part)
                {
                    assert_eq!(self.parts.insert(*task, part), None, "{task} counts twice");
                }
                if let ToMaster::TaskDone { task, attempt, .. } = &message {
                    self.done.insert(*task);
                    // Its run counts from here on, and not everybody has heard of it.
                    let counts = is_speculative(*attempt) && self.master.accepts(from, &message);
                    if counts && self.helpers_lost < 3 && self.seed.one_in(2) {
                        (self.helpers_lost, self.losses) = (self.helpers_lost + 1, self.losses + 1);
                        self.kill(from);
                        self.network.push(Message::Left(from));
                    }
                }
                MasterEvent::Worker(from, message)
            }
            Message::Left(worker) => MasterEvent::Left(worker, "it was killed".into()),
            Message::Synced(seq) => MasterEvent::Synced(seq),
            Message::Published(batch) => MasterEvent::Published { batch },
            Message::Cut(batch, source) => {
                self.reference.up_to(batch);
                let count = self.reference.inputs(batch, source);
                let inputs = (0..count).map(|input| vec![range(batch, Partition(input))]).collect();
                MasterEvent::CutDone { batch, source, inputs, ended: batch >= self.last }
            }
            Message::Tick(at) => {
                self.now = self.now.max(at);
                MasterEvent::Tick
            }
        };
        self.now += self.seed.below(20);
        self.master.handle(self.now, event);
    }

    fn tell(&mut self, worker: WorkerId, event: WorkerEvent) {
        if let Some(process) = self.processes.get_mut(&worker) {
            process.core.handle(event);
        }
    }

    fn peer_hears(&mut self, to: WorkerId, message: ToPeer, contents: &[u64]) {
        let Some(process) = self.processes.get_mut(&to) else { return };
        match &message {
            ToPeer::Produced { task, blocks, .. } => {
                for ((tail, partition), content) in blocks.iter().zip(contents) {
                    let id = BlockId { producer: *task, tail: *tail, partition: *partition };
                    process.blocks.insert(id, *content);
                }
            }
            ToPeer::State { epoch, stage, partition } => {
                if process.core.expects_state(*epoch, *stage, *partition) {
                    let before = process.states.insert((*stage, *partition), Some(contents[0]));
                    assert_ne!(before, Some(None), "{stage}, {partition} comes while it is in use");
                }
            }
            ToPeer::Want { .. } => {}
        }
        process.core.handle(WorkerEvent::Peer(message));
    }

    fn loaded(&mut self, on: WorkerId, saved: Saved, recovery: Epoch) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let Saved { stage, partition, object, .. } = saved;
        if !process.core.expects_load(recovery, stage, partition) {
            return;
        }
        self.loads += u32::from(!object.is_empty());
        // A zombie may find that it went.
        let Some(state) = self.storage.get(&object).copied() else {
            return assert!(process.zombie, "{object} has gone");
        };
        let before = process.states.insert((stage, partition), Some(state));
        assert_ne!(before, Some(None), "{stage}, {partition} is loaded while it is in use");
        process.core.handle(WorkerEvent::Loaded { stage, partition, recovery });
    }

    fn ran(&mut self, on: WorkerId, task: TaskId, attempt: Attempt, result: u64) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let row = self.reference.plan.stage(task.stage);
        if row.state.is_some() {
            process.states.insert((task.stage, task.partition), Some(result));
        }
        let blocks = self.reference.blocks(task);
        for (tail, partition) in blocks.iter().copied() {
            let id = BlockId { producer: task, tail, partition };
            process.blocks.insert(id, content(id, result));
        }
        if has_output(self.reference.plan, task) {
            process.parts.insert((task, attempt), result);
        }
        let micros = self.seed.below(200_000) as u32;
        let tally = TaskTally { micros, content: result, ..TaskTally::default() };
        process.core.handle(WorkerEvent::Ran { task, attempt, blocks, tally });
    }

    /// The job is over: it has done everything, and what is over is kept nowhere.
    fn finish(&mut self) {
        assert_eq!(self.outcome, Some(Outcome::Done));
        assert_eq!(self.published.last(), Some(&self.last));
        let status = self.master.status(self.now);
        assert!(status.next > self.last);
    }
}

fn has_output(plan: &Plan, task: TaskId) -> bool {
    plan.stage(task.stage).tails.iter().any(|tail| matches!(tail, TailRow::Output(_)))
}

/// States that depend on states of all partitions.
fn chain() -> &'static Plan {
    plan(
        1,
        vec![
            stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Combine),
            stage(Tasks::PerPartition)
                .reads(Dependency::Shuffle, &[(0, 0)])
                .state()
                .tail(TailRow::Partition),
            stage(Tasks::PerPartition).reads(Dependency::Shuffle, &[(1, 0)]).tail(TailRow::Combine),
            stage(Tasks::PerPartition)
                .reads(Dependency::Shuffle, &[(2, 0)])
                .state()
                .tail(TailRow::Output(OutputId(0))),
        ],
    )
}

/// No state at all.
fn plain() -> &'static Plan {
    plan(
        1,
        vec![
            stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Combine),
            stage(Tasks::PerPartition)
                .reads(Dependency::Shuffle, &[(0, 0)])
                .tail(TailRow::Output(OutputId(0))),
        ],
    )
}

#[test]
fn what_is_published_is_the_same_whoever_is_lost() {
    let plans =
        [("word count", word_count()), ("rich", rich()), ("chain", chain()), ("plain", plain())];
    let (mut losses, mut zombies, mut again, mut loads) = (0, 0, 0, 0);
    let (mut twice, mut won, mut cancelled) = (0, 0, 0);
    for (name, plan) in plans {
        for seed in 1..=seeds(400) {
            // A panic says in which world.
            let run = std::panic::AssertUnwindSafe(|| {
                let mut world = World::new(plan, seed);
                world.run();
                world
            });
            let world = match std::panic::catch_unwind(run) {
                Ok(world) => world,
                Err(panic) => {
                    eprintln!("{name}, seed {seed}");
                    std::panic::resume_unwind(panic)
                }
            };
            losses += world.losses;
            zombies += world.zombies;
            again += world.again;
            loads += world.loads;
            let (runs, first) = world.master.speculations();
            (twice, won) = (twice + runs, won + first);
            cancelled += world.cancelled;
        }
    }
    // Otherwise nothing of it was tested.
    for (what, count) in
        [("losses", losses), ("zombies", zombies), ("run again", again), ("loaded", loads)]
    {
        assert!(count > 100, "{what}: {count}");
    }
    for (what, count) in [("run twice", twice), ("won", won), ("cancelled", u64::from(cancelled))] {
        assert!(count > 100, "{what}: {count}");
    }
    eprintln!("run twice {twice}, won by the second {won}, cancelled {cancelled}");
    eprintln!("losses {losses}, zombies {zombies}, run again {again}, loaded {loads}");
}
