//! Walking the plan in order of definition, and restoring that order after nodes were put in.

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::stable_graph::StableDiGraph;
use petgraph::visit::EdgeRef;

use crate::ir::logical::{Job, Node};

/// The parents of a node, by port.
pub(crate) fn parents(job: &Job, node: NodeIndex) -> Vec<NodeIndex> {
    let mut parents: Vec<(u8, NodeIndex)> = job
        .graph
        .edges_directed(node, Direction::Incoming)
        .map(|edge| (*edge.weight(), edge.source()))
        .collect();
    parents.sort();
    parents.into_iter().map(|(_, parent)| parent).collect()
}

/// The consumers of a node in order of definition, each once.
#[must_use]
pub fn consumers(job: &Job, node: NodeIndex) -> Vec<NodeIndex> {
    let mut consumers: Vec<NodeIndex> =
        job.graph.neighbors_directed(node, Direction::Outgoing).collect();
    consumers.sort();
    consumers.dedup();
    consumers
}

/// Numbers the nodes anew, in the given order. Those that are not in it are dropped.
pub(super) fn renumber(job: &mut Job, order: &[NodeIndex]) {
    let mut graph: StableDiGraph<Node, u8> = StableDiGraph::new();
    let new: BTreeMap<NodeIndex, NodeIndex> =
        order.iter().map(|&old| (old, graph.add_node(job.graph[old].clone()))).collect();
    for &old in order {
        for (port, parent) in (0u8..).zip(parents(job, old)) {
            if let (Some(&parent), Some(&child)) = (new.get(&parent), new.get(&old)) {
                graph.add_edge(parent, child, port);
            }
        }
    }
    job.graph = graph;
}
