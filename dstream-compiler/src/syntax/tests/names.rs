//! Names of streams and values.

use crate::testing::{logical, mistakes};

#[test]
fn unknown_streams() {
    insta::assert_snapshot!(mistakes("let views = source::text(\"x:\"); vews.map(|v| v).print();"), @r#"
    vews
      dstream[E0301]: no stream is called `vews` here
      help: did you mean `views`? if not, define it before it is used: `let vews = …;`
    "#);
    insta::assert_snapshot!(mistakes("late.print(); let late = source::text(\"x:\"); late.print();"), @r#"
    late
      dstream[E0301]: no stream is called `late` here
      help: define it before it is used: `let late = …;`
    "#);
    insta::assert_snapshot!(
        mistakes("let a = source::text(\"x:\"); a.union(other).print();"), @r#"
    other
      dstream[E0301]: no stream is called `other` here
      help: define it before it is used: `let other = …;`
    "#);
}

#[test]
fn unused_streams() {
    insta::assert_snapshot!(
        mistakes("let a = source::text(\"x:\"); let b = a.map(|l| l); a.print();"), @r#"
    b
      dstream[E0302]: the stream `b` is not used
      help: prefix it with `_` to keep it for later, remove it, or give it an output: `b.print();`
    "#);
    assert_eq!(mistakes("let a = source::text(\"x:\"); let _b = a.map(|l| l); a.print();"), "");
    insta::assert_snapshot!(mistakes("let a = source::text(\"x:\");"), @r#"
    a
      dstream[E0302]: the stream `a` is not used
      help: prefix it with `_` to keep it for later, remove it, or give it an output: `a.print();`
    "#);
}

#[test]
fn no_output() {
    insta::assert_snapshot!(mistakes(""), @r#"
    job
      dstream[E0314]: the job `job` has no output
      help: add one: `stream.save("json+file://out/name");` or `stream.print();`
    "#);
    insta::assert_snapshot!(mistakes("let _a = source::text(\"x:\");"), @r#"
    job
      dstream[E0314]: the job `job` has no output
      help: add one: `stream.save("json+file://out/name");` or `stream.print();`
    "#);
}

#[test]
fn one_name_one_thing() {
    insta::assert_snapshot!(
        mistakes("let a = source::text(\"x:\"); let a = a.map(|l| l); a.print();"), @r#"
    a
      dstream[E0303]: two streams are called `a`
      note: the first one is defined on line 2
      help: streams are known by their names, in queries and metrics too: call this one something else
    "#);
    insta::assert_snapshot!(
        mistakes("let n = 3; let n = source::text(\"x:\"); n.print();"), @r#"
    n
      dstream[E0304]: `n` is already a value
      note: it is defined on line 2
      help: a name means one thing in a job: call this one something else
    "#);
    insta::assert_snapshot!(
        mistakes("let n = source::text(\"x:\"); let n = 3; n.print();"), @r#"
    n
      dstream[E0304]: `n` is already a stream
      note: it is defined on line 2
      help: a name means one thing in a job: call this one something else
    "#);
    insta::assert_snapshot!(
        mistakes("let n = 3; let n = n + 1; source::text(\"x:\").filter(|l| l.len() > n).print();"), @r#"
    n
      dstream[E0304]: `n` is already a value
      note: it is defined on line 2
      help: a name means one thing in a job: call this one something else
    "#);
    insta::assert_snapshot!(
        mistakes("let a = source::text(\"x:\"); let b = a; b.print();"), @r#"
    a
      dstream[E0305]: `b` would be a second name for `a`
      help: use `a` itself: a stream can be used as often as you like
    "#);
    insta::assert_snapshot!(
        mistakes("let params = source::text(\"x:\"); params.print();"), @r#"
    params
      dstream[E0304]: `params` is already a value
      note: it is defined on line 1
      help: a name means one thing in a job: call this one something else
    "#);
}

#[test]
fn patterns() {
    insta::assert_snapshot!(mistakes("let (a, b) = source::text(\"x:\"); a.print();"), @r#"
    (a, b)
      dstream[E0308]: a stream is bound to one plain name
      help: write `let name = …;`
    "#);
    insta::assert_snapshot!(mistakes("let mut a = source::text(\"x:\"); a.print();"), @r#"
    mut
      dstream[E0309]: nothing can be mutable in the body of a job
      help: remove `mut`; state from batch to batch is kept by `.running_reduce(…)`, and a plain `let` may use `mut` in a block of its own: `let x = { let mut x = …; x };`
    "#);
    insta::assert_snapshot!(mistakes("let a: Stream<_> = source::text(\"x:\"); a.print();"), @r#"
    Stream<_>
      dstream[E0310]: the type of a stream is not written
      help: remove `: Stream<_>`; it follows from the closures, whose parameters and result can be annotated
    "#);
    insta::assert_snapshot!(mistakes("let (a, b) = (1, 2); source::text(\"x:\").print();"), @r#"
    (a, b)
      dstream[E0315]: a value is bound to one plain name here
      help: write `let name = …;` and take it apart where it is used
    "#);
    insta::assert_snapshot!(mistakes("let mut n: u8 = 1; source::text(\"x:\").print();"), @r#"
    mut
      dstream[E0309]: nothing can be mutable in the body of a job
      help: remove `mut`; state from batch to batch is kept by `.running_reduce(…)`, and a plain `let` may use `mut` in a block of its own: `let x = { let mut x = …; x };`
    "#);
    insta::assert_snapshot!(mistakes("let a; source::text(\"x:\").print();"), @r#"
    a
      dstream[E0316]: this name gets no value
      help: write `let a = …;`
    "#);
    insta::assert_snapshot!(
        mistakes("let Some(n) = params.n else { return }; source::text(\"x:\").print();"), @r#"
    else
      dstream[E0514]: the body of a job has no `let … else`
      help: leave records out with `.filter_map(…)`, or use `unwrap_or` in a plain `let`
    Some(n)
      dstream[E0315]: a value is bound to one plain name here
      help: write `let name = …;` and take it apart where it is used
    "#);
}

#[test]
fn streams_as_values() {
    let used = |s: &str| mistakes(&format!("let a = source::text(\"x:\"); {s} a.print();"));
    insta::assert_snapshot!(used("let n = (a, 1);"), @r#"
    a
      dstream[E0306]: the stream `a` is used in an ordinary expression
      help: a stream isn't a value when the job runs: it can only have operators called on it, or be passed to one, as in `a.map(…)`, `other.join(a)`
    "#);
    insta::assert_snapshot!(used("let n = Wrapper { stream: a };"), @r#"
    a
      dstream[E0306]: the stream `a` is used in an ordinary expression
      help: a stream isn't a value when the job runs: it can only have operators called on it, or be passed to one, as in `a.map(…)`, `other.join(a)`
    "#);
    insta::assert_snapshot!(used("drop(a);"), @r#"
    a
      dstream[E0306]: the stream `a` is used in an ordinary expression
      help: a stream isn't a value when the job runs: it can only have operators called on it, or be passed to one, as in `a.map(…)`, `other.join(a)`
    "#);
    insta::assert_snapshot!(used("let n = a.records;"), @r#"
    a
      dstream[E0306]: the stream `a` is used in an ordinary expression
      help: a stream isn't a value when the job runs: it can only have operators called on it, or be passed to one, as in `a.map(…)`, `other.join(a)`
    "#);
    insta::assert_snapshot!(used("a.top_k(a, |x| x).print();"), @r#"
    a
      dstream[E0306]: the stream `a` is used in an ordinary expression
      help: a stream isn't a value when the job runs: it can only have operators called on it, or be passed to one, as in `a.map(…)`, `other.join(a)`
    "#);
    insta::assert_snapshot!(used("let b = if params.x { a } else { a.map(|l| l) }; b.print();"), @r#"
    if
      dstream[E0501]: the body of a job has no `if`
      help: the plan is fixed when it is compiled: choose records with `.filter(…)`, or decide inside a closure or a plain `let`
    "#);
    insta::assert_snapshot!(used("a.union(&a).print();"), @r#"
    &
      dstream[E0025]: streams are passed by value, not by reference
      help: remove the `&`: a stream can be used as often as you like
    "#);
}

#[test]
fn derived_names_are_unique() {
    let job = logical(
        "let lines = source::text(\"x:\").map(|l| l).filter(|l| true);
         lines.map(|l| l).count().print();
         lines.map(|l| 2).save(\"stdout:\");
         lines.print();
         lines.print(5);
         source::text(\"y:\").print();
         source::text(\"z:\").print();",
    );
    let names: Vec<&str> = job.graph.node_weights().map(|node| node.stream.as_str()).collect();
    assert_eq!(
        names,
        [
            "lines.source",
            "lines.source.map",
            "lines",
            "lines.map",
            "lines.map.count",
            "lines.map.count",
            "lines.map_2",
            "lines.map_2",
            "lines",
            "lines_2",
            "source",
            "source",
            "source_2",
            "source_2",
        ]
    );
}
