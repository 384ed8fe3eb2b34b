//! The physical plan as text: stages with their bodies, and the flows between them.

use std::fmt::Write as _;

use super::physical::{Physical, Stage, StateKind, Step, TailKind, Tasks, Use};
use crate::syntax::duration;

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
        _ = writeln!(text, "flow {index}  {} from {}", flow.form.shown(), from.join(", "));
    }
    text
}

/// What a stage reads, how many tasks it has, what it keeps.
pub(super) fn headline(plan: &Physical, stage: &Stage) -> String {
    let head = &stage.head;
    let mut words = (head.begin.words)(&head.arguments);
    if let Some(source) = head.source {
        _ = write!(words, " {source}");
    }
    for (at, flow) in head.flows.iter().enumerate() {
        _ = write!(words, "{} flow {flow}", if at == 0 { "" } else { " with" });
    }
    let tasks = match stage.tasks {
        Tasks::PerRange(source) => format!("per range of {}", plan.sources[source].name),
        Tasks::PerPartition => "per partition".to_owned(),
        Tasks::One => "one task".to_owned(),
    };
    let mut line = format!("{} = {words}, {tasks}", stage.stream);
    if let Some(state) = &stage.state {
        let kind = match state.kind {
            StateKind::PreviousBatch => "previous batch".to_owned(),
            StateKind::EventPanes { length, slide } => format!(
                "open windows of {} every {}",
                duration::show(length),
                duration::show(slide)
            ),
            StateKind::Sessions(gap) => {
                format!("open sessions with gaps of {}", duration::show(gap))
            }
            StateKind::EventSides(ms) => format!("both sides of {}", duration::show(ms)),
            StateKind::Watermark => "times".to_owned(),
            StateKind::Expiring(ms) => format!("previous batch for {}", duration::show(ms)),
            StateKind::Waking(Some(ms)) => format!("keys for {}", duration::show(ms)),
            StateKind::Waking(None) => "keys and timers".to_owned(),
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
            Use::Step { step: Step { operator, arguments, .. }, stream, body, .. } => {
                let (name, shown) = (operator.name, arguments.shown());
                _ = writeln!(text, "{indent}{stream} = {name} {shown}");
                uses(plan, stage, body, depth + 1, text);
            }
            Use::Tail { tail, entry } => {
                let kind = tail_text(plan, stage.tails[*tail]);
                _ = write!(text, "{indent}tail {tail}: {kind}");
                if let Some(entry) = entry {
                    _ = write!(text, " {}", entry.shown());
                }
                text.push('\n');
            }
        }
    }
}

fn tail_text(plan: &Physical, tail: TailKind) -> String {
    match tail {
        TailKind::Flow(kind) => kind.tail_words.to_owned(),
        TailKind::Output(output) => format!("output {}", plan.outputs[output].name),
    }
}
