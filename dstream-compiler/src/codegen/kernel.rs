//! The kernel of a stage: the loop body, with the user's closures inlined.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::emit::{EntryCode, StepCode, time};
use super::names::{Names, local, variable};
use super::spans::{self, block, within};
use crate::diag::Place;
use crate::ir::logical::Function;
use crate::ir::physical::{Stage, TailKind, Use};
use crate::op::EntryText;

/// `move |record, out: &mut (…)| { … }`, all of it at a place.
pub(super) fn kernel(names: &Names<'_>, index: usize, stage: &Stage, place: Place) -> TokenStream {
    let record = (stage.head.begin.record)(&variable(&stage.stream));
    let (mut tails, out) = (tail_types(&stage.tails), local("out"));
    if is_scoped(&stage.body) {
        tails = quote!(__dstream::Scoped<#tails>);
    }
    let body = block(place.end(), uses(names, index, &stage.stream, &stage.body));
    let head = quote_spanned!(place.start()=> move);
    quote!(#head |#record, #out: &mut #tails| #body)
}

/// All functions of a kernel, to see what they capture.
pub(super) fn functions<'s>(body: &'s [Use], into: &mut Vec<&'s Function>) {
    for use_ in body {
        match use_ {
            Use::Tail { entry, .. } => {
                into.extend(entry.as_ref().and_then(|entry| entry.function.as_ref()));
            }
            Use::Step { step, body, .. } => {
                into.extend(step.arguments.functions());
                functions(body, into);
            }
        }
    }
}

/// Whether a function of a kernel takes its context.
pub(super) fn is_scoped(body: &[Use]) -> bool {
    let mut all = Vec::new();
    functions(body, &mut all);
    all.into_iter().any(Function::takes_context)
}

/// The context of an operator's functions, which is in what the tails are in.
fn context(names: &Names<'_>, operator: usize) -> TokenStream {
    let (out, seed) = (local("out"), names.seed(operator));
    let context = quote!(__dstream::context(&#out.scope, #seed));
    if !names.given(operator).is_known() {
        return context;
    }
    let time = time();
    quote!(#context.of(#time))
}

fn uses(names: &Names<'_>, stage: usize, stream: &str, body: &[Use]) -> TokenStream {
    let single = body.len() == 1;
    body.iter()
        .map(|use_| {
            let code = one_use(names, stage, stream, use_);
            let bare = single || matches!(use_, Use::Tail { entry: None, .. });
            if bare { code } else { quote!({ #code }) }
        })
        .collect()
}

fn one_use(names: &Names<'_>, stage: usize, stream: &str, use_: &Use) -> TokenStream {
    let x = variable(stream);
    match use_ {
        Use::Tail { tail, entry: None } => {
            let record = spans::moved(names.reader(stage, *tail).into(), &x);
            push(names, stage, *tail, record)
        }
        Use::Tail { tail, entry: Some(entry) } => {
            let (at, function) = (names.reader(stage, *tail), entry.function.as_ref());
            let context = names
                .reading(stage, *tail)
                .map_or_else(TokenStream::new, |operator| context(names, operator));
            let spans = &entry.spans;
            let entry_code = EntryCode { at, function, spans, record: x, context };
            let EntryText { before, values } = (entry.emit)(&entry_code);
            let push = push(names, stage, *tail, values);
            quote!(#before #push)
        }
        Use::Step { step, stream, operator, body } => {
            let inner = uses(names, stage, stream, body);
            let (at, arguments) = (names.operator(*operator), &step.arguments);
            let (made, context) = (variable(stream), context(names, *operator));
            (step.emit)(&StepCode { at, arguments, given: x, made, context }, &inner)
        }
    }
}

/// `__dstream::Tail::push(&mut out.1.0, …);`, all of it at the operator that reads the tail.
fn push(names: &Names<'_>, stage: usize, tail: usize, record: TokenStream) -> TokenStream {
    let (out, path) = (local("out"), path(tail));
    let path = if names.is_scoped(stage) { quote!(.tails #path) } else { path };
    let place = Place::from(names.reader(stage, tail));
    let (function, record) = match names.tail(stage, tail) {
        TailKind::Output(output) if names.has_windows(output) => {
            let time = time();
            ("push_in", quote!(#time, #record))
        }
        _ => ("push", record),
    };
    let push = spans::associated(place, tail_name(names.tail(stage, tail)), function);
    let reference = quote_spanned!(place.start()=> &mut);
    let tail = within(place.end(), quote!(#out #path));
    let arguments = within(place.end(), quote!(#reference #tail, #record));
    quote!(#push #arguments;)
}

/// `.1.1.0`: the position of a tail in the list.
fn path(tail: usize) -> TokenStream {
    let rest = (0..tail).map(|_| quote!(.1));
    quote!(#(#rest)* .0)
}

/// `(A, (B, ()))`
fn tail_types(tails: &[TailKind]) -> TokenStream {
    tails.iter().rev().fold(quote!(()), |rest, tail| {
        let name = Ident::new(tail_name(*tail), Span::mixed_site());
        let arguments = match tail {
            TailKind::Flow(kind) => (kind.types)(),
            TailKind::Output(_) => quote!(<_>),
        };
        quote!((__dstream::#name #arguments, #rest))
    })
}

/// The runtime's type of a tail.
fn tail_name(tail: TailKind) -> &'static str {
    match tail {
        TailKind::Flow(kind) => kind.tail,
        TailKind::Output(_) => "Output",
    }
}
