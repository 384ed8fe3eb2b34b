//! Stages: the plan is cut where records have to move, and each piece becomes one pass over its
//! input.
//!
//! In three steps: every operator that begins a stage is found (`heads`), what each of them needs from
//! which operators becomes flows (`flows`), and the narrow operators are written into the stage of
//! their parent, with tails where a flow or an output takes records away (`body`).

mod body;
mod flows;
mod heads;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use self::flows::Flows;
use super::order::parents;
use super::times::{Time, Times, times};
use super::{partitioning, slides};
use crate::ir::logical::Job;
use crate::ir::physical::{Output, Physical, Row, Source, Stage};
use crate::op::{Lower, Nature};

/// What cutting needs to know about the plan, computed once.
struct Known<'j> {
    job: &'j Job,
    partitioning: BTreeMap<NodeIndex, partitioning::Partitioning>,
    slides: BTreeMap<NodeIndex, u64>,
    /// What is known of the times of each node's records.
    times: Times,
    /// Row of each node in the operator table.
    rows: BTreeMap<NodeIndex, usize>,
    /// Rows of what was merged into each node.
    merged_rows: BTreeMap<NodeIndex, Vec<usize>>,
    /// Index of each source.
    sources: BTreeMap<NodeIndex, usize>,
    /// Index of each output.
    outputs: BTreeMap<NodeIndex, usize>,
}

/// Cuts a plan. Its hash, phases and drawing are the caller's to fill in.
pub(super) fn cut(job: &Job) -> Physical {
    let times = times(job);
    let (operators, rows, merged_rows) = operator_table(job, &times);
    let (sources, source_index) = source_table(job, &rows);
    let (mut outputs, output_index) = output_table(job, &rows, &times);
    let known = Known {
        job,
        partitioning: partitioning::of(job),
        slides: slides(job),
        times,
        rows,
        merged_rows,
        sources: source_index,
        outputs: output_index,
    };
    let mut flows = Flows::default();
    let heads = heads::find(&known, &mut flows);
    let stages: Vec<Stage> = body::fill(&known, heads, &mut flows, &mut outputs);
    Physical {
        header: job.header.clone(),
        lets: job.lets.clone(),
        operators,
        sources,
        outputs,
        flows: flows.finish(),
        stages,
        hash: 0,
        phases: Vec::new(),
        dot: String::new(),
    }
}

type Rows = BTreeMap<NodeIndex, usize>;

fn operator_table(job: &Job, times: &Times) -> (Vec<Row>, Rows, BTreeMap<NodeIndex, Vec<usize>>) {
    let mut operators = Vec::new();
    let mut rows = BTreeMap::new();
    let mut merged_rows: BTreeMap<NodeIndex, Vec<usize>> = BTreeMap::new();
    for node in job.graph.node_indices() {
        let Some(weight) = job.graph.node_weight(node) else {
            continue;
        };
        let operator = weight.operator;
        let given = parents(job, node).first().and_then(|parent| times.get(parent)).copied();
        let given = given.unwrap_or_default();
        rows.insert(node, operators.len());
        operators.push(Row {
            operator,
            stream: weight.stream.clone(),
            given,
            at: weight.at,
            whole: weight.whole,
        });
        for merged in &weight.merged {
            merged_rows.entry(node).or_default().push(operators.len());
            operators.push(Row {
                operator,
                stream: merged.stream.clone(),
                given,
                at: merged.at,
                whole: merged.whole,
            });
        }
    }
    (operators, rows, merged_rows)
}

fn source_table(job: &Job, rows: &Rows) -> (Vec<Source>, Rows) {
    let mut sources = Vec::new();
    let mut index = BTreeMap::new();
    for (&node, &operator) in rows {
        let weight = &job.graph[node];
        if weight.operator.is_source() {
            index.insert(node, sources.len());
            let table = weight.operator.makes == Nature::Table;
            sources.push(Source { name: weight.stream.clone(), operator, table });
        }
    }
    (sources, index)
}

fn output_table(job: &Job, rows: &Rows, times: &Times) -> (Vec<Output>, Rows) {
    let mut outputs = Vec::new();
    let mut index = BTreeMap::new();
    for (&node, &operator) in rows {
        let weight = &job.graph[node];
        let Lower::Output(sink) = &weight.operator.lower else { continue };
        let sink = sink(&weight.arguments);
        index.insert(node, outputs.len());
        // Stage and tail are filled in when the stage's body is written.
        let windows = times.get(&node) == Some(&Time::Window);
        let name = weight.stream.clone();
        outputs.push(Output { name, operator, sink, windows, stage: 0, tail: 0 });
    }
    (outputs, index)
}

impl Known<'_> {
    /// The operators whose records make up a stream: itself, or for a union, those it unites.
    fn producers(&self, node: NodeIndex) -> Vec<NodeIndex> {
        if !self.job.graph[node].operator.is_union() {
            return vec![node];
        }
        let parents = parents(self.job, node).into_iter();
        parents.flat_map(|parent| self.producers(parent)).collect()
    }

    fn is_partitioned(&self, node: NodeIndex) -> bool {
        self.partitioning.get(&node).is_some_and(|known| known.by_key_since.is_some())
    }

    /// Whether a node's records have times or windows.
    fn has_times(&self, node: NodeIndex) -> bool {
        self.times.get(&node).is_some_and(|time| time.is_known())
    }

    fn slide(&self, node: NodeIndex) -> u64 {
        self.slides.get(&node).copied().unwrap_or(1)
    }
}
