//! What is generated for a wrong program: the user's item still exists, so that only the user's own
//! mistakes are shown and an editor keeps working.

use proc_macro2::TokenStream;
use quote::quote;

use crate::ir::logical::Header;

/// A job that has a name and parameters, but no plan.
#[must_use]
pub fn fallback(header: &Header) -> TokenStream {
    let Header { name, visibility, attributes, params, .. } = header;
    let params_type = match params {
        Some((_, ty)) => quote!(#ty),
        None => quote!(::dstream::__private::NoParams),
    };
    quote! {
        #(#attributes)*
        #[allow(non_camel_case_types)]
        #[derive(Debug, Clone, Copy)]
        #visibility struct #name;

        impl ::dstream::__private::Job for #name {
            type Params = #params_type;
            fn plan(&self) -> &'static ::dstream::__private::Plan {
                ::core::unreachable!("the job did not compile")
            }
            fn build(&self, _: &'static Self::Params, _: &mut ::dstream::__private::Builder) {}
        }
    }
}
