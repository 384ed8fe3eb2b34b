//! The function that builds a job: parameters, stages, and what flows between them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Type;

use super::kernel::{functions, kernel};
use super::names::{Names, flow as flow_name, local, slot};
use super::spans::{self, block, bracketed, within};
use crate::diag::Place;
use crate::ir::logical::{Function, SourceFormat};
use crate::ir::physical::{Flow, FlowKind, Head, Physical, Stage};

/// The name of the builder.
pub(super) const BUILDER: &str = "b";

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
            .map(|flow| declare(names, plan, flow, names.operator(stage.operator)))
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
        let method = Ident::new("output", names.operator(output.operator));
        let builder = local(BUILDER);
        quote!(#builder.#method(__dstream::OutputId(#id), #slot, #url);)
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

/// The slots of a flow, as the operator that reads it wants them. Those after the first are united with
/// it: by a union of the user's.
fn slots(names: &Names<'_>, plan: &Physical, flow: usize, operator: Span) -> TokenStream {
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

fn declare(names: &Names<'_>, plan: &Physical, index: usize, operator: Span) -> TokenStream {
    let (name, slots) = (flow_name(index), slots(names, plan, index, operator));
    let path = |function| spans::path(operator.into(), function);
    match &plan.flows[index].kind {
        FlowKind::Combined(f) => {
            let (path, f) = (path("combined"), merge_function(names, f, operator));
            quote!(let #name = #path(#slots, #f);)
        }
        FlowKind::Keyed | FlowKind::KeyedOwn => {
            let path = path("keyed");
            quote!(let #name = #path(#slots);)
        }
        FlowKind::Rows => {
            let path = path("rows");
            quote!(let #name = #path(#slots);)
        }
        FlowKind::Fold(_) | FlowKind::Tally | FlowKind::Top(_) => TokenStream::new(),
    }
}

/// A user's function of two views as a function that changes an accumulator.
fn merge_function(names: &Names<'_>, function: &Function, operator: Span) -> TokenStream {
    let captures = names.captures(&[function]);
    let (f, result) = (&function.expr, spans::result(function));
    let (acc, x, next) = (local("acc"), local("x"), local("next"));
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
    let head = head_code(plan, names, stage);
    let mut inlined = Vec::new();
    functions(&stage.body, &mut inlined);
    let captures = names.captures(&inlined);
    let head_place = head_place(plan, names, stage);
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
fn head_place(plan: &Physical, names: &Names<'_>, stage: &Stage) -> Place {
    match &stage.head {
        Head::Source(source) if plan.sources[*source].record.is_some() => {
            Place::of(&plan.sources[*source].record)
        }
        _ => names.operator(stage.operator).into(),
    }
}

/// A head may call the builder (a source does), so it is evaluated before the stage is added.
fn head_code(plan: &Physical, names: &Names<'_>, stage: &Stage) -> TokenStream {
    let operator = names.operator(stage.operator);
    let combined = |flow: &usize| matches!(plan.flows[*flow].kind, FlowKind::Combined(_));
    let of = |function, flow: &usize| {
        let (path, flow) = (spans::path(operator.into(), function), flow_name(*flow));
        quote!(#path(&#flow))
    };
    let with = |function, flow: &usize, merge| {
        let (path, flow) = (spans::path(operator.into(), function), flow_name(*flow));
        let merge = merge_function(names, merge, operator);
        quote!(#path(&#flow, #merge))
    };
    match &stage.head {
        Head::Source(source) => source_code(plan, *source, head_place(plan, names, stage)),
        Head::Merge { flow, .. } if combined(flow) => of("merge", flow),
        Head::Merge { flow, merge } => with("merge_keyed", flow, merge),
        Head::Running { flow, .. } if combined(flow) => of("running", flow),
        Head::Running { flow, merge } => with("running_keyed", flow, merge),
        Head::Rows { flow } => of("rows_of", flow),
        Head::Window { flow, length } => {
            let (path, flow) = (spans::path(operator.into(), "window"), flow_name(*flow));
            quote!(#path(&#flow, __dstream::Span { batches: #length }))
        }
        Head::WindowReduce { flow, merge, inverse, length } => {
            let flow = flow_name(*flow);
            let merge = merge_function(names, merge, operator);
            let span = quote!(__dstream::Span { batches: #length });
            match inverse {
                None => quote!(__dstream::window_reduce(&#flow, #span, #merge)),
                Some(inverse) => {
                    let inverse = merge_function(names, inverse, operator);
                    quote!(__dstream::window_reduce_inverse(&#flow, #span, #merge, #inverse))
                }
            }
        }
        Head::Join { left, right } => {
            let path = spans::path(operator.into(), "join");
            let (left, right) = (flow_name(*left), flow_name(*right));
            let reference = quote_spanned!(operator=> &);
            let right = within(operator, quote!(#right));
            quote!(#path(&#left, #reference #right))
        }
        Head::Reduce { flow, merge } => {
            let path = spans::path(operator.into(), "reduce");
            let slots = slots(names, plan, *flow, operator);
            let merge = merge_function(names, merge, operator);
            quote!(#path(#slots, #merge))
        }
        Head::Count { flow } => {
            let slots = slots(names, plan, *flow, operator);
            quote!(__dstream::count(#slots))
        }
        Head::Top { flow } => {
            let FlowKind::Top(k) = &plan.flows[*flow].kind else {
                return quote!(__dstream::core::compile_error!("a top flow"));
            };
            let path = spans::path(operator.into(), "top_k");
            let slots = slots(names, plan, *flow, operator);
            quote!(#path(#slots, #k))
        }
    }
}

/// Declares a source. Its decoder is at the type of its records, which has to be a record.
fn source_code(plan: &Physical, index: usize, place: Place) -> TokenStream {
    let (id, source) = (index as u16, &plan.sources[index]);
    let (url, record) = (&source.url, &source.record);
    let decode = match (source.format, record) {
        (SourceFormat::Text, _) | (_, None) => quote!(__dstream::TextLines),
        (SourceFormat::Csv, Some(record)) => decoder(place, "CsvRows", record),
        (SourceFormat::Json, Some(record)) => decoder(place, "JsonLines", record),
    };
    let add = spans::associated(place, "Builder", "source");
    let builder = local(BUILDER);
    quote!(#add::<#decode>(#builder, __dstream::SourceId(#id), #url))
}

/// `__dstream::Name<Record>`, at the type of the record.
fn decoder(place: Place, name: &str, record: &Type) -> TokenStream {
    let runtime = quote_spanned!(place.start()=> __dstream::);
    let name = Ident::new(name, place.start());
    let (open, close) = (quote_spanned!(place.start()=> <), quote_spanned!(place.end()=> >));
    quote!(#runtime #name #open #record #close)
}
