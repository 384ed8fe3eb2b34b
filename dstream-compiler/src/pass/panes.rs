//! What operators want between themselves and their parents: panes before a window that reduces them, so that each
//! batch is looked at once however many windows it is in.

use petgraph::graph::NodeIndex;

use super::order::{parents, renumber};
use super::partitioning;
use crate::ir::logical::{Job, Node};
use crate::op::Between;

/// Runs the pass.
pub(super) fn run(job: &mut Job) {
    let known = partitioning::of(job);
    let nodes: Vec<NodeIndex> = job.graph.node_indices().collect();
    let mut order = Vec::with_capacity(nodes.len());
    for node in nodes {
        if let (Some(before), [parent]) = (job.graph[node].operator.before, &parents(job, node)[..])
            && let Some(between) = before(&mut job.graph[node].arguments, known[parent].unique)
        {
            order.push(put_in(job, *parent, node, between));
        }
        order.push(node);
    }
    renumber(job, &order);
}

/// Puts an operator between a parent and its child.
fn put_in(job: &mut Job, parent: NodeIndex, child: NodeIndex, between: Between) -> NodeIndex {
    let Between { suffix, operator, arguments } = between;
    let weight = &job.graph[child];
    let between = job.graph.add_node(Node {
        operator,
        arguments,
        stream: format!("{}.{suffix}", weight.stream),
        named: false,
        at: weight.at,
        whole: weight.whole,
        merged: Vec::new(),
        synthetic: true,
    });
    job.graph.add_edge(parent, between, 0);
    if let Some(edge) = job.graph.find_edge(parent, child) {
        job.graph.remove_edge(edge);
    }
    job.graph.add_edge(between, child, 0);
    between
}

#[cfg(test)]
mod tests {
    use crate::testing::{dumped, logical};

    fn after(body: &str) -> String {
        let mut job = logical(body);
        super::run(&mut job);
        dumped(&job)
    }

    #[test]
    fn what_a_window_reduces_is_reduced_per_batch_first() {
        insta::assert_snapshot!(after(
            "let ones = source::text(\"x:\").map(|l| (l, 1));
             ones.reduce_by_key_and_window(|a, b| a + b, \"30s\", \"2s\").print();"
        ), @r#"
        ones.source                          source::text                                                    "x:"
        ones                                 map ← ones.source                                               |l| (l, 1)
        ones.reduce_by_key_and_window.panes  reduce_by_key ← ones                                            |a, b| a + b
        ones.reduce_by_key_and_window        reduce_by_key_and_window ← ones.reduce_by_key_and_window.panes  |a, b| a + b, 30 every 2
        → ones.reduce_by_key_and_window      print ← ones.reduce_by_key_and_window
        "#);
    }

    #[test]
    fn not_if_its_keys_are_unique_already() {
        insta::assert_snapshot!(after(
            "let counts = source::text(\"x:\").map(|l| (l, 1)).reduce_by_key(|a, b| a + b);
             let big = counts.filter(|(_, n)| *n > 1).map_values(|n| n * 2);
             big.reduce_by_key_and_window(max, \"30s\").print();"
        ), @r#"
        counts.source                   source::text                          "x:"
        counts.source.map               map ← counts.source                   |l| (l, 1)
        counts                          reduce_by_key ← counts.source.map     |a, b| a + b
        counts.filter                   filter ← counts                       |(_, n)| *n > 1
        big                             map_values ← counts.filter            |n| n * 2
        big.reduce_by_key_and_window    reduce_by_key_and_window ← big        max, 30 every 1
        → big.reduce_by_key_and_window  print ← big.reduce_by_key_and_window
        "#);
    }

    #[test]
    fn but_if_a_union_or_a_map_may_repeat_them() {
        insta::assert_snapshot!(after(
            "let counts = source::text(\"x:\").map(|l| (l, 1)).reduce_by_key(|a, b| a + b);
             counts.union(counts).reduce_by_key_and_window(max, \"30s\").print();
             counts.map(|(k, n)| (n, k)).reduce_by_key_and_window(min, \"30s\").print();"
        ), @r#"
        counts.source                                source::text                                                            "x:"
        counts.source.map                            map ← counts.source                                                     |l| (l, 1)
        counts                                       reduce_by_key ← counts.source.map                                       |a, b| a + b
        counts.union                                 union ← counts, counts
        counts.union.reduce_by_key_and_window.panes  reduce_by_key ← counts.union                                            max
        counts.union.reduce_by_key_and_window        reduce_by_key_and_window ← counts.union.reduce_by_key_and_window.panes  max, 30 every 1
        → counts.union.reduce_by_key_and_window      print ← counts.union.reduce_by_key_and_window
        counts.map                                   map ← counts                                                            |(k, n)| (n, k)
        counts.map.reduce_by_key_and_window.panes    reduce_by_key ← counts.map                                              min
        counts.map.reduce_by_key_and_window          reduce_by_key_and_window ← counts.map.reduce_by_key_and_window.panes    min, 30 every 1
        → counts.map.reduce_by_key_and_window        print ← counts.map.reduce_by_key_and_window
        "#);
    }

    #[test]
    fn no_inverse_where_windows_do_not_overlap() {
        insta::assert_snapshot!(after(
            "let ones = source::text(\"x:\").map(|l| (l, 1));
             ones.reduce_by_key_and_window(add, sub, \"2s\", \"3s\").print();
             ones.reduce_by_key_and_window(add, sub, \"3s\", \"2s\").print();"
        ), @r#"
        ones.source                            source::text                                                      "x:"
        ones                                   map ← ones.source                                                 |l| (l, 1)
        ones.reduce_by_key_and_window.panes    reduce_by_key ← ones                                              add
        ones.reduce_by_key_and_window          reduce_by_key_and_window ← ones.reduce_by_key_and_window.panes    add, 2 every 3
        → ones.reduce_by_key_and_window        print ← ones.reduce_by_key_and_window
        ones.reduce_by_key_and_window_2.panes  reduce_by_key ← ones                                              add
        ones.reduce_by_key_and_window_2        reduce_by_key_and_window ← ones.reduce_by_key_and_window_2.panes  add, sub, 3 every 2
        → ones.reduce_by_key_and_window_2      print ← ones.reduce_by_key_and_window_2
        "#);
    }
}
