//! The kernel of a stage: the loop body, with the user's closures inlined.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::names::{Names, local, variable};
use super::spans::{self, block, within};
use crate::diag::Place;
use crate::ir::logical::Function;
use crate::ir::physical::{Stage, Step, TailKind, Use};

/// `move |record, out: &mut (…)| { … }`, all of it at a place.
pub(super) fn kernel(names: &Names<'_>, index: usize, stage: &Stage, place: Place) -> TokenStream {
    let record = variable(&stage.stream);
    let (tails, out) = (tail_types(&stage.tails), local("out"));
    let body = block(place.end(), uses(names, index, &stage.stream, &stage.body));
    let head = quote_spanned!(place.start()=> move);
    quote!(#head |#record, #out: &mut #tails| #body)
}

/// All functions of a kernel, to see what they capture.
pub(super) fn functions<'s>(body: &'s [Use], into: &mut Vec<&'s Function>) {
    for use_ in body {
        match use_ {
            Use::Tail(_) => {}
            Use::Score { score, .. } => into.push(score),
            Use::Step { step, body, .. } => {
                into.push(function(step));
                functions(body, into);
            }
        }
    }
}

fn function(step: &Step) -> &Function {
    match step {
        Step::Map(f)
        | Step::Filter(f)
        | Step::FilterMap(f)
        | Step::FlatMap(f)
        | Step::MapValues(f)
        | Step::KeyBy(f) => f,
    }
}

fn uses(names: &Names<'_>, stage: usize, stream: &str, body: &[Use]) -> TokenStream {
    let single = body.len() == 1;
    body.iter()
        .map(|use_| {
            let code = one_use(names, stage, stream, use_);
            let bare = single || !matches!(use_, Use::Step { .. } | Use::Score { .. });
            if bare { code } else { quote!({ #code }) }
        })
        .collect()
}

fn one_use(names: &Names<'_>, stage: usize, stream: &str, use_: &Use) -> TokenStream {
    let x = variable(stream);
    match use_ {
        Use::Tail(tail) => {
            push(names, stage, *tail, spans::moved(names.reader(stage, *tail).into(), &x))
        }
        Use::Score { tail, score } => {
            let call = call(names.reader(stage, *tail), "call", &x, score);
            let name = local("score");
            let view = spans::view(spans::result(score), "as_view", &name);
            let push = push(names, stage, *tail, quote!(#view, #x));
            quote! {
                let #name = #call;
                #push
            }
        }
        Use::Step { step, stream, operator, body } => {
            let inner = uses(names, stage, stream, body);
            step_code(step, names.operator(*operator), &x, stream, &inner)
        }
    }
}

/// `__dstream::Tail::push(&mut out.1.0, …);`, all of it at the operator that reads the tail.
fn push(names: &Names<'_>, stage: usize, tail: usize, record: TokenStream) -> TokenStream {
    let (out, path) = (local("out"), path(tail));
    let place = Place::from(names.reader(stage, tail));
    let push = spans::associated(place, tail_name(names.tail(stage, tail)), "push");
    let reference = quote_spanned!(place.start()=> &mut);
    let tail = within(place.end(), quote!(#out #path));
    let arguments = within(place.end(), quote!(#reference #tail, #record));
    quote!(#push #arguments;)
}

/// `__dstream::name(x, function)`: the path is the operator, as the user wrote it.
fn call(operator: Span, name: &str, x: &Ident, function: &Function) -> TokenStream {
    let path = spans::path(operator.into(), name);
    let f = &function.expr;
    let arguments = within(Place::of(f).end(), quote!(#x, #f));
    quote!(#path #arguments)
}

fn step_code(
    step: &Step,
    operator: Span,
    x: &Ident,
    stream: &str,
    inner: &TokenStream,
) -> TokenStream {
    let y = variable(stream);
    let f = function(step);
    let result = spans::result(f);
    let view = spans::view(result, "as_view", &y);
    let call = |name, x| call(operator, name, x, f);
    match step {
        Step::Map(_) => {
            let call = call("call", x);
            quote! {
                let #y = #call;
                let #y = #view;
                #inner
            }
        }
        Step::Filter(_) => {
            let test = call("test", x);
            quote! {
                if #test {
                    let #y = #x;
                    #inner
                }
            }
        }
        Step::FilterMap(_) => {
            let call = call("call_option", x);
            quote! {
                if let __dstream::core::option::Option::Some(#y) = #call {
                    let #y = #view;
                    #inner
                }
            }
        }
        Step::FlatMap(_) => {
            let (call, many) = (call("call", x), local("many"));
            let items = spans::value(result, "items", &many);
            let next = spans::next(result, &many);
            quote! {
                let #many = #call;
                let mut #many = #items;
                while let __dstream::core::option::Option::Some(#y) = #next {
                    let #y = #view;
                    #inner
                }
            }
        }
        Step::MapValues(_) => {
            let key = local("key");
            let pair = spans::view(operator.into(), "pair", x);
            let call = call("call", &y);
            quote! {
                let (#key, #y) = #pair;
                let #y = #call;
                let #y = (#key, #view);
                #inner
            }
        }
        Step::KeyBy(_) => {
            let (key, call) = (local("key"), call("call", x));
            let view = spans::view(result, "as_view", &key);
            quote! {
                let #key = #call;
                let #y = (#view, #x);
                #inner
            }
        }
    }
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
            TailKind::Combine => quote!(<_, _, _>),
            TailKind::Spread => quote!(<_, _, false>),
            TailKind::SpreadOwn => quote!(<_, _, true>),
            TailKind::Fold | TailKind::Top => quote!(<_, _>),
            TailKind::Tally => quote!(),
            TailKind::Rows | TailKind::Output(_) => quote!(<_>),
        };
        quote!((__dstream::#name #arguments, #rest))
    })
}

/// The runtime's type of a tail.
fn tail_name(tail: TailKind) -> &'static str {
    match tail {
        TailKind::Combine => "Combine",
        TailKind::Spread | TailKind::SpreadOwn => "Spread",
        TailKind::Rows => "Rows",
        TailKind::Fold => "Fold",
        TailKind::Tally => "Tally",
        TailKind::Top => "Top",
        TailKind::Output(_) => "Output",
    }
}
