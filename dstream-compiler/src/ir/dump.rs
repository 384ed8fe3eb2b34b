//! The logical plan as text: one line per operator, in order of definition.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::logical::{Job, Op};
use super::rust_text;
use crate::op;
use crate::pass::parents;
use crate::pass::partitioning::Partitioning;

/// The plan as it is.
#[must_use]
pub fn logical(job: &Job) -> String {
    let rows = job.graph.node_indices().map(|node| {
        let [stream, call, details] = row(job, node);
        vec![stream, call, details]
    });
    columns(&rows.collect::<Vec<_>>())
}

/// The plan with what is known of the place of keys.
#[must_use]
pub fn partitioning(job: &Job, known: &BTreeMap<NodeIndex, Partitioning>) -> String {
    let rows = job.graph.node_indices().map(|node| {
        let [stream, call, _] = row(job, node);
        let known = known.get(&node).copied().unwrap_or_default();
        let place = match known.by_key_since {
            Some(since) if known.unique => {
                format!("by key since {}, each key once", job.graph[since].stream)
            }
            Some(since) => format!("by key since {}", job.graph[since].stream),
            None => String::new(),
        };
        vec![stream, call, place]
    });
    columns(&rows.collect::<Vec<_>>())
}

fn row(job: &Job, node: NodeIndex) -> [String; 3] {
    let weight = &job.graph[node];
    let parents: Vec<&str> =
        parents(job, node).into_iter().map(|parent| job.graph[parent].stream.as_str()).collect();
    let mut stream = weight.stream.clone();
    for merged in &weight.merged {
        stream.push_str(" = ");
        stream.push_str(&merged.stream);
    }
    let name = op::facts(&weight.op).name;
    let call = match &weight.op {
        Op::Source { record: Some(record), .. } => {
            format!("{name}::<{}>", rust_text::type_text(record))
        }
        Op::Source { .. } => name.to_owned(),
        Op::Save { .. } | Op::Print { .. } => {
            stream = format!("→ {stream}");
            format!("{name} ← {}", parents.join(", "))
        }
        _ => format!("{name} ← {}", parents.join(", ")),
    };
    [stream, call, details(&weight.op)]
}

fn details(op: &Op) -> String {
    let mut parts: Vec<String> = Vec::new();
    match op {
        Op::Source { url, .. } | Op::Save { url } => parts.push(rust_text::short(url)),
        Op::TopK { k, .. } => parts.push(rust_text::short(k)),
        Op::Print { count } => parts.extend(count.map(|count| count.to_string())),
        _ => {}
    }
    parts.extend(op::functions(op).into_iter().map(|function| rust_text::short(&function.expr)));
    if let Op::Window { length, slide } | Op::ReduceByKeyAndWindow { length, slide, .. } = op {
        parts.push(format!("{length} every {slide}"));
    }
    parts.join(", ")
}

/// Rows in columns as wide as their widest entry.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(cell);
            let pad = width(column).unwrap_or(0) - cell.chars().count();
            line.extend(std::iter::repeat_n(' ', pad + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
