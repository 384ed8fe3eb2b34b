//! Closures: their parameters, what they may use, and what must not differ from run to run.

use crate::testing::{logical, mistakes};

fn map(closure: &str) -> String {
    mistakes(&format!("let all = source::text(\"x:\"); all.map({closure}).print();"))
}

#[test]
fn parameters() {
    insta::assert_snapshot!(map("|a, b| a"), @r#"
    a, b
      dstream[E0104]: the closure of `map` takes one parameter, not 2
      help: write `|record| …`; to take a pair apart, put it in parentheses: `|(a, b)| …`; a second parameter is the context, called `ctx`
    "#);
    insta::assert_snapshot!(map("|| 1"), @r#"
    |
      dstream[E0104]: the closure of `map` takes one parameter, not none
      help: write `|record| …`
    "#);
    insta::assert_snapshot!(map("async |a| a"), @r#"
    async
      dstream[E0105]: the closure of `map` cannot be `async`
      help: kernels never wait: remove `async`, and read what is needed from a stream
    "#);
    insta::assert_snapshot!(
        mistakes("source::text(\"x:\").map(|l| (l, 1)).reduce_by_key(|a| a).print();"), @r#"
    a
      dstream[E0104]: the closure of `reduce_by_key` takes two parameters, not 1
      help: write `|a, b| …`
    "#);
}

#[test]
fn streams_in_closures() {
    insta::assert_snapshot!(map("|l| (l, all)"), @r#"
    all
      dstream[E0307]: the stream `all` is used in a closure
      help: a closure sees one record at a time; bring two streams together with `.join(…)` or `.union(…)`
    "#);
    insta::assert_snapshot!(map("|l| format!(\"{}\", all)"), @r#"
    all
      dstream[E0307]: the stream `all` is used in a closure
      help: a closure sees one record at a time; bring two streams together with `.join(…)` or `.union(…)`
    "#);
    insta::assert_snapshot!(map("all"), @r#"
    all
      dstream[E0103]: `map` needs a function here
      help: write a closure, `|record| …`, or the path of a function
    "#);
    assert_eq!(map("|all| all.len()"), "", "its own parameter");
    assert_eq!(map("|l| l.all"), "", "a field");
}

#[test]
fn obvious_float_keys() {
    let key_by = |f: &str| mistakes(&format!("source::text(\"x:\").key_by({f}).print();"));
    insta::assert_snapshot!(key_by("|l| 1.5"), @r#"
    1.5
      dstream[E0112]: a float cannot be a key
      help: equal floats need not be the same bits: use an integer, such as `(x * 100.0).round() as i64`, or text
    "#);
    insta::assert_snapshot!(key_by("|l| l.len() as f64"), @r#"
    l.len() as f64
      dstream[E0112]: a float cannot be a key
      help: equal floats need not be the same bits: use an integer, such as `(x * 100.0).round() as i64`, or text
    "#);
    assert_eq!(key_by("|l| l.len()"), "");
    assert_eq!(map("|l| 1.5"), "", "no key");
}

#[test]
fn what_differs_from_run_to_run() {
    insta::assert_snapshot!(map("|l| (l, Instant::now())"), @r#"
    Instant::now
      dstream[E0601]: `Instant::now` can differ when a task runs again: it reads the clock
      help: take the time from the record, or the batch's: `|record, ctx| … ctx.batch_time()`
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    insta::assert_snapshot!(map("|l| (l, rand::random::<u8>())"), @r#"
    rand::random
      dstream[E0601]: `rand::random` can differ when a task runs again: it draws at random
      help: draw numbers that are the same whenever the batch is computed again: `|record, ctx| … ctx.rng()`
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    insta::assert_snapshot!(map("|l| { let mut seen = HashMap::new(); seen.insert(l, 1); seen.len() }"), @r#"
    HashMap::new
      dstream[E0601]: `HashMap::new` can differ when a task runs again: its order differs from process to process
      help: use `BTreeMap` or `BTreeSet`, or give it a fixed hasher
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    insta::assert_snapshot!(map("|l| std::env::var(\"X\")"), @r#"
    std::env::var
      dstream[E0601]: `std::env::var` can differ when a task runs again: it depends on the process that runs it
      help: put the value into the job's parameters: they are the same on every worker
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    insta::assert_snapshot!(map("|l| { static mut N: u64 = 0; l }"), @r#"
    static
      dstream[E0601]: `static mut` can differ when a task runs again: it is shared by tasks that run in any order
      help: keep state with `.running_reduce(…)`, `.track(…)` or a window
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    insta::assert_snapshot!(map("|l| std::fs::read(l)"), @r#"
    std::fs::read
      dstream[E0601]: `std::fs::read` can differ when a task runs again: it reaches outside of the batch
      help: read it with a source, and bring it together with `.join(…)`, or put it into the job's parameters
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    insta::assert_snapshot!(map("std::thread::current"), @r#"
    std::thread::current
      dstream[E0601]: `std::thread::current` can differ when a task runs again: it depends on threads
      help: leave parallelism to partitions: one call sees one record
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    for bad in [
        "|l| std::time::SystemTime::now()",
        "|l| chrono::Utc::now()",
        "|l| Local::now()",
        "|l| thread_rng()",
        "|l| random()",
        "|l| rand::rng().random::<u8>()",
        "|l| uuid::Uuid::new_v4()",
        "|l| format!(\"{:?}\", Instant::now())",
        "|l| l.split(' ').collect::<HashSet<_>>().len()",
        "|l| std::collections::HashMap::<u8, u8>::with_capacity(1)",
        "|l| tokio::fs::read(l)",
        "|l| std::thread::spawn(|| 1)",
        "|l| std::net::TcpStream::connect(l)",
        "|l| std::process::id()",
    ] {
        assert_eq!(map(bad).matches("E0601").count(), 1, "{bad}");
    }
}

#[test]
fn what_only_looks_like_it() {
    for good in [
        "|l| l.now()",
        "|l| l.random",
        "|l| Event::now(l)",
        "|l| BTreeMap::from([(l, 1)])",
        "|l| HashMap::<u8, u8, Fixed>::default()",
        "|l| HashSet::<&str, Fixed>::default()",
        "|l| HashMap::with_hasher(Fixed)",
        "|l| random_walk(l)",
        "|l| { println!(\"{l}\"); l }",
        "|l| l.fs",
        "|l| net::clean(l)",
        "|l| fs::parse(l)",
        "|net| net + 1",
    ] {
        assert_eq!(map(good), "", "{good}");
    }
}

#[test]
fn the_way_out() {
    assert_eq!(map("#[allow_nondeterminism = \"only logged\"] |l| { log(Instant::now()); l }"), "");
    assert_eq!(
        mistakes(
            "#[allow_nondeterminism = \"only logged\"]
             let a = source::text(\"x:\").map(|l| { log(Instant::now()); l });
             #[allow_nondeterminism = \"only logged\"]
             a.filter(|l| rand::random()).print();"
        ),
        ""
    );
    insta::assert_snapshot!(map("#[allow_nondeterminism] |l| Instant::now()"), @r#"
    #[allow_nondeterminism]
      dstream[E0602]: `allow_nondeterminism` needs a reason
      help: write `#[allow_nondeterminism = "why it cannot change the result"]`
    "#);
    insta::assert_snapshot!(map("#[allow_nondeterminism = \" \"] |l| Instant::now()"), @r#"
    #[allow_nondeterminism = " "]
      dstream[E0602]: `allow_nondeterminism` needs a reason
      help: write `#[allow_nondeterminism = "why it cannot change the result"]`
    "#);
}

#[test]
fn plain_values_are_the_same_everywhere() {
    let value = |v: &str| mistakes(&format!("let v = {v}; source::text(\"x:\").print();"));
    insta::assert_snapshot!(value("SystemTime::now()"), @r#"
    SystemTime::now
      dstream[E0601]: `SystemTime::now` can differ when a task runs again: it reads the clock
      help: take the time from the record, or the batch's: `|record, ctx| … ctx.batch_time()`
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    insta::assert_snapshot!(value("std::fs::read_to_string(\"stop.txt\")"), @r#"
    std::fs::read_to_string
      dstream[E0601]: `std::fs::read_to_string` can differ when a task runs again: it reaches outside of the batch
      help: read it with a source, and bring it together with `.join(…)`, or put it into the job's parameters
      help: if it cannot change the result, write `#[allow_nondeterminism = "why"]` before the closure or its `let`
    "#);
    assert_eq!(value("HashMap::<u8, u8>::new()"), "", "it is looked into, not iterated");
}

#[test]
fn functions_are_kept_without_move_and_attributes() {
    let job = logical(
        "let s = source::text(\"x:\");
         s.map(#[allow_nondeterminism = \"why\"] move |l| l.len()).print();",
    );
    let functions: Vec<_> =
        job.graph.node_weights().flat_map(|n| n.arguments.functions()).collect();
    let [function] = functions[..] else { panic!("one function") };
    assert!(function.nondeterministic);
    assert_eq!(crate::ir::rust_text::expression(&function.expr), "|l| l.len()");
}
