//! Filters first: a filter that is all that becomes of an unnamed union moves into both branches, so
//! that what it leaves out is left out before it is moved.

use petgraph::graph::NodeIndex;

use super::order::{consumers, parents, renumber};
use crate::ir::logical::{Job, Node, Op};

/// Runs the pass.
pub(super) fn run(job: &mut Job) {
    let mut order: Vec<NodeIndex> = job.graph.node_indices().collect();
    while let Some((union, filter)) = candidate(job, &order) {
        let at = order.iter().position(|node| *node == filter).unwrap_or(order.len());
        let branches = swap(job, union, filter);
        // The union goes where the filter was, behind its new parents.
        order.retain(|node| *node != union);
        order.splice(at - 1..at, branches.into_iter().chain([union]));
    }
    renumber(job, &order);
}

fn candidate(job: &Job, order: &[NodeIndex]) -> Option<(NodeIndex, NodeIndex)> {
    order.iter().find_map(|&union| {
        let node = &job.graph[union];
        if !matches!(node.op, Op::Union) || node.named {
            return None;
        }
        match consumers(job, union)[..] {
            [filter] if matches!(&job.graph[filter].op, Op::Filter(f) if !f.nondeterministic) => {
                Some((union, filter))
            }
            _ => None,
        }
    })
}

/// Puts a copy of the filter on each branch; the union takes the filter's name and consumers.
fn swap(job: &mut Job, union: NodeIndex, filter: NodeIndex) -> Vec<NodeIndex> {
    let filtered = job.graph[filter].clone();
    let sides = parents(job, union);
    let incoming: Vec<_> = job
        .graph
        .edges_directed(union, petgraph::Direction::Incoming)
        .map(|e| petgraph::visit::EdgeRef::id(&e))
        .collect();
    for edge in incoming {
        job.graph.remove_edge(edge);
    }
    let mut branches = Vec::new();
    for (port, (parent, side)) in (0u8..).zip(sides.into_iter().zip(["left", "right"])) {
        let branch = Node {
            stream: format!("{}.{side}", filtered.stream),
            named: false,
            merged: Vec::new(),
            synthetic: port > 0,
            ..filtered.clone()
        };
        let branch = job.graph.add_node(branch);
        job.graph.add_edge(parent, branch, 0);
        job.graph.add_edge(branch, union, port);
        branches.push(branch);
    }
    for child in consumers(job, filter) {
        for (port, parent) in (0u8..).zip(parents(job, child)) {
            if parent == filter {
                job.graph.add_edge(union, child, port);
            }
        }
    }
    job.graph.remove_node(filter);
    let node = &mut job.graph[union];
    node.stream = filtered.stream;
    node.named = filtered.named;
    node.merged = filtered.merged;
    branches
}
