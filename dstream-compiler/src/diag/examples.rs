//! An example of each mistake, and its cure: `docs/errors.md`, and what `JOB explain` says of a code.
//!
//! The wrong program is a fixture of `tests/ui`, reduced to the one mistake. The right program is the wrong one with a few
//! words replaced ([`cures`]). Both are compiled here, so neither can lag behind the compiler.

mod cures;

use std::fmt::Write as _;
use std::fs;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Attribute, ImplItem, Item, Meta};

use self::cures::CURES;
use super::{Diagnostics, Mistake, table};
use crate::compile::compile_job;
use crate::syntax::OperatorFn;

/// Where the fixtures are.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/ui");

/// A wrong program, the compiler's report of it, and the right program.
struct Example {
    wrong: String,
    report: String,
    right: String,
}

/// The attribute `#[dstream::NAME]` of an item: what stands in its parentheses.
fn marked(attributes: &[Attribute], name: &str) -> Option<TokenStream> {
    let attribute = attributes.iter().find(|attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|segment| segment.ident == name)
    })?;
    match &attribute.meta {
        Meta::List(list) => Some(list.tokens.clone()),
        _ => Some(TokenStream::new()),
    }
}

/// An item without its mark, as its macro sees it.
fn unmarked(item: &impl ToTokens, attributes: &[Attribute]) -> TokenStream {
    let marks = attributes.iter().map(|attribute| attribute.to_token_stream().into_iter().count());
    item.to_token_stream().into_iter().skip(marks.sum()).collect()
}

/// What `#[dstream::job]` and `#[dstream::operator]` report of an item.
fn reported(item: &Item, operators: &[(String, OperatorFn)]) -> Diagnostics {
    let job = |attributes: &[Attribute], item: TokenStream| {
        marked(attributes, "job").map(|settings| compile_job(settings, item, operators).diagnostics)
    };
    let found = match item {
        Item::Fn(function) if marked(&function.attrs, "operator").is_some() => {
            Some(OperatorFn::parse(unmarked(function, &function.attrs)).1)
        }
        Item::Fn(function) => job(&function.attrs, unmarked(function, &function.attrs)),
        Item::Struct(record) => job(&record.attrs, unmarked(record, &record.attrs)),
        Item::Impl(block) => block.items.iter().find_map(|item| match item {
            ImplItem::Fn(method) => job(&method.attrs, unmarked(method, &method.attrs)),
            _ => None,
        }),
        _ => None,
    };
    found.unwrap_or_default()
}

/// The items of a program, each with what is reported of it.
fn items(program: &str) -> Vec<(Item, Diagnostics)> {
    let file = syn::parse_file(program).unwrap_or_else(|error| panic!("{error}: {program}"));
    let operators: Vec<(String, OperatorFn)> = file
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Fn(f) if marked(&f.attrs, "operator").is_some() => {
                let function = OperatorFn::parse(unmarked(f, &f.attrs)).0?;
                Some((f.sig.ident.to_string(), function))
            }
            _ => None,
        })
        .collect();
    let report = |item: Item| {
        let found = reported(&item, &operators);
        (item, found)
    };
    file.items.into_iter().map(report).collect()
}

/// A program without the lines from one to another, both included.
fn without(program: &str, first: usize, last: usize) -> String {
    let lines = program.lines().enumerate();
    let kept = lines.filter(|(at, _)| !(first..=last).contains(&(at + 1)));
    kept.flat_map(|(_, line)| [line, "\n"]).collect()
}

/// What is left out of a fixture next: a job without this mistake, or a statement with another one or a second one.
fn superfluous(program: &str, code: &str) -> Option<(usize, usize)> {
    let line = |number: usize| program.lines().nth(number - 1).unwrap_or_default();
    for (item, found) in items(program) {
        if found.is_empty() {
            continue;
        }
        if !found.iter().any(|found| found.mistake.code == code) {
            let span = item.span();
            return Some((span.start().line, span.end().line));
        }
        let (mut seen, text) = (false, |number| line(number).trim());
        for diagnostic in &found {
            let wanted = diagnostic.mistake.code == code;
            let Some(number) = diagnostic.place.line().filter(|n| text(*n).ends_with(';')) else {
                continue;
            };
            // What else is wrong in a `let` that others use is part of the same example.
            if !wanted || seen && !text(number).starts_with("let ") {
                return Some((number, number));
            }
            seen = true;
        }
    }
    None
}

/// A fixture as a reader needs it: without its comment, its `main`, and its other mistakes.
fn wrong(fixture: &str, code: &str) -> String {
    let path = format!("{FIXTURES}/{fixture}.rs");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let shown = |line: &&str| {
        !line.starts_with("//") && !line.starts_with("dstream::main!") && *line != "fn main() {}"
    };
    let mut program: String = text.lines().filter(shown).flat_map(|line| [line, "\n"]).collect();
    while let Some((first, last)) = superfluous(&program, code) {
        program = without(&program, first, last);
    }
    program.trim().to_owned()
}

/// The example of a mistake.
///
/// # Panics
/// If it has none, or its programs are not what they should be.
fn example(mistake: &Mistake) -> Example {
    let code = mistake.code;
    let cure = CURES.iter().find(|(cured, ..)| *cured == code);
    let (_, fixture, replacements) =
        cure.unwrap_or_else(|| panic!("{code} has no cure: add a row to diag/examples/cures.rs"));
    let wrong = wrong(fixture, code);
    let all = items(&wrong);
    let mut found = all.iter().flat_map(|(_, found)| found);
    let first = found.next().unwrap_or_else(|| panic!("{code}: no mistake in\n{wrong}"));
    assert_eq!(first.mistake.code, code, "{wrong}");
    let report = first.text();
    let mut right = wrong.clone();
    for (from, to) in *replacements {
        assert!(right.contains(from), "{code}: no `{from}` in {fixture}:\n{right}");
        right = right.replace(from, to);
    }
    let left: Vec<String> =
        items(&right).iter().flat_map(|(_, found)| found).map(super::Diagnostic::text).collect();
    assert!(left.is_empty(), "{code}: {left:?} in\n{right}");
    Example { wrong, report, right }
}

/// A template as prose: a placeholder becomes a word in capitals.
fn prose(template: &str) -> String {
    let mut text = String::new();
    for (at, part) in template.split(['{', '}']).enumerate() {
        let is_name = at % 2 == 1
            && !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        match (is_name, at % 2) {
            (true, _) => text.push_str(&part.to_uppercase()),
            (false, 1) => _ = write!(text, "{{{part}}}"),
            _ => text.push_str(part),
        }
    }
    text
}

/// The sections of all mistakes. The arguments are the languages of a block that does not compile, and of one that does.
fn sections(wrong: &str, compiles: &str) -> String {
    let mut text = String::new();
    for mistake in table::ALL {
        let Example { wrong: program, report, right } = example(mistake);
        let (code, mut message) = (mistake.code, prose(mistake.message));
        message[..1].make_ascii_uppercase();
        _ = write!(text, "\n## {code}\n\n{message}.\n\n```{wrong}\n{program}\n```\n\n");
        _ = write!(text, "```text\n{report}\n```\n\nCorrected:\n\n```{compiles}\n{right}\n```\n");
    }
    text
}

const MADE: &str = "<!-- Made of dstream-compiler/src/diag and tests/ui by `DSTREAM_UPDATE=1 cargo test -p dstream-compiler reference`. -->\n";

const INTRODUCTION: &str = "# Errors

Every mistake that the compiler reports, by its code: the message, a program that has the mistake, the report of that program with
its help, and the corrected program, which compiles. A word in capitals stands for what your program says there. `JOB explain E0201`
prints the same in a terminal. Mistakes of types, such as a field that does not exist, are reported by rustc itself.

";

/// What `JOB explain` prints.
pub(crate) fn explained() -> String {
    format!("{MADE}{}", sections("rust", "rust"))
}

/// `docs/errors.md`. Its wrong programs are compiled in `tests/ui`.
pub(crate) fn page() -> String {
    format!("{INTRODUCTION}{MADE}{}", sections("rust,ignore", "rust,no_run"))
}

#[test]
fn placeholders_are_words_in_capitals() {
    assert_eq!(
        prose("`{name}` takes {expected}, as in `{…}`"),
        "`NAME` takes EXPECTED, as in `{…}`"
    );
    assert_eq!(prose("in `a {}`"), "in `a {}`");
}

/// A fixture with several mistakes becomes an example of each.
#[test]
fn a_fixture_is_reduced_to_one_mistake() {
    let program = wrong("operator/named_arguments", "E0121");
    assert!(program.contains(r#"expire_after = "30d", expire_after = "1h""#), "{program}");
    assert!(!program.contains("expires_after") && !program.contains("fn main"), "{program}");
}
