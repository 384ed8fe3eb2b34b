//! Windows of values: what reduces or counts the records of a window does so per batch instead, and the window keeps
//! what came of each batch, not its records.
//!
//! An operator says what it is over a window (`over_window`). Steps per record between the two do the same before the
//! window, once for each record and not once for each window, so they move there; a step that knows the batch that it is
//! in does not. The window goes if nothing else reads it.

use petgraph::graph::NodeIndex;

use super::dead;
use super::order::{consumers, parents};
use crate::ir::logical::{Function, Job, Node};
use crate::op::{Argument, Operator};

/// Runs the pass.
pub(super) fn run(job: &mut Job) {
    let nodes: Vec<NodeIndex> = job.graph.node_indices().collect();
    let mut moved = false;
    for node in nodes {
        let Some((over, reads, window)) = over_a_window(job, node) else { continue };
        let [parent] = parents(job, window)[..] else { continue };
        moved |= put(job, node, over, (reads, window), parent).is_some();
    }
    if moved {
        dead::run(job);
    }
}

/// What an operator is over a window, what reads that (itself, or a step before it that may stand before a window), and
/// the window, if there is one.
fn over_a_window(job: &Job, node: NodeIndex) -> Option<(&'static Operator, NodeIndex, NodeIndex)> {
    let over = job.graph[node].operator.over_window?;
    let [mut parent] = parents(job, node)[..] else { return None };
    let mut reads = node;
    while moves(job, parent) {
        let [before] = parents(job, parent)[..] else { return None };
        (reads, parent) = (parent, before);
    }
    job.graph[parent].operator.is_window.then_some((over, reads, parent))
}

/// Whether a node may stand before a window instead of behind it: what one operator alone reads of it is the same.
fn moves(job: &Job, node: NodeIndex) -> bool {
    let Node { operator, arguments, .. } = &job.graph[node];
    let is_pure = |function: &Function| !function.nondeterministic && !function.takes_context();
    operator.before_window && arguments.functions().all(is_pure) && consumers(job, node).len() == 1
}

/// Puts the operator over the parent of the window, with the window's length and slide.
fn put(
    job: &mut Job,
    node: NodeIndex,
    over: &'static Operator,
    (reads, window): (NodeIndex, NodeIndex),
    parent: NodeIndex,
) -> Option<()> {
    let of = &job.graph[window].arguments;
    let (length, slide) = (Argument::Length(of.length()?), Argument::Slide(of.slide()?));
    let weight = &mut job.graph[node];
    let functions = weight.arguments.functions().cloned().map(Argument::Function);
    weight.arguments = functions.chain([length, slide]).collect::<Vec<_>>().into();
    weight.operator = over;
    let edge = job.graph.find_edge(window, reads)?;
    job.graph.remove_edge(edge);
    job.graph.add_edge(parent, reads, 0);
    Some(())
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
    fn what_is_reduced_or_counted_is_so_per_batch() {
        insta::assert_snapshot!(after(
            "let lines = source::text(\"x:\");
             let ones = lines.map(|l| (l, 1));
             lines.window(\"30s\", \"10s\").count().print();
             lines.window(\"30s\").count_by_value().print();
             lines.window(\"30s\").reduce(max).print();
             ones.window(\"30s\").reduce_by_key(add).print();
             ones.window(\"30s\").group_by_key().print();"
        ), @r#"
        lines                            source::text                           "x:"
        ones                             map ← lines                            |l| (l, 1)
        lines.window.count               count_by_window ← lines                30 every 10
        → lines.window.count             print ← lines.window.count
        lines.window_2.count_by_value    count_by_value_and_window ← lines      30 every 1
        → lines.window_2.count_by_value  print ← lines.window_2.count_by_value
        lines.window_3.reduce            reduce_by_window ← lines               max, 30 every 1
        → lines.window_3.reduce          print ← lines.window_3.reduce
        ones.window.reduce_by_key        reduce_by_key_and_window ← ones        add, 30 every 1
        → ones.window.reduce_by_key      print ← ones.window.reduce_by_key
        ones.window_2.group_by_key       group_by_key_and_window ← ones         30 every 1
        → ones.window_2.group_by_key     print ← ones.window_2.group_by_key
        "#);
    }

    #[test]
    fn a_window_stays_for_what_takes_its_records() {
        insta::assert_snapshot!(after(
            "let lines = source::text(\"x:\");
             let recent = lines.window(\"30s\");
             recent.count().print();
             recent.distinct().print();
             recent.filter(|l| l.len() > 3).count().print();
             recent.filter(|l, ctx| ctx.batch_time() > 0).count().print();"
        ), @r#"
        lines                    source::text                     "x:"
        recent                   window ← lines                   30 every 1
        recent.count             count_by_window ← lines          30 every 1
        → recent.count           print ← recent.count
        recent.distinct          distinct ← recent
        → recent.distinct        print ← recent.distinct
        recent.filter            filter ← lines                   |l| l.len() > 3
        recent.filter.count      count_by_window ← recent.filter  30 every 1
        → recent.filter.count    print ← recent.filter.count
        recent.filter_2          filter ← recent                  |l, ctx| ctx.batch_time() > 0
        recent.filter_2.count    count ← recent.filter_2
        → recent.filter_2.count  print ← recent.filter_2.count
        "#);
    }

    #[test]
    fn of_windows_of_windows_the_last_one() {
        insta::assert_snapshot!(after(
            "source::text(\"x:\").window(\"4s\", \"2s\").window(\"6s\").count().print();"
        ), @r#"
        source                        source::text                        "x:"
        source.window                 window ← source                     4 every 2
        source.window.window.count    count_by_window ← source.window     6 every 2
        → source.window.window.count  print ← source.window.window.count
        "#);
    }
}
