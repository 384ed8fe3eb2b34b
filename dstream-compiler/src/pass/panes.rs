//! Window-reduce → panes: what a window reduces is first reduced per batch, so that each batch is
//! looked at once however many windows it is in. Another `reduce_by_key` with the same function then
//! shares that work, and its shuffle.

use petgraph::graph::NodeIndex;

use super::order::{parents, renumber};
use super::partitioning;
use crate::ir::logical::{Job, Node, Op};

/// Runs the pass.
pub(super) fn run(job: &mut Job) {
    let known = partitioning::of(job);
    let nodes: Vec<NodeIndex> = job.graph.node_indices().collect();
    let mut order = Vec::with_capacity(nodes.len());
    for node in nodes {
        if let Op::ReduceByKeyAndWindow { inverse, length, slide, .. } = &mut job.graph[node].op
            && slide > length
        {
            // Windows do not overlap: nothing that leaves one would have been in it.
            *inverse = None;
        }
        if let (Op::ReduceByKeyAndWindow { merge, .. }, [parent]) =
            (&job.graph[node].op, &parents(job, node)[..])
            && !known[parent].unique
        {
            let window = &job.graph[node];
            let pane = Node {
                op: Op::ReduceByKey(merge.clone()),
                stream: format!("{}.panes", window.stream),
                named: false,
                at: window.at,
                whole: window.whole,
                merged: Vec::new(),
                synthetic: true,
            };
            let pane = job.graph.add_node(pane);
            job.graph.add_edge(*parent, pane, 0);
            if let Some(edge) = job.graph.find_edge(*parent, node) {
                job.graph.remove_edge(edge);
            }
            job.graph.add_edge(pane, node, 0);
            order.push(pane);
        }
        order.push(node);
    }
    renumber(job, &order);
}
