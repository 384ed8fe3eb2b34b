//! Windows, slides, and streams that emit together.

use crate::testing::{logical, mistakes};

fn window(args: &str) -> String {
    mistakes(&format!("source::text(\"x:\").window({args}).print();"))
}

#[test]
fn lengths_and_slides() {
    for good in ["\"30s\"", "\"30s\", \"2s\"", "\"2s\", \"30s\"", "\"1.5min\", \"1s\""] {
        assert_eq!(window(good), "", "{good}");
    }
    insta::assert_snapshot!(window("30"), @r#"
    30
      dstream[E0201]: the window of `window` must be a duration written as text
      help: write `.window("30s", "1s")`: it is part of the plan, so it cannot be computed when the job starts
    "#);
    insta::assert_snapshot!(window("params.length"), @r#"
    params.length
      dstream[E0201]: the window of `window` must be a duration written as text
      help: write `.window("30s", "1s")`: it is part of the plan, so it cannot be computed when the job starts
    "#);
    insta::assert_snapshot!(window("\"30 seconds\""), @r#"
    "30 seconds"
      dstream[E0202]: `30 seconds` isn't a valid duration
      help: write a number with a unit: `"500ms"`, `"30s"`, `"1.5s"`, `"2min"`, `"1h"`, `"30d"`
    "#);
    insta::assert_snapshot!(window("\"0s\""), @r#"
    "0s"
      dstream[E0203]: a window of zero contains nothing
      help: it must be at least 1s
    "#);
    insta::assert_snapshot!(window("\"500ms\""), @r#"
    "500ms"
      dstream[E0204]: a window of 500ms isn't a multiple of the job's interval of 1s
      help: use 1s, or another `interval`
    "#);
    insta::assert_snapshot!(window("\"30s\", \"1500ms\""), @r#"
    "1500ms"
      dstream[E0204]: a slide of 1500ms isn't a multiple of the job's interval of 1s
      help: use 1s or 2s, or another `interval`
    "#);
    insta::assert_snapshot!(window("\"999999999h\""), @r#"
    "999999999h"
      dstream[E0207]: a window of 999999999h is too long
      help: a window may span 4294967295 batches at most
    "#);
}

#[test]
fn multiples_of_the_slide_of_the_parent() {
    let after = |args: &str| {
        mistakes(&format!(
            "let pairs = source::text(\"x:\").window(\"4s\", \"2s\"); pairs.window({args}).print();"
        ))
    };
    assert_eq!(after("\"4s\""), "");
    assert_eq!(after("\"6s\", \"4s\""), "");
    insta::assert_snapshot!(after("\"5s\""), @r#"
    "5s"
      dstream[E0205]: a window of 5s isn't a multiple of the 2s at which `pairs` slides
      help: use 4s or 6s, or another slide for `pairs`
    "#);
    insta::assert_snapshot!(after("\"6s\", \"3s\""), @r#"
    "3s"
      dstream[E0205]: a slide of 3s isn't a multiple of the 2s at which `pairs` slides
      help: use 2s or 4s, or another slide for `pairs`
    "#);
}

#[test]
fn a_slide_is_that_of_the_parent_unless_given() {
    let job = logical("source::text(\"x:\").window(\"4s\", \"2s\").window(\"6s\").print();");
    let slides = crate::pass::slides(&job);
    assert_eq!(slides.values().copied().collect::<Vec<_>>(), [1, 2, 2, 2]);
}

#[test]
fn streams_of_different_slides() {
    let two = |op: &str| {
        mistakes(&format!(
            "let a = source::text(\"x:\").map(|l| (l, 1));
             let b = a.window(\"4s\", \"2s\");
             a.{op}(b).print();"
        ))
    };
    insta::assert_snapshot!(two("join"), @r#"
    b
      dstream[E0206]: `join` needs streams that emit together: `a` emits every 1s, `b` every 2s
      help: give both the same slide, with `.window(length, slide)`
    "#);
    insta::assert_snapshot!(two("union"), @r#"
    b
      dstream[E0206]: `union` needs streams that emit together: `a` emits every 1s, `b` every 2s
      help: give both the same slide, with `.window(length, slide)`
    "#);
}

#[test]
fn the_inverse_is_told_from_the_length() {
    let reduce = |args: &str| {
        mistakes(&format!(
            "source::text(\"x:\").map(|l| (l, 1)).reduce_by_key_and_window({args}).print();"
        ))
    };
    for good in [
        "|a, b| a + b, \"30s\"",
        "|a, b| a + b, \"30s\", \"1s\"",
        "|a, b| a + b, |a, b| a - b, \"30s\"",
        "add, sub, \"30s\", \"1s\"",
    ] {
        assert_eq!(reduce(good), "", "{good}");
    }
    insta::assert_snapshot!(reduce("|a, b| a + b, |a| a, \"30s\", \"1s\""), @r#"
    a
      dstream[E0104]: the closure of `reduce_by_key_and_window` takes two parameters, not 1
      help: write `|all, left| …`
    "#);
    insta::assert_snapshot!(reduce("\"30s\", \"1s\""), @r#"
    "30s"
      dstream[E0103]: `reduce_by_key_and_window` needs a function here
      help: write a closure, `|a, b| …`, or the path of a function
    "#);
}
