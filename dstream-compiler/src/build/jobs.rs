//! Finds the jobs and operator functions of a crate, and compiles the jobs.
//!
//! A build script cannot resolve paths, so an operator function is found by the last segment of its path.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, Item, ItemFn, Meta};

use super::modules::Source;
use crate::ir::physical::Physical;
use crate::syntax::{OperatorFn, path_text};
use crate::{compile_job, unresolved_operators};

/// A job's plan.
pub(super) struct Plan {
    /// The job's name, numbered if it is not unique.
    pub(super) name: String,
    pub(super) physical: Physical,
}

/// The plans of all jobs without mistakes.
pub(super) fn plans(files: &[Source]) -> Vec<Plan> {
    let mut functions = Vec::new();
    for file in files {
        collect(&file.items, &mut functions);
    }
    let operators: Vec<OperatorFn> = functions
        .iter()
        .filter(|function| marked(function, "operator").is_some())
        .filter_map(|function| OperatorFn::parse(function.to_token_stream()).0)
        .collect();
    let mut plans: Vec<Plan> = Vec::new();
    for function in &functions {
        let Some(attribute) = marked(function, "job") else {
            continue;
        };
        let item = function.to_token_stream();
        let called = called(&item, &operators);
        let Some(physical) = compile_job(arguments(attribute), item, &called).physical else {
            continue;
        };
        let job = physical.header.name.to_string();
        let same = plans.iter().filter(|plan| plan.physical.header.name == job).count();
        let name = if same == 0 { job } else { format!("{job}_{}", same + 1) };
        plans.push(Plan { name, physical });
    }
    plans
}

fn collect<'a>(items: &'a [Item], functions: &mut Vec<&'a ItemFn>) {
    for item in items {
        match item {
            Item::Fn(function) => functions.push(function),
            Item::Mod(module) => {
                if let Some((_, items)) = &module.content {
                    collect(items, functions);
                }
            }
            _ => {}
        }
    }
}

/// The attribute `#[dstream::NAME]` of a function.
fn marked<'a>(function: &'a ItemFn, name: &str) -> Option<&'a Attribute> {
    function.attrs.iter().find(|attribute| {
        let path = path_text(attribute.path());
        path == name || path.strip_prefix("dstream::").is_some_and(|last| last == name)
    })
}

fn arguments(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
    }
}

/// The operator functions called by a job, directly or indirectly, by path as written.
fn called(item: &TokenStream, operators: &[OperatorFn]) -> Vec<(String, OperatorFn)> {
    let mut known: Vec<(String, OperatorFn)> = Vec::new();
    loop {
        let found: Vec<(String, OperatorFn)> = unresolved_operators(item.clone(), &known)
            .iter()
            .filter_map(|path| {
                let last = &path.segments.last()?.ident;
                let operator = operators.iter().find(|operator| operator.name == *last)?;
                Some((path_text(path), operator.clone()))
            })
            .collect();
        if found.is_empty() {
            return known;
        }
        known.extend(found);
    }
}
