//! Event-time windows and joins, and the watermark that closes them.
//!
//! Their records have their times from one or several `event_time`s, through unions earlier windows and joins. The
//! watermark over these is an operator of its own, which windows over the same ones share.

use petgraph::graph::NodeIndex;

use super::order::{parents, renumber};
use crate::ir::logical::{Job, Node};
use crate::op::{Argument, Times, join_within, watermark};

/// Gives every event-time window its watermark.
pub(super) fn run(job: &mut Job) {
    let nodes: Vec<NodeIndex> = job.graph.node_indices().collect();
    let mut order = Vec::with_capacity(nodes.len());
    for node in nodes {
        if matches!(job.graph[node].operator.times(), Times::Windows | Times::Meets) {
            let mut clocks = Vec::new();
            for parent in parents(job, node) {
                event_times(job, parent, 0, &mut clocks);
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

/// An `event_time`, and by how much more than its slack records may be behind it, in milliseconds.
type EventTime = (NodeIndex, u64);

/// The `event_time`s that a node's records have their times from.
fn event_times(job: &Job, node: NodeIndex, behind: u64, found: &mut Vec<EventTime>) {
    let weight = &job.graph[node];
    let parents = parents(job, node);
    // The last parent of an earlier window or join is its own watermark; a table has no times.
    let (of, behind) = match weight.operator.times() {
        Times::Says => return found.push((node, behind)),
        Times::Keeps | Times::Assigns => (parents.len(), behind),
        Times::Windows | Times::KeepsFirst => (1, behind),
        Times::Meets => (2, behind + join_within::behind(weight.operator, &weight.arguments)),
        Times::Loses => (0, behind),
    };
    for parent in parents.into_iter().take(of) {
        event_times(job, parent, behind, found);
    }
}

fn put_beside(job: &mut Job, clocks: &[EventTime], reader: NodeIndex) -> NodeIndex {
    let slack = |clock: NodeIndex| job.graph[clock].arguments.times().first().copied();
    let slack = |(clock, behind): &EventTime| slack(*clock).unwrap_or(0) + behind;
    let slacks: Vec<_> = clocks.iter().map(|clock| Argument::Time(slack(clock))).collect();
    let port = parents(job, reader).len() as u8;
    let weight = &job.graph[reader];
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
    for (port, (clock, _)) in (0u8..).zip(clocks) {
        job.graph.add_edge(*clock, node, port);
    }
    job.graph.add_edge(node, reader, port);
    node
}
