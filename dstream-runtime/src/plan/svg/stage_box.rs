//! The box of a stage: its operators, and below them its state and rhythm.

use super::super::layout::{Point, Size};
use super::super::text::shortened;
use super::super::{Plan, StageRow, TailRow, Tasks, words};
use super::ink::{escaped, mono, push, rect, sans, text};
use super::{LONGEST, PADDING};

const HEADER: i32 = 28;
const ROW: i32 = 22;
const MONO: &str = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";

/// The lines of text in the box of a stage.
pub(super) struct StageBox {
    pub(super) title: String,
    pub(super) tasks: String,
    /// (operator, stream)
    operators: Vec<(String, String)>,
    notes: Vec<String>,
    /// The full name, shown on hover.
    name: &'static str,
}

impl StageBox {
    pub(super) fn new(plan: &Plan, stage: &'static StageRow) -> Self {
        let written = stage.tails.iter().filter_map(|tail| match tail {
            TailRow::Output(output) => plan.outputs.get(output.index()).map(|row| row.operator),
            _ => None,
        });
        let written: Vec<_> = written.collect();
        let operators = words::operators(plan, stage)
            .filter(|operator| !written.contains(&operator.id))
            .map(|operator| (operator.name.to_owned(), shortened(operator.stream, LONGEST / 2)))
            .collect();
        let mut notes: Vec<String> = Vec::new();
        if let Some(state) = &stage.state {
            notes.push(format!("keeps {}", words::state(plan, state.kind)));
            notes.push(format!("lineage cut by {}", state.cut_by));
        }
        notes.extend(words::rhythm(plan, stage).map(|rhythm| format!("runs {rhythm}")));
        let tasks = match stage.tasks {
            Tasks::PerRange(_) => "task per range",
            Tasks::PerPartition => "task per partition",
            Tasks::One => "one task",
        };
        Self {
            title: stage.id.to_string(),
            tasks: tasks.to_owned(),
            operators,
            notes: notes.iter().map(|note| shortened(note, LONGEST)).collect(),
            name: stage.name,
        }
    }

    pub(super) fn size(&self) -> Size {
        let head = sans(&self.title, 12) + 24 + sans(&self.tasks, 11);
        let operator = |(name, stream): &(String, String)| mono(name, 12) + 14 + mono(stream, 12);
        let lines = self.operators.iter().map(operator);
        let notes = self.notes.iter().map(|note| sans(note, 11));
        let width = lines.chain(notes).fold(head, i32::max) + 2 * PADDING;
        let notes = self.notes.len() as i32;
        let band = if notes > 0 { notes * (ROW - 5) + 10 } else { 0 };
        let height = HEADER + self.operators.len() as i32 * ROW + 10 + band;
        Size { width, height }
    }

    pub(super) fn draw(&self, out: &mut String, at: Point, size: Size) {
        let Size { width, height } = size;
        let (x, y) = (at.x, at.y);
        let left = x + PADDING;
        push(out, format_args!("<g><title>{}</title>", escaped(self.name)));
        rect(out, "box", at, size, 8);
        // The head has the upper corners of the box.
        let (w, h) = (width - 2, HEADER - 1);
        push(
            out,
            format_args!(
                "<path class=\"head\" d=\"M{} {} v-{} a7 7 0 0 1 7 -7 h{} a7 7 0 0 1 7 7 v{} z\"/>",
                x + 1,
                y + HEADER,
                h - 7,
                w - 14,
                h - 7
            ),
        );
        text(out, "stage", left, y + 19, &self.title);
        let end = x + width - PADDING;
        push(
            out,
            format_args!(
                "<text class=\"side\" x=\"{end}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                y + 19,
                escaped(&self.tasks)
            ),
        );
        let mut line = y + HEADER + 20;
        for (name, stream) in &self.operators {
            push(
                out,
                format_args!(
                    "<text class=\"operator\" font-family=\"{MONO}\" x=\"{left}\" y=\"{line}\">{}\
                     <tspan class=\"stream\" dx=\"14\">{}</tspan></text>",
                    escaped(name),
                    escaped(stream)
                ),
            );
            line += ROW;
        }
        if !self.notes.is_empty() {
            let top = line - 15;
            let (w, h) = (width - 2, y + height - 1 - top);
            push(
                out,
                format_args!(
                    "<path class=\"state\" d=\"M{} {top} h{w} v{} a7 7 0 0 1 -7 7 h-{} a7 7 0 0 1 -7 -7 z\"/>",
                    x + 1,
                    h - 7,
                    w - 14
                ),
            );
            for note in &self.notes {
                text(out, "state-text", left, line + 2, note);
                line += ROW - 5;
            }
        }
        rect(out, "edge box", at, size, 8);
        out.push_str("</g>\n");
    }
}
