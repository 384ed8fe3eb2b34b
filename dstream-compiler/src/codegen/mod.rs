//! Code from a physical plan: one function that builds the job, and the constant tables.
//!
//! Everything fixed lives in the runtime; what is generated only names and wires it. A stage becomes
//! one closure, the kernel, in which each operator is a call with the user's closure after its
//! argument. Types are nowhere written: rustc infers them from stage to stage, because a flow's
//! function is given after the kernels that feed it.
//!
//! Spans: what can be wrong in the user's code is emitted with the user's spans, everything else
//! resolves at the macro's own site, so that names cannot clash.

mod fallback;
mod flow;
mod kernel;
mod names;
pub(crate) mod spans;
mod tables;

pub use fallback::{method, wrong};

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use crate::ir::logical::Header;
use crate::ir::physical::Physical;
use names::Names;

/// The items of a job: a unit struct of its name, and `Job` for it. What the job was compiled into is an
/// expression of its own, because it may be a call of a macro that is not there: then nothing else is wrong.
#[must_use]
pub fn items(header: &Header, compiled: &TokenStream) -> TokenStream {
    let Header { name, visibility, attributes, .. } = header;
    let params = params_type(header);
    // Where no struct can stand, rustc says so at the function.
    let at = name.span();
    let (item, end) = (quote_spanned!(at=> struct), quote_spanned!(at=> ;));
    let constant = quote_spanned!(at=> const _);
    quote! {
        #(#attributes)*
        #[allow(non_camel_case_types)]
        #[derive(Debug, Clone, Copy)]
        #visibility #item #name #end

        #constant: () = {
            use ::dstream::__private as __d;
            const COMPILED: __d::Compiled<#params> = #compiled;
            impl __d::Job for #name {
                type Params = #params;
                fn plan(&self) -> &'static __d::Plan {
                    COMPILED.plan
                }
                fn build(&self, params: &'static Self::Params, builder: &mut __d::Builder) {
                    (COMPILED.build)(params, builder)
                }
            }
        };
    }
}

/// What a job was compiled into, as an expression.
#[must_use]
pub fn compiled(plan: &Physical) -> TokenStream {
    let names = Names::new(plan);
    let params_type = params_type(&plan.header);
    let build = flow::build(plan, &names);
    let table = tables::plan(plan, &build);
    let params = plan.header.params.as_ref();
    let params = params.map(|(params, _)| quote!(let #params = __params;));
    quote! {
        {
            static PLAN: __d::Plan = #table;
            #[allow(unused_variables, unused_parens, clippy::all)]
            fn build(__params: &'static #params_type, __b: &mut __d::Builder) {
                #params
                #build
            }
            __d::Compiled { plan: &PLAN, build }
        }
    }
}

fn params_type(header: &Header) -> TokenStream {
    match &header.params {
        Some((_, ty)) => quote!(#ty),
        None => quote!(__d::NoParams),
    }
}
