//! The physical plan as a Graphviz drawing: stages as boxes, flows as arrows, shuffles dashed.

use std::fmt::Write as _;

use super::dump_stages::headline;
use super::flow::Movement;
use super::physical::Physical;

/// The drawing.
#[must_use]
pub fn physical(plan: &Physical) -> String {
    let mut text = format!("digraph {:?} {{\n", plan.header.name.to_string());
    text.push_str("  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    text.push_str("  edge [fontname=\"sans-serif\", fontsize=10];\n");
    for (index, stage) in plan.stages.iter().enumerate() {
        let operators: Vec<String> = stage
            .operators
            .iter()
            .map(|operator| &plan.operators[*operator])
            .map(|operator| format!("{} = {}", operator.stream, operator.operator.name))
            .collect();
        let label = format!("{index}: {}\n{}", headline(plan, stage), operators.join("\n"));
        _ = writeln!(text, "  s{index} [label={}];", quoted(&label));
    }
    for (index, stage) in plan.stages.iter().enumerate() {
        for flow in &stage.head.flows {
            let flow = &plan.flows[*flow];
            let style = match flow.form.kind.movement {
                Movement::Narrow => "solid",
                Movement::Shuffle | Movement::Gather => "dashed",
            };
            for (from, _) in &flow.from {
                let label = quoted(&flow.form.shown());
                _ = writeln!(text, "  s{from} -> s{index} [label={label}, style={style}];");
            }
        }
    }
    for (index, output) in plan.outputs.iter().enumerate() {
        let label = quoted(&output.name);
        _ = writeln!(text, "  o{index} [label={label}, shape=ellipse];");
        _ = writeln!(text, "  s{} -> o{index};", output.stage);
    }
    text.push_str("}\n");
    text
}

/// A label: quotes and backslashes escaped, lines left-aligned.
fn quoted(label: &str) -> String {
    let label = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\l");
    format!("\"{label}\\l\"")
}
