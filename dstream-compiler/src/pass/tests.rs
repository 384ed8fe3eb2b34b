//! Whole jobs through all passes.

use crate::testing::{phase, physical};

const WORD_COUNT: &str = r#"
    let lines = source::text(&params.input);
    let ones = lines.flat_map(|l| l.split_whitespace()).map(|w| (w, 1u64));
    let counts = ones.reduce_by_key(|a, b| a + b);
    counts.save("csv+file://out/counts");
    let recent = ones.reduce_by_key_and_window(|a, b| a + b, "30s", "1s");
    recent.top_k(10, |(_, n)| *n).print();
"#;

#[test]
fn word_count() {
    let plan = physical(WORD_COUNT);
    insta::assert_snapshot!(phase(&plan, "common sub-plans"), @r#"
    lines           source::text                       &params.input
    lines.flat_map  flat_map ← lines                   |l| l.split_whitespace()
    ones            map ← lines.flat_map               |w| (w, 1u64)
    counts          reduce_by_key ← ones               |a, b| a + b
    → counts        save ← counts                      "csv+file://out/counts"
    recent          reduce_by_key_and_window ← counts  |a, b| a + b, 30 every 1
    recent.top_k    top_k ← recent                     10, |(_, n)| *n
    → recent.top_k  print ← recent.top_k
    "#);
    insta::assert_snapshot!(phase(&plan, "stages"), @r#"
    stage 0  lines = source 0, per range of lines
      lines.flat_map = flat_map |l| l.split_whitespace()
        ones = map |w| (w, 1u64)
          tail 0: combine
    stage 1  counts = merge flow 0, per partition
      tail 0: output counts
      tail 1: spread in the same partition
    stage 2  recent = window reduce of 30 flow 1, per partition, keeps 30 panes until end of the window
      tail 0: top by |(_, n)| *n
    stage 3  recent.top_k = top flow 2, one task
      tail 0: output recent.top_k
    flow 0  combined by |a, b| a + b from 0.0
    flow 1  by key, same partition from 1.1
    flow 2  top 10, gathered from 2.0
    "#);
}

#[test]
fn grep() {
    let plan = physical(
        r#"
        let pattern = Pattern::new(&params.pattern);
        let lines = source::text("file:///logs/*.txt");
        let hits = lines.filter(|l| pattern.is_in(l));
        hits.save("stdout:");
        hits.count().print();
        "#,
    );
    insta::assert_snapshot!(phase(&plan, "stages"), @r#"
    stage 0  lines = source 0, per range of lines
      hits = filter |l| pattern.is_in(l)
        tail 0: output hits
        tail 1: tally
    stage 1  hits.count = count flow 0, one task
      tail 0: output hits.count
    flow 0  counts, gathered from 0.1
    "#);
}

#[test]
fn page_views() {
    let plan = physical(
        r#"
        let views  = source::json::<PageView>("tcp://0.0.0.0:9000");
        let ones   = views.map(|v| (v.url, 1u64));
        let counts = ones.running_reduce(|a, b| a + b);
        counts.save("csv+file://out/counts");
        ones.reduce_by_key_and_window(|a, b| a + b, "30s", "1s").top_k(10, |(_, n)| n).print();
        "#,
    );
    insta::assert_snapshot!(phase(&plan, "common sub-plans"), @r#"
    views                                  source::json::<PageView>                                        "tcp://0.0.0.0:9000"
    ones                                   map ← views                                                     |v| (v.url, 1u64)
    counts                                 running_reduce ← ones                                           |a, b| a + b
    → counts                               save ← counts                                                   "csv+file://out/counts"
    ones.reduce_by_key_and_window.panes    reduce_by_key ← ones                                            |a, b| a + b
    ones.reduce_by_key_and_window          reduce_by_key_and_window ← ones.reduce_by_key_and_window.panes  |a, b| a + b, 30 every 1
    ones.reduce_by_key_and_window.top_k    top_k ← ones.reduce_by_key_and_window                           10, |(_, n)| n
    → ones.reduce_by_key_and_window.top_k  print ← ones.reduce_by_key_and_window.top_k
    "#);
    insta::assert_snapshot!(phase(&plan, "partitioning"), @r#"
    views                                  source::json::<PageView>
    ones                                   map ← views
    counts                                 running_reduce ← ones                                           by key since counts, each key once
    → counts                               save ← counts                                                   by key since counts, each key once
    ones.reduce_by_key_and_window.panes    reduce_by_key ← ones                                            by key since ones.reduce_by_key_and_window.panes, each key once
    ones.reduce_by_key_and_window          reduce_by_key_and_window ← ones.reduce_by_key_and_window.panes  by key since ones.reduce_by_key_and_window.panes, each key once
    ones.reduce_by_key_and_window.top_k    top_k ← ones.reduce_by_key_and_window
    → ones.reduce_by_key_and_window.top_k  print ← ones.reduce_by_key_and_window.top_k
    "#);
    insta::assert_snapshot!(phase(&plan, "stages"), @r#"
    stage 0  views = source 0, per range of views
      ones = map |v| (v.url, 1u64)
        tail 0: combine
    stage 1  counts = running merge flow 0, per partition, keeps previous batch until checkpoint
      tail 0: output counts
    stage 2  ones.reduce_by_key_and_window.panes = merge flow 0, per partition
      tail 0: spread in the same partition
    stage 3  ones.reduce_by_key_and_window = window reduce of 30 flow 1, per partition, keeps 30 panes until end of the window
      tail 0: top by |(_, n)| n
    stage 4  ones.reduce_by_key_and_window.top_k = top flow 2, one task
      tail 0: output ones.reduce_by_key_and_window.top_k
    flow 0  combined by |a, b| a + b from 0.0
    flow 1  by key, same partition from 2.0
    flow 2  top 10, gathered from 3.0
    "#);
}

#[test]
fn top_k_count() {
    let plan = physical(
        r#"
        let words = source::text("file:///x").flat_map(|l| l.split(' ')).map(|w| (w, 1u64));
        let counts = words.reduce_by_key_and_window(|a, b| a + b, |a, b| a - b, "30s", "2s");
        counts.top_k(params.k, |(_, n)| *n).save("json+file://out");
        "#,
    );
    insta::assert_snapshot!(phase(&plan, "stages"), @r#"
    stage 0  words.source = source 0, per range of words.source
      words.source.flat_map = flat_map |l| l.split(' ')
        words = map |w| (w, 1u64)
          tail 0: combine
    stage 1  counts.panes = merge flow 0, per partition
      tail 0: spread in the same partition
    stage 2  counts = window reduce of 30 with inverse flow 1, per partition, keeps 30 panes until checkpoint, every 1 emits every 2
      tail 0: top by |(_, n)| *n
    stage 3  counts.top_k = top flow 2, one task, every 2 emits every 2
      tail 0: output counts.top_k
    flow 0  combined by |a, b| a + b from 0.0
    flow 1  by key, same partition from 1.0
    flow 2  top params.k, gathered from 2.0
    "#);
}
