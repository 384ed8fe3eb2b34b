//! How often each stream emits, in batches.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::order::parents;
use crate::ir::logical::Job;

/// The slide of every node: its own if it is a window, else that of its parents.
#[must_use]
pub fn slides(job: &Job) -> BTreeMap<NodeIndex, u64> {
    let mut slides: BTreeMap<NodeIndex, u64> = BTreeMap::new();
    for node in job.graph.node_indices() {
        let inherited =
            || parents(job, node).first().and_then(|parent| slides.get(parent)).copied();
        let own = job.graph[node].arguments.slide();
        let slide = own.or_else(inherited).unwrap_or(1);
        slides.insert(node, slide);
    }
    slides
}
