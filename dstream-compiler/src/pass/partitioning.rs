//! What is known of the place of keys: whether all records of a key are in the key's partition, and
//! whether each key occurs once per batch. A shuffle that would move nothing is then left out.
//!
//! All shuffles distribute by the same hash over the same number of partitions, so that any two
//! streams that are partitioned by key are so together.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::order::parents;
use crate::ir::logical::Job;
use crate::op::Effect;

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
        let operator = job.graph[node].operator;
        let before: Vec<Partitioning> = parents(job, node)
            .iter()
            .map(|parent| known.get(parent).copied().unwrap_or_default())
            .collect();
        // A union is partitioned if both sides are.
        let kept = before.first().filter(|_| before.iter().all(|p| p.by_key_since.is_some()));
        let by_key_since = match operator.partitioning {
            Effect::Keeps => kept.and_then(|partitioning| partitioning.by_key_since),
            Effect::Makes => kept.and_then(|p| p.by_key_since).or(Some(node)),
            Effect::Rekeys => Some(node),
            Effect::Loses => None,
        };
        let unique = match operator.uniqueness {
            Effect::Keeps => before.first().is_some_and(|partitioning| partitioning.unique),
            Effect::Makes | Effect::Rekeys => true,
            Effect::Loses => false,
        };
        known.insert(node, Partitioning { by_key_since, unique: unique && by_key_since.is_some() });
    }
    known
}

#[cfg(test)]
mod tests {
    use crate::testing::{phase, physical};

    #[test]
    fn what_keeps_makes_and_loses_it() {
        let plan = physical(
            "let ones = source::text(\"x:\").map(|l| (l, 1));
             let counts = ones.reduce_by_key(add);
             let kept = counts.filter(|_| true).map_values(|n| n + 1);
             let lost = counts.map(|(k, n)| (n, k));
             lost.filter_map(Some).flat_map(Some).key_by(|x| 1).print();
             let both = kept.union(counts);
             let mixed = kept.union(ones);
             let joined = counts.join(ones);
             let old = counts.window(\"3s\");
             let state = joined.running_reduce(first);
             counts.top_k(3, |(_, n)| *n).print();
             both.print(); mixed.print(); old.print(); state.print();",
        );
        insta::assert_snapshot!(phase(&plan, "partitioning"), @r#"
        ones.source                        source::text
        ones                               map ← ones.source
        counts                             reduce_by_key ← ones                     by key since counts, each key once
        counts.filter                      filter ← counts                          by key since counts, each key once
        kept                               map_values ← counts.filter               by key since counts, each key once
        lost                               map ← counts
        lost.filter_map                    filter_map ← lost
        lost.filter_map.flat_map           flat_map ← lost.filter_map
        lost.filter_map.flat_map.key_by    key_by ← lost.filter_map.flat_map
        → lost.filter_map.flat_map.key_by  print ← lost.filter_map.flat_map.key_by
        both                               union ← kept, counts                     by key since counts
        mixed                              union ← kept, ones
        joined                             join ← counts, ones                      by key since joined
        old                                window ← counts                          by key since counts
        state                              running_reduce ← joined                  by key since joined, each key once
        counts.top_k                       top_k ← counts
        → counts.top_k                     print ← counts.top_k
        → both                             print ← both                             by key since counts
        → mixed                            print ← mixed
        → old                              print ← old                              by key since counts
        → state                            print ← state                            by key since joined, each key once
        "#);
    }
}
