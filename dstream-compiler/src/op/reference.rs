//! The reference of the operators, made of their records: `docs/operators.md`, and rows of the README.
//!
//! `DSTREAM_UPDATE=1 cargo test -p dstream-compiler reference` writes both after a change of a record.

use std::fmt::Write as _;
use std::{env, fs};

use super::elsewhere::HINTS;
use super::{ALL, Operator};
use crate::diag::examples;
use crate::testing::physical;

/// The streams that examples use, in order of definition.
const STREAMS: [(&str, &str); 4] = [
    ("words", "source::text(\"generate://words\")"),
    ("numbers", "words.map(|w| w.len() as u64)"),
    ("pairs", "words.map(|w| (w, 1u64))"),
    ("others", "words.filter(|w| w.len() > 4).map(|w| (w, 1u64))"),
];

/// The body of a job that is the example of an operator, a statement per line.
pub(crate) fn program(operator: &Operator) -> Vec<String> {
    let output = if operator.is_output() { "" } else { ".print()" };
    let example = format!("{}{output};", operator.example);
    let used = |name: &str| name == "words" || mentions(&example, name);
    let streams = STREAMS.iter().filter(|(name, _)| used(name));
    let mut lines: Vec<String> =
        streams.map(|(name, stream)| format!("let {name} = {stream};")).collect();
    lines.push(example);
    lines
}

fn mentions(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

/// The rows of the README.
const FAMILIES: [&str; 4] = ["per record", "per batch", "over time", "outputs"];

/// The operator that a plan has for one: of one that consists of others, what reduces.
fn stands(operator: &'static Operator) -> &'static Operator {
    operator.expands.map_or(operator, |expansion| expansion.reduces)
}

/// In which of them an operator is.
fn family(operator: &'static Operator) -> &'static str {
    if operator.is_output() {
        return "outputs";
    }
    if operator.is_fused() && operator.expands.is_none() {
        return "per record";
    }
    let plan = physical(&program(operator).concat());
    let of = |row: usize| plan.operators[row].operator == stands(operator);
    match plan.stages.iter().any(|stage| of(stage.operator) && stage.state.is_some()) {
        true => "over time",
        false => "per batch",
    }
}

/// The rows of the README's table.
fn rows() -> String {
    let mut text = String::new();
    for family in FAMILIES {
        let operators = ALL.iter().filter(|operator| self::family(operator) == family);
        let names: Vec<String> = operators.map(|operator| format!("`{}`", operator.name)).collect();
        _ = writeln!(text, "| {family} | {} |", names.join(", "));
    }
    text
}

const INTRODUCTION: &str = "# Operators

Every operator, what it makes, and an example that compiles. `words` is a stream of texts, `numbers` of `u64`; `pairs` and
`others` are streams of pairs `(key, value)`. An operator *per batch* works on a window after `window(…)`, on a batch
otherwise. The order of records is kept within a partition; a key lies in one partition.

<!-- Made of dstream-compiler/src/op by `DSTREAM_UPDATE=1 cargo test -p dstream-compiler reference`. -->
";

/// The whole page.
fn page() -> String {
    let mut text = INTRODUCTION.to_owned();
    for operator in ALL {
        let Operator { name, usage, doc, details, .. } = operator;
        let (mut sentence, family) = (doc.to_string(), family(operator));
        sentence[..1].make_ascii_uppercase();
        _ = write!(text, "\n## {name}\n\n`{usage}`, {family}. {sentence}.");
        if !details.is_empty() {
            _ = write!(text, " {details}");
        }
        text.push_str("\n\n```rust\n");
        if mentions(operator.example, "State") || mentions(operator.example, "agg") {
            text.push_str("use dstream::prelude::*;\n\n");
        }
        text.push_str("#[dstream::job]\nfn example() {\n");
        for line in program(operator) {
            _ = writeln!(text, "    {line}");
        }
        text.push_str("}\n```\n");
    }
    text
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Holds a file to what it should be, or writes it.
fn hold(path: &str, make: impl Fn(&str) -> String) {
    let path = format!("{ROOT}/{path}");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let wanted = make(&before);
    if env::var_os("DSTREAM_UPDATE").is_some() {
        fs::write(&path, &wanted).expect("the file can be written");
    }
    let now = fs::read_to_string(&path).expect("it is part of the repository");
    assert_eq!(now, wanted, "run `DSTREAM_UPDATE=1 cargo test -p dstream-compiler reference`");
}

/// What `JOB explain` says is what stands here.
#[test]
fn a_job_explains_every_operator_and_mistake() {
    hold("dstream-runtime/src/cli/explain/operators.md", |_| page());
    hold("dstream-runtime/src/cli/explain/mistakes.md", |_| examples::explained());
    hold("docs/errors.md", |_| examples::page());
    hold("dstream-runtime/src/cli/explain/elsewhere.md", |_| elsewhere());
}

/// Names of other systems, with what to write instead.
fn elsewhere() -> String {
    let mut text = String::from(
        "<!-- Made of dstream-compiler/src/op/elsewhere.rs by `DSTREAM_UPDATE=1 cargo test -p dstream-compiler reference`. -->\n",
    );
    for hint in HINTS {
        _ = write!(text, "\n## {}\n\n{}\n", hint.names.join(", "), hint.instead);
        if let Some(example) = hint.example {
            _ = write!(text, "\n```rust\n{example};\n```\n");
        }
    }
    text
}

#[test]
fn the_reference_is_that_of_the_records() {
    hold("docs/operators.md", |_| page());
}

/// The rows stand where rows of these families stand.
#[test]
fn the_readme_names_every_operator() {
    hold("README.md", |before| {
        let is_row =
            |line: &str| FAMILIES.iter().any(|family| line.starts_with(&format!("| {family} |")));
        let mut rows = Some(rows());
        let mut text = String::new();
        for line in before.split_inclusive('\n') {
            match is_row(line) {
                true => text.push_str(&rows.take().unwrap_or_default()),
                false => text.push_str(line),
            }
        }
        text
    });
}

/// Every example is a program, and what it shows is in its plan. rustc compiles them in `docs/operators.md`.
#[test]
fn examples_have_plans() {
    for operator in ALL {
        let plan = physical(&program(operator).concat());
        let found = plan.operators.iter().any(|row| row.operator == stands(operator));
        assert!(found, "the example of `{}` does not use it", operator.name);
    }
}

/// The page for users of another system names every operator.
#[test]
fn every_operator_stands_beside_other_systems() {
    let path = format!("{ROOT}/docs/from_other_systems.md");
    let page = fs::read_to_string(path).expect("it is part of the repository");
    let named =
        |name: &str| page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}("));
    let missing: Vec<&str> =
        ALL.iter().map(|operator| operator.name).filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "docs/from_other_systems.md does not name {missing:?}");
}
