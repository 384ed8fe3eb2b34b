//! Names of streams, parameters, captured values, functions and types: no user's name collides with
//! generated code.

#![allow(unreachable_pub, reason = "modules stand for those of a user's program")]

use dstream::__private::Job;
use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every, pairs};

/// `top_k`, a source's records under any name, and `key_by` and `map_values` of a stream of that name.
mod examples {
    #[dstream::job]
    pub fn scores() {
        let lines = source::text("none");
        let score = lines.map(|w| (w, w.len() as u64));
        score.top_k(2, |(_, n)| n).save("none:");
    }

    #[dstream::job]
    pub fn outs() {
        let lines = source::text("none");
        let out = lines.map(|w| (w, 1u64));
        let key = out.map_values(|n| n + 1);
        // The stream before it is `lines.map`.
        let lines_map = lines.map(|w| (w, w.len() as u64)).key_by(|(w, _)| w.len() as u64);
        out.reduce_by_key(|a, b| a + b).save("none:");
        key.save("none:");
        lines_map.save("none:");
    }
}

#[test]
fn the_examples_have_the_right_values() -> Tested {
    every(|partitions| {
        let input = [["a", "aaa", "cc"]];
        let done = Run::new(examples::scores).input("lines", input).partitions(partitions).run()?;
        assert_eq!(
            done.records::<(String, u64)>("score.top_k", 1)?,
            pairs(&[("aaa", 3), ("cc", 2)])
        );

        let done = Run::new(examples::outs).input("lines", input).partitions(partitions).run()?;
        let ones = pairs(&[("a", 1), ("aaa", 1), ("cc", 1)]);
        assert_eq!(done.sorted::<(String, u64)>("out.reduce_by_key", 1)?, ones);
        assert_eq!(
            done.sorted::<(String, u64)>("key", 1)?,
            pairs(&[("a", 2), ("aaa", 2), ("cc", 2)])
        );
        let by_length = |n: u64| (n, ("a".repeat(n as usize), n));
        assert_eq!(
            done.sorted::<(u64, (String, u64))>("lines_map", 1)?,
            [by_length(1), (2, ("cc".to_owned(), 2)), by_length(3)]
        );
        Ok(())
    })
}

/// For each name, a module with two jobs: streams of that name under every operator, and captures and
/// parameters of that name in every closure.
macro_rules! names {
    ($($name:ident)*) => {
        mod named {
            $(pub mod $name {
                #[dstream::job]
                pub fn streams() {
                    let $name = source::text("none");
                    $name.map(|w| (w, w.len() as u64)).reduce_by_key(|left, right| left + right).save("none:");
                    $name.filter(|w| w != "aaa").save("none:");
                    $name.filter_map(|w| w.strip_prefix("b")).save("none:");
                    $name.flat_map(|w| w.split('c')).save("none:");
                    $name.key_by(|w| w.len() as u64).map_values(|w| w.len() as u64).save("none:");
                    $name.union($name).count().save("none:");
                    $name.reduce(|left, right| if left < right { left } else { right }).save("none:");
                    $name.top_k(1, |w| w.len() as u64).save("none:");
                    $name.window("2s").count().save("none:");
                    let timed = $name.event_time(|w| w.len() as u64, "1s").map(|w| (w, 1u64));
                    let windows = timed.reduce_by_key_and_window(|left, right| left + right, "2ms", "1ms");
                    windows.top_k(1, |(_, n)| n).map(|(w, _)| w).save("none:");
                    $name.aggregate(::dstream::agg::count(), ::dstream::agg::max(|w| w)).save("none:");
                    timed.aggregate_by_key(::dstream::agg::sum()).map(|(w, _)| w).save("none:");
                    timed.session("1ms").group_by_key().map(|(w, _)| w).save("none:");
                    timed.session("1ms").count_by_value().map(|((w, _), _)| w).save("none:");
                    timed.window("2ms").group_by_key().map(|(w, _)| w).save("none:");
                }

                #[dstream::job]
                pub fn captures() {
                    let $name = 2u64;
                    let lines = source::text("none");
                    let all = lines.map(|w| (w, w.len() as u64 * $name));
                    let large = all.filter(|(_, n)| n > $name);
                    let kept = large.filter_map(|$name| Some($name)).map(|$name| $name);
                    let summed = all.key_by(|(_, n)| n % $name).map_values(|(_, n)| n + $name);
                    let sums = summed.reduce_by_key(|$name, right| $name + right);
                    let running = all.running_reduce(|left, right| left + right + $name);
                    let windows = all.reduce_by_key_and_window(|left, right| left + right * $name, "2s");
                    kept.save("none:");
                    sums.save("none:");
                    running.save("none:");
                    windows.save("none:");
                    all.top_k($name as usize, |(_, n)| n * $name).save("none:");
                }
            })*
        }

        #[test]
        fn every_operator_takes_every_name() -> Tested {
            $(
                streams(Run::new(named::$name::streams), stringify!($name))?;
                captures(Run::new(named::$name::captures))?;
            )*
            Ok(())
        }
    };
}

names! {
    score out key many acc x next head b time params unknown first value
    call view push tail record state result item option some none build job plan core std
    context ctx
    __d __b __params
}

fn streams<J: Job>(run: Run<J>, name: &str) -> Tested {
    let done = run.input(name, [["a", "aaa", "bcc"]]).run()?;
    let is = |output: &str| done.sorted::<String>(output, 1);
    let of = |operator: &str| format!("{name}.{operator}");
    let sums = pairs(&[("a", 1), ("aaa", 3), ("bcc", 3)]);
    assert_eq!(done.sorted::<(String, u64)>(&of("map.reduce_by_key"), 1)?, sums);
    assert_eq!(is(&of("filter"))?, ["a", "bcc"]);
    assert_eq!(is(&of("filter_map"))?, ["cc"]);
    assert_eq!(is(&of("flat_map"))?, ["", "", "a", "aaa", "b"]);
    assert_eq!(done.sorted::<(u64, u64)>(&of("key_by.map_values"), 1)?, [(1, 1), (3, 3), (3, 3)]);
    assert_eq!(done.sorted::<u64>(&of("union.count"), 1)?, [6]);
    assert_eq!(is(&of("reduce"))?, ["a"]);
    assert_eq!(is(&of("top_k"))?, ["aaa"]);
    Ok(())
}

fn captures<J: Job>(run: Run<J>) -> Tested {
    let done = run.input("lines", [["a", "aaa", "a"]]).run()?;
    let is = |output: &str| done.sorted::<(String, u64)>(output, 1);
    assert_eq!(is("kept")?, pairs(&[("aaa", 6)]));
    assert_eq!(done.sorted::<(u64, u64)>("sums", 1)?, [(0, 2 + 6 + 2 + 3 * 2)]);
    assert_eq!(is("running")?, pairs(&[("a", 6), ("aaa", 6)]));
    Ok(())
}

#[dstream::params]
pub struct Params {
    #[arg(long, default_value_t = 2)]
    pub score: u64,
}

/// Every prelude name that generated code could use, with another meaning.
mod shadowed {
    #![allow(
        dead_code,
        non_camel_case_types,
        unused_macros,
        unused_imports,
        non_snake_case,
        non_upper_case_globals
    )]

    pub struct Option;
    pub struct Vec;
    pub struct Result;
    pub struct Box;
    pub struct u64;
    pub struct usize;
    pub struct bool;
    pub struct str;
    pub trait Clone {}
    pub trait Copy {}
    pub trait Iterator {}
    pub trait IntoIterator {}
    pub trait Into {}
    pub trait Fn {}
    pub trait Send {}
    pub mod core {}
    pub mod std {}
    pub mod dstream {}
    pub mod alloc {}
    pub mod source {}
    pub const score: i8 = 1;
    pub static lines: i8 = 1;
    pub struct out;
    pub enum Words {
        counts,
        key,
    }
    pub use Words::*;

    pub fn Some() {}
    pub fn None() {}
    pub fn Ok() {}
    pub fn Err() {}
    pub fn call(text: &::std::primitive::str) -> ::std::primitive::u64 {
        text.len() as ::std::primitive::u64
    }
    pub fn build(n: ::std::primitive::u64) -> ::std::primitive::u64 {
        n + 1
    }
    pub const PLAN: ::std::primitive::u64 = 1;
    pub const COMPILED: ::std::primitive::u64 = 2;

    macro_rules! vec {
        () => {};
    }
    macro_rules! file {
        () => {};
    }

    /// Methods of all types.
    pub trait Everything: Sized {
        fn output(self) {}
        fn field(self) {}
        fn finish(self) {}
        fn push(self) {}
        fn view(self) {}
        #[allow(clippy::wrong_self_convention)]
        fn as_view(self) {}
        fn into_iter(self) {}
        fn begin_struct(self) {}
    }
    impl<T> Everything for T {}

    pub use super::Params;

    #[::dstream::job]
    pub fn names(params: &Params) {
        let score = source::text("none");
        let least = params.score;
        let counts = score.filter(|w| w.len() as ::std::primitive::u64 >= least);
        let out = counts.map(|w| (w, call(w) + build(PLAN) + COMPILED));
        let key = out.reduce_by_key(|a, b| a + b);
        let lines = score.flat_map(|w| w.split('c')).count();
        key.save("none:");
        lines.save("none:");
        out.top_k(1, |(_, n)| n).save("none:");
    }
}

/// The same around records, except for names of numbers, which serde's derive uses.
mod shadowed_records {
    #![allow(dead_code, non_camel_case_types, non_snake_case, non_upper_case_globals)]

    pub struct Option;
    pub struct Vec;
    pub struct Result;
    pub struct Box;
    pub trait Clone {}
    pub trait Copy {}
    pub trait Iterator {}
    pub mod core {}
    pub mod std {}
    pub mod dstream {}
    pub fn Some() {}
    pub fn None() {}
    pub fn Ok() {}
    pub static view: i8 = 1;
    pub const t: i8 = 1;
    pub struct fields;

    /// Methods of all types.
    pub trait Everything: Sized {
        fn field(self) {}
        fn finish(self) {}
        fn view(self) {}
        #[allow(clippy::wrong_self_convention)]
        fn as_view(self) {}
        fn visit(self) {}
        fn begin_struct(self) {}
    }
    impl<T> Everything for T {}

    #[derive(::dstream::Record, Debug, Clone, PartialEq)]
    pub struct Record {
        pub r#type: ::std::string::String,
        pub self_: i64,
        pub out: ::std::option::Option<i64>,
        pub writer: ::std::vec::Vec<Key>,
        pub len: i64,
        pub key: Key,
        pub value: i64,
        pub view: V,
        pub t: i64,
        pub visitor: i64,
    }

    #[derive(::dstream::Record, Debug, Clone, PartialEq)]
    pub struct Key {
        pub bytes: i64,
        pub fields: self::String,
    }

    #[derive(::dstream::Record, Debug, Clone, PartialEq)]
    pub struct V {
        pub f: i8,
    }

    #[derive(::dstream::Record, Debug, Clone, PartialEq)]
    pub struct String {
        pub draft: i64,
    }

    #[::dstream::job]
    pub fn records() {
        let score = source::json::<Record>("none");
        let key = score.key_by(|r| r.key).map_values(|r| r.view.f);
        let last = score.map(|r| r).window("2s");
        let out = score.map(|r| (r.key.fields, r.value)).reduce_by_key(|a, b| a + b);
        key.save("none:");
        last.save("none:");
        out.save("none:");
    }
}

#[test]
fn names_of_the_prelude_may_mean_something_else() -> Tested {
    let input = [["a", "aaa", "bcc", "aaa"]];
    let done = Run::new(shadowed::names).input("score", input).run()?;
    let sums = pairs(&[("aaa", 2 * (3 + 2 + 2)), ("bcc", 3 + 2 + 2)]);
    assert_eq!(done.sorted::<(String, u64)>("key", 1)?, sums);
    assert_eq!(done.records::<u64>("lines", 1)?, [6]);
    assert_eq!(done.records::<(String, u64)>("out.top_k", 1)?.len(), 1);

    use shadowed_records::{Key, Record, V};
    let key = |n: i64| Key { bytes: n, fields: shadowed_records::String { draft: n } };
    let record = |n: i64| Record {
        r#type: format!("type {n}"),
        self_: n,
        out: (n > 1).then_some(n),
        writer: vec![key(n), key(3)],
        len: -n,
        key: key(n % 2),
        value: n,
        view: V { f: n as i8 },
        t: n,
        visitor: n,
    };
    let records = [record(1), record(2), record(3)];
    let done = Run::new(shadowed_records::records).input("score", [records.clone()]).run()?;
    assert_eq!(done.sorted::<Record>("last", 1)?, {
        let mut sorted = records.to_vec();
        sorted.sort_by(|a, b| a.r#type.cmp(&b.r#type));
        sorted
    });
    assert_eq!(done.sorted::<(Key, i8)>("key", 1)?, [(key(0), 2), (key(1), 1), (key(1), 3)]);
    let text = |n| shadowed_records::String { draft: n };
    assert_eq!(
        done.sorted::<(shadowed_records::String, i64)>("out", 1)?,
        [(text(0), 2), (text(1), 4)]
    );
    let line = &done.lines("last", 1)?[0];
    assert!(line.contains("\"type\":") && !line.contains("r#"), "{line}");
    Ok(())
}

/// Names of jobs are names of functions, which a local may share.
mod jobs {
    #[dstream::job]
    pub fn counts() {
        let lines = source::text("none");
        let counts = lines.map(|counts| (counts, 1u64)).reduce_by_key(|a, b| a + b);
        counts.save("none:");
    }

    #[dstream::params]
    pub struct Params {
        #[arg(long, default_value_t = 3)]
        pub least: usize,
    }

    #[dstream::job]
    pub fn least(least: &Params) {
        let lines = source::text("none");
        let counts = least.least;
        let long = lines.filter(|least| least.len() >= counts);
        long.save("none:");
    }

    pub fn of(counts: &[&str]) -> usize {
        counts.len()
    }
}

#[test]
fn a_local_may_have_the_name_of_a_job() -> Tested {
    let input = ["a", "aaa", "a"];
    let done = Run::new(jobs::counts).input("lines", [input]).run()?;
    assert_eq!(done.sorted::<(String, u64)>("counts", 1)?, pairs(&[("a", 2), ("aaa", 1)]));
    let done = Run::new(jobs::least).input("lines", [input]).run()?;
    assert_eq!(done.sorted::<String>("long", 1)?, ["aaa"]);
    assert_eq!(jobs::of(&input), 3);
    Ok(())
}

/// Operator functions with the names of standard macros, with one name in two modules, and called so often
/// that a name made of function and call number could be another call's.
mod operators {
    pub mod first {
        use dstream::prelude::*;

        #[dstream::operator]
        pub fn format(lines: Stream<String>, value: u64) -> Stream<String> {
            let text = value + 1;
            lines.map(|line| format!("{line}{text}{value}"))
        }

        #[dstream::operator]
        pub fn f(lines: Stream<String>, n: u64) -> Stream<String> {
            lines.map(|line| format!("{line}f{n}"))
        }

        #[dstream::operator]
        pub fn f1(lines: Stream<String>, n: u64) -> Stream<String> {
            lines.map(|line| format!("{line}g{n}"))
        }
    }

    pub mod second {
        use dstream::prelude::*;

        #[dstream::operator]
        pub fn format(lines: Stream<String>) -> Stream<String> {
            lines.map(|line| ::std::format!("{line}!"))
        }
    }

    use first::{f, f1};

    #[dstream::job]
    pub fn calls() {
        let lines = source::text("none");
        let value = 7u64;
        let formatted = first::format(lines, value);
        let shouted = second::format(formatted);
        // The second call is `f1`, number 3 of this job; the last one is `f`, number 13.
        let a = f1(shouted, 1);
        let many = f(f(f(f(f(f(f(f(f(a, 2), 2), 2), 2), 2), 2), 2), 2), 2);
        let last = f(many, 3);
        last.save("none:");
    }
}

#[test]
fn operator_functions_may_have_any_name() -> Tested {
    let done = Run::new(operators::calls).input("lines", [["x"]]).run()?;
    let wanted = format!("x87!g1{}f3", "f2".repeat(9));
    assert_eq!(done.records::<String>("last", 1)?, [wanted]);
    Ok(())
}

/// Stream names may be raw keywords, with letters of any language.
#[dstream::job]
fn raw() {
    let r#type = source::text("none");
    let été = r#type.map(|w| (w, 1u64));
    let ete = r#type.map(|w| (w, 2u64));
    été.save("none:");
    ete.save("none:");
    r#type.count().save("none:");
}

#[test]
fn raw_names_and_all_letters() -> Tested {
    let done = Run::new(raw).input("type", [["x"]]).run()?;
    assert_eq!(done.records::<(String, u64)>("été", 1)?, pairs(&[("x", 1)]));
    assert_eq!(done.records::<(String, u64)>("ete", 1)?, pairs(&[("x", 2)]));
    assert_eq!(done.records::<u64>("type.count", 1)?, [1]);
    Ok(())
}
