//! Heads: the operators that begin a stage, and what they read.

use petgraph::graph::NodeIndex;

use super::super::order::{consumers, parents};
use super::Known;
use super::flows::{Flows, Form};
use crate::ir::logical::{Function, Op};
use crate::ir::physical::{FlowKind, Head, State, StateKind};
use crate::op::{self, Dependency};

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
    let feeds = parents(known.job, node);
    let every = feeds.first().map_or(1, |parent| known.slide(*parent));
    let mut reader = Reader { known, node, flows };
    let state = state(&known.job.graph[node].op, every);
    let head = match (&known.job.graph[node].op, &feeds[..]) {
        (Op::Source { .. }, _) => Head::Source(*known.sources.get(&node)?),
        (Op::Union, _) if is_stage(known, node) => {
            Head::Rows { flow: reader.read(node, Form::plain(FlowKind::Rows)) }
        }
        (Op::ReduceByKey(f), [parent]) => {
            Head::Merge { flow: reader.combined(*parent, f), merge: f.clone() }
        }
        (Op::RunningReduce(f), [parent]) => {
            Head::Running { flow: reader.combined(*parent, f), merge: f.clone() }
        }
        (Op::Join, [left, right]) => {
            Head::Join { left: reader.keyed(*left), right: reader.keyed(*right) }
        }
        (Op::Window { length, .. }, [parent]) => Head::Window {
            flow: reader.read(*parent, Form::plain(FlowKind::Rows)),
            length: *length,
        },
        (Op::ReduceByKeyAndWindow { merge, inverse, length, .. }, [parent]) => Head::WindowReduce {
            flow: reader.keyed(*parent),
            merge: merge.clone(),
            inverse: inverse.clone(),
            length: *length,
        },
        (Op::Reduce(f), [parent]) => Head::Reduce {
            flow: reader.read(*parent, Form::plain(FlowKind::Fold(f.clone()))),
            merge: f.clone(),
        },
        (Op::Count, [parent]) => {
            Head::Count { flow: reader.read(*parent, Form::plain(FlowKind::Tally)) }
        }
        (Op::TopK { k, score }, [parent]) => {
            Head::Top { flow: reader.read(*parent, Form::top(k, score)) }
        }
        _ => return None,
    };
    let fed: &[NodeIndex] = if matches!(head, Head::Rows { .. }) { &[node] } else { &feeds };
    let producers = fed.iter().flat_map(|parent| known.producers(*parent)).collect();
    let mut unions: Vec<NodeIndex> = Vec::new();
    for parent in &feeds {
        unions_above(known, *parent, &mut unions);
    }
    Some(Beginning { node, head, producers, unions, state, every })
}

/// A union is a stage of its own only for consumers that take its records one by one.
fn is_stage(known: &Known<'_>, union: NodeIndex) -> bool {
    consumers(known.job, union).iter().any(|consumer| {
        matches!(
            op::facts(&known.job.graph[*consumer].op).dependency,
            Dependency::Narrow | Dependency::Output
        )
    })
}

fn unions_above(known: &Known<'_>, node: NodeIndex, found: &mut Vec<NodeIndex>) {
    if matches!(known.job.graph[node].op, Op::Union) {
        for parent in parents(known.job, node) {
            unions_above(known, parent, found);
        }
        if !found.contains(&node) {
            found.push(node);
        }
    }
}

fn state(op: &Op, every: u64) -> Option<State> {
    let panes = |length: u64| StateKind::Panes { panes: (length / every).max(1), batches: every };
    Some(match op {
        Op::RunningReduce(_) => State { kind: StateKind::PreviousBatch, cut_by: CHECKPOINT },
        Op::Window { length, .. } => State { kind: panes(*length), cut_by: WINDOW },
        Op::ReduceByKeyAndWindow { length, inverse, .. } => State {
            kind: panes(*length),
            cut_by: if inverse.is_some() { CHECKPOINT } else { WINDOW },
        },
        _ => return None,
    })
}

struct Reader<'r, 'j> {
    known: &'r Known<'j>,
    node: NodeIndex,
    flows: &'r mut Flows,
}

impl Reader<'_, '_> {
    fn read(&mut self, parent: NodeIndex, form: Form) -> usize {
        self.flows.want(form, self.known.producers(parent), self.node)
    }

    /// Records by key: from the same partition where they are in the right one already.
    fn keyed(&mut self, parent: NodeIndex) -> usize {
        let kind =
            if self.known.is_partitioned(parent) { FlowKind::KeyedOwn } else { FlowKind::Keyed };
        self.read(parent, Form::plain(kind))
    }

    /// Records by key, combined before they are moved, if they are.
    fn combined(&mut self, parent: NodeIndex, merge: &Function) -> usize {
        let kind = if self.known.is_partitioned(parent) {
            FlowKind::KeyedOwn
        } else {
            FlowKind::Combined(merge.clone())
        };
        self.read(parent, Form::plain(kind))
    }
}
