//! `#[dstream::params]`: adds the derives that make a struct the parameters of a job.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemStruct};

/// The struct with clap's and serde's derives.
#[must_use]
pub fn params(attribute: TokenStream, item: TokenStream) -> TokenStream {
    if !attribute.is_empty() {
        let message = "`#[dstream::params]` takes no arguments";
        return Error::new_spanned(attribute, message).to_compile_error();
    }
    match syn::parse2::<ItemStruct>(item.clone()) {
        Ok(item) => {
            let name = &item.ident;
            quote! {
                #[derive(
                    ::dstream::__private::core::fmt::Debug,
                    ::dstream::__private::core::clone::Clone,
                    ::dstream::__private::clap::Args,
                    ::dstream::__private::serde::Serialize,
                    ::dstream::__private::serde::Deserialize,
                )]
                #[serde(crate = "::dstream::__private::serde")]
                #item
                impl ::dstream::__private::JobParams for #name {}
            }
        }
        Err(_) => {
            let message = "the parameters of a job are a struct with named fields\n\
                 help: write `#[dstream::params] struct Params { #[arg(long, default_value_t = 10)] k: usize }`";
            let error = Error::new_spanned(&item, message).to_compile_error();
            quote!(#error #item)
        }
    }
}
