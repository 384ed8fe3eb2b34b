//! The names that generated code uses.

use std::collections::BTreeMap;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

use crate::ir::logical::{Function, ParamLet};
use crate::ir::physical::{Physical, TailKind};

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

    /// An operator's name, as the user wrote it.
    pub(super) fn operator(&self, index: usize) -> Span {
        self.plan.operators[index].at
    }

    /// What kind a tail is.
    pub(super) fn tail(&self, stage: usize, tail: usize) -> TailKind {
        self.plan.stages[stage].tails[tail]
    }

    /// The operators that unite what flows into a stage, in order of definition.
    pub(super) fn unions(&self, flow: usize) -> Vec<Span> {
        let reader = self.plan.stages.iter().find(|stage| stage.head.flows().contains(&flow));
        let operators = reader.into_iter().flat_map(|stage| &stage.operators);
        let operators = operators.map(|operator| &self.plan.operators[*operator]);
        operators.filter(|operator| operator.name == "union").map(|union| union.at).collect()
    }

    /// The plain `let`s that some functions mention, cloned for a closure that is moved.
    pub(super) fn captures(&self, functions: &[&Function]) -> TokenStream {
        let mentions = mentions(functions);
        let clones = self.plan.lets.iter().filter_map(|ParamLet { name, .. }| {
            // One that cannot be cloned is wrong where it is used.
            let span = name.span().located_at(*mentions.get(&name.to_string())?);
            let name = Ident::new(&name.to_string(), span);
            Some(quote_spanned!(span=> let #name = __d::capture(&#name);))
        });
        quote!(#(#clones)*)
    }

    /// The first function that mentions a plain `let`.
    pub(super) fn capturing<'f>(&self, functions: &[&'f Function]) -> Option<&'f Function> {
        functions.iter().copied().find(|function| {
            let mentions = mentions(&[function]);
            self.plan.lets.iter().any(|l| mentions.contains_key(&l.name.to_string()))
        })
    }
}

/// The names that functions mention, and where they do first.
fn mentions(functions: &[&Function]) -> BTreeMap<String, Span> {
    let mut found = BTreeMap::new();
    for function in functions {
        identifiers(function.expr.to_token_stream(), &mut found);
    }
    found
}

fn identifiers(tokens: TokenStream, into: &mut BTreeMap<String, Span>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                into.entry(ident.to_string()).or_insert_with(|| ident.span());
            }
            TokenTree::Group(group) => identifiers(group.stream(), into),
            // The names inside a format string are captured too.
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let names = text.split('{').skip(1).filter_map(|rest| {
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
                });
                for name in names.filter(|name| !name.is_empty()) {
                    into.entry(name.to_owned()).or_insert_with(|| literal.span());
                }
            }
            TokenTree::Punct(_) => {}
        }
    }
}

/// The variable that holds a record of a stream.
pub(super) fn variable(stream: &str) -> Ident {
    let plain: String = stream.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let digit = plain.starts_with(|c: char| c.is_ascii_digit());
    local(&format!("{}{plain}", if digit { "_" } else { "" }))
}

/// A local of generated code, which no local of the user's can be. The underscore at its end keeps it from
/// being taken for a unit struct: every job is one, whatever its name.
pub(super) fn local(name: &str) -> Ident {
    Ident::new(&format!("{name}_"), Span::mixed_site())
}

/// The slot of a tail.
pub(super) fn slot(stage: usize, tail: usize) -> Ident {
    local(&format!("slot_{stage}_{tail}"))
}

/// A flow.
pub(super) fn flow(index: usize) -> Ident {
    local(&format!("flow_{index}"))
}
