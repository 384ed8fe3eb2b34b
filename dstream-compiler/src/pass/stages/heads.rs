//! Heads: the operators that begin a stage, and what they read.

use petgraph::graph::NodeIndex;

use super::super::order::{consumers, parents};
use super::Known;
use super::flows::Flows;
use crate::ir::flow::Form;
use crate::ir::physical::{Head, State, StateKind};
use crate::op::{Keeps, Lower, Lowered, Read, union};

/// A stage that is being made: where it begins.
pub(super) struct Beginning {
    pub(super) node: NodeIndex,
    pub(super) head: Head,
    /// Operators whose records come straight into the head.
    pub(super) producers: Vec<NodeIndex>,
    /// Unions between those and the head.
    pub(super) unions: Vec<NodeIndex>,
    pub(super) state: Option<State>,
    /// It has tasks as often as its parents emit.
    pub(super) every: u64,
}

/// What ends the lineage of a state that is built on the one before.
const CHECKPOINT: &str = "checkpoint";
/// What ends the lineage of panes, which are kept as they are.
const WINDOW: &str = "end of the window";

/// Finds the heads, in order of definition.
pub(super) fn find(known: &Known<'_>, flows: &mut Flows) -> Vec<Beginning> {
    known.job.graph.node_indices().filter_map(|node| beginning(known, node, flows)).collect()
}

fn beginning(known: &Known<'_>, node: NodeIndex, flows: &mut Flows) -> Option<Beginning> {
    let weight = &known.job.graph[node];
    let begin = match &weight.operator.lower {
        Lower::Source(begin) | Lower::Head(begin) => begin,
        Lower::Union(_) if is_stage(known, node) && known.has_times(node) => &union::TIMED,
        Lower::Union(begin) if is_stage(known, node) => begin,
        Lower::Union(_) | Lower::Step { .. } | Lower::Output(_) => return None,
    };
    let feeds = parents(known.job, node);
    // A union that is a stage reads what it unites.
    let fed = if weight.operator.is_union() { &[node][..] } else { &feeds };
    let every = feeds.first().map_or(1, |parent| known.slide(*parent));
    let Lowered { reads, keeps } = (begin.lower)(&weight.arguments, weight.at);
    let reads = reads.into_iter().map(|read| want(known, fed[read.parent], node, read, flows));
    let head = Head {
        begin,
        arguments: weight.arguments.clone(),
        flows: reads.collect(),
        source: known.sources.get(&node).copied(),
    };
    let producers = fed.iter().flat_map(|parent| known.producers(*parent)).collect();
    let mut unions: Vec<NodeIndex> = Vec::new();
    for parent in &feeds {
        unions_above(known, *parent, &mut unions);
    }
    Some(Beginning { node, head, producers, unions, state: state(keeps, every), every })
}

/// The flow of what an operator reads of a parent.
fn want(
    known: &Known<'_>,
    parent: NodeIndex,
    head: NodeIndex,
    read: Read,
    flows: &mut Flows,
) -> usize {
    let form = match read.partitioned {
        Some(kind) if known.is_partitioned(parent) => {
            Form { kind, argument: None, entry: read.form.entry }
        }
        _ => read.form,
    };
    flows.want(form, known.producers(parent), head)
}

/// A union is a stage of its own only for consumers that take its records one by one.
fn is_stage(known: &Known<'_>, union: NodeIndex) -> bool {
    consumers(known.job, union).iter().any(|node| known.job.graph[*node].operator.is_fused())
}

fn unions_above(known: &Known<'_>, node: NodeIndex, found: &mut Vec<NodeIndex>) {
    if known.job.graph[node].operator.is_union() {
        for parent in parents(known.job, node) {
            unions_above(known, parent, found);
        }
        if !found.contains(&node) {
            found.push(node);
        }
    }
}

fn state(keeps: Keeps, every: u64) -> Option<State> {
    let panes = |length: u64| StateKind::Panes { panes: (length / every).max(1), batches: every };
    Some(match keeps {
        Keeps::Nothing => return None,
        Keeps::Values => State { kind: StateKind::PreviousBatch, cut_by: CHECKPOINT, timed: false },
        Keeps::Expiring(ms) => {
            State { kind: StateKind::Expiring(ms), cut_by: CHECKPOINT, timed: true }
        }
        Keeps::Waking(ms) => State { kind: StateKind::Waking(ms), cut_by: CHECKPOINT, timed: true },
        Keeps::Panes(length) => State { kind: panes(length), cut_by: WINDOW, timed: true },
        Keeps::Derived(length) => State { kind: panes(length), cut_by: CHECKPOINT, timed: true },
        Keeps::EventPanes(length, slide) => State {
            kind: StateKind::EventPanes { length, slide },
            cut_by: CHECKPOINT,
            timed: false,
        },
        Keeps::Sessions(gap) => {
            State { kind: StateKind::Sessions(gap), cut_by: CHECKPOINT, timed: false }
        }
        Keeps::EventSides(ms) => {
            State { kind: StateKind::EventSides(ms), cut_by: CHECKPOINT, timed: false }
        }
        Keeps::Watermark => State { kind: StateKind::Watermark, cut_by: CHECKPOINT, timed: false },
        Keeps::Counted(length) => State { kind: panes(length), cut_by: WINDOW, timed: false },
    })
}
