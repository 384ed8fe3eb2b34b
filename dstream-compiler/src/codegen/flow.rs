//! The function that builds a job: parameters, stages, and what flows between them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Expr, Token};

use super::emit::HeadCode;
use super::kernel::{functions, kernel};
use super::names::{Names, flow as flow_name, local, slot};
use super::spans::{self, block, bracketed, within};
use crate::diag::Place;
use crate::ir::logical::Function;
use crate::ir::physical::{Physical, Stage};
use crate::op::{Argument, Sink};

/// The name of the builder.
pub(crate) const BUILDER: &str = "b";

/// The body of `Job::build`.
pub(super) fn build(plan: &Physical, names: &Names<'_>) -> TokenStream {
    let lets = plan.lets.iter().map(|l| &l.statement);
    let mut declared = vec![false; plan.flows.len()];
    let stages = plan.stages.iter().enumerate().map(|(index, stage)| {
        let flows: TokenStream = stage
            .head
            .flows
            .iter()
            .filter(|flow| !std::mem::replace(&mut declared[**flow], true))
            .map(|flow| declare(names, plan, *flow, names.operator(stage.operator)))
            .collect();
        let stage_code = stage_call(plan, names, index, stage);
        quote!(#flows #stage_code)
    });
    let stages: TokenStream = stages.collect();
    let outputs = plan.outputs.iter().enumerate().map(|(index, output)| {
        let (id, slot) = (index as u16, slot(output.stage, output.tail));
        let to_url = if output.windows { "output_of_windows" } else { "output" };
        let (method, argument) = match &output.sink {
            Sink::Url(url) => (to_url, quote!(#url)),
            Sink::Print(_) => (to_url, quote!("print:")),
            Sink::Function(function) => ("foreach_batch", owned(names, function)),
        };
        let method = Ident::new(method, names.operator(output.operator));
        let builder = local(BUILDER);
        quote!(#builder.#method(__dstream::OutputId(#id), #slot, #argument);)
    });
    quote! {
        #(#lets)*
        #stages
        #(#outputs)*
    }
}

/// A user's function with what it captures.
fn owned(names: &Names<'_>, function: &Function) -> TokenStream {
    let captures = names.captures(&[function]);
    let mut expr = function.expr.clone();
    if let Expr::Closure(closure) = &mut expr {
        closure.capture = Some(Token![move](Place::of(&closure.inputs_begin).start()));
    }
    quote!({ #captures #expr })
}

/// The slots of a flow, as the operator that reads it wants them. Those after the first are united with
/// it: by a union of the user's.
pub(super) fn slots(
    names: &Names<'_>,
    plan: &Physical,
    flow: usize,
    operator: Span,
) -> TokenStream {
    let from = &plan.flows[flow].from;
    let slots = from.iter().map(|(stage, tail)| slot(*stage, *tail));
    let first = slots.clone().next();
    let unions = names.unions(flow);
    let united = slots.clone().enumerate().skip(1).map(|(i, slot)| {
        let union = unions.get(i - 1).or(unions.last()).copied().unwrap_or(operator);
        let path = spans::path(union.into(), "united");
        let value = spans::moved(union.into(), &slot);
        quote!(let #slot = #path(&#first, #value);)
    });
    let united: TokenStream = united.collect();
    let array = bracketed(operator, quote!(#(#slots),*));
    if united.is_empty() { array } else { block(operator, quote!(#united #array)) }
}

/// A flow has a name unless its only reader takes the tails itself.
fn declare(names: &Names<'_>, plan: &Physical, index: usize, operator: Span) -> TokenStream {
    let form = &plan.flows[index].form;
    let Some(function) = form.kind.flow else { return TokenStream::new() };
    let (name, slots) = (flow_name(index), slots(names, plan, index, operator));
    let path = spans::path(operator.into(), function);
    match &form.argument {
        Some(Argument::Function(f)) => {
            let f = merge_function(names, f, operator);
            quote!(let #name = #path(#slots, #f);)
        }
        _ => quote!(let #name = #path(#slots);),
    }
}

/// A user's function of two views as a function that changes an accumulator.
pub(super) fn merge_function(
    names: &Names<'_>,
    function: &Function,
    operator: Span,
) -> TokenStream {
    let captures = names.captures(&[function]);
    let (f, result) = (&function.expr, spans::result(function));
    let (acc, x, next) = (local("acc"), local("x"), local("next"));
    if function.in_place {
        return quote!(|#acc, #x| #f(#acc, #x));
    }
    let call = spans::path(operator.into(), "call2");
    let arguments = within(Place::of(f).end(), quote!(__dstream::view(&*#acc), #x, #f));
    let record = spans::value(result, "into_record", &next);
    let next_value = spans::moved(result, &next);
    let (target, acc_value) = (quote_spanned!(operator=> *), spans::moved(operator.into(), &acc));
    let (start, end) = (Place::of(f).start(), Place::of(f).end());
    let head = quote_spanned!(start=> move);
    let body = block(
        end,
        quote! {
            let #next = #call #arguments;
            let #next = #record;
            #target #acc_value = #next_value;
        },
    );
    quote! {{
        #captures
        #head |#acc, #x| #body
    }}
}

fn stage_call(plan: &Physical, names: &Names<'_>, index: usize, stage: &Stage) -> TokenStream {
    let head_place = head_place(names, stage);
    // A head may call the builder (a source does), so it is evaluated before the stage is added.
    let head = (stage.head.begin.emit)(&HeadCode { names, plan, stage, place: head_place });
    let mut inlined = Vec::new();
    functions(&stage.body, &mut inlined);
    let captures = names.captures(&inlined);
    // A captured value that cannot be shared makes the kernel wrong: that is the closure's place.
    let kernel_place = names.capturing(&inlined).map_or(head_place, |f| Place::of(&f.expr));
    let kernel = kernel(names, index, stage, kernel_place);
    let pattern = (0..stage.tails.len()).rev().fold(quote!(()), |rest, tail| {
        let slot = slot(index, tail);
        quote!((#slot, #rest))
    });
    let (id, name) = (index as u16, local("head"));
    let add = spans::associated(head_place, "Builder", "stage");
    let head_value = spans::moved(head_place, &name);
    let id = quote!(__dstream::StageId(#id));
    let builder = local(BUILDER);
    let arguments = within(head_place.end(), quote!(#builder, #id, #head_value, #kernel));
    quote! {
        let #pattern = {
            let #name = #head;
            #captures
            #add #arguments
        };
    }
}

/// What of the user's an error about a stage's head belongs to: the type of a source's records, or the
/// operator.
fn head_place(names: &Names<'_>, stage: &Stage) -> Place {
    match stage.head.arguments.records() {
        Some((_, Some(record))) => Place::of(record),
        _ => names.operator(stage.operator).into(),
    }
}
