//! Code from a physical plan: one function that builds the job, and the constant tables.
//!
//! Everything fixed lives in the runtime; what is generated only names and wires it. A stage becomes
//! one closure, the kernel, in which each operator is a call with the user's closure after its
//! argument. Types are nowhere written: rustc infers them from stage to stage, because a flow's
//! function is given after the kernels that feed it.
//!
//! Spans: what can be wrong in the user's code is emitted with the user's spans, everything else
//! resolves at the macro's own site. That keeps locals apart from the user's; what keeps all names apart, from
//! the user's and from each other, is `reserved`: every name that generated code binds is
//! one of those, and every other path in it begins with one or with `::`.

pub(crate) mod emit;
mod fallback;
pub(crate) mod flow;
mod kernel;
pub(crate) mod names;
pub(crate) mod spans;
mod tables;

#[cfg(test)]
mod tests;

pub use fallback::{method, wrong};
pub(crate) use flow::BUILDER;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use crate::ir::logical::Header;
use crate::ir::physical::Physical;
use names::{Names, item, local};

/// The item of a job: a function that makes the job, an implementation of `Job` that has no name outside. A
/// function, because a local of its name may stand beside it: a pattern is never taken for a function, as it
/// would be for a unit struct. What the job was compiled into is an expression of its own, because it may be a
/// call of a macro that is not there: then nothing else is wrong.
#[must_use]
pub fn items(header: &Header, compiled: &TokenStream) -> TokenStream {
    let Header { name, visibility, attributes, .. } = header;
    let params = match &header.params {
        Some((_, ty)) => quote!(#ty),
        None => quote!(::dstream::__private::NoParams),
    };
    let (job, table) = (item("Job"), item("COMPILED"));
    let (params_local, builder) = (local("params"), local("b"));
    let function = quote_spanned!(name.span()=> fn);
    quote! {
        #(#attributes)*
        #visibility #function #name() -> impl ::dstream::__private::Job<Params = #params> {
            use ::dstream::__private as __dstream;
            const #table: __dstream::Compiled<#params> = #compiled;
            #[derive(__dstream::core::clone::Clone, __dstream::core::marker::Copy)]
            struct #job;
            impl __dstream::Job for #job {
                type Params = #params;
                fn plan(&self) -> &'static __dstream::Plan {
                    #table.plan
                }
                fn build(
                    &self,
                    #params_local: &'static Self::Params,
                    #builder: &mut __dstream::Builder,
                ) {
                    (#table.build)(#params_local, #builder)
                }
            }
            #job
        }
    }
}

/// What a job was compiled into, as an expression.
#[must_use]
pub fn compiled(plan: &Physical) -> TokenStream {
    let names = Names::new(plan);
    let params_type = params_type(&plan.header);
    let code = flow::build(plan, &names);
    let table = tables::plan(plan, &code);
    let (static_plan, build) = (item("PLAN"), item("build"));
    let (params_local, builder) = (local("params"), local(flow::BUILDER));
    let params = plan.header.params.as_ref();
    let params = params.map(|(params, _)| quote!(let #params = #params_local;));
    quote! {
        {
            static #static_plan: __dstream::Plan = #table;
            #[allow(unused_variables, unused_parens, clippy::all)]
            fn #build(#params_local: &'static #params_type, #builder: &mut __dstream::Builder) {
                #params
                #code
            }
            __dstream::Compiled { plan: &#static_plan, build: #build }
        }
    }
}

fn params_type(header: &Header) -> TokenStream {
    match &header.params {
        Some((_, ty)) => quote!(#ty),
        None => quote!(__dstream::NoParams),
    }
}
