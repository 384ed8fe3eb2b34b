//! `#[derive(Record)]`: a struct as a record, or an enum of names.
//!
//! A struct is archived as the tuple of its fields (nested tuples past eight), so the derive generates no
//! code that touches archived bytes: it only moves fields between the struct, its view `TRef`, the struct
//! that JSON is parsed into, and that tuple.

mod attributes;
mod check;
mod code;
mod fallback;
mod field;
mod held;
mod names;
mod newtype;
mod parse;
mod refused;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataStruct, DeriveInput, Fields};

pub use parse::{RecordField, RecordStruct};

/// The items that make a struct or an enum a record, or its mistakes.
#[must_use]
pub fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let items = match &input.data {
        Data::Enum(data) => names::items(&input, data),
        Data::Struct(DataStruct { fields: Fields::Unnamed(fields), .. })
            if fields.unnamed.len() == 1 && input.generics.params.is_empty() =>
        {
            newtype::items(&input, &fields.unnamed[0])
        }
        _ => RecordStruct::parse(&input).map(|record| code::items(&record)),
    };
    match items {
        Ok(items) => items,
        Err(error) => {
            let (errors, items) = (error.to_compile_error(), fallback::items(&input));
            quote!(#errors #items)
        }
    }
}
