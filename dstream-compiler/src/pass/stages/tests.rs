//! Where plans are cut, what is shared, and what holds for every physical plan.

use std::collections::BTreeMap;

use crate::ir::flow::Movement;
use crate::ir::physical::{Physical, Stage, TailKind, Tasks, Use};
use crate::op::Sink;
use crate::testing::{phase, physical};

fn stages(body: &str) -> String {
    let plan = physical(body);
    check(&plan);
    phase(&plan, "stages")
}

#[test]
fn joins_of_reduced_streams_move_nothing() {
    insta::assert_snapshot!(stages(
        "let a = source::text(\"x:\").map(|l| (l, 1)).reduce_by_key(add);
         let b = source::text(\"y:\").map(|l| (l, 1)).reduce_by_key(add);
         a.join(b).print();
         a.join(a).count().print();"
    ), @r#"
    stage 0  a.source = source 0, per range of a.source
      a.source.map = map |l| (l, 1)
        tail 0: combine
    stage 1  a = merge flow 0, per partition
      tail 0: spread in the same partition
    stage 2  b.source = source 1, per range of b.source
      b.source.map = map |l| (l, 1)
        tail 0: combine
    stage 3  b = merge flow 1, per partition
      tail 0: spread in the same partition
    stage 4  a.join = join flow 2 with flow 3, per partition
      tail 0: output a.join
    stage 5  a.join_2 = join flow 2 with flow 2, per partition
      tail 0: tally
    stage 6  a.join_2.count = count flow 4, one task
      tail 0: output a.join_2.count
    flow 0  combined by add from 0.0
    flow 1  combined by add from 2.0
    flow 2  by key, same partition from 1.0
    flow 3  by key, same partition from 3.0
    flow 4  counts, gathered from 5.0
    "#);
}

#[test]
fn joins_of_others_shuffle_each_stream_once() {
    insta::assert_snapshot!(stages(
        "let a = source::text(\"x:\").map(|l| (l, 1));
         let b = source::text(\"y:\").map(|l| (l, 1));
         let c = source::text(\"z:\").map(|l| (l, 1));
         a.join(b).print();
         a.join(c).print();"
    ), @r#"
    stage 0  a.source = source 0, per range of a.source
      a = map |l| (l, 1)
        tail 0: spread
    stage 1  b.source = source 1, per range of b.source
      b = map |l| (l, 1)
        tail 0: spread
    stage 2  c.source = source 2, per range of c.source
      c = map |l| (l, 1)
        tail 0: spread
    stage 3  a.join = join flow 0 with flow 1, per partition
      tail 0: output a.join
    stage 4  a.join_2 = join flow 0 with flow 2, per partition
      tail 0: output a.join_2
    flow 0  by key from 0.0
    flow 1  by key from 1.0
    flow 2  by key from 2.0
    "#);
}

#[test]
fn unions_flow_straight_into_shuffles() {
    insta::assert_snapshot!(stages(
        "let a = source::text(\"x:\").map(|l| (l, 1));
         let b = source::text(\"y:\").map(|l| (l, 1));
         a.union(b).union(a).reduce_by_key(add).print();
         a.union(b).count().print();"
    ), @r#"
    stage 0  a.source = source 0, per range of a.source
      a = map |l| (l, 1)
        tail 0: combine
        tail 1: combine
        tail 2: tally
    stage 1  b.source = source 1, per range of b.source
      b = map |l| (l, 1)
        tail 0: combine
        tail 1: tally
    stage 2  a.union.union.reduce_by_key = merge flow 0, per partition
      tail 0: output a.union.union.reduce_by_key
    stage 3  a.union_2.count = count flow 1, one task
      tail 0: output a.union_2.count
    flow 0  combined by add from 0.0, 1.0, 0.1
    flow 1  counts, gathered from 0.2, 1.1
    "#);
}

#[test]
fn unions_are_stages_for_narrow_operators_and_outputs() {
    insta::assert_snapshot!(stages(
        "let a = source::text(\"x:\");
         let both = a.union(source::text(\"y:\"));
         both.print();
         both.map(|l| (l, 1)).reduce_by_key(add).print();
         both.count().print();"
    ), @r#"
    stage 0  a = source 0, per range of a
      tail 0: rows
      tail 1: tally
    stage 1  source = source 1, per range of source
      tail 0: rows
      tail 1: tally
    stage 2  both = rows flow 0, per partition
      tail 0: output both
      both.map = map |l| (l, 1)
        tail 1: combine
    stage 3  both.map.reduce_by_key = merge flow 1, per partition
      tail 0: output both.map.reduce_by_key
    stage 4  both.count = count flow 2, one task
      tail 0: output both.count
    flow 0  rows, same partition from 0.0, 1.0
    flow 1  combined by add from 2.1
    flow 2  counts, gathered from 0.1, 1.1
    "#);
}

#[test]
fn a_stream_united_with_itself_leaves_twice() {
    insta::assert_snapshot!(stages("let a = source::text(\"x:\"); a.union(a).count().print();"), @r#"
    stage 0  a = source 0, per range of a
      tail 0: tally
      tail 1: tally
    stage 1  a.union.count = count flow 0, one task
      tail 0: output a.union.count
    flow 0  counts, gathered from 0.0, 0.1
    "#);
}

#[test]
fn what_follows_one_task_stays_one_task() {
    insta::assert_snapshot!(stages(
        "let a = source::text(\"x:\").count();
         a.map(|n| n + 1).window(\"3s\").print();
         a.union(a).print();
         a.union(source::text(\"y:\").map(|l| 1u64)).print();
         a.map(|n| (n, 1)).reduce_by_key(add).print();"
    ), @r#"
    stage 0  a.source = source 0, per range of a.source
      tail 0: tally
    stage 1  a = count flow 0, one task
      a.map = map |n| n + 1
        tail 0: rows
      tail 1: rows
      tail 2: rows
      tail 3: rows
      a.map_2 = map |n| (n, 1)
        tail 4: combine
    stage 2  a.map.window = window of 3 flow 1, one task, keeps 3 panes until end of the window
      tail 0: output a.map.window
    stage 3  a.union = rows flow 2, one task
      tail 0: output a.union
    stage 4  source = source 1, per range of source
      source.map = map |l| 1u64
        tail 0: rows
    stage 5  a.union_2 = rows flow 3, per partition
      tail 0: output a.union_2
    stage 6  a.map_2.reduce_by_key = merge flow 4, per partition
      tail 0: output a.map_2.reduce_by_key
    flow 0  counts, gathered from 0.0
    flow 1  rows, same partition from 1.0
    flow 2  rows, same partition from 1.1, 1.2
    flow 3  rows, same partition from 1.3, 4.0
    flow 4  combined by add from 1.4
    "#);
}

#[test]
fn windows_of_windows_count_in_batches() {
    insta::assert_snapshot!(stages(
        "let a = source::text(\"x:\").map(|l| (l, 1));
         let w = a.window(\"10s\", \"2s\");
         w.reduce_by_key_and_window(add, sub, \"20s\", \"4s\").print();
         w.reduce(max).print();"
    ), @r"
    stage 0  a.source = source 0, per range of a.source
      a = map |l| (l, 1)
        tail 0: rows
        tail 1: fold
    stage 1  w = window of 10 flow 0, per partition, keeps 10 panes until end of the window, every 1 emits every 2
      tail 0: combine
    stage 2  w.reduce_by_key_and_window.panes = merge flow 1, per partition, every 2 emits every 2
      tail 0: spread in the same partition
    stage 3  w.reduce_by_key_and_window = window reduce of 20 with inverse flow 2, per partition, keeps 10 panes of 2 until checkpoint, every 2 emits every 4
      tail 0: output w.reduce_by_key_and_window
    stage 4  w.reduce.panes = reduce flow 3, one task
      tail 0: spread in the same partition (true, record)
    stage 5  w.reduce = window reduce of 10 flow 4, one task, keeps 10 panes until end of the window, every 1 emits every 2
      tail 0: output w.reduce
    flow 0  rows, same partition from 0.0
    flow 1  combined by add from 1.0
    flow 2  by key, same partition from 2.0
    flow 3  folded by max, gathered from 0.1
    flow 4  by key, same partition from 4.0
    ");
}

#[test]
fn state_after_state_stays_in_its_partition() {
    insta::assert_snapshot!(stages(
        "let counts = source::text(\"x:\").map(|l| (l, 1)).reduce_by_key(add);
         let totals = counts.running_reduce(add);
         totals.map_values(|n| n * 2).reduce_by_key(max).print();
         counts.window(\"3s\").reduce_by_key(add).print();"
    ), @r"
    stage 0  counts.source = source 0, per range of counts.source
      counts.source.map = map |l| (l, 1)
        tail 0: combine
    stage 1  counts = merge flow 0, per partition
      tail 0: spread in the same partition
    stage 2  totals = running merge flow 1, per partition, keeps previous batch until checkpoint
      totals.map_values = map_values |n| n * 2
        tail 0: spread in the same partition
    stage 3  totals.map_values.reduce_by_key = merge flow 2, per partition
      tail 0: output totals.map_values.reduce_by_key
    stage 4  counts.window.reduce_by_key = window reduce of 3 flow 1, per partition, keeps 3 panes until end of the window
      tail 0: output counts.window.reduce_by_key
    flow 0  combined by add from 0.0
    flow 1  by key, same partition from 1.0
    flow 2  by key, same partition from 2.0
    ");
}

#[test]
fn equal_tops_and_folds_share_a_flow_only_if_they_are_equal() {
    let plan = physical(
        "let a = source::json::<u64>(\"x:\");
         a.top_k(3, |n| *n).print();
         a.top_k(3, |n| n % 7).print();
         a.reduce(max).print();
         a.reduce(min).print();",
    );
    check(&plan);
    assert_eq!(plan.flows.len(), 4);
}

#[test]
fn outputs_have_names_of_their_own() {
    let plan = physical(
        "let a = source::text(\"x:\");
         let b = a.map(|l| l.len());
         let c = a.map(|l| l.len());
         a.print(); a.print(3); b.save(\"stdout:\"); c.save(\"stdout:\");",
    );
    check(&plan);
    let names: Vec<&str> = plan.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["a", "a_2", "b", "c"]);
    let printed = plan.outputs.iter().map(|output| match output.sink {
        Sink::Print(records) => Some(records),
        Sink::Url(_) | Sink::Function(_) => None,
    });
    assert_eq!(printed.collect::<Vec<_>>(), [Some(10), Some(3), None, None]);
}

#[test]
fn the_drawing_names_every_stage_and_output() {
    let plan = physical(
        "let a = source::text(\"x\\\"y:\"); a.map(|l| (l, 1)).reduce_by_key(add).print();",
    );
    insta::assert_snapshot!(plan.dot, @r#"
    digraph "job" {
      rankdir=LR;
      node [shape=box, fontname="sans-serif"];
      edge [fontname="sans-serif", fontsize=10];
      s0 [label="0: a = source 0, per range of a\la = source::text\la.map = map\l"];
      s1 [label="1: a.map.reduce_by_key = merge flow 0, per partition\la.map.reduce_by_key = reduce_by_key\la.map.reduce_by_key = print\l"];
      s0 -> s1 [label="combined by add\l", style=dashed];
      o0 [label="a.map.reduce_by_key\l", shape=ellipse];
      s1 -> o0;
    }
    "#);
}

/// Programs of all shapes hold the invariants of physical plans: random chains over random streams.
#[test]
fn invariants_hold_for_random_programs() {
    let links = [
        "map(f)",
        "filter(p)",
        "map_values(g)",
        "flat_map(h)",
        "reduce_by_key(add)",
        "running_reduce(add)",
        "reduce_by_key_and_window(add, \"4s\")",
        "reduce_by_key_and_window(add, sub, \"8s\")",
        "window(\"4s\")",
        "count()",
        "reduce(max)",
        "top_k(3, s)",
    ];
    let mut seed = 7u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..150 {
        let mut body =
            String::from("let s0 = source::text(\"x:\");\nlet s1 = source::text(\"y:\");\n");
        let mut streams = 2;
        for _ in 0..3 + draw(12) {
            let from = draw(streams);
            let link = match draw(links.len() + 3) {
                0 | 1 => format!("union(s{})", draw(streams)),
                2 => format!("join(s{})", draw(streams)),
                n => links[n - 3].to_owned(),
            };
            body.push_str(&format!("let s{streams} = s{from}.{link};\n"));
            streams += 1;
        }
        for stream in 0..streams {
            body.push_str(&format!("s{stream}.print();\n"));
        }
        check(&physical(&body));
    }
}

/// What `ir::physical` promises.
fn check(plan: &Physical) {
    let mut fed: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (index, flow) in plan.flows.iter().enumerate() {
        assert!(!flow.from.is_empty(), "flow {index} comes from nowhere");
        for &(stage, tail) in &flow.from {
            assert!(fed.insert((stage, tail), index).is_none(), "tail {stage}.{tail} feeds twice");
            let kind = plan.stages[stage].tails[tail];
            assert_eq!(kind, TailKind::Flow(flow.form.kind), "tail {stage}.{tail}");
        }
    }
    for (index, output) in plan.outputs.iter().enumerate() {
        let tail = plan.stages[output.stage].tails[output.tail];
        assert_eq!(tail, TailKind::Output(index));
    }
    let mut read = vec![0; plan.flows.len()];
    for (index, stage) in plan.stages.iter().enumerate() {
        for &flow in &stage.head.flows {
            read[flow] += 1;
            let from = &plan.flows[flow].from;
            assert!(from.iter().all(|(from, _)| *from < index), "stage {index} is out of order");
            for (from, _) in from {
                assert_eq!(plan.stages[*from].emits_every, stage.every, "stage {index}");
            }
        }
        check_body(plan, stage, index, &fed);
        assert!(stage.emits_every.is_multiple_of(stage.every), "stage {index}");
        assert!(stage.operators.contains(&stage.operator), "stage {index}");
        assert!(stage.operators.is_sorted(), "stage {index}");
    }
    assert!(read.iter().all(|times| *times > 0), "a flow is not read");
    for operator in 0..plan.operators.len() {
        let name = plan.operators[operator].operator.name;
        assert!(
            plan.stages.iter().any(|s| s.operators.contains(&operator)),
            "{name} is in no stage"
        );
    }
}

fn check_body(plan: &Physical, stage: &Stage, index: usize, fed: &BTreeMap<(usize, usize), usize>) {
    let mut seen = vec![0; stage.tails.len()];
    let mut streams = vec![(stage.operator, false)];
    tails(&stage.body, &mut seen, &mut streams);
    assert!(seen.iter().all(|times| *times == 1), "tails of stage {index}: {seen:?}");
    for (tail, kind) in stage.tails.iter().enumerate() {
        let output = matches!(kind, TailKind::Output(_));
        assert_ne!(output, fed.contains_key(&(index, tail)), "tail {index}.{tail}");
    }
    let movement = |flow: &usize| plan.flows[*flow].form.kind.movement;
    let gathers = stage.head.flows.iter().any(|flow| movement(flow) == Movement::Gather);
    assert!(!gathers || stage.tasks == Tasks::One, "stage {index}");
    for (operator, empty) in streams {
        assert!(!empty, "nothing becomes of {}", plan.operators[operator].stream);
    }
}

fn tails(body: &[Use], seen: &mut [usize], streams: &mut Vec<(usize, bool)>) {
    for item in body {
        match item {
            Use::Step { operator, body, .. } => {
                streams.push((*operator, body.is_empty()));
                tails(body, seen, streams);
            }
            Use::Tail { tail, .. } => seen[*tail] += 1,
        }
    }
}
