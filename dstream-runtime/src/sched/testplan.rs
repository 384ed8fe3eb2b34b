//! Plans for tests, written as rows.

use crate::id::{OperatorId, OutputId, SourceId, StageId, TailId};
use crate::plan::{
    Dependency, InputRow, OutputRow, Plan, Report, SourceRow, StageRow, StateKind, StateRow,
    TailRow, Tasks,
};

/// A stage to be.
pub(crate) struct Row {
    tasks: Tasks,
    inputs: Vec<(Vec<(u16, u16)>, Dependency)>,
    state: Option<StateKind>,
    every: u32,
    emits_every: u32,
    tails: Vec<TailRow>,
}

pub(crate) fn stage(tasks: Tasks) -> Row {
    Row { tasks, inputs: Vec::new(), state: None, every: 1, emits_every: 1, tails: Vec::new() }
}

impl Row {
    pub(crate) fn reads(mut self, dependency: Dependency, from: &[(u16, u16)]) -> Self {
        self.inputs.push((from.to_vec(), dependency));
        self
    }

    pub(crate) fn state(mut self) -> Self {
        self.state = Some(StateKind::PreviousBatch);
        self
    }

    /// Keeps what this many batches brought.
    pub(crate) fn window(mut self, panes: u32, batches: u32) -> Self {
        self.state = Some(StateKind::Panes { panes, batches });
        self
    }

    pub(crate) fn every(mut self, every: u32, emits_every: u32) -> Self {
        (self.every, self.emits_every) = (every, emits_every);
        self
    }

    pub(crate) fn tail(mut self, tail: TailRow) -> Self {
        self.tails.push(tail);
        self
    }
}

fn forever<T>(items: Vec<T>) -> &'static [T] {
    Box::leak(items.into_boxed_slice())
}

/// A plan with these stages, `sources` sources and an output per output tail.
pub(crate) fn plan(sources: u16, rows: Vec<Row>) -> &'static Plan {
    const NAMES: [&str; 4] = ["views", "clicks", "users", "more"];
    let mut outputs = Vec::new();
    let mut stages = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let id = StageId(index as u16);
        for (tail, kind) in row.tails.iter().enumerate() {
            if let TailRow::Output(output) = kind {
                let name = ["counts", "top", "third", "fourth"][output.index()];
                let (operator, tail) = (OperatorId(0), TailId(tail as u16));
                outputs.push(OutputRow {
                    id: *output,
                    name,
                    operator,
                    stage: id,
                    tail,
                    print: None,
                });
            }
        }
        let inputs = row.inputs.into_iter().map(|(from, dependency)| {
            let from = from.into_iter().map(|(stage, tail)| (StageId(stage), TailId(tail)));
            InputRow { from: forever(from.collect()), dependency }
        });
        stages.push(StageRow {
            id,
            name: "stage",
            tasks: row.tasks,
            inputs: forever(inputs.collect()),
            state: row.state.map(|kind| StateRow {
                kind,
                name: "counts",
                cut_by: "checkpoint",
                timed: true,
            }),
            every: row.every,
            emits_every: row.emits_every,
            operators: &[],
            tails: forever(row.tails),
        });
    }
    outputs.sort_by_key(|output| output.id);
    let sources = (0..sources).map(|id| SourceRow {
        id: SourceId(id),
        name: NAMES[id as usize],
        operator: OperatorId(0),
        table: false,
    });
    Box::leak(Box::new(Plan {
        job: "job",
        file: "job.rs",
        line: 1,
        about: "",
        interval_ms: 1000,
        hash: 7,
        operators: &[],
        sources: forever(sources.collect()),
        outputs: forever(outputs),
        stages: forever(stages),
        report: Report { phases: &[], dot: "", code: "" },
    }))
}

/// Reads the first source, for a shuffle.
pub(crate) fn reading() -> Row {
    stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Combine)
}

/// Reads the first tail of a stage over a shuffle.
pub(crate) fn shuffled(from: u16) -> Row {
    stage(Tasks::PerPartition).reads(Dependency::Shuffle, &[(from, 0)])
}

/// source → shuffle → counts with state → gather → output.
pub(crate) fn word_count() -> &'static Plan {
    plan(
        1,
        vec![
            reading(),
            shuffled(0).state().tail(TailRow::Output(OutputId(0))).tail(TailRow::Partial),
            stage(Tasks::One)
                .reads(Dependency::Gather, &[(1, 1)])
                .tail(TailRow::Output(OutputId(1))),
        ],
    )
}
