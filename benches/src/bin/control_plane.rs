//! The cost of a master's decisions in a large cluster: its core alone, driven by events of 1,000 workers
//! with 10,000 partitions, with batches of 100 ms of a word count. Prints its time per batch for the first
//! and last batches, as a share of a core, and the cost of a worker that joins or is drained.
//!
//!     cargo run --release -p dstream-bench --bin control_plane

#![allow(clippy::print_stdout)] // Prints results.

use std::time::{Duration, Instant};

use clap::Parser;
use dstream_runtime::id::{
    Attempt, BatchSeq, Epoch, OperatorId, OutputId, Partition, SourceId, StageId, TailId, TaskId,
    WorkerId,
};
use dstream_runtime::plan::{
    Dependency, InputRow, OutputRow, Plan, Report, SourceRow, StageRow, StateKind, StateRow,
    TailRow, Tasks,
};
use dstream_runtime::sched::message::{EngineTime, TaskTally, ToMaster, ToWorker};
use dstream_runtime::sched::{MasterAction, MasterConfig, MasterCore, MasterEvent};
use dstream_runtime::source::Range;
use dstream_runtime::time::Timetable;

/// Lines → words by key, counted overall → the most frequent ones.
static PLAN: Plan = Plan {
    job: "word_count",
    file: file!(),
    line: line!(),
    about: "",
    interval_ms: 100,
    hash: 0,
    operators: &[],
    sources: &[SourceRow { id: SourceId(0), name: "lines", operator: OperatorId(0), table: false }],
    outputs: &[OutputRow {
        id: OutputId(0),
        name: "counts",
        operator: OperatorId(0),
        stage: StageId(1),
        tail: TailId(0),
        print: None,
    }],
    stages: &[
        StageRow {
            id: StageId(0),
            name: "words",
            tasks: Tasks::PerRange(SourceId(0)),
            inputs: &[],
            state: None,
            every: 1,
            emits_every: 1,
            operators: &[],
            tails: &[TailRow::Combine],
        },
        StageRow {
            id: StageId(1),
            name: "counts",
            tasks: Tasks::PerPartition,
            inputs: &[InputRow {
                from: &[(StageId(0), TailId(0))],
                dependency: Dependency::Shuffle,
            }],
            state: Some(StateRow {
                kind: StateKind::PreviousBatch,
                name: "counts",
                cut_by: "checkpoint",
                timed: false,
            }),
            every: 1,
            emits_every: 1,
            operators: &[],
            tails: &[TailRow::Output(OutputId(0)), TailRow::Partial],
        },
        StageRow {
            id: StageId(2),
            name: "top",
            tasks: Tasks::One,
            inputs: &[InputRow {
                from: &[(StageId(1), TailId(1))],
                dependency: Dependency::Gather,
            }],
            state: None,
            every: 1,
            emits_every: 1,
            operators: &[],
            tails: &[],
        },
    ],
    report: Report { phases: &[], dot: "", code: "" },
};

const INTERVAL_MS: u64 = 100;

#[derive(Parser)]
#[command(about = "The cost of a master's decisions in a large cluster")]
struct Options {
    /// Workers, with 4 slots each.
    #[arg(long, default_value_t = 1_000)]
    workers: u32,
    /// Partitions, and inputs per batch.
    #[arg(long, default_value_t = 10_000)]
    partitions: u32,
    /// How many batches.
    #[arg(long, default_value_t = 600)]
    batches: u64,
}

/// Time spent in the core. On a busy machine, the medians are reliable.
#[derive(Default)]
struct Meter {
    spent: Duration,
    calls: u64,
}

impl Meter {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.spent += start.elapsed();
        result
    }
}

/// A master's core, its workers and outputs.
struct Cluster {
    core: MasterCore,
    meter: Meter,
    now_ms: u64,
    /// Events for the master.
    events: Vec<MasterEvent>,
    tasks_done: u64,
    published: u64,
    partitions: u32,
    workers: u32,
}

impl Cluster {
    fn new(options: &Options) -> Self {
        let config = MasterConfig {
            partitions: options.partitions,
            in_flight: 4,
            attempts: 3,
            workers: options.workers,
            lease_ms: Some(400),
            checkpoint_ms: None,
            speculate: false,
            timetable: Timetable::new(0, INTERVAL_MS),
            batch_bytes: u64::MAX,
            publishes_empty: false,
            seen: vec![true; 9],
            live: vec![true],
            drains: vec![true],
            first: BatchSeq(1),
            term: 0,
            completes_stop: false,
        };
        let joined = |worker| MasterEvent::Worker(WorkerId(worker), ToMaster::Joined { slots: 4 });
        let meter = Meter::default();
        Self {
            core: MasterCore::new(&PLAN, config),
            meter,
            now_ms: 0,
            events: (0..options.workers).map(joined).collect(),
            tasks_done: 0,
            published: 0,
            partitions: options.partitions,
            workers: options.workers,
        }
    }

    /// Delivers events until there are none; measures the core only.
    fn settle(&mut self) {
        while !self.events.is_empty() {
            let events = std::mem::take(&mut self.events);
            self.meter.calls += events.len() as u64;
            let (core, now) = (&mut self.core, self.now_ms);
            let actions = self.meter.measure(|| {
                let mut actions = Vec::new();
                for event in events {
                    core.handle(now, event);
                    actions.extend(std::iter::from_fn(|| core.poll()));
                }
                actions
            });
            for action in &actions {
                self.answer(action);
            }
            // Dropping its actions is part of its cost; sending them is not.
            self.meter.measure(|| drop(actions));
        }
    }

    fn answer(&mut self, action: &MasterAction) {
        match action {
            MasterAction::Cut { batch, source, .. } => {
                let range = |input: u32| Range {
                    split: "lines".into(),
                    start: u64::from(input) * 1_000_000,
                    end: u64::from(input) * 1_000_000 + 100_000,
                };
                let inputs = (0..self.partitions).map(|input| vec![range(input)]).collect();
                let (batch, source) = (*batch, *source);
                self.events.push(MasterEvent::CutDone {
                    batch,
                    source,
                    inputs,
                    position: None,
                    ended: false,
                    waiting: false,
                });
            }
            MasterAction::Persist(seq, _) => self.events.push(MasterEvent::Synced(*seq)),
            MasterAction::Tell(worker, message) => self.worker_does(*worker, message),
            MasterAction::Publish { batch, .. } => {
                self.published += 1;
                self.events.push(MasterEvent::Published { batch: *batch });
            }
            _ => {}
        }
    }

    fn worker_does(&mut self, worker: WorkerId, message: &ToWorker) {
        match message {
            ToWorker::Place { epoch, .. } => {
                self.say(worker, ToMaster::Placed { epoch: *epoch });
                self.say(worker, ToMaster::Settled { epoch: *epoch });
            }
            ToWorker::Begin { epoch, batch, ranges, .. } => {
                for input in ranges {
                    for stage in [0, 1] {
                        self.task_done(worker, *epoch, *batch, stage, input.partition);
                    }
                    if input.partition == Partition(0) {
                        self.task_done(worker, *epoch, *batch, 2, input.partition);
                    }
                }
            }
            _ => {}
        }
    }

    fn task_done(
        &mut self,
        worker: WorkerId,
        epoch: Epoch,
        batch: BatchSeq,
        stage: u16,
        partition: Partition,
    ) {
        let task = TaskId { batch, stage: StageId(stage), partition };
        let (attempt, tally) = (Attempt(0), TaskTally::default());
        self.say(worker, ToMaster::TaskDone { epoch, task, attempt, tally });
        self.tasks_done += 1;
    }

    fn say(&mut self, worker: WorkerId, message: ToMaster) {
        self.events.push(MasterEvent::Worker(worker, message));
    }

    /// Runs a batch, with a heartbeat of every worker; returns the core's time.
    fn batch(&mut self) -> Duration {
        let before = self.meter.spent;
        self.now_ms += INTERVAL_MS;
        for worker in 0..self.workers {
            self.say(WorkerId(worker), ToMaster::Heartbeat { engine: EngineTime::default() });
        }
        self.settle();
        self.events.push(MasterEvent::Tick);
        self.settle();
        self.meter.spent - before
    }
}

fn show(what: &str, times: &[Duration]) {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let mean = times.iter().sum::<Duration>() / times.len() as u32;
    println!(
        "{what:<28} mean {mean:>8.2?}  p50 {:>8.2?}  p99 {:>8.2?}  max {:>8.2?}  {:>5.1} % of a core",
        at(0.5),
        at(0.99),
        at(1.0),
        mean.as_secs_f64() / (INTERVAL_MS as f64 / 1e3) * 100.0
    );
}

fn main() {
    let options = Options::parse();
    let mut cluster = Cluster::new(&options);
    cluster.settle();
    println!(
        "{} workers, {} partitions: placed in {:.2?}",
        options.workers, options.partitions, cluster.meter.spent
    );
    let calls = cluster.meter.calls;
    let spent = cluster.meter.spent;
    let times: Vec<_> = (0..options.batches.max(10)).map(|_| cluster.batch()).collect();
    assert_eq!(cluster.published, times.len() as u64, "every batch is published");
    let tenth = times.len() / 10;
    show("all batches", &times);
    show("the first tenth", &times[..tenth]);
    show("the last tenth", &times[times.len() - tenth..]);
    println!(
        "{:.0} ns per event ({} tasks per batch)",
        (cluster.meter.spent - spent).as_nanos() as f64 / (cluster.meter.calls - calls) as f64,
        cluster.tasks_done / cluster.published
    );

    let newcomer = WorkerId(cluster.workers);
    cluster.say(newcomer, ToMaster::Joined { slots: 4 });
    cluster.workers += 1;
    show("with one that joins", &[cluster.batch()]);
    cluster.events.push(MasterEvent::Drain(WorkerId(0)));
    show("with one that is drained", &[cluster.batch()]);
    let status = cluster.meter.spent;
    let now = cluster.now_ms;
    let core = &cluster.core;
    let members = cluster.meter.measure(|| core.status(now)).members.len();
    println!("status of {members} workers in {:.2?}", cluster.meter.spent - status);
}
