//! Mistakes of operator functions, and inlined calls.

use quote::ToTokens;

use crate::syntax::OperatorFn;
use crate::testing::{mistakes_with, operator_mistakes, operators, phase, physical_with, tokens};
use crate::unresolved_operators;

const BUSY: &str = "fn busy(views: Stream<View>, limit: u64) -> Stream<(u64, u64)> {
    let label = format!(\"over {limit}\");
    let counts = views.map(|v| (v.user, 1)).reduce_by_key(|a, b| a + b);
    counts.filter(|(_, n)| n > limit && log(&label))
}";

#[test]
fn signatures() {
    insta::assert_snapshot!(operator_mistakes("fn f(n: u64) -> Stream<u64> { n }"), @r#"
    f
      dstream[E0020]: the operator function `f` takes no stream
      help: give it one: `fn f(records: Stream<T>, …) -> Stream<U>`; a function of records needs no `#[dstream::operator]`
    n
      dstream[E0022]: the operator function `f` does not end with a stream
      help: end the body with the stream that it returns, without a semicolon
    "#);
    insta::assert_snapshot!(operator_mistakes("fn f(s: Stream<u64>) { s.map(|x| x) }"), @r#"
    f
      dstream[E0021]: the operator function `f` returns no stream
      help: declare the stream that it makes: `-> Stream<T>`
    "#);
    insta::assert_snapshot!(operator_mistakes("fn f(s: &Stream<u64>) -> Stream<u64> { s.map(|x| x) }"), @r#"
    &
      dstream[E0025]: streams are passed by value, not by reference
      help: remove the `&`: a stream can be used as often as you like
    "#);
    insta::assert_snapshot!(operator_mistakes("async fn f<T>(mut s: Stream<T>) -> Stream<T> { s }"), @r#"
    async
      dstream[E0010]: an operator function cannot be `async`
      help: it only describes the computation, and never waits: remove `async`
    <T>
      dstream[E0012]: an operator function cannot be generic
      help: write the types out: an operator function is inlined where it is called; take `Stream<T>` of the record itself
    mut
      dstream[E0309]: nothing can be mutable in an operator function
      help: remove `mut`
    "#);
    insta::assert_snapshot!(operator_mistakes("fn f((s, t): Stream<u64>) -> Stream<u64> { s }"), @r#"
    (s, t)
      dstream[E0018]: a parameter must be a plain name here
      help: write `name: Stream<u64>` and take the fields where they are used
    f
      dstream[E0020]: the operator function `f` takes no stream
      help: give it one: `fn f(records: Stream<T>, …) -> Stream<U>`; a function of records needs no `#[dstream::operator]`
    s
      dstream[E0301]: no stream is called `s` here
      help: define it before it is used: `let s = …;`
    "#);
    insta::assert_snapshot!(operator_mistakes("struct S;"), @r#"
    struct S;
      dstream[E0001]: `#[dstream::operator]` goes on a function
      help: write `#[dstream::operator] fn name(…) {…}`
    "#);
}

#[test]
fn bodies() {
    let body = |b: &str| {
        operator_mistakes(&format!("fn f(s: Stream<u64>, n: u64) -> Stream<u64> {{ {b} }}"))
    };
    assert_eq!(
        body("s.window(\"30s\", \"10s\").join(s.window(\"20s\"))"),
        "",
        "slides are not known yet"
    );
    assert_eq!(
        body("let t = g(s, n); t.map(|x| x)"),
        "",
        "other operator functions are not known yet"
    );
    assert_eq!(body("s"), "");
    insta::assert_snapshot!(body("s.map(|x| x);"), @r#"
    ;
      dstream[E0022]: the operator function `f` does not end with a stream
      help: end the body with the stream that it returns, without a semicolon
    "#);
    insta::assert_snapshot!(body("n + 1"), @r#"
    n + 1
      dstream[E0022]: the operator function `f` does not end with a stream
      help: end the body with the stream that it returns, without a semicolon
    s
      dstream[E0302]: the stream `s` is not used
      help: prefix it with `_` to keep it for later, remove it, or use it in what the function returns
    "#);
    insta::assert_snapshot!(body("return s"), @r#"
    return
      dstream[E0505]: the body of an operator function has no `return`
      help: end the body with the stream it returns, without `return`
    "#);
    insta::assert_snapshot!(body("if n > 1 { s } else { s.map(|x| x) }"), @r#"
    if
      dstream[E0501]: the body of an operator function has no `if`
      help: the plan is fixed when it is compiled: choose records with `.filter(…)`, or decide inside a closure or a plain `let`
    "#);
    insta::assert_snapshot!(body("s.print(); s"), @r#"
    print
      dstream[E0023]: an operator function has no outputs of its own
      help: return the stream, and write `.print(…)` in the job
    "#);
    insta::assert_snapshot!(body("s.save(\"stdout:\")"), @r#"
    save
      dstream[E0023]: an operator function has no outputs of its own
      help: return the stream, and write `.save(…)` in the job
    "#);
    insta::assert_snapshot!(body("f(s, n)"), @r#"
    f
      dstream[E0024]: operator functions call each other in a circle: `f` → `f`
      help: a plan is finite: remove one of the calls
    "#);
    insta::assert_snapshot!(body("source::text(\"x:\")"), @r#"
    s
      dstream[E0302]: the stream `s` is not used
      help: prefix it with `_` to keep it for later, remove it, or use it in what the function returns
    "#);
    insta::assert_snapshot!(body("let t = s.map(|x| x); s"), @r#"
    t
      dstream[E0302]: the stream `t` is not used
      help: prefix it with `_` to keep it for later, remove it, or use it in what the function returns
    "#);
    insta::assert_snapshot!(body("s.map(|x| rand::random())"), @r#"
    rand::random
      dstream[E0601]: `rand::random` can differ when a task runs again: it draws at random
      help: draw numbers that are the same whenever the batch is computed again: `|record, ctx| … ctx.rng()`
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
}

#[test]
fn calls_are_inlined() {
    let operators = operators(&[BUSY]);
    let plan = physical_with(
        "let views = source::json::<View>(\"x:\");
         let busy_users = busy(views, params.limit);
         busy_users.print();
         busy(views.filter(|v| v.ok), 3).count().print();",
        &operators,
    );
    insta::assert_snapshot!(phase(&plan, "program"), @r#"
    views                      source::json::<View>               "x:"
    views.map                  map ← views                        |v| (v.user, 1)
    busy_users.counts          reduce_by_key ← views.map          |a, b| a + b
    busy_users                 filter ← busy_users.counts         |(_, n)| n > __dstream_v1_limit && log(&__dstream_v1_label)
    → busy_users               print ← busy_users
    views.filter               filter ← views                     |v| v.ok
    views.filter.map           map ← views.filter                 |v| (v.user, 1)
    views.filter.busy.counts   reduce_by_key ← views.filter.map   |a, b| a + b
    views.filter.busy          filter ← views.filter.busy.counts  |(_, n)| n > __dstream_v2_limit && log(&__dstream_v2_label)
    views.filter.busy.count    count ← views.filter.busy
    → views.filter.busy.count  print ← views.filter.busy.count
    "#);
    let lets: Vec<String> =
        plan.lets.iter().map(|plain| plain.statement.to_token_stream().to_string()).collect();
    insta::assert_snapshot!(lets.join("\n"), @r#"
    let __dstream_v1_limit : u64 = params . limit ;
    let __dstream_v1_label = format ! ("over {__dstream_v1_limit}") ;
    let __dstream_v2_limit : u64 = 3 ;
    let __dstream_v2_label = format ! ("over {__dstream_v2_limit}") ;
    "#);
}

#[test]
fn functions_call_functions() {
    let outer =
        "fn outer(s: Stream<View>) -> Stream<u64> { let b = busy(s, 7); b.map(|(u, _)| u) }";
    let operators = operators(&[BUSY, outer]);
    let plan = physical_with(
        "let users = outer(source::json::<View>(\"x:\")); users.print();",
        &operators,
    );
    insta::assert_snapshot!(phase(&plan, "program"), @r#"
    source          source::json::<View>        "x:"
    source.map      map ← source                |v| (v.user, 1)
    users.b.counts  reduce_by_key ← source.map  |a, b| a + b
    users.b         filter ← users.b.counts     |(_, n)| n > __dstream_v2_limit && log(&__dstream_v2_label)
    users           map ← users.b               |(u, _)| u
    → users         print ← users
    "#);
}

#[test]
fn a_tail_that_is_a_name_takes_the_name_of_the_call() {
    let operators = operators(&[
        "fn named(s: Stream<u64>) -> Stream<u64> { let inner = s.map(|x| x); inner }",
        "fn same(s: Stream<u64>) -> Stream<u64> { s }",
    ]);
    let plan = physical_with(
        "let a = source::json::<u64>(\"x:\"); let b = named(a); let c = same(a); b.union(c).print();",
        &operators,
    );
    insta::assert_snapshot!(phase(&plan, "program"), @r#"
    a          source::json::<u64>  "x:"
    b          map ← a              |x| x
    b.union    union ← b, a
    → b.union  print ← b.union
    "#);
}

#[test]
fn wrong_calls() {
    let operators = operators(&[BUSY]);
    let call = |call: &str| {
        mistakes_with(&format!("let a = source::json::<View>(\"x:\"); {call}.print();"), &operators)
    };
    insta::assert_snapshot!(call("busy(a)"), @r#"
    a
      dstream[E0411]: `busy` takes 2 arguments, not 1
      help: write `busy(views, limit)`
    "#);
    insta::assert_snapshot!(call("busy(3, a)"), @r#"
    3
      dstream[E0412]: the parameter `views` of `busy` is a stream
      help: pass the name of a stream, or a stream expression
    a
      dstream[E0413]: the parameter `limit` of `busy` isn't a stream
      help: pass a value of type `u64`
    "#);
    insta::assert_snapshot!(call("lazy(a)"), @r#"
    lazy
      dstream[E0410]: `lazy` is not known as a function of streams
      help: mark it: `#[dstream::operator] fn lazy(…) -> Stream<…>`, and import it with `use`
    "#);
    insta::assert_snapshot!(call("busy(aa, 3)"), @r#"
    aa
      dstream[E0301]: no stream is called `aa` here
      help: define it before it is used: `let aa = …;`
    a
      dstream[E0302]: the stream `a` is not used
      help: prefix it with `_` to keep it for later, remove it, or give it an output: `a.print();`
    "#);
}

#[test]
fn windows_are_checked_where_a_function_is_called() {
    let operators = operators(&[
        "fn recent(s: Stream<u64>) -> Stream<u64> { s.window(\"500ms\") }",
        "fn pairs(s: Stream<u64>) -> Stream<u64> { s.window(\"2s\", \"2s\") }",
    ]);
    insta::assert_snapshot!(
        mistakes_with("recent(source::json::<u64>(\"x:\")).print();", &operators), @r#"
    "500ms"
      dstream[E0204]: a window of 500ms isn't a multiple of the job's interval of 1s
      help: use 1s, or another `interval`
    "#);
    insta::assert_snapshot!(
        mistakes_with(
            "let a = source::json::<u64>(\"x:\"); let p = pairs(a); p.union(a).print();",
            &operators), @r#"
    a
      dstream[E0206]: `union` needs streams that emit together: `p` emits every 2s, `a` every 1s
      help: give both the same slide, with `.window(length, slide)`
    "#);
}

#[test]
fn circles() {
    let operators = operators(&[
        "fn ping(s: Stream<u64>) -> Stream<u64> { pong(s) }",
        "fn pong(s: Stream<u64>) -> Stream<u64> { ping(s) }",
    ]);
    insta::assert_snapshot!(
        mistakes_with("ping(source::json::<u64>(\"x:\")).print();", &operators), @r#"
    ping
      dstream[E0024]: operator functions call each other in a circle: `ping` → `pong` → `ping`
      help: a plan is finite: remove one of the calls
    "#);
}

#[test]
fn a_function_with_mistakes_is_reported_where_it_is_defined_only() {
    let (function, diagnostics) =
        OperatorFn::parse(tokens("fn f(s: Stream<u64>) -> Stream<u64> { s.mapp(|x| x) }"));
    assert_eq!(diagnostics.len(), 1);
    let operators = [("f".to_owned(), function.expect("it is a function"))];
    assert_eq!(mistakes_with("let t = f(source::json::<u64>(\"x:\")); t.print();", &operators), "");
}

#[test]
fn unresolved_paths() {
    let item = tokens(
        "fn job(params: &P) {
            let a = source::text(\"x:\");
            let n = plain(3);
            let b = ops::sessions(a.map(clean), n);
            let c = dedupe(b).join(ops::sessions(a, 2));
            c.print();
            let broken = c.unknown(|x| x);
        }",
    );
    let paths = |operators| -> Vec<String> {
        unresolved_operators(item.clone(), operators)
            .iter()
            .map(|path| path.to_token_stream().to_string().replace(' ', ""))
            .collect()
    };
    assert_eq!(paths(&[]), ["ops::sessions", "dedupe"]);
    let known = [(
        "dedupe".to_owned(),
        operators(&["fn dedupe(s: Stream<u64>) -> Stream<u64> { inner(s) }"]).remove(0).1,
    )];
    assert_eq!(paths(&known), ["ops::sessions", "inner"]);
}
