//! Common sub-plans: operators that do the same to the same parents become one. Both names stay: the
//! one that the user gave is the stream's, the other is kept beside it.
//!
//! Sources are never merged: two of one URL may be two consumers of a topic. Neither are outputs, nor
//! anything that may differ from run to run.

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::order::parents;
use crate::ir::logical::{Function, Job, Merged, Op};

/// Runs the pass.
pub(super) fn run(job: &mut Job) {
    let mut kept: Vec<NodeIndex> = Vec::new();
    for node in job.graph.node_indices().collect::<Vec<_>>() {
        let feeds = parents(job, node);
        let twin = kept.iter().copied().find(|&other| {
            parents(job, other) == feeds && same(&job.graph[other].op, &job.graph[node].op)
        });
        match twin {
            Some(twin) => merge(job, twin, node),
            None => kept.push(node),
        }
    }
}

fn merge(job: &mut Job, kept: NodeIndex, gone: NodeIndex) {
    let edges: Vec<(NodeIndex, u8)> = job
        .graph
        .edges_directed(gone, Direction::Outgoing)
        .map(|edge| (edge.target(), *edge.weight()))
        .collect();
    for (child, port) in edges {
        job.graph.add_edge(kept, child, port);
    }
    let Some(mut other) = job.graph.remove_node(gone) else {
        return;
    };
    let node = &mut job.graph[kept];
    let better = |named: bool, synthetic: bool| (named, !synthetic);
    if better(other.named, other.synthetic) > better(node.named, node.synthetic) {
        std::mem::swap(node, &mut other);
        // The operation is the same; what was merged into either stays.
        node.merged.append(&mut other.merged);
    }
    if !other.synthetic {
        node.merged.push(Merged {
            stream: other.stream,
            named: other.named,
            at: other.at,
            whole: other.whole,
        });
    }
    node.merged.append(&mut other.merged);
}

/// Whether two operators do the same to their parents.
fn same(a: &Op, b: &Op) -> bool {
    match (a, b) {
        (Op::Map(f), Op::Map(g))
        | (Op::Filter(f), Op::Filter(g))
        | (Op::FilterMap(f), Op::FilterMap(g))
        | (Op::FlatMap(f), Op::FlatMap(g))
        | (Op::MapValues(f), Op::MapValues(g))
        | (Op::KeyBy(f), Op::KeyBy(g))
        | (Op::Reduce(f), Op::Reduce(g))
        | (Op::ReduceByKey(f), Op::ReduceByKey(g))
        | (Op::RunningReduce(f), Op::RunningReduce(g)) => same_function(f, g),
        (Op::Union, Op::Union) | (Op::Count, Op::Count) | (Op::Join, Op::Join) => true,
        (Op::Window { length: l, slide: s }, Op::Window { length: m, slide: t }) => {
            l == m && s == t
        }
        (
            Op::ReduceByKeyAndWindow { merge: f, inverse: i, length: l, slide: s },
            Op::ReduceByKeyAndWindow { merge: g, inverse: j, length: m, slide: t },
        ) => {
            let inverses = match (i, j) {
                (None, None) => true,
                (Some(i), Some(j)) => same_function(i, j),
                _ => false,
            };
            l == m && s == t && inverses && same_function(f, g)
        }
        (Op::TopK { k, score: f }, Op::TopK { k: l, score: g }) => k == l && same_function(f, g),
        _ => false,
    }
}

/// Whether two functions are written alike, and always give the same.
pub(super) fn same_function(f: &Function, g: &Function) -> bool {
    !f.nondeterministic && !g.nondeterministic && f.expr == g.expr
}
