//! The kernel of a stage: the loop body, with the user's closures inlined.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use super::names::{Names, local, result_span, variable};
use crate::ir::logical::Function;
use crate::ir::physical::{Stage, Step, TailKind, Use};

/// `|record, out: &mut (…)| { … }`
pub(super) fn kernel(names: &Names<'_>, index: usize, stage: &Stage) -> TokenStream {
    let record = variable(&stage.stream);
    let (tails, out) = (tail_types(&stage.tails), local("out"));
    let body = uses(names, index, &stage.stream, &stage.body);
    quote!(move |#record, #out: &mut #tails| { #body })
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
    let (x, out) = (variable(stream), local("out"));
    match use_ {
        Use::Tail(tail) => {
            let (path, span) = (path(*tail), names.reader(stage, *tail));
            let push = quote_spanned!(Span::mixed_site().located_at(span)=> .push(#x));
            quote!(#out #path #push;)
        }
        Use::Score { tail, score } => {
            let f = &score.expr;
            let (path, span) = (path(*tail), result_span(score));
            let score = local("score");
            let view = quote_spanned!(span=> __d::as_view(&#score));
            quote! {
                let #score = __d::call(#x, #f);
                #out #path .push(#view, #x);
            }
        }
        Use::Step { step, stream, body, .. } => {
            let inner = uses(names, stage, stream, body);
            step_code(step, &x, stream, &inner)
        }
    }
}

fn step_code(step: &Step, x: &syn::Ident, stream: &str, inner: &TokenStream) -> TokenStream {
    let y = variable(stream);
    let f = &function(step).expr;
    let span = result_span(function(step));
    let view = quote_spanned!(span=> __d::as_view(&#y));
    match step {
        Step::Map(_) => quote! {
            let #y = __d::call(#x, #f);
            let #y = #view;
            #inner
        },
        Step::Filter(_) => quote! {
            if __d::test(#x, #f) {
                let #y = #x;
                #inner
            }
        },
        Step::FilterMap(_) => quote! {
            if let ::core::option::Option::Some(#y) = __d::option(__d::call(#x, #f)) {
                let #y = #view;
                #inner
            }
        },
        Step::FlatMap(_) => quote! {
            for #y in __d::items(__d::call(#x, #f)) {
                let #y = #view;
                #inner
            }
        },
        Step::MapValues(_) => {
            let key = local("key");
            quote! {
                let (#key, #y) = __d::pair(&#x);
                let #y = __d::call(#y, #f);
                let #y = (#key, #view);
                #inner
            }
        }
        Step::KeyBy(_) => quote! {
            let #y = __d::call(#x, #f);
            let #y = (#view, #x);
            #inner
        },
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
        let tail = match tail {
            TailKind::Combine => quote!(__d::Combine<_, _, _>),
            TailKind::Spread => quote!(__d::Spread<_, _, false>),
            TailKind::SpreadOwn => quote!(__d::Spread<_, _, true>),
            TailKind::Rows => quote!(__d::Rows<_>),
            TailKind::Fold => quote!(__d::Fold<_, _>),
            TailKind::Tally => quote!(__d::Tally),
            TailKind::Top => quote!(__d::Top<_, _>),
            TailKind::Output(_) => quote!(__d::Output<_>),
        };
        quote!((#tail, #rest))
    })
}
