//! Event-time windows and the watermark that closes them.
//!
//! A window's records have their times from one or several `event_time`s, through unions and earlier windows. The
//! watermark over these is an operator of its own, which windows over the same ones share.

use petgraph::graph::NodeIndex;

use super::order::{parents, renumber};
use crate::ir::logical::{Job, Node};
use crate::op::{Argument, Times, watermark};

/// Gives every event-time window its watermark.
pub(super) fn run(job: &mut Job) {
    let nodes: Vec<NodeIndex> = job.graph.node_indices().collect();
    let mut order = Vec::with_capacity(nodes.len());
    for node in nodes {
        if job.graph[node].operator.times() == Times::Windows {
            let mut clocks = Vec::new();
            for parent in parents(job, node) {
                event_times(job, parent, &mut clocks);
            }
            clocks.sort_unstable();
            clocks.dedup();
            let watermark = put_beside(job, &clocks, node);
            order.push(watermark);
        }
        order.push(node);
    }
    renumber(job, &order);
}

/// The `event_time`s that a node's records have their times from.
fn event_times(job: &Job, node: NodeIndex, found: &mut Vec<NodeIndex>) {
    match job.graph[node].operator.times() {
        Times::Says => found.push(node),
        Times::Keeps | Times::Assigns => {
            for parent in parents(job, node) {
                event_times(job, parent, found);
            }
        }
        // The second parent of an earlier window is its own watermark.
        Times::Windows => {
            if let Some(parent) = parents(job, node).first() {
                event_times(job, *parent, found);
            }
        }
        Times::Loses => {}
    }
}

fn put_beside(job: &mut Job, clocks: &[NodeIndex], window: NodeIndex) -> NodeIndex {
    let slack = |clock: &NodeIndex| job.graph[*clock].arguments.times().first().copied();
    let slacks: Vec<_> =
        clocks.iter().map(|clock| Argument::Time(slack(clock).unwrap_or(0))).collect();
    let weight = &job.graph[window];
    let node = job.graph.add_node(Node {
        operator: &watermark::OPERATOR,
        arguments: slacks.into(),
        stream: format!("{}.watermark", weight.stream),
        named: false,
        at: weight.at,
        whole: weight.whole,
        merged: Vec::new(),
        synthetic: true,
    });
    for (port, clock) in (0u8..).zip(clocks) {
        job.graph.add_edge(*clock, node, port);
    }
    job.graph.add_edge(node, window, 1);
    node
}
