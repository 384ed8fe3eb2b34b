//! What is known of the place of keys: whether all records of a key are in the key's partition, and
//! whether each key occurs once per batch. A shuffle that would move nothing is then left out.
//!
//! All shuffles distribute by the same hash over the same number of partitions, so that any two
//! streams that are partitioned by key are so together.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::order::parents;
use crate::ir::logical::Job;
use crate::op::{self, Effect};

/// What is known of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Partitioning {
    /// The operator that last distributed it by key, if it still is.
    pub by_key_since: Option<NodeIndex>,
    /// Whether each key occurs once per batch.
    pub unique: bool,
}

/// What is known of every stream.
#[must_use]
pub fn of(job: &Job) -> BTreeMap<NodeIndex, Partitioning> {
    let mut known: BTreeMap<NodeIndex, Partitioning> = BTreeMap::new();
    for node in job.graph.node_indices() {
        let facts = op::facts(&job.graph[node].op);
        let before: Vec<Partitioning> = parents(job, node)
            .iter()
            .map(|parent| known.get(parent).copied().unwrap_or_default())
            .collect();
        // A union is partitioned if both sides are.
        let kept = before.first().filter(|_| before.iter().all(|p| p.by_key_since.is_some()));
        let by_key_since = match facts.partitioning {
            Effect::Keeps => kept.and_then(|partitioning| partitioning.by_key_since),
            Effect::Makes => kept.and_then(|p| p.by_key_since).or(Some(node)),
            Effect::Loses => None,
        };
        let unique = match facts.uniqueness {
            Effect::Keeps => before.first().is_some_and(|partitioning| partitioning.unique),
            Effect::Makes => true,
            Effect::Loses => false,
        };
        known.insert(node, Partitioning { by_key_since, unique: unique && by_key_since.is_some() });
    }
    known
}
