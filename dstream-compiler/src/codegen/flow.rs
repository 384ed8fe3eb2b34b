//! The function that builds a job: parameters, stages, and what flows between them.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::kernel::{functions, kernel};
use super::names::{Names, flow as flow_name, local, result_span, slot};
use crate::ir::logical::{Function, SourceFormat};
use crate::ir::physical::{Flow, FlowKind, Head, Physical, Stage};

/// The body of `Job::build`.
pub(super) fn build(plan: &Physical, names: &Names<'_>) -> TokenStream {
    let lets = plan.lets.iter().map(|l| &l.statement);
    let mut declared = vec![false; plan.flows.len()];
    let stages = plan.stages.iter().enumerate().map(|(index, stage)| {
        let flows: TokenStream = stage
            .head
            .flows()
            .into_iter()
            .filter(|flow| is_named(&plan.flows[*flow]))
            .filter(|flow| !std::mem::replace(&mut declared[*flow], true))
            .map(|flow| declare(names, flow, &plan.flows[flow]))
            .collect();
        let stage_code = stage_call(plan, names, index, stage);
        quote!(#flows #stage_code)
    });
    let stages: TokenStream = stages.collect();
    let outputs = plan.outputs.iter().enumerate().map(|(index, output)| {
        let (id, slot) = (index as u16, slot(output.stage, output.tail));
        let url = match &output.url {
            Some(url) => quote!(#url),
            None => quote!("print:"),
        };
        quote!(__b.output(__d::OutputId(#id), #slot, #url);)
    });
    quote! {
        #(#lets)*
        #stages
        #(#outputs)*
    }
}

/// Whether a flow has a name of its own: gathered ones are taken by their only reader.
fn is_named(flow: &Flow) -> bool {
    !matches!(flow.kind, FlowKind::Fold(_) | FlowKind::Tally | FlowKind::Top(_))
}

fn slots(flow: &Flow) -> TokenStream {
    let slots = flow.from.iter().map(|(stage, tail)| slot(*stage, *tail));
    quote!([#(#slots),*])
}

fn declare(names: &Names<'_>, index: usize, flow: &Flow) -> TokenStream {
    let (name, slots) = (flow_name(index), slots(flow));
    match &flow.kind {
        FlowKind::Combined(f) => {
            let f = merge_function(names, f);
            quote!(let #name = __d::combined(#slots, #f);)
        }
        FlowKind::Keyed | FlowKind::KeyedOwn => quote!(let #name = __d::keyed(#slots);),
        FlowKind::Rows => quote!(let #name = __d::rows(#slots);),
        FlowKind::Fold(_) | FlowKind::Tally | FlowKind::Top(_) => TokenStream::new(),
    }
}

/// A user's function of two views as a function that changes an accumulator.
fn merge_function(names: &Names<'_>, function: &Function) -> TokenStream {
    let captures = names.captures(&[function]);
    let (f, span) = (&function.expr, result_span(function));
    let (acc, x, next) = (local("acc"), local("x"), local("next"));
    let record = quote_spanned!(span=> __d::into_record(#next));
    let assign = quote_spanned!(span=> *#acc = #next;);
    quote! {{
        #captures
        move |#acc, #x| {
            let #next = __d::call2(__d::view(&*#acc), #x, #f);
            let #next = #record;
            #assign
        }
    }}
}

fn stage_call(plan: &Physical, names: &Names<'_>, index: usize, stage: &Stage) -> TokenStream {
    let head = head_code(plan, names, &stage.head);
    let kernel = kernel(names, index, stage);
    let mut inlined = Vec::new();
    functions(&stage.body, &mut inlined);
    let captures = names.captures(&inlined);
    let pattern = (0..stage.tails.len()).rev().fold(quote!(()), |rest, tail| {
        let slot = slot(index, tail);
        quote!((#slot, #rest))
    });
    let (id, name) = (index as u16, local("head"));
    quote! {
        let #pattern = {
            let #name = #head;
            #captures
            __b.stage(__d::StageId(#id), #name, #kernel)
        };
    }
}

/// A head may call the builder (a source does), so it is evaluated before the stage is added.
fn head_code(plan: &Physical, names: &Names<'_>, head: &Head) -> TokenStream {
    let combined = |flow: &usize| matches!(plan.flows[*flow].kind, FlowKind::Combined(_));
    match head {
        Head::Source(source) => {
            let (id, source) = (*source as u16, &plan.sources[*source]);
            let url = &source.url;
            let decode = match (source.format, &source.record) {
                (SourceFormat::Text, _) | (_, None) => quote!(__d::TextLines),
                (SourceFormat::Csv, Some(record)) => quote!(__d::CsvRows<#record>),
                (SourceFormat::Json, Some(record)) => quote!(__d::JsonLines<#record>),
            };
            quote!(__b.source::<#decode>(__d::SourceId(#id), #url))
        }
        Head::Merge { flow, .. } if combined(flow) => {
            let flow = flow_name(*flow);
            quote!(__d::merge(&#flow))
        }
        Head::Merge { flow, merge } => {
            let (flow, f) = (flow_name(*flow), merge_function(names, merge));
            quote!(__d::merge_keyed(&#flow, #f))
        }
        Head::Running { flow, .. } if combined(flow) => {
            let flow = flow_name(*flow);
            quote!(__d::running(&#flow))
        }
        Head::Running { flow, merge } => {
            let (flow, f) = (flow_name(*flow), merge_function(names, merge));
            quote!(__d::running_keyed(&#flow, #f))
        }
        Head::Rows { flow } => {
            let flow = flow_name(*flow);
            quote!(__d::rows_of(&#flow))
        }
        Head::Window { flow, length } => {
            let flow = flow_name(*flow);
            quote!(__d::window(&#flow, __d::Span { batches: #length }))
        }
        Head::WindowReduce { flow, merge, inverse, length } => {
            let (flow, f) = (flow_name(*flow), merge_function(names, merge));
            let span = quote!(__d::Span { batches: #length });
            match inverse {
                None => quote!(__d::window_reduce(&#flow, #span, #f)),
                Some(inverse) => {
                    let inverse = merge_function(names, inverse);
                    quote!(__d::window_reduce_inverse(&#flow, #span, #f, #inverse))
                }
            }
        }
        Head::Join { left, right } => {
            let (left, right) = (flow_name(*left), flow_name(*right));
            quote!(__d::join(&#left, &#right))
        }
        Head::Reduce { flow, merge } => {
            let (slots, f) = (slots(&plan.flows[*flow]), merge_function(names, merge));
            quote!(__d::reduce(#slots, #f))
        }
        Head::Count { flow } => {
            let slots = slots(&plan.flows[*flow]);
            quote!(__d::count(#slots))
        }
        Head::Top { flow } => {
            let flow = &plan.flows[*flow];
            let FlowKind::Top(k) = &flow.kind else { return quote!(compile_error!("a top flow")) };
            let slots = slots(flow);
            quote!(__d::top_k(#slots, #k))
        }
    }
}
