//! The names that generated code uses.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Expr;
use syn::spanned::Spanned;

use crate::ir::logical::{Function, ParamLet};
use crate::ir::physical::Physical;

/// Looks up names and spans of a plan.
pub(super) struct Names<'p> {
    plan: &'p Physical,
}

impl<'p> Names<'p> {
    pub(super) fn new(plan: &'p Physical) -> Self {
        Self { plan }
    }

    /// The operator that reads a tail: whose name an error about the tail's records belongs to.
    pub(super) fn reader(&self, stage: usize, tail: usize) -> Span {
        let plan = self.plan;
        let output = plan.outputs.iter().find(|o| o.stage == stage && o.tail == tail);
        let operator = output.map(|o| o.operator).or_else(|| {
            let flow = plan.flows.iter().position(|flow| flow.from.contains(&(stage, tail)))?;
            let reader = plan.stages.iter().find(|stage| stage.head.flows().contains(&flow))?;
            Some(reader.operator)
        });
        operator.map_or_else(Span::call_site, |operator| plan.operators[operator].at)
    }

    /// The plain `let`s that some tokens mention, cloned for a closure that is moved.
    pub(super) fn captures(&self, functions: &[&Function]) -> TokenStream {
        let mut used = BTreeSet::new();
        for function in functions {
            identifiers(function.expr.to_token_stream(), &mut used);
        }
        let clones =
            self.plan.lets.iter().filter(|l| used.contains(&l.name.to_string())).map(
                |ParamLet { name, .. }| quote!(let #name = ::core::clone::Clone::clone(&#name);),
            );
        quote!(#(#clones)*)
    }
}

fn identifiers(tokens: TokenStream, into: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                into.insert(ident.to_string());
            }
            TokenTree::Group(group) => identifiers(group.stream(), into),
            // The names inside a format string are captured too.
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let names = text.split('{').skip(1).filter_map(|rest| {
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
                });
                into.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
            }
            TokenTree::Punct(_) => {}
        }
    }
}

/// The variable that holds a record of a stream. The underscore at its end keeps it from being taken
/// for a unit struct: a job is one, and may have the name of one of its streams.
pub(super) fn variable(stream: &str) -> Ident {
    let plain: String = stream.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let digit = plain.starts_with(|c: char| c.is_ascii_digit());
    local(&format!("{}{plain}_", if digit { "_" } else { "" }))
}

/// A local of generated code, which no name of the user's can be.
pub(super) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The slot of a tail.
pub(super) fn slot(stage: usize, tail: usize) -> Ident {
    local(&format!("slot_{stage}_{tail}"))
}

/// A flow.
pub(super) fn flow(index: usize) -> Ident {
    local(&format!("flow_{index}"))
}

/// Where an error about what a function returns belongs: its body.
pub(super) fn result_span(function: &Function) -> Span {
    let span = match &function.expr {
        Expr::Closure(closure) => closure.body.span(),
        other => other.span(),
    };
    Span::mixed_site().located_at(span)
}
