//! A fuzz target: for any tokens, a macro returns errors or code and never panics.
//!
//! Two programs run it: the tests here, which change the tokens of our own programs in a fixed sequence, and
//! libFuzzer, from `tests/fuzz`.

#[cfg(test)]
mod mutate;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Item, Meta, Path};

use crate::syntax::OperatorFn;
use crate::{codegen, compile_job, expand, params, record};

/// The macro of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Macro {
    /// `#[dstream::job]`
    Job,
    /// `#[dstream::operator]`
    Operator,
    /// `#[dstream::params]`
    Params,
    /// `#[derive(Record)]`
    Record,
    /// The callback that receives a job's operators.
    Callback,
}

/// A call of a macro.
#[derive(Debug, Clone)]
pub struct Call {
    /// The macro.
    pub of: Macro,
    /// Its arguments.
    pub attribute: TokenStream,
    /// The item under it.
    pub item: TokenStream,
}

/// The calls of our macros in a file.
#[must_use]
pub fn calls(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    if let Ok(file) = syn::parse_file(text) {
        collect(file.items, &mut calls);
    }
    calls
}

fn collect(items: Vec<Item>, calls: &mut Vec<Call>) {
    for item in items {
        let attributes = match &item {
            Item::Fn(item) => item.attrs.clone(),
            Item::Struct(item) => item.attrs.clone(),
            Item::Enum(item) => item.attrs.clone(),
            Item::Impl(_) | Item::Trait(_) | Item::Union(_) => Vec::new(),
            Item::Mod(_) => {
                if let Item::Mod(module) = item {
                    collect(module.content.map(|(_, items)| items).unwrap_or_default(), calls);
                }
                continue;
            }
            _ => continue,
        };
        for attribute in &attributes {
            if let Some(of) = of(attribute) {
                let arguments = match &attribute.meta {
                    Meta::List(list) => list.tokens.clone(),
                    Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
                };
                calls.push(Call { of, attribute: arguments, item: without(&item, attribute) });
            }
        }
    }
}

fn of(attribute: &Attribute) -> Option<Macro> {
    let last = |path: &Path| path.segments.last().map(|segment| segment.ident.to_string());
    match last(attribute.path())?.as_str() {
        "job" => Some(Macro::Job),
        "operator" => Some(Macro::Operator),
        "params" => Some(Macro::Params),
        "derive" => {
            attribute.to_token_stream().to_string().contains("Record").then_some(Macro::Record)
        }
        _ => None,
    }
}

/// The item without its attribute, as the macro gets it.
fn without(item: &Item, attribute: &Attribute) -> TokenStream {
    let mut item = item.clone();
    let attributes = match &mut item {
        Item::Fn(item) => &mut item.attrs,
        Item::Struct(item) => &mut item.attrs,
        Item::Enum(item) => &mut item.attrs,
        _ => return item.into_token_stream(),
    };
    attributes.retain(|other| other != attribute);
    item.into_token_stream()
}

/// Expands a call. A valid item must expand to valid code.
///
/// # Panics
/// When it does not, which is a bug of the compiler.
pub fn expand(call: &Call, operators: &[(String, OperatorFn)]) {
    let Call { of, attribute, item } = call;
    let output = match of {
        Macro::Job => {
            job(attribute, item, operators);
            expand::job(attribute.clone(), item.clone())
        }
        Macro::Operator => expand::operator(attribute.clone(), item.clone()),
        Macro::Params => params::params(attribute.clone(), item.clone()),
        Macro::Record => record::derive(item.clone()),
        Macro::Callback => {
            drop(expand::job_with_operator(item.clone()));
            return;
        }
    };
    if syn::parse2::<Item>(item.clone()).is_ok() {
        parses(&output);
    }
}

/// Compiles a job with the known operators: either there are mistakes, or there is code.
fn job(attribute: &TokenStream, item: &TokenStream, operators: &[(String, OperatorFn)]) {
    let compiled = compile_job(attribute.clone(), item.clone(), operators);
    assert_eq!(compiled.physical.is_none(), !compiled.diagnostics.is_empty());
    for diagnostic in compiled.diagnostics.iter() {
        assert!(!diagnostic.text().is_empty());
    }
    parses(&compiled.diagnostics.to_compile_errors());
    if let Some(plan) = &compiled.physical {
        let code = codegen::compiled(plan);
        parses(&quote!(const _: () = #code;));
    }
}

fn parses(code: &TokenStream) {
    if let Err(error) = syn::parse2::<syn::File>(code.clone()) {
        panic!("{error}\nin: {code}");
    }
}

/// Expands all calls in a text, and the text as the item of each macro.
pub fn program(text: &str) {
    let calls = calls(text);
    let operators = operators(&calls);
    for call in &calls {
        expand(call, &operators);
    }
    if calls.is_empty()
        && let Ok(item) = text.parse::<TokenStream>()
    {
        for of in [Macro::Job, Macro::Operator, Macro::Params, Macro::Record, Macro::Callback] {
            expand(&Call { of, attribute: TokenStream::new(), item: item.clone() }, &[]);
        }
    }
}

/// The operator functions among calls, by name.
#[must_use]
pub fn operators(calls: &[Call]) -> Vec<(String, OperatorFn)> {
    calls
        .iter()
        .filter(|call| call.of == Macro::Operator)
        .filter_map(|call| OperatorFn::parse(call.item.clone()).0)
        .map(|operator| (operator.name.to_string(), operator))
        .collect()
}
