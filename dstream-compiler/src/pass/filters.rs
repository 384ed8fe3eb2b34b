//! Filters first: a filter that is all that becomes of an unnamed union moves into both branches, so
//! that what it leaves out is left out before it is moved.

use petgraph::graph::NodeIndex;

use super::order::{consumers, parents, renumber};
use crate::ir::logical::{Job, Node};

/// Runs the pass.
pub(super) fn run(job: &mut Job) {
    let mut order: Vec<NodeIndex> = job.graph.node_indices().collect();
    while let Some((union, filter)) = candidate(job, &order) {
        let at = order.iter().position(|node| *node == filter).unwrap_or(order.len());
        let branches = swap(job, union, filter);
        // The union goes where the filter was, behind its new parents.
        order.retain(|node| *node != union);
        order.splice(at - 1..at, branches.into_iter().chain([union]));
    }
    renumber(job, &order);
}

fn candidate(job: &Job, order: &[NodeIndex]) -> Option<(NodeIndex, NodeIndex)> {
    order.iter().find_map(|&union| {
        let node = &job.graph[union];
        if !node.operator.is_union() || node.named {
            return None;
        }
        match consumers(job, union)[..] {
            [filter] if can_be_copied(&job.graph[filter]) => Some((union, filter)),
            _ => None,
        }
    })
}

fn can_be_copied(node: &Node) -> bool {
    node.operator.selects() && node.arguments.functions().all(|f| !f.nondeterministic)
}

/// Puts a copy of the filter on each branch; the union takes the filter's name and consumers.
fn swap(job: &mut Job, union: NodeIndex, filter: NodeIndex) -> Vec<NodeIndex> {
    let filtered = job.graph[filter].clone();
    let sides = parents(job, union);
    let incoming: Vec<_> = job
        .graph
        .edges_directed(union, petgraph::Direction::Incoming)
        .map(|e| petgraph::visit::EdgeRef::id(&e))
        .collect();
    for edge in incoming {
        job.graph.remove_edge(edge);
    }
    let mut branches = Vec::new();
    for (port, (parent, side)) in (0u8..).zip(sides.into_iter().zip(["left", "right"])) {
        let branch = Node {
            stream: format!("{}.{side}", filtered.stream),
            named: false,
            merged: Vec::new(),
            synthetic: port > 0,
            ..filtered.clone()
        };
        let branch = job.graph.add_node(branch);
        job.graph.add_edge(parent, branch, 0);
        job.graph.add_edge(branch, union, port);
        branches.push(branch);
    }
    for child in consumers(job, filter) {
        for (port, parent) in (0u8..).zip(parents(job, child)) {
            if parent == filter {
                job.graph.add_edge(union, child, port);
            }
        }
    }
    job.graph.remove_node(filter);
    let node = &mut job.graph[union];
    node.stream = filtered.stream;
    node.named = filtered.named;
    node.merged = filtered.merged;
    branches
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
    fn a_filter_moves_into_both_branches() {
        insta::assert_snapshot!(after(
            "let a = source::text(\"x:\");
             let b = source::text(\"y:\");
             let good = a.union(b).filter(|l| l.len() > 1);
             good.map(|l| (l, 1)).reduce_by_key(add).print();
             good.print();"
        ), @r#"
        a                         source::text                    "x:"
        b                         source::text                    "y:"
        good.left                 filter ← a                      |l| l.len() > 1
        good.right                filter ← b                      |l| l.len() > 1
        good                      union ← good.left, good.right
        good.map                  map ← good                      |l| (l, 1)
        good.map.reduce_by_key    reduce_by_key ← good.map        add
        → good.map.reduce_by_key  print ← good.map.reduce_by_key
        → good                    print ← good
        "#);
    }

    #[test]
    fn through_unions_of_unions() {
        insta::assert_snapshot!(after(
            "let a = source::text(\"x:\");
             a.union(source::text(\"y:\")).union(a).filter(|l| l.len() > 1).count().print();"
        ), @r#"
        a                                source::text                                                             "x:"
        source                           source::text                                                             "y:"
        a.union.union.filter.left.left   filter ← a                                                               |l| l.len() > 1
        a.union.union.filter.left.right  filter ← source                                                          |l| l.len() > 1
        a.union.union.filter.left        union ← a.union.union.filter.left.left, a.union.union.filter.left.right
        a.union.union.filter.right       filter ← a                                                               |l| l.len() > 1
        a.union.union.filter             union ← a.union.union.filter.left, a.union.union.filter.right
        a.union.union.filter.count       count ← a.union.union.filter
        → a.union.union.filter.count     print ← a.union.union.filter.count
        "#);
    }

    #[test]
    fn not_if_the_union_has_a_name_or_another_use() {
        let named = "let a = source::text(\"x:\"); let both = a.union(a);
             both.filter(|l| l.len() > 1).print();";
        assert_eq!(after(named), dumped(&logical(named)));
    }
}
