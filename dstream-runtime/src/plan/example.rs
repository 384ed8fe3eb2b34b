//! A plan for tests: two sources, shuffles, a window, a join, a gather, three outputs.

use super::*;

const fn operator(id: u16, name: &'static str, stream: &'static str, line: u32) -> OperatorRow {
    let id = OperatorId(id);
    OperatorRow { id, name, stream, line, column: 9, last_line: line, file: None, silent: true }
}

const fn stage(
    id: u16,
    name: &'static str,
    tasks: Tasks,
    inputs: &'static [InputRow],
    operators: &'static [OperatorId],
    tails: &'static [TailRow],
) -> StageRow {
    let id = StageId(id);
    StageRow { id, name, tasks, inputs, state: None, every: 1, emits_every: 1, operators, tails }
}

const fn from(from: &'static [(StageId, TailId)], dependency: Dependency) -> InputRow {
    InputRow { from, dependency }
}

pub(crate) static PLAN: Plan = Plan {
    job: "page_views",
    file: "src/main.rs",
    line: 9,
    about: "Counts the views of every page, and shows which of them were viewed most in the last thirty \
            seconds & by how many <people>.",
    interval_ms: 1000,
    hash: 0x0123_4567_89ab_cdef,
    operators: &[
        operator(0, "json", "views", 10),
        operator(1, "map", "ones", 11),
        operator(2, "running_reduce", "counts", 12),
        operator(3, "save", "counts", 13),
        operator(4, "reduce_by_key_and_window", "recent", 14),
        operator(5, "join", "joined", 15),
        operator(6, "filter", "joined", 16),
        operator(7, "save", "joined", 17),
        operator(8, "top_k", "top", 18),
        operator(9, "print", "top", 19),
        operator(10, "csv", "people", 20),
        operator(11, "key_by", "by_page", 21),
    ],
    sources: &[
        SourceRow { id: SourceId(0), name: "views", operator: OperatorId(0), table: false },
        SourceRow { id: SourceId(1), name: "people", operator: OperatorId(10), table: false },
    ],
    outputs: &[
        OutputRow {
            id: OutputId(0),
            name: "counts",
            operator: OperatorId(3),
            stage: StageId(1),
            tail: TailId(0),
            print: None,
        },
        OutputRow {
            id: OutputId(1),
            name: "joined",
            operator: OperatorId(7),
            stage: StageId(3),
            tail: TailId(0),
            print: None,
        },
        OutputRow {
            id: OutputId(2),
            name: "top",
            operator: OperatorId(9),
            stage: StageId(5),
            tail: TailId(0),
            print: Some(10),
        },
    ],
    stages: &[
        stage(
            0,
            "views → ones",
            Tasks::PerRange(SourceId(0)),
            &[],
            &[OperatorId(0), OperatorId(1)],
            &[TailRow::Combine],
        ),
        StageRow {
            state: Some(StateRow {
                kind: StateKind::PreviousBatch,
                name: "counts",
                cut_by: "checkpoint",
                timed: false,
            }),
            ..stage(
                1,
                "counts",
                Tasks::PerPartition,
                &[from(&[(StageId(0), TailId(0))], Dependency::Shuffle)],
                &[OperatorId(2)],
                &[TailRow::Output(OutputId(0)), TailRow::Keep],
            )
        },
        StageRow {
            state: Some(StateRow {
                kind: StateKind::Panes { panes: 30, batches: 1 },
                name: "recent",
                cut_by: "checkpoint of panes",
                timed: true,
            }),
            emits_every: 10,
            ..stage(
                2,
                "recent",
                Tasks::PerPartition,
                &[from(&[(StageId(0), TailId(0))], Dependency::Shuffle)],
                &[OperatorId(4)],
                &[TailRow::Keep],
            )
        },
        StageRow {
            every: 10,
            emits_every: 10,
            ..stage(
                3,
                "joined",
                Tasks::PerPartition,
                &[
                    from(&[(StageId(2), TailId(0))], Dependency::Narrow),
                    from(&[(StageId(1), TailId(1))], Dependency::Narrow),
                ],
                &[OperatorId(5), OperatorId(6)],
                &[TailRow::Output(OutputId(1)), TailRow::Partial],
            )
        },
        stage(
            4,
            "people → by_page",
            Tasks::PerRange(SourceId(1)),
            &[],
            &[OperatorId(10), OperatorId(11)],
            &[TailRow::Partial],
        ),
        stage(
            5,
            "top",
            Tasks::One,
            &[from(&[(StageId(3), TailId(1)), (StageId(4), TailId(0))], Dependency::Gather)],
            &[OperatorId(8)],
            &[TailRow::Output(OutputId(2))],
        ),
    ],
    report: Report {
        phases: &[
            ("parsed", "views = json\nones = map(views)"),
            ("normalized", "ones = map(views)\n"),
        ],
        dot: "digraph {}",
        code: "fn stage_0() {}",
    },
};
