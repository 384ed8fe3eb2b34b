//! The attribute and the signature of a job.

use crate::compile_job;
use crate::testing::{listed, tokens};

const BODY: &str = "{ source::text(\"file:///x\").print(); }";

fn attribute(attr: &str) -> String {
    listed(&compile_job(tokens(attr), tokens(&format!("fn job() {BODY}")), &[]).diagnostics)
}

fn signature(signature: &str) -> String {
    listed(&compile_job(tokens(""), tokens(&format!("{signature} {BODY}")), &[]).diagnostics)
}

#[test]
fn intervals() {
    for good in ["", "interval = \"1s\"", "interval = \"250ms\",", "interval = \"24h\""] {
        assert_eq!(attribute(good), "", "{good}");
    }
    insta::assert_snapshot!(attribute("interval"), @r#"
    interval
      dstream[E0003]: `interval` needs a value
      help: write a duration as text, like `interval = "500ms"` or `interval = "1s"`
    "#);
    insta::assert_snapshot!(attribute("interval ="), @r#"
    interval
      dstream[E0003]: `interval` needs a value
      help: write a duration as text, like `interval = "500ms"` or `interval = "1s"`
    "#);
    insta::assert_snapshot!(attribute("interval = 5"), @r#"
    5
      dstream[E0004]: `5` isn't a valid batch interval
      help: write a number with a unit: `"500ms"`, `"1.5s"`, `"2min"`, `"1h"`
    "#);
    insta::assert_snapshot!(attribute("interval = \"5 parsecs\""), @r#"
    "5 parsecs"
      dstream[E0004]: `5 parsecs` isn't a valid batch interval
      help: write a number with a unit: `"500ms"`, `"1.5s"`, `"2min"`, `"1h"`
    "#);
    insta::assert_snapshot!(attribute("interval = \"0s\""), @r#"
    "0s"
      dstream[E0005]: a batch interval of 0s is out of range
      help: it must be at least 1ms and at most 24h
    "#);
    insta::assert_snapshot!(attribute("interval = \"25h\""), @r#"
    "25h"
      dstream[E0005]: a batch interval of 25h is out of range
      help: it must be at least 1ms and at most 24h
    "#);
    insta::assert_snapshot!(attribute("intervall = \"1s\""), @r#"
    intervall
      dstream[E0002]: a job has no setting `intervall`
      help: the only setting is `interval`: `#[dstream::job(interval = "1s")]`
    "#);
    insta::assert_snapshot!(attribute("interval = \"1s\", interval = \"2s\""), @r#"
    interval
      dstream[E0006]: `interval` is set twice
      note: it is first set on line 1
      help: keep one of them
    "#);
    insta::assert_snapshot!(attribute("\"1s\""), @r#"
    "1s"
      dstream[E0002]: a job has no setting `"1s"`
      help: the only setting is `interval`: `#[dstream::job(interval = "1s")]`
    "#);
}

#[test]
fn what_a_job_cannot_be() {
    insta::assert_snapshot!(signature("async unsafe fn job<T>()"), @r#"
    async
      dstream[E0010]: a job cannot be `async`
      help: it only describes the computation, and never waits: remove `async`
    unsafe
      dstream[E0011]: a job cannot be `unsafe`
      help: remove `unsafe`; a closure inside may have an `unsafe` block
    <T>
      dstream[E0012]: a job cannot be generic
      help: write the types out: a job is compiled for the types it names
    "#);
    insta::assert_snapshot!(signature("const fn job()"), @r#"
    const
      dstream[E0013]: a job cannot be `const`
      help: remove `const`: it is turned into a plan, which is a constant already
    "#);
    insta::assert_snapshot!(signature("extern \"C\" fn job()"), @r#"
    extern "C"
      dstream[E0014]: a job has no ABI
      help: remove `extern`
    "#);
    insta::assert_snapshot!(signature("fn job() -> u64"), @r#"
    u64
      dstream[E0015]: a job returns nothing
      help: remove the return type; results leave by `.save(url)` or `.print()`
    "#);
    insta::assert_snapshot!(signature("fn job(&self)"), @r#"
    &self
      dstream[E0019]: a job is a free function, not a method
      help: move it out of the `impl`, and remove `self`
    "#);
}

#[test]
fn parameters() {
    assert_eq!(signature("fn job(params: &Params)"), "");
    insta::assert_snapshot!(signature("fn job(params: Params)"), @r#"
    params: Params
      dstream[E0017]: a job takes its parameters by reference
      help: write `params: &Params`
    "#);
    insta::assert_snapshot!(signature("fn job(params: &mut Params)"), @r#"
    params: &mut Params
      dstream[E0017]: a job takes its parameters by reference
      help: write `params: &Params`
    "#);
    insta::assert_snapshot!(signature("fn job(a: &A, b: &B)"), @r#"
    b: &B
      dstream[E0016]: a job takes at most one parameter
      help: put the values into one struct with `#[dstream::params]` before it, and take `params: &Params`
    "#);
    insta::assert_snapshot!(signature("fn job(Params { a }: &Params)"), @r#"
    Params { a }
      dstream[E0018]: a parameter must be a plain name here
      help: write `params: &Params` and take the fields where they are used
    "#);
}

#[test]
fn something_else_than_a_function() {
    let compiled = compile_job(tokens(""), tokens("struct Job;"), &[]);
    assert!(compiled.header.is_none());
    insta::assert_snapshot!(listed(&compiled.diagnostics), @r#"
    struct Job;
      dstream[E0001]: `#[dstream::job]` goes on a function
      help: write `#[dstream::job] fn name(…) {…}`
    "#);
}

#[test]
fn the_header_is_there_when_the_body_is_wrong() {
    let item = tokens("/// Counts.\n#[inline] pub fn job(p: &Params) { nothing(); }");
    let compiled = compile_job(tokens("interval = \"2s\""), item, &[]);
    let header = compiled.header.expect("it is a function");
    assert!(compiled.physical.is_none() && !compiled.diagnostics.is_empty());
    assert_eq!((header.name.to_string(), header.interval_ms), ("job".to_owned(), 2_000));
    assert_eq!(header.attributes.len(), 1);
    assert_eq!(header.params.expect("it takes parameters").0, "p");
}
