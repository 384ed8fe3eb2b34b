//! The names that generated code uses.

use std::collections::BTreeMap;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

use super::kernel::is_scoped;
use crate::ir::fingerprint;
use crate::ir::logical::{Function, ParamLet};
use crate::ir::physical::{Physical, TailKind};
use crate::pass::times::Time;
use crate::reserved;

/// Looks up names and spans of a plan.
pub(crate) struct Names<'p> {
    plan: &'p Physical,
}

impl<'p> Names<'p> {
    pub(super) fn new(plan: &'p Physical) -> Self {
        Self { plan }
    }

    /// The operator that reads a tail: whose name an error about the tail's records belongs to.
    pub(super) fn reader(&self, stage: usize, tail: usize) -> Span {
        let operator = self.reading(stage, tail);
        operator.map_or_else(Span::call_site, |operator| self.plan.operators[operator].at)
    }

    /// The same, by index.
    pub(super) fn reading(&self, stage: usize, tail: usize) -> Option<usize> {
        let plan = self.plan;
        let output = plan.outputs.iter().find(|o| o.stage == stage && o.tail == tail);
        output.map(|o| o.operator).or_else(|| {
            let flow = plan.flows.iter().position(|flow| flow.from.contains(&(stage, tail)))?;
            let reader = plan.stages.iter().find(|stage| stage.head.flows.contains(&flow))?;
            Some(reader.operator)
        })
    }

    /// Whether functions in a stage's kernel take their context.
    pub(super) fn is_scoped(&self, stage: usize) -> bool {
        is_scoped(&self.plan.stages[stage].body)
    }

    /// What tells the random numbers of an operator from those of others: its stream in its job.
    pub(super) fn seed(&self, operator: usize) -> u64 {
        fingerprint::names(&[
            &self.plan.header.name.to_string(),
            &self.plan.operators[operator].stream,
        ])
    }

    /// What is known of the times of the records that an operator is given.
    pub(super) fn given(&self, operator: usize) -> Time {
        self.plan.operators[operator].given
    }

    /// An operator's name, as the user wrote it.
    pub(super) fn operator(&self, index: usize) -> Span {
        self.plan.operators[index].at
    }

    /// Whether an output shows the windows of its records.
    pub(super) fn has_windows(&self, output: usize) -> bool {
        self.plan.outputs[output].windows
    }

    /// What kind a tail is.
    pub(super) fn tail(&self, stage: usize, tail: usize) -> TailKind {
        self.plan.stages[stage].tails[tail]
    }

    /// The operators that unite what flows into a stage, in order of definition.
    pub(super) fn unions(&self, flow: usize) -> Vec<Span> {
        let reader = self.plan.stages.iter().find(|stage| stage.head.flows.contains(&flow));
        let operators = reader.into_iter().flat_map(|stage| &stage.operators);
        let operators = operators.map(|operator| &self.plan.operators[*operator]);
        operators.filter(|row| row.operator.is_union()).map(|union| union.at).collect()
    }

    /// The plain `let`s that some functions mention, cloned for a closure that is moved.
    pub(super) fn captures(&self, functions: &[&Function]) -> TokenStream {
        let mentions = mentions(functions);
        let clones = self.plan.lets.iter().filter_map(|ParamLet { name, .. }| {
            // One that cannot be cloned is wrong where it is used.
            let span = name.span().located_at(*mentions.get(&name.to_string())?);
            let mut name = name.clone();
            name.set_span(span);
            Some(quote_spanned!(span=> let #name = __dstream::capture(&#name);))
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

/// Fields, methods and paths are no locals, whatever their names.
fn identifiers(tokens: TokenStream, into: &mut BTreeMap<String, Span>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is = |at: Option<usize>, wanted: char| {
        matches!(at.and_then(|at| tokens.get(at)),
            Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
    };
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) => {
                let (before, second) = (at.checked_sub(1), at.checked_sub(2));
                let member = is(before, '.') && !is(second, '.');
                let path = (is(before, ':') && is(second, ':'))
                    || (is(Some(at + 1), ':') && is(Some(at + 2), ':'));
                if !member && !path {
                    into.entry(ident.to_string()).or_insert_with(|| ident.span());
                }
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
    Ident::new(&reserved::stream(stream), Span::mixed_site())
}

/// A local of generated code.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(&reserved::local(name), Span::mixed_site())
}

/// An item of generated code.
pub(crate) fn item(name: &str) -> Ident {
    Ident::new(&reserved::item(name), Span::call_site())
}

/// The slot of a tail.
pub(super) fn slot(stage: usize, tail: usize) -> Ident {
    local(&format!("slot_{stage}_{tail}"))
}

/// A flow.
pub(super) fn flow(index: usize) -> Ident {
    local(&format!("flow_{index}"))
}
