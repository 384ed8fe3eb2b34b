//! Common sub-plans: operators that do the same to the same parents become one. Both names stay: the
//! one that the user gave is the stream's, the other is kept beside it.
//!
//! Sources are never merged: two of one URL may be two consumers of a topic. Neither are outputs, nor
//! anything that may differ from run to run.

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::order::parents;
use crate::ir::logical::{Job, Merged, Node};

/// Runs the pass.
pub(super) fn run(job: &mut Job) {
    let mut kept: Vec<NodeIndex> = Vec::new();
    for node in job.graph.node_indices().collect::<Vec<_>>() {
        let feeds = parents(job, node);
        let twin = kept.iter().copied().find(|&other| {
            parents(job, other) == feeds && same(&job.graph[other], &job.graph[node])
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
fn same(a: &Node, b: &Node) -> bool {
    a.operator == b.operator
        && !a.operator.is_source()
        && !a.operator.is_output()
        && a.arguments.same(&b.arguments)
}

#[cfg(test)]
mod tests {
    use crate::testing::{dumped, logical};

    fn after(body: &str) -> String {
        let mut job = logical(body);
        super::super::panes::run(&mut job);
        super::run(&mut job);
        dumped(&job)
    }

    #[test]
    fn equal_operators_become_one_and_keep_both_names() {
        insta::assert_snapshot!(after(
            "let a = source::text(\"x:\");
             let lengths = a.map(|l| l.len() as u64);
             let sizes = a.map( | l |  l.len()  as u64 );
             lengths.count().print();
             sizes.count().save(\"stdout:\");
             a.map(|l| l.len()).count().print();"
        ), @r#"
        a                            source::text           "x:"
        lengths = sizes              map ← a                |l| l.len() as u64
        lengths.count = sizes.count  count ← lengths
        → lengths.count              print ← lengths.count
        → sizes.count                save ← lengths.count   "stdout:"
        a.map                        map ← a                |l| l.len()
        a.map.count                  count ← a.map
        → a.map.count                print ← a.map.count
        "#);
    }

    #[test]
    fn the_name_of_the_user_wins() {
        insta::assert_snapshot!(after(
            "let a = source::text(\"x:\").map(|l| (l, 1));
             a.reduce_by_key_and_window(|x, y| x + y, \"30s\").print();
             a.reduce_by_key(|x, y| x + y).print();
             let counts = a.reduce_by_key(|x, y| x + y);
             counts.print();"
        ), @r#"
        a.source                      source::text                        "x:"
        a                             map ← a.source                      |l| (l, 1)
        counts = a.reduce_by_key      reduce_by_key ← a                   |x, y| x + y
        a.reduce_by_key_and_window    reduce_by_key_and_window ← counts   |x, y| x + y, 30 every 1
        → a.reduce_by_key_and_window  print ← a.reduce_by_key_and_window
        → a.reduce_by_key             print ← counts
        → counts                      print ← counts
        "#);
    }

    #[test]
    fn sources_and_what_is_not_deterministic_stay_apart() {
        insta::assert_snapshot!(after(
            "let a = source::text(\"x:\");
             let b = source::text(\"x:\");
             a.union(b).map(#[allow_nondeterminism = \"sample\"] |l| rand::random()).count().print();
             a.union(b).map(#[allow_nondeterminism = \"sample\"] |l| rand::random()).count().print();
             b.union(a).count().print();"
        ), @r#"
        a                      source::text                 "x:"
        b                      source::text                 "x:"
        a.union = a.union_2    union ← a, b
        a.union.map            map ← a.union                |l| rand::random()
        a.union.map.count      count ← a.union.map
        → a.union.map.count    print ← a.union.map.count
        a.union_2.map          map ← a.union                |l| rand::random()
        a.union_2.map.count    count ← a.union_2.map
        → a.union_2.map.count  print ← a.union_2.map.count
        b.union                union ← b, a
        b.union.count          count ← b.union
        → b.union.count        print ← b.union.count
        "#);
    }

    #[test]
    fn windows_and_scores_are_compared_too() {
        insta::assert_snapshot!(after(
            "let a = source::text(\"x:\");
             a.window(\"3s\").print();
             a.window(\"3s\", \"1s\").print();
             a.window(\"4s\").print();
             a.top_k(3, |l| l.len()).print();
             a.top_k(4, |l| l.len()).print();
             a.top_k(3, |l| l.len()).save(\"stdout:\");"
        ), @r#"
        a                      source::text        "x:"
        a.window = a.window_2  window ← a          3 every 1
        → a.window             print ← a.window
        → a.window_2           print ← a.window
        a.window_3             window ← a          4 every 1
        → a.window_3           print ← a.window_3
        a.top_k = a.top_k_3    top_k ← a           3, |l| l.len()
        → a.top_k              print ← a.top_k
        a.top_k_2              top_k ← a           4, |l| l.len()
        → a.top_k_2            print ← a.top_k_2
        → a.top_k_3            save ← a.top_k      "stdout:"
        "#);
    }
}
