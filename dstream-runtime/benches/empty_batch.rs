//! The cost of an empty batch: the time from asking the source to publication, through 3 stages of 8
//! partitions, with a source and outputs that answer at once.
//!
//!     cargo bench -p dstream-runtime --bench empty_batch

#![allow(clippy::print_stdout)] // Prints results.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dstream_runtime::driver::{BatchReport, LocalConfig, Observer, StopHandle, run};
use dstream_runtime::exec::job::BuiltJob;
use dstream_runtime::exec::stage::RunStage;
use dstream_runtime::exec::state::State;
use dstream_runtime::exec::task::{Made, SavedState, TailMade, TaskContext, TaskError};
use dstream_runtime::id::{OperatorId, OutputId, SourceId, StageId, TailId};
use dstream_runtime::plan::{
    Dependency, InputRow, OutputRow, Plan, Report, SourceRow, StageRow, StateKind, StateRow,
    TailRow, Tasks,
};
use dstream_runtime::record::Format;
use dstream_runtime::sink::{Batch, Part, Sink, SinkError};
use dstream_runtime::source::{Cut, Source, SourceError};

static PLAN: Plan = Plan {
    job: "empty",
    file: file!(),
    line: line!(),
    about: "",
    interval_ms: 2,
    hash: 0,
    operators: &[],
    sources: &[SourceRow { id: SourceId(0), name: "views", operator: OperatorId(0), table: false }],
    outputs: &[OutputRow {
        id: OutputId(0),
        name: "counts",
        operator: OperatorId(0),
        stage: StageId(2),
        tail: TailId(0),
        print: None,
    }],
    stages: &[
        StageRow {
            id: StageId(0),
            name: "ones",
            tasks: Tasks::PerPartition,
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
            tails: &[TailRow::Partition],
        },
        StageRow {
            id: StageId(2),
            name: "again",
            tasks: Tasks::PerPartition,
            inputs: &[InputRow {
                from: &[(StageId(1), TailId(0))],
                dependency: Dependency::Shuffle,
            }],
            state: None,
            every: 1,
            emits_every: 1,
            operators: &[],
            tails: &[TailRow::Output(OutputId(0))],
        },
    ],
    report: Report { phases: &[], dot: "", code: "" },
};

struct Empty {
    output: bool,
    takes: Duration,
}

impl RunStage for Empty {
    fn run(&self, cx: &mut TaskContext<'_>, _: &mut Option<State>) -> Result<Made, TaskError> {
        let start = Instant::now();
        while start.elapsed() < self.takes {
            std::hint::spin_loop();
        }
        let made = if self.output {
            let part = Part {
                partition: cx.task.partition,
                records: 0,
                bytes: Arc::new(Vec::new()),
                header: Arc::from([]),
            };
            TailMade::Part { part, preview: Vec::new() }
        } else {
            TailMade::Blocks(Vec::new())
        };
        cx.made.tails.push(made);
        Ok(std::mem::take(&mut cx.made))
    }

    fn save(&self, _: &State) -> Result<SavedState, TaskError> {
        Ok(SavedState::default())
    }

    fn load(&self, _: &[SavedState]) -> Result<Option<State>, TaskError> {
        Ok(None)
    }
}

struct Silence {
    left: u64,
    live: bool,
}

impl Source for Silence {
    fn bounded(&self) -> bool {
        !self.live
    }

    fn cut(&mut self, _: usize) -> Result<Cut, SourceError> {
        self.left -= 1;
        Ok(Cut { ended: self.left == 0, ..Cut::default() })
    }

    fn immediate(&self) -> bool {
        true
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn format(&self) -> Option<Format> {
        None
    }

    fn publish(&mut self, _: &Batch) -> Result<(), SinkError> {
        Ok(())
    }

    fn immediate(&self) -> bool {
        true
    }
}

#[derive(Default)]
struct Times {
    processing: Vec<Duration>,
    delay: Vec<Duration>,
}

impl Observer for Times {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        self.processing.push(report.processing);
        self.delay.extend(report.delay);
    }
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what:<40} p50 {:>9.1?}  p90 {:>9.1?}  p99 {:>9.1?}  max {:>9.1?}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}

fn measure(what: &str, batches: u64, live: bool, in_flight: u32, takes: Duration) {
    let stages: Vec<Arc<dyn RunStage>> =
        [false, false, true].map(|output| Arc::new(Empty { output, takes }) as _).into();
    let job = BuiltJob {
        plan: &PLAN,
        stages,
        sources: Vec::new(),
        outputs: Vec::new(),
        connectors: dstream_runtime::connectors::Connectors::built_in(),
    };
    let config = LocalConfig { partitions: 8, cores: 2, in_flight, ..LocalConfig::default() };
    let mut times = Times::default();
    let (source, sink) = (Silence { left: batches, live }, Nowhere);
    let start = Instant::now();
    let done = run(
        job,
        config,
        vec![Box::new(source)],
        vec![Box::new(sink)],
        &mut times,
        StopHandle::new(),
    );
    let elapsed = start.elapsed();
    match done {
        Ok(summary) => {
            println!("{what}: {:.1?} per batch", elapsed / summary.batches.max(1) as u32);
            show("  from cut to published", times.processing);
            if live {
                show("  from its time to published", times.delay);
            }
        }
        Err(error) => println!("{what}: {error}"),
    }
}

fn main() {
    let nothing = Duration::ZERO;
    measure("warm-up", 1_000, false, 1, nothing);
    measure("bounded, one at a time", 20_000, false, 1, nothing);
    measure("bounded, four in flight", 20_000, false, 4, nothing);
    measure("live, every 2 ms", 2_000, true, 4, nothing);
    // 24 tasks on two executors take at least 240 µs; the rest is the cost of dispatching them.
    let task = Duration::from_micros(20);
    measure("tasks of 20 µs, one at a time", 5_000, false, 1, task);
    measure("tasks of 20 µs, four in flight", 5_000, false, 4, task);
    measure("tasks of 20 µs, live, every 2 ms", 2_000, true, 4, task);
}
