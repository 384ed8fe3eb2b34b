//! Workers that are slow, get slow, are well again, or do not move for a while, in a world that has a clock:
//! tasks take as long as what they read, times how slow their worker is, and each worker runs one at a time.
//!
//! Whoever is slow, every batch is published once, in order, with exactly what it has without workers, and
//! each task counts once. Nothing runs twice in a steady world. A slow worker costs less with second runs
//! than without, loses partitions, and gets them back.

use std::collections::BTreeMap;

use super::reference::{Reference, State, content, result};
use super::world::range;
use super::{Seed, rich, seeds};
use crate::id::*;
use crate::plan::{Plan, TailRow, Tasks};
use crate::sched::master::Outcome;
use crate::sched::message::*;
use crate::sched::testplan::word_count;
use crate::sched::worker::RunTask;
use crate::sched::*;
use crate::source::Range;
use crate::time::Timetable;

const WORKERS: u32 = 4;
/// How long a task takes that reads one unit, in milliseconds.
const READ_MS: u64 = 200;
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
}

impl Event {
    /// Where it happens, if not at the master.
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
    blocks: BTreeMap<BlockId, u64>,
    states: BTreeMap<State, Option<u64>>,
    parts: BTreeMap<(TaskId, Attempt), u64>,
    /// What waits for its turn; the oldest goes first.
    queue: BTreeMap<(TaskId, Attempt), u64>,
    /// With its result, how long it takes, and its number among all runs.
    running: Option<(TaskId, Attempt, u64, u64, u64)>,
}

/// When a worker is how slow, in milliseconds.
#[derive(Clone, Copy)]
struct Spell {
    worker: WorkerId,
    from: u64,
    until: u64,
    /// It does not move at all.
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
    /// Whether a task can be stopped on its way.
    stops: bool,
    /// How much the time of tasks varies, in percent.
    jitter: u64,
    last: BatchSeq,
    parts: BTreeMap<TaskId, u64>,
    published: Vec<(BatchSeq, u64)>,
    begun: BTreeMap<BatchSeq, u64>,
    outcome: Option<Outcome>,
    cancelled: u32,
    /// How slow who was said to be, and how many partitions it then owned.
    said: Vec<(WorkerId, u32, u32)>,
    /// One task makes something else each time, if it is not none.
    liar: Option<TaskId>,
}

impl World {
    fn new(plan: &'static Plan, number: u64, batches: u64, speculate: bool) -> Self {
        let mut seed = Seed(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (partitions, first) = (8, BatchSeq(1));
        let config = MasterConfig {
            partitions,
            in_flight: 1 + seed.below(3) as u32,
            attempts: 3,
            workers: WORKERS,
            lease_ms: None,
            checkpoint_ms: Some(1000),
            speculate,
            timetable: Timetable::new(0, 1000),
            live: vec![false; plan.sources.len()],
            first,
            term: 0,
        };
        let process = |id| Process {
            core: WorkerCore::new(id, plan, partitions, 1, Retention::Released),
            blocks: BTreeMap::new(),
            states: BTreeMap::new(),
            parts: BTreeMap::new(),
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

    /// The median time of the batches from one on, in milliseconds.
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
            Tasks::PerRange(_) => READ_MS * size(task.batch, task.partition),
            _ => MERGE_MS,
        };
        let took = base * times * vary / 100;
        let number = self.number;
        process.running = Some((task, attempt, result, took, number));
        self.after(took, Event::Ran(on, number));
    }

    fn master_asks(&mut self, action: MasterAction) {
        match action {
            MasterAction::Cut { batch, source } => self.after(1, Event::Cut(batch, source)),
            MasterAction::Tell(to, message) => {
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
            MasterAction::Slow { worker, factor, partitions } => {
                self.said.push((worker, factor, partitions));
            }
            MasterAction::Finish(outcome) => self.outcome = Some(outcome),
            MasterAction::Obsolete(_) | MasterAction::Unneeded { .. } => {}
            other => panic!("nobody comes or goes: {other:?}"),
        }
    }

    /// What is published is exactly what a run without faults publishes.
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
                let is_it =
                    |(t, a, ..): &mut (TaskId, Attempt, u64, u64, u64)| (*t, *a) == (task, attempt);
                let stops = self.stops && process.running.take_if(is_it).is_some();
                if stops || process.queue.remove(&(task, attempt)).is_some() {
                    self.cancelled += 1;
                    process.core.handle(WorkerEvent::Cancelled { task, attempt });
                }
            }
            WorkerAction::Report(message) => {
                let part = match &message {
                    ToMaster::TaskDone { task, attempt, .. } => {
                        process.parts.remove(&(*task, *attempt))
                    }
                    _ => None,
                };
                self.after(1, Event::ToMaster(from, message, part));
            }
            WorkerAction::Tell(to, message) => {
                let contents = match &message {
                    ToPeer::Produced { task, blocks, .. } => {
                        let id = |(tail, partition): &(TailId, Partition)| BlockId {
                            producer: *task,
                            tail: *tail,
                            partition: *partition,
                        };
                        blocks.iter().map(|block| process.blocks[&id(block)]).collect()
                    }
                    _ => Vec::new(),
                };
                self.after(delay, Event::ToPeer(to, message, contents));
            }
            WorkerAction::SendState { to, epoch, stage, partition } => {
                let state = process.states.remove(&(stage, partition)).unwrap_or(Some(0));
                let state = state.expect("it is in use");
                let message = ToPeer::State { epoch, stage, partition };
                self.after(delay, Event::ToPeer(to, message, vec![state]));
            }
            WorkerAction::Save { stage, partition, after, .. } => {
                let saved = Saved { stage, partition, after, objects: vec!["saved".to_owned()] };
                self.after(20, Event::Saved(from, saved));
            }
            WorkerAction::Discard { stage, partition } => {
                process.states.remove(&(stage, partition));
            }
            WorkerAction::Forget { oldest } => {
                process.blocks.retain(|block, _| block.producer.batch >= oldest);
            }
            WorkerAction::Load { .. } | WorkerAction::Drop { .. } => panic!("nobody is lost"),
        }
    }

    fn start(&mut self, on: WorkerId, run: &RunTask) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let (task, row) = (run.task, self.reference.plan.stage(run.task.stage));
        let content = |id: &BlockId| {
            let content = process.blocks.get(id);
            (*id, *content.unwrap_or_else(|| panic!("{task} reads {id:?}, which is not here")))
        };
        let inputs: Vec<Vec<_>> =
            run.inputs.iter().map(|input| input.iter().map(content).collect()).collect();
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
        process.queue.insert((task, run.attempt), result);
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
                let count = 8;
                let input = |input| {
                    let range = range(batch, Partition(input));
                    let end = range.start + size(batch, Partition(input));
                    vec![Range { end, ..range }]
                };
                let inputs: Vec<_> = (0..count).map(input).collect();
                self.reference.cut(batch, source, inputs.clone());
                let ended = batch >= self.last;
                MasterEvent::CutDone { batch, source, inputs, position: None, ended }
            }
            Event::Tick => MasterEvent::Tick,
        };
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
                    process.states.insert((*stage, *partition), Some(contents[0]));
                }
            }
            ToPeer::Want { .. } => {}
        }
        process.core.handle(WorkerEvent::Peer(message));
    }

    fn ran(&mut self, on: WorkerId, number: u64) {
        let Some(process) = self.processes.get_mut(&on) else { return };
        let run = process.running.take_if(|(.., of)| *of == number);
        let Some((task, attempt, result, took, _)) = run else { return };
        if self.reference.plan.stage(task.stage).state.is_some() {
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
        let lie = if self.liar == Some(task) { u64::from(on.0) } else { 0 };
        let tally =
            TaskTally { micros: took as u32 * 1000, content: result ^ lie, ..TaskTally::default() };
        process.core.handle(WorkerEvent::Ran { task, attempt, blocks, tally });
    }
}

/// How much a task reads.
fn size(batch: BatchSeq, partition: Partition) -> u64 {
    1 + (batch.0 * 7 + u64::from(partition.0)) % 2
}

fn has_output(plan: &Plan, task: TaskId) -> bool {
    plan.stage(task.stage).tails.iter().any(|tail| matches!(tail, TailRow::Output(_)))
}

fn slow(worker: u32, from: u64, until: u64, times: u64) -> Spell {
    Spell { worker: WorkerId(worker), from, until, frozen: false, times }
}

#[test]
fn whoever_is_slow_or_does_not_move_everything_is_published_once() {
    let (mut runs, mut won, mut cancelled, mut weighed) = (0, 0, 0, 0);
    for (name, plan) in [("word count", word_count()), ("rich", rich())] {
        for number in 1..=seeds(25) {
            let run = std::panic::AssertUnwindSafe(|| {
                let mut world = World::new(plan, number, 30, true);
                world.stops = world.seed.one_in(2);
                world.jitter = [0, 20, 100][world.seed.below(3) as usize];
                for _ in 0..world.seed.below(6) {
                    let from = world.seed.below(10_000);
                    let until = from + world.seed.below(10_000);
                    let (worker, times) = (world.seed.below(4) as u32, 2 + world.seed.below(10));
                    let frozen = world.seed.one_in(3);
                    world.spells.push(Spell { frozen, ..slow(worker, from, until, times) });
                }
                world.run();
                world
            });
            let world = std::panic::catch_unwind(run).unwrap_or_else(|panic| {
                eprintln!("{name}, seed {number}");
                std::panic::resume_unwind(panic)
            });
            assert_eq!(world.outcome, Some(Outcome::Done), "{name}, seed {number}");
            assert_eq!(world.published.len(), 30, "{name}, seed {number}");
            let counts = world.master.speculations();
            (runs, won) = (runs + counts.0, won + counts.1);
            cancelled += world.cancelled;
            weighed += world.said.len();
        }
    }
    // Otherwise nothing of it was tested.
    eprintln!("second runs {runs}, won {won}, cancelled {cancelled}, weighed {weighed}");
    assert!(won > 20 && runs > won, "{runs}, {won}");
    assert!(cancelled > 20 && weighed > 5, "{cancelled}, {weighed}");
}

#[test]
fn nothing_runs_twice_in_a_steady_world() {
    for number in 1..=seeds(25) {
        let mut world = World::new(word_count(), number, 20, true);
        world.run();
        assert_eq!(world.master.speculations(), (0, 0), "seed {number}");
        assert_eq!(world.said, [], "seed {number}");
    }
}

#[test]
fn a_slow_worker_costs_little_with_second_runs() {
    let (mut normal, mut with, mut without) = (0, 0, 0);
    for number in 1..=8 {
        let median = |times, speculate| {
            let mut world = World::new(word_count(), number, 24, speculate);
            world.spells.push(slow(1, 0, u64::MAX, times));
            world.run();
            world.median(1)
        };
        (normal, with) = (normal + median(1, true), with + median(5, true));
        without += median(5, false);
    }
    assert!(with * 10 <= normal * 18, "{normal} ms, with second runs {with}, without {without}");
    assert!(without > 3 * normal, "{normal} ms, with second runs {with}, without {without}");
}

#[test]
fn a_slow_worker_loses_partitions_until_it_is_well() {
    for number in 1..=8 {
        let mut world = World::new(word_count(), number, 60, true);
        world.spells.push(slow(1, 3000, 18_000, 5));
        world.run();
        let said: Vec<_> = world
            .said
            .iter()
            .map(|(worker, factor, left)| (*worker, *factor > 1000, *left))
            .collect();
        let expected = [(WorkerId(1), true, 1), (WorkerId(1), false, 2)];
        assert_eq!(said, expected, "seed {number}: {:?}", world.said);
    }
}

#[test]
fn two_runs_that_make_different_things_end_the_job() {
    let mut found = 0;
    for number in 1..=20 {
        let mut world = World::new(word_count(), number, 12, true);
        world.spells.push(slow(1, 0, 100_000, 3));
        world.stops = false;
        let tasks = (1..=12).flat_map(|batch| (0..8).map(move |p| (BatchSeq(batch), Partition(p))));
        let tasks: Vec<_> = tasks.collect();
        let (batch, partition) = tasks[world.seed.below(tasks.len() as u64) as usize];
        let liar = TaskId { batch, stage: StageId(0), partition };
        world.liar = Some(liar);
        world.run();
        match world.outcome {
            Some(Outcome::Failed(master::Cause::Differs { task })) => {
                assert_eq!(task, liar);
                found += 1;
            }
            other => assert_eq!(other, Some(Outcome::Done), "seed {number}"),
        }
    }
    assert!(found > 0);
}
