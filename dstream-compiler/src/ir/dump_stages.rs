//! The physical plan as text: stages with their bodies, and the flows between them.

use std::fmt::Write as _;

use super::physical::{FlowKind, Head, Physical, Stage, StateKind, Step, TailKind, Tasks, Use};
use super::rust_text::short;

/// The plan as it is.
#[must_use]
pub fn physical(plan: &Physical) -> String {
    let mut text = String::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        _ = writeln!(text, "stage {index}  {}", headline(plan, stage));
        uses(plan, stage, &stage.body, 1, &mut text);
    }
    for (index, flow) in plan.flows.iter().enumerate() {
        let from: Vec<String> =
            flow.from.iter().map(|(stage, tail)| format!("{stage}.{tail}")).collect();
        _ = writeln!(text, "flow {index}  {} from {}", kind(&flow.kind), from.join(", "));
    }
    text
}

/// What a stage reads, how many tasks it has, what it keeps.
pub(super) fn headline(plan: &Physical, stage: &Stage) -> String {
    let head = match &stage.head {
        Head::Source(source) => format!("source {source}"),
        Head::Merge { flow, .. } => format!("merge flow {flow}"),
        Head::Running { flow, .. } => format!("running merge flow {flow}"),
        Head::Rows { flow } => format!("rows flow {flow}"),
        Head::Window { flow, length } => format!("window of {length} flow {flow}"),
        Head::WindowReduce { flow, length, inverse, .. } => {
            let inverse = if inverse.is_some() { " with inverse" } else { "" };
            format!("window reduce of {length}{inverse} flow {flow}")
        }
        Head::Join { left, right } => format!("join flow {left} with flow {right}"),
        Head::Reduce { flow, .. } => format!("reduce flow {flow}"),
        Head::Count { flow } => format!("count flow {flow}"),
        Head::Top { flow } => format!("top flow {flow}"),
    };
    let tasks = match stage.tasks {
        Tasks::PerRange(source) => format!("per range of {}", plan.sources[source].name),
        Tasks::PerPartition => "per partition".to_owned(),
        Tasks::One => "one task".to_owned(),
    };
    let mut line = format!("{} = {head}, {tasks}", stage.stream);
    if let Some(state) = &stage.state {
        let kind = match state.kind {
            StateKind::PreviousBatch => "previous batch".to_owned(),
            StateKind::Panes { panes, batches: 1 } => format!("{panes} panes"),
            StateKind::Panes { panes, batches } => format!("{panes} panes of {batches}"),
        };
        _ = write!(line, ", keeps {kind} until {}", state.cut_by);
    }
    if (stage.every, stage.emits_every) != (1, 1) {
        _ = write!(line, ", every {} emits every {}", stage.every, stage.emits_every);
    }
    line
}

fn uses(plan: &Physical, stage: &Stage, body: &[Use], depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    for item in body {
        match item {
            Use::Step { step, stream, body, .. } => {
                let (name, function) = match step {
                    Step::Map(f) => ("map", f),
                    Step::Filter(f) => ("filter", f),
                    Step::FilterMap(f) => ("filter_map", f),
                    Step::FlatMap(f) => ("flat_map", f),
                    Step::MapValues(f) => ("map_values", f),
                    Step::KeyBy(f) => ("key_by", f),
                };
                _ = writeln!(text, "{indent}{stream} = {name} {}", short(&function.expr));
                uses(plan, stage, body, depth + 1, text);
            }
            Use::Tail(tail) => {
                _ = writeln!(text, "{indent}tail {tail}: {}", tail_text(plan, stage.tails[*tail]));
            }
            Use::Score { tail, score } => {
                let kind = tail_text(plan, stage.tails[*tail]);
                _ = writeln!(text, "{indent}tail {tail}: {kind} by {}", short(&score.expr));
            }
        }
    }
}

fn tail_text(plan: &Physical, tail: TailKind) -> String {
    match tail {
        TailKind::Combine => "combine".to_owned(),
        TailKind::Spread => "spread".to_owned(),
        TailKind::SpreadOwn => "spread in the same partition".to_owned(),
        TailKind::Rows => "rows".to_owned(),
        TailKind::Fold => "fold".to_owned(),
        TailKind::Tally => "tally".to_owned(),
        TailKind::Top => "top".to_owned(),
        TailKind::Output(output) => format!("output {}", plan.outputs[output].name),
    }
}

/// A form of flow in words.
pub(super) fn kind(kind: &FlowKind) -> String {
    match kind {
        FlowKind::Combined(f) => format!("combined by {}", short(&f.expr)),
        FlowKind::Keyed => "by key".to_owned(),
        FlowKind::KeyedOwn => "by key, same partition".to_owned(),
        FlowKind::Rows => "rows, same partition".to_owned(),
        FlowKind::Fold(f) => format!("folded by {}, gathered", short(&f.expr)),
        FlowKind::Tally => "counts, gathered".to_owned(),
        FlowKind::Top(k) => format!("top {}, gathered", short(k)),
    }
}
