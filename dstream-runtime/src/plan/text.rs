//! The plan as text for a terminal of 100 columns, and its lineage as a table.

use std::fmt::Write;

use super::{Plan, StageRow, StateKind, TailRow, words};
use crate::id::TailId;

/// Column before which lines are broken; longer names are not broken.
const WIDTH: usize = 100;
/// Column of a stage's values.
const INDENT: usize = 14;
/// Longest cell of the lineage table.
const CELL: usize = 26;

/// The whole plan: the logical plan after each phase, the stages, the lineage table.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let interval = words::duration(plan.interval_ms);
    // Writing to a string does not fail.
    let _ = writeln!(out, "job {}   interval {interval}   plan {:016x}", plan.job, plan.hash);
    let _ = writeln!(out, "{}:{}", plan.file, plan.line);
    let about = wrapped(plan.about, WIDTH);
    if !about.is_empty() {
        let _ = writeln!(out, "\n{}", about.join("\n"));
    }
    for (phase, text) in plan.report.phases {
        heading(&mut out, phase);
        out.push_str(text.trim_end());
        out.push('\n');
    }
    heading(&mut out, "stages");
    for (i, row) in plan.stages.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        stage(&mut out, plan, row);
    }
    heading(&mut out, "lineage");
    out.push_str(&lineage(plan));
    out
}

fn heading(out: &mut String, title: &str) {
    let rule = "─".repeat(WIDTH.saturating_sub(title.chars().count() + 4));
    let _ = writeln!(out, "\n── {title} {rule}\n");
}

/// A stage: its name, and a line or more per property.
fn stage(out: &mut String, plan: &Plan, row: &StageRow) {
    let _ = writeln!(out, "{:<INDENT$}{}", row.id.to_string(), row.name);
    let operators: Vec<String> = words::operators(plan, row)
        .map(|operator| format!("{} ({})", operator.name, operator.stream))
        .collect();
    if !operators.is_empty() {
        entry(out, "operators", &operators.join(" → "));
    }
    entry(out, "tasks", &words::tasks(plan, row.tasks));
    if let Some(rhythm) = words::rhythm(plan, row) {
        entry(out, "runs", &rhythm);
    }
    for input in row.inputs {
        let from: Vec<String> = input
            .from
            .iter()
            .map(|(stage, tail)| format!("{stage} {tail} ({})", plan.stage(*stage).name))
            .collect();
        let (kind, needs) = (words::dependency(input.dependency), words::needs(input.dependency));
        entry(out, "input", &format!("{kind}: {needs} of {}", from.join(", then of ")));
    }
    if let Some(state) = &row.state {
        let kept = words::batches(plan, words::retained(state.kind));
        let what = words::state(plan, state.kind);
        let cut = state.cut_by;
        let text = format!("{}: {what}; kept for {kept}; lineage cut by {cut}", state.name);
        entry(out, "state", &text);
    }
    for (i, tail) in row.tails.iter().enumerate() {
        let id = TailId(i as u16);
        entry(out, &id.to_string(), &tail_text(plan, row, id, *tail));
    }
}

fn tail_text(plan: &Plan, row: &StageRow, id: TailId, tail: TailRow) -> String {
    if let TailRow::Output(output) = tail {
        let Some(output) = plan.outputs.get(output.index()) else {
            return output.to_string();
        };
        return match output.print {
            Some(n) => format!("output {}: the first {n} records are printed", output.name),
            None => format!("output {}", output.name),
        };
    }
    let readers: Vec<String> =
        words::readers(plan, row.id, id).map(|reader| reader.id.to_string()).collect();
    let made = words::tail(tail);
    if readers.is_empty() {
        made.to_owned()
    } else {
        format!("{made}, for {}", readers.join(" and "))
    }
}

/// A label and its text, wrapped with aligned lines.
fn entry(out: &mut String, label: &str, text: &str) {
    let mut label = format!("  {label}");
    for line in wrapped(text, WIDTH - INDENT) {
        let _ = writeln!(out, "{label:<INDENT$}{line}");
        label.clear();
    }
}

/// Wraps text into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The lineage table: for each stage, the needs of a partition, its state, and what cuts its lineage.
#[must_use]
pub fn lineage(plan: &Plan) -> String {
    let head = ["STAGE", "NAME", "NEEDS", "KEEPS", "FOR", "LINEAGE ENDS AT"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(plan.stages.iter().map(|stage| lineage_row(plan, stage)));
    let widths: [usize; 6] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn lineage_row(plan: &Plan, stage: &StageRow) -> [String; 6] {
    let source = stage.source().and_then(|source| plan.sources.get(source.index()));
    let mut needs: Vec<String> =
        source.map(|row| format!("range {}", row.name)).into_iter().collect();
    for input in stage.inputs {
        let from: Vec<String> = input.from.iter().map(|(id, _)| id.0.to_string()).collect();
        needs.push(format!("{} {}", words::dependency(input.dependency), from.join("+")));
    }
    let (keeps, kept) = match &stage.state {
        Some(state) => {
            let keeps = match state.kind {
                StateKind::PreviousBatch
                | StateKind::Expiring { .. }
                | StateKind::Waking { .. } => "previous".to_owned(),
                StateKind::EventPanes { .. } => "open windows".to_owned(),
                StateKind::Sessions { .. } => "open sessions".to_owned(),
                StateKind::EventSides { .. } => "both sides".to_owned(),
                StateKind::Watermark => "times".to_owned(),
                StateKind::Panes { panes, .. } => format!("{panes} panes"),
            };
            (keeps, words::batches(plan, words::retained(state.kind)))
        }
        None => ("-".to_owned(), "-".to_owned()),
    };
    let ends = match (&stage.state, source) {
        (Some(state), _) => state.cut_by,
        (None, Some(_)) => "its range",
        (None, None) => "its inputs",
    };
    let cells = [stage.id.0.to_string(), stage.name.to_owned(), needs.join(", "), keeps, kept];
    let [id, name, needs, keeps, kept] = cells.map(|cell| shortened(&cell, CELL));
    [id, name, needs, keeps, kept, ends.to_owned()]
}

/// The text, or its beginning with an ellipsis.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::super::example::PLAN;
    use super::*;

    #[test]
    fn stages_say_what_they_need_keep_and_make() {
        let text = text(&PLAN);
        let at = text.find("\nstage 1 ").unwrap();
        let stage: Vec<&str> = text[at + 1..].lines().take_while(|line| !line.is_empty()).collect();
        let expected = [
            "stage 1       counts",
            "  operators   running_reduce (counts)",
            "  tasks       one per partition",
            "  input       shuffle: a segment of every partition of stage 0 tail 0 (views → ones)",
            "  state       counts: the previous value of every key; kept for 1 batch (1s); lineage cut by",
            "              checkpoint",
            "  tail 0      output counts",
            "  tail 1      kept by key in its partition, for stage 3",
        ];
        assert_eq!(stage, expected);
        assert!(text.contains(
            "  tail 0      combined by key, a segment per partition, for stage 1 and stage 2\n"
        ));
        assert!(text.contains("every 10 batches (10s)"));
        assert!(text.contains("── normalized ──"));
    }

    #[test]
    fn lines_fit_a_terminal() {
        for line in text(&PLAN).lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line, line.trim_end());
        }
    }

    #[test]
    fn the_lineage_table_is_aligned() {
        let table = lineage(&PLAN);
        let lines: Vec<&str> = table.lines().collect();
        let expected = [
            "STAGE  NAME              NEEDS               KEEPS     FOR               LINEAGE ENDS AT",
            "0      views → ones      range views         -         -                 its range",
            "1      counts            shuffle 0           previous  1 batch (1s)      checkpoint",
            "2      recent            shuffle 0           30 panes  30 batches (30s)  checkpoint of panes",
            "3      joined            narrow 2, narrow 1  -         -                 its inputs",
            "4      people → by_page  range people        -         -                 its range",
            "5      top               gather 3+4          -         -                 its inputs",
        ];
        assert_eq!(lines, expected);
    }
}
