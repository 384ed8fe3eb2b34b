//! Jobs and operator functions as text, for tests.

use proc_macro2::TokenStream;

use crate::compile::{compile_job, lower_job};
use crate::diag::Diagnostics;
use crate::ir::logical::Job;
use crate::ir::physical::Physical;
use crate::syntax::OperatorFn;

/// Tokens of a text.
pub(crate) fn tokens(text: &str) -> TokenStream {
    text.parse().expect("the test's text is Rust")
}

/// Operator functions by their names.
pub(crate) fn operators(texts: &[&str]) -> Vec<(String, OperatorFn)> {
    texts
        .iter()
        .map(|text| {
            let (function, diagnostics) = OperatorFn::parse(tokens(text));
            assert!(diagnostics.is_empty(), "{}", listed(&diagnostics));
            let function = function.expect("it is a function");
            (function.name.to_string(), function)
        })
        .collect()
}

fn with_body(body: &str) -> TokenStream {
    tokens(&format!("fn job(params: &Params) {{\n{body}\n}}"))
}

/// The logical plan of a body before any pass.
pub(crate) fn logical(body: &str) -> Job {
    let (job, _, diagnostics) = lower_job(tokens("interval = \"1s\""), with_body(body), &[]);
    assert!(diagnostics.is_empty(), "{}", listed(&diagnostics));
    job.expect("it is a function")
}

/// The physical plan of a body.
pub(crate) fn physical(body: &str) -> Physical {
    physical_with(body, &[])
}

/// The physical plan of a body that calls operator functions.
pub(crate) fn physical_with(body: &str, operators: &[(String, OperatorFn)]) -> Physical {
    let compiled = compile_job(tokens(""), with_body(body), operators);
    assert!(compiled.diagnostics.is_empty(), "{}", listed(&compiled.diagnostics));
    compiled.physical.expect("nothing is wrong")
}

/// A logical plan as text.
pub(crate) fn dumped(job: &Job) -> String {
    crate::ir::dump::logical(job)
}

/// A phase of a plan.
pub(crate) fn phase(plan: &Physical, name: &str) -> String {
    let found = plan.phases.iter().find(|(phase, _)| *phase == name);
    found.unwrap_or_else(|| panic!("no phase {name}")).1.clone()
}

/// The mistakes in a body: the text of each diagnostic, and its line.
pub(crate) fn mistakes(body: &str) -> String {
    mistakes_with(body, &[])
}

/// The mistakes in a body that calls operator functions.
pub(crate) fn mistakes_with(body: &str, operators: &[(String, OperatorFn)]) -> String {
    listed(&compile_job(tokens(""), with_body(body), operators).diagnostics)
}

/// The mistakes in an operator function alone.
pub(crate) fn operator_mistakes(text: &str) -> String {
    listed(&OperatorFn::parse(tokens(text)).1)
}

/// Diagnostics as text, with the source that each points at.
pub(crate) fn listed(diagnostics: &Diagnostics) -> String {
    let texts: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| match diagnostic.place.source() {
            Some(source) => format!("{source}\n  {}", diagnostic.text().replace('\n', "\n  ")),
            None => diagnostic.text(),
        })
        .collect();
    texts.join("\n")
}
