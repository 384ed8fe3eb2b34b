//! Drops what leads to no output. Streams that the user left unused are mistakes, reported before;
//! this drops those that the user marked with `_`, and what other passes left behind.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;

use super::order::{parents, renumber};
use crate::ir::logical::Job;

/// Runs the pass.
pub(super) fn run(job: &mut Job) {
    let nodes: Vec<NodeIndex> = job.graph.node_indices().collect();
    let mut alive = BTreeSet::new();
    for &node in nodes.iter().rev() {
        if job.graph[node].operator.is_output() {
            alive.insert(node);
        }
        if alive.contains(&node) {
            alive.extend(parents(job, node));
        }
    }
    let order: Vec<NodeIndex> = nodes.into_iter().filter(|node| alive.contains(node)).collect();
    renumber(job, &order);
}

#[cfg(test)]
mod tests {
    use crate::testing::{dumped, logical};

    #[test]
    fn what_leads_to_no_output_is_dropped() {
        let mut job = logical(
            "let a = source::text(\"x:\");
             let b = a.map(|l| l.len());
             let _later = b.count();
             let _other = source::text(\"y:\").map(|l| 1);
             a.print();",
        );
        super::run(&mut job);
        insta::assert_snapshot!(dumped(&job), @r#"
        a    source::text  "x:"
        → a  print ← a
        "#);
    }
}
