//! The logical plan as text: one line per operator, in order of definition.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::logical::Job;
use super::rust_text;
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
    let name = weight.operator.name;
    let call = match (&parents[..], weight.arguments.records()) {
        (_, Some((_, Some(record)))) => format!("{name}::<{}>", rust_text::type_text(record)),
        ([], _) => name.to_owned(),
        _ => format!("{name} ← {}", parents.join(", ")),
    };
    if weight.operator.is_output() {
        stream = format!("→ {stream}");
    }
    [stream, call, weight.arguments.shown()]
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
