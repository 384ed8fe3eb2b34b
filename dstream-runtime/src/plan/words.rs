//! The wording of plan rows, shared by text and pictures.

use super::{Dependency, OperatorRow, Plan, StageRow, StateKind, TailRow, Tasks};
use crate::id::{StageId, TailId};

/// A duration in the largest units that express it exactly: `1s`, `500ms`, `1m30s`.
pub(crate) fn duration(ms: u64) -> String {
    let mut text = String::new();
    let mut rest = ms;
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        // One and a half seconds are 1500ms, not 1s500ms.
        let split = length == 1000 && !rest.is_multiple_of(1000);
        if rest >= length && !split {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A number of batches, with their duration.
pub(super) fn batches(plan: &Plan, n: u32) -> String {
    let length = duration(plan.interval_ms.saturating_mul(u64::from(n)));
    format!("{n} {} ({length})", if n == 1 { "batch" } else { "batches" })
}

pub(super) fn dependency(dependency: Dependency) -> &'static str {
    match dependency {
        Dependency::Narrow => "narrow",
        Dependency::Shuffle => "shuffle",
        Dependency::Gather => "gather",
    }
}

/// The wording of a dependency.
pub(super) fn needs(dependency: Dependency) -> &'static str {
    match dependency {
        Dependency::Narrow => "the same partition",
        Dependency::Shuffle => "a segment of every partition",
        Dependency::Gather => "every partition",
    }
}

pub(super) fn tasks(plan: &Plan, tasks: Tasks) -> String {
    match tasks {
        Tasks::PerRange(source) => match plan.sources.get(source.index()) {
            Some(row) => format!("one per range of {}", row.name),
            None => format!("one per range of {source}"),
        },
        Tasks::PerPartition => "one per partition".to_owned(),
        Tasks::One => "one".to_owned(),
    }
}

pub(super) fn tail(tail: TailRow) -> &'static str {
    match tail {
        TailRow::Combine => "combined by key, a segment per partition",
        TailRow::Partition => "distributed by key, a segment per partition",
        TailRow::Keep => "kept by key in its partition",
        TailRow::Rows => "kept as rows in its partition",
        TailRow::Partial => "folded into one partial value",
        TailRow::Broadcast => "sent to every partition",
        TailRow::Output(_) => "written to an output",
    }
}

/// The number of batches that state reaches back, not counting this one for previous values.
pub(super) fn retained(state: StateKind) -> u32 {
    match state {
        StateKind::PreviousBatch
        | StateKind::Expiring { .. }
        | StateKind::Waking { .. }
        | StateKind::EventPanes { .. }
        | StateKind::Sessions { .. }
        | StateKind::EventSides { .. }
        | StateKind::Watermark => 1,
        StateKind::Panes { panes, batches } => panes.saturating_mul(batches),
    }
}

pub(super) fn state(plan: &Plan, state: StateKind) -> String {
    match state {
        StateKind::PreviousBatch => "the previous value of every key".to_owned(),
        StateKind::EventPanes { length_ms, slide_ms } => format!(
            "open windows of {} every {} of event time",
            duration(length_ms),
            duration(slide_ms)
        ),
        StateKind::Sessions { gap_ms } => {
            format!("open sessions with gaps of {} of event time", duration(gap_ms))
        }
        StateKind::EventSides { ms } => {
            format!("the records of both sides within {} of event time", duration(ms))
        }
        StateKind::Watermark => "the greatest event time of every split".to_owned(),
        StateKind::Expiring { ms } => {
            format!("the previous value of every key of the last {}", duration(ms))
        }
        StateKind::Waking { ms: Some(ms) } => {
            format!("the state of every key of the last {}", duration(ms))
        }
        StateKind::Waking { ms: None } => "the state and the timers of every key".to_owned(),
        StateKind::Panes { panes, batches: of } => {
            let panes = format!("{panes} {}", if panes == 1 { "pane" } else { "panes" });
            format!("{panes} of {}", batches(plan, of))
        }
    }
}

/// The batches in which a stage runs, unless it runs in all.
pub(super) fn rhythm(plan: &Plan, stage: &StageRow) -> Option<String> {
    let every = |n: u32| format!("every {}", batches(plan, n));
    match (stage.every, stage.emits_every) {
        (0 | 1, 0 | 1) => None,
        (0 | 1, emits) => Some(format!("every batch; emits {}", every(emits))),
        (runs, emits) if emits <= runs => Some(every(runs)),
        (runs, emits) => Some(format!("{}; emits {}", every(runs), every(emits))),
    }
}

/// The operators of a stage, in order.
pub(super) fn operators<'p>(
    plan: &'p Plan,
    stage: &'p StageRow,
) -> impl Iterator<Item = &'p OperatorRow> {
    stage.operators.iter().filter_map(|id| plan.operators.get(id.index()))
}

/// The stages that read a tail.
pub(super) fn readers(
    plan: &Plan,
    stage: StageId,
    tail: TailId,
) -> impl Iterator<Item = &'static StageRow> {
    let reads = move |reader: &&StageRow| {
        reader.inputs.iter().any(|input| input.from.contains(&(stage, tail)))
    };
    plan.stages.iter().filter(reads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_and_short() {
        let said = [0, 5, 1000, 1500, 30_000, 60_000, 90_000, 3_600_000, 5_400_000, 61_500];
        let said: Vec<_> = said.into_iter().map(duration).collect();
        let expected =
            ["0s", "5ms", "1s", "1500ms", "30s", "1m", "1m30s", "1h", "1h30m", "1m1500ms"];
        assert_eq!(said, expected);
    }
}
