//! Operators, their arguments, and sources.

use crate::op;
use crate::testing::mistakes;

/// The mistakes of operators called on a source.
fn chain(chain: &str) -> String {
    mistakes(&format!("source::text(\"file:///x\"){chain}.print();"))
}

#[test]
fn unknown_operators() {
    insta::assert_snapshot!(chain(".fitler(|l| true)"), @r#"
    fitler
      dstream[E0101]: streams have no operator `fitler`
      help: did you mean `filter`?
    "#);
    insta::assert_snapshot!(chain(".clone()"), @r#"
    clone
      dstream[E0101]: streams have no operator `clone`
      help: remove it: a stream can be used as often as you like
    "#);
    // Where nothing can be suggested, all of them.
    let all: Vec<&str> = op::ALL.iter().map(|operator| operator.name).collect();
    let found = chain(".gather_up()");
    assert!(found.ends_with(&format!("help: the operators are: {}", all.join(", "))), "{found}");
    insta::assert_snapshot!(chain(".for_each(|l| ())"), @r#"
    for_each
      dstream[E0101]: streams have no operator `for_each`
      help: `foreach_batch` hands the records of each batch to a function, like `pairs.foreach_batch(|batch, rows| println!("{batch}: {} pairs", rows.len()))`
    "#);
}

#[test]
fn wrong_numbers_of_arguments() {
    insta::assert_snapshot!(chain(".map()"), @r#"
    map
      dstream[E0102]: `map` takes one argument, not none
      help: write `.map(|record| …)`
    "#);
    insta::assert_snapshot!(chain(".count(1, 2)"), @r#"
    1, 2
      dstream[E0102]: `count` takes no arguments, not 2
      help: write `.count()`
    "#);
    insta::assert_snapshot!(chain(".top_k(10)"), @r#"
    10
      dstream[E0102]: `top_k` takes 2 arguments, not 1
      help: write `.top_k(10, |record| …)`
    "#);
    insta::assert_snapshot!(chain(".reduce_by_key_and_window(|a, b| a)"), @r#"
    |a, b| a
      dstream[E0102]: `reduce_by_key_and_window` takes 2 to 4 arguments, not 1
      help: write `.reduce_by_key_and_window(|a, b| …, "30s", "1s")`
    "#);
    insta::assert_snapshot!(mistakes("source::text(\"x:\").print(1, 2);"), @r#"
    1, 2
      dstream[E0102]: `print` takes at most one argument, not 2
      help: write `.print()`
    "#);
}

#[test]
fn arguments_of_the_wrong_kind() {
    insta::assert_snapshot!(chain(".map(5)"), @r#"
    5
      dstream[E0103]: `map` needs a function here
      help: write a closure, `|record| …`, or the path of a function
    "#);
    insta::assert_snapshot!(chain(".map(make(3))"), @r#"
    make(3)
      dstream[E0103]: `map` needs a function here
      help: write a closure, `|record| …`, or the path of a function
    "#);
    insta::assert_snapshot!(chain(".union(5)"), @r#"
    5
      dstream[E0107]: `union` needs another stream here
      help: pass the name of a stream, or a stream expression: `.union(stream)`
    "#);
    insta::assert_snapshot!(chain(".top_k(|x| x, |x| x)"), @r#"
    |x| x
      dstream[E0109]: `top_k` needs a number of records here, not a closure
      help: write `.top_k(10, |record| …)`
    "#);
    insta::assert_snapshot!(chain(".map::<u64>(|l| 1)"), @r#"
    ::<u64>
      dstream[E0106]: `map` takes no type arguments
      help: remove `::<…>`; types follow from the closure, whose parameters and result can be annotated
    "#);
    insta::assert_snapshot!(mistakes("source::text(\"x:\").print(0);"), @r#"
    0
      dstream[E0108]: `print` needs a number here
      help: write it out, like `words.print(5)`; it is at least 1
    "#);
    insta::assert_snapshot!(mistakes("source::text(\"x:\").print(params.n);"), @r#"
    params.n
      dstream[E0108]: `print` needs a number here
      help: write it out, like `words.print(5)`; it is at least 1
    "#);
}

#[test]
fn functions_may_be_closures_or_paths() {
    assert_eq!(chain(".map(parse).filter(Self::good).map(str::len).filter(move |n| *n > 1)"), "");
}

#[test]
fn outputs() {
    insta::assert_snapshot!(mistakes("source::text(\"x:\").save();"), @r#"
    save
      dstream[E0110]: `save` needs to know where
      help: write `.save("json+file://out/name")`, or `.print()` to see the records in the terminal
    "#);
    insta::assert_snapshot!(mistakes("source::text(\"x:\").save(\" \");"), @r#"
    " "
      dstream[E0111]: this URL is empty
      help: write where to write, like `json+file://out/name`
    "#);
    insta::assert_snapshot!(mistakes("source::text(\"x:\").save(|x| x);"), @r#"
    |x| x
      dstream[E0109]: `save` needs a URL here, not a closure
      help: write `.save("json+file://out/counts")`
    "#);
    insta::assert_snapshot!(mistakes("source::text(\"x:\").print().map(|l| l).print();"), @r#"
    print
      dstream[E0313]: nothing can follow `print`
      help: name the stream, and use it twice: `let name = …; name.print(…); name.…`
    "#);
    insta::assert_snapshot!(mistakes("let s = source::text(\"x:\").save(\"stdout:\");"), @r#"
    save
      dstream[E0312]: `save` makes no stream that could be bound
      help: write the output as a statement of its own: `name.save(…);`
    "#);
    assert_eq!(mistakes("source::text(\"x:\").save(format!(\"{}/a\", params.out));"), "");
}

#[test]
fn sources() {
    for good in [
        "source::text(&params.input)",
        "dstream::source::csv::<Row>(\"x:\")",
        "source::json::<views::PageView>(\"x:\")",
    ] {
        assert_eq!(mistakes(&format!("{good}.print();")), "", "{good}");
    }
    insta::assert_snapshot!(mistakes("source::kafka(\"x:\").print();"), @r#"
    kafka
      dstream[E0401]: there is no `source::kafka`
      help: the sources are: `source::text("file:///data/*.txt")`, `source::csv::<Row>("file:///data/*.csv")`, `source::json::<PageView>("tcp://0.0.0.0:9000")`
    "#);
    insta::assert_snapshot!(mistakes("source::jsn::<T>(\"x:\").print();"), @r#"
    jsn
      dstream[E0401]: there is no `source::jsn`
      help: did you mean `json`? the sources are: `source::text("file:///data/*.txt")`, `source::csv::<Row>("file:///data/*.csv")`, `source::json::<PageView>("tcp://0.0.0.0:9000")`
    "#);
    insta::assert_snapshot!(mistakes("source::json(\"x:\").print();"), @r#"
    json
      dstream[E0402]: `source::json` needs to know what a record is
      help: write `source::json::<PageView>("tcp://0.0.0.0:9000")` with a type that derives `Record`
    "#);
    insta::assert_snapshot!(mistakes("source::json::<_>(\"x:\").print();"), @r#"
    ::<_>
      dstream[E0402]: `source::json` needs to know what a record is
      help: write `source::json::<PageView>("tcp://0.0.0.0:9000")` with a type that derives `Record`
    "#);
    insta::assert_snapshot!(mistakes("source::csv::<A, B>(\"x:\").print();"), @r#"
    ::<A, B>
      dstream[E0405]: `source::csv` takes one type
      help: write `source::csv::<Row>("file:///data/*.csv")`
    "#);
    insta::assert_snapshot!(mistakes("source::text::<String>(\"x:\").print();"), @r#"
    ::<String>
      dstream[E0403]: `source::text` takes no type: its records are lines of text
      help: write `source::text("file:///data/*.txt")`
    "#);
    insta::assert_snapshot!(mistakes("source::text().print();"), @r#"
    text
      dstream[E0404]: `source::text` takes one argument, where to read, not none
      help: write `source::text("file:///data/*.txt")`
    "#);
    insta::assert_snapshot!(mistakes("source::text(\"a:\", \"b:\").print();"), @r#"
    "a:", "b:"
      dstream[E0404]: `source::text` takes one argument, where to read, not 2
      help: write `source::text("file:///data/*.txt")`
    "#);
    insta::assert_snapshot!(mistakes("source::text(\"\").print();"), @r#"
    ""
      dstream[E0111]: this URL is empty
      help: write where to read, like `file:///data/*.txt`
    "#);
}
