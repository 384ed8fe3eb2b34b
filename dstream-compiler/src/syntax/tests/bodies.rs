//! Statements that do not belong in a body.

use crate::testing::mistakes;

fn with(statement: &str) -> String {
    mistakes(&format!("let a = source::text(\"x:\"); {statement} a.print();"))
}

#[test]
fn control_flow() {
    insta::assert_snapshot!(with("if params.x { a.print(); }"), @r#"
    if
      dstream[E0501]: the body of a job has no `if`
      help: the plan is fixed when it is compiled: choose records with `.filter(…)`, or decide inside a closure or a plain `let`
    "#);
    insta::assert_snapshot!(with("match params.x { _ => {} }"), @r#"
    match
      dstream[E0502]: the body of a job has no `match`
      help: the plan is fixed when it is compiled: match inside a closure, such as that of `.filter_map(…)`, or a plain `let`
    "#);
    insta::assert_snapshot!(with("for s in [a] { s.print(); }"), @r#"
    for
      dstream[E0503]: the body of a job has no `for`
      help: operators already work on every record: use `.map(…)` or `.flat_map(…)`
    "#);
    insta::assert_snapshot!(with("while true {}"), @r#"
    while
      dstream[E0504]: the body of a job has no `while`
      help: a job runs batch after batch by itself: state from batch to batch is kept by `.running_reduce(…)`, `.track(…)` or a window
    "#);
    insta::assert_snapshot!(with("loop {}"), @r#"
    loop
      dstream[E0504]: the body of a job has no `loop`
      help: a job runs batch after batch by itself: state from batch to batch is kept by `.running_reduce(…)`, `.track(…)` or a window
    "#);
    insta::assert_snapshot!(with("return;"), @r#"
    return
      dstream[E0505]: the body of a job has no `return`
      help: a job runs until it is stopped or its input ends: remove it
    "#);
    insta::assert_snapshot!(with("break; continue;"), @r#"
    break
      dstream[E0506]: the body of a job has no `break`
      help: leave records out with `.filter(…)`
    continue
      dstream[E0506]: the body of a job has no `continue`
      help: leave records out with `.filter(…)`
    "#);
    insta::assert_snapshot!(with("{ a.print(); }"), @r#"
    {
      dstream[E0509]: the body of a job has no blocks
      help: write the statements without `{…}`
    "#);
    insta::assert_snapshot!(with("unsafe { a.print(); }"), @r#"
    unsafe
      dstream[E0509]: the body of a job has no blocks
      help: write the statements without `{…}`
    "#);
}

#[test]
fn jumps() {
    insta::assert_snapshot!(with("a.map(|l| l)?.print();"), @r#"
    ?
      dstream[E0507]: the body of a job has no `?`: nothing is returned to
      help: handle errors in a closure: `.filter_map(|x| x.ok())` leaves out what failed
    "#);
    insta::assert_snapshot!(with("a.map(|l| l).await.print();"), @r#"
    await
      dstream[E0508]: the body of a job has no `.await`
      help: streams arrive by themselves: call operators on them, such as `.map(…)`
    "#);
    insta::assert_snapshot!(with("let n = params.n()?;"), @r#"
    ?
      dstream[E0507]: the body of a job has no `?`: nothing is returned to
      help: handle errors in a closure: `.filter_map(|x| x.ok())` leaves out what failed
    "#);
    insta::assert_snapshot!(with("let n = load().await;"), @r#"
    await
      dstream[E0508]: the body of a job has no `.await`
      help: streams arrive by themselves: call operators on them, such as `.map(…)`
    "#);
    insta::assert_snapshot!(with("a.save(params.url()?);"), @r#"
    ?
      dstream[E0507]: the body of a job has no `?`: nothing is returned to
      help: handle errors in a closure: `.filter_map(|x| x.ok())` leaves out what failed
    "#);
    assert_eq!(with("let n = (|| -> Option<u8> { Some(params.n()? + 1) })();"), "", "in a closure");
    assert_eq!(with("let n = { let mut n = 0; for i in 0..3 { n += i; } n };"), "", "plain Rust");
}

#[test]
fn items_and_macros() {
    insta::assert_snapshot!(with("fn f() {}"), @r#"
    fn
      dstream[E0511]: the body of a job has no `fn`
      help: define it outside of the function
    "#);
    insta::assert_snapshot!(with("use a::b; struct S; const N: u8 = 1;"), @r#"
    use
      dstream[E0511]: the body of a job has no `use`
      help: define it outside of the function
    struct
      dstream[E0511]: the body of a job has no `struct`
      help: define it outside of the function
    const
      dstream[E0511]: the body of a job has no `const`
      help: define it outside of the function
    "#);
    insta::assert_snapshot!(with("println!(\"{}\", 1);"), @r#"
    println
      dstream[E0512]: the body of a job calls no macros such as `println!`
      help: to see a stream, write `stream.print();`; a closure may call it for one record
    "#);
    insta::assert_snapshot!(with("my::streams! { a }"), @r#"
    my::streams
      dstream[E0512]: the body of a job calls no macros such as `my::streams!`
      help: write out what it stands for; closures and plain `let`s may call macros
    "#);
}

#[test]
fn expressions() {
    insta::assert_snapshot!(with("a.map(|l| l);"), @r#"
    a.map(|l| l)
      dstream[E0311]: this stream goes nowhere
      help: bind it, `let name = …;`, or add an output, `.save(url)` or `.print()`
    "#);
    insta::assert_snapshot!(with("setup();"), @r#"
    setup()
      dstream[E0513]: this statement computes nothing that is part of the plan
      help: statements are `let name = …;` and outputs, `stream.save(url);` or `stream.print();`
    "#);
    insta::assert_snapshot!(with("n = 5;"), @r#"
    n = 5
      dstream[E0510]: the body of a job assigns nothing
      help: bind a new name with `let`; state from batch to batch is kept by `.running_reduce(…)` or `.track(…)`
    "#);
    insta::assert_snapshot!(with("#[inline] let b = a.map(|l| l); b.print();"), @r#"
    #[inline]
      dstream[E0317]: `#[inline]` means nothing here
      help: remove it; the only attribute in the body of a job is `#[allow_nondeterminism = "why"]`
    "#);
}

#[test]
fn everything_is_reported_at_once() {
    let found = with("if x {} a.mapp(|l| l).print(); a.window(\"0s\").print(); let b = a.save();");
    for code in ["E0501", "E0101", "E0203", "E0312"] {
        assert!(found.contains(code), "{code} in\n{found}");
    }
}
