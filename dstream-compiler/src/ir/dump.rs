//! The logical plan as text: one line per operator, in order of definition.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;
use quote::ToTokens;
use syn::{Expr, Type};

use super::logical::{Job, Op};
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
            format!("{name}::<{}>", type_text(record))
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
        Op::Source { url, .. } | Op::Save { url } => parts.push(tokens(url)),
        Op::TopK { k, .. } => parts.push(tokens(k)),
        Op::Print { count } => parts.extend(count.map(|count| count.to_string())),
        _ => {}
    }
    parts.extend(op::functions(op).into_iter().map(|function| expression(&function.expr)));
    if let Op::Window { length, slide } | Op::ReduceByKeyAndWindow { length, slide, .. } = op {
        parts.push(format!("{length} every {slide}"));
    }
    parts.join(", ")
}

/// Longest expression that is shown in a plan.
const SHOWN: usize = 60;

/// An expression on one line, cut short if it is long.
#[must_use]
pub fn expression(expr: &Expr) -> String {
    let text = tokens(expr);
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A type on one line.
#[must_use]
pub fn type_text(ty: &Type) -> String {
    let file = syn::parse2::<syn::File>(quote::quote!(type T = #ty;));
    let text = file.map(|file| prettyplease::unparse(&file)).unwrap_or_default();
    let text = text.trim().trim_start_matches("type T = ").trim_end_matches(';');
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Tokens on one line, spaced as rustfmt would.
fn tokens(tokens: &impl ToTokens) -> String {
    let text = tokens.to_token_stream();
    let file = syn::parse2::<syn::File>(quote::quote!(const _: () = { #text };))
        .map(|file| prettyplease::unparse(&file));
    match file {
        Ok(file) => {
            let inner = file
                .trim()
                .trim_start_matches("const _: () = ")
                .trim_end_matches(';')
                .trim_start_matches('{')
                .trim_end_matches('}');
            inner.split_whitespace().collect::<Vec<_>>().join(" ")
        }
        Err(_) => text.to_string(),
    }
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
