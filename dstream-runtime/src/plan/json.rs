//! The plan as JSON: all of its tables, for programs.

use serde_json::{Value, json};

use super::{Dependency, InputRow, OperatorRow, OutputRow, Plan, StageRow, StateKind, StateRow};
use super::{TailRow, Tasks, words};

/// All tables of the plan as one JSON value, pretty-printed.
#[must_use]
pub fn json(plan: &Plan) -> String {
    let mut text = format!("{:#}", value(plan));
    text.push('\n');
    text
}

fn value(plan: &Plan) -> Value {
    let phase = |(name, text): &(&str, &str)| json!({"name": name, "text": text});
    json!({
        "job": plan.job,
        "file": plan.file,
        "line": plan.line,
        "about": plan.about,
        "interval_ms": plan.interval_ms,
        "hash": format!("{:016x}", plan.hash),
        "operators": list(plan.operators, |row| operator(plan, row)),
        "sources": list(plan.sources, |row| {
            json!({"id": row.id, "name": row.name, "operator": row.operator})
        }),
        "outputs": list(plan.outputs, output),
        "stages": list(plan.stages, stage),
        "phases": list(plan.report.phases, phase),
    })
}

fn list<T>(rows: &[T], each: impl Fn(&T) -> Value) -> Value {
    rows.iter().map(each).collect()
}

fn operator(plan: &Plan, row: &OperatorRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "stream": row.stream,
        "file": row.file.unwrap_or(plan.file),
        "line": row.line,
        "column": row.column,
        "last_line": row.last_line,
    })
}

fn output(row: &OutputRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "operator": row.operator,
        "stage": row.stage,
        "tail": row.tail,
        "print": row.print,
    })
}

fn stage(row: &StageRow) -> Value {
    let tasks = match row.tasks {
        Tasks::PerRange(source) => json!({"per": "range", "source": source}),
        Tasks::PerPartition => json!({"per": "partition"}),
        Tasks::One => json!({"per": "batch"}),
    };
    json!({
        "id": row.id,
        "name": row.name,
        "tasks": tasks,
        "inputs": list(row.inputs, input),
        "state": row.state.as_ref().map(state),
        "every": row.every,
        "emits_every": row.emits_every,
        "operators": row.operators,
        "tails": list(row.tails, tail),
    })
}

fn input(row: &InputRow) -> Value {
    let dependency: Dependency = row.dependency;
    let from = list(row.from, |(stage, tail)| json!({"stage": stage, "tail": tail}));
    json!({"dependency": words::dependency(dependency), "from": from})
}

fn state(row: &StateRow) -> Value {
    let kind = match row.kind {
        StateKind::PreviousBatch => json!("previous_batch"),
        StateKind::EventPanes { length_ms, slide_ms } => {
            json!({ "length_ms": length_ms, "slide_ms": slide_ms })
        }
        StateKind::Sessions { gap_ms } => json!({ "gap_ms": gap_ms }),
        StateKind::EventSides { ms } => json!({"both_sides_ms": ms}),
        StateKind::Watermark => json!("watermark"),
        StateKind::Expiring { ms } => json!({"previous_batch": {"expire_after_ms": ms}}),
        StateKind::Waking { ms } => json!({"previous_batch": {"timeout_ms": ms}}),
        StateKind::Panes { panes, batches } => json!({"panes": panes, "batches": batches}),
    };
    let retained = words::retained(row.kind);
    json!({"name": row.name, "kind": kind, "retained_batches": retained, "cut_by": row.cut_by})
}

fn tail(row: &TailRow) -> Value {
    match row {
        TailRow::Combine => json!({"kind": "combine"}),
        TailRow::Partition => json!({"kind": "partition"}),
        TailRow::Keep => json!({"kind": "keep"}),
        TailRow::Rows => json!({"kind": "rows"}),
        TailRow::Partial => json!({"kind": "partial"}),
        TailRow::Broadcast => json!({"kind": "broadcast"}),
        TailRow::Output(output) => json!({"kind": "output", "output": output}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::PLAN;
    use super::*;

    #[test]
    fn every_table_is_there() {
        let value: Value = serde_json::from_str(&json(&PLAN)).unwrap();
        assert_eq!(value["hash"], "0123456789abcdef");
        assert_eq!(value["operators"].as_array().unwrap().len(), PLAN.operators.len());
        assert_eq!(value["stages"].as_array().unwrap().len(), PLAN.stages.len());
        let expected = json!({
            "id": 2, "name": "recent", "tasks": {"per": "partition"}, "every": 1, "emits_every": 10,
            "inputs": [{"dependency": "shuffle", "from": [{"stage": 0, "tail": 0}]}],
            "state": {"name": "recent", "kind": {"panes": 30, "batches": 1},
                "retained_batches": 30, "cut_by": "checkpoint of panes"},
            "operators": [4], "tails": [{"kind": "keep"}],
        });
        assert_eq!(value["stages"][2], expected);
        assert_eq!(value["outputs"][2]["print"], 10);
        assert_eq!(value["phases"][0]["name"], "parsed");
    }
}
