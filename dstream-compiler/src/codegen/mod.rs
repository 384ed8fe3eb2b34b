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

pub use fallback::fallback;

use proc_macro2::TokenStream;
use quote::quote;

use crate::ir::physical::Physical;
use names::Names;

/// The items of a job: a unit struct of its name that implements `Job`.
#[must_use]
pub fn job(plan: &Physical) -> TokenStream {
    let names = Names::new(plan);
    let header = &plan.header;
    let (name, visibility, attributes) = (&header.name, &header.visibility, &header.attributes);
    let build = flow::build(plan, &names);
    let table = tables::plan(plan, &build);
    let params_type = match &header.params {
        Some((_, ty)) => quote!(#ty),
        None => quote!(__d::NoParams),
    };
    let params =
        header.params.as_ref().map(|(params, ty)| quote!(let #params: &'static #ty = __params;));
    quote! {
        #(#attributes)*
        #[allow(non_camel_case_types)]
        #[derive(Debug, Clone, Copy)]
        #visibility struct #name;

        const _: () = {
            use ::dstream::__private as __d;
            static PLAN: __d::Plan = #table;
            impl __d::Job for #name {
                type Params = #params_type;
                fn plan(&self) -> &'static __d::Plan {
                    &PLAN
                }
                #[allow(unused_variables, unused_parens, clippy::all)]
                fn build(&self, __params: &'static Self::Params, __b: &mut __d::Builder) {
                    #params
                    #build
                }
            }
        };
    }
}
