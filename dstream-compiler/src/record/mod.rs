//! `#[derive(Record)]`: a struct as a record.
//!
//! A struct is archived as the tuple of its fields (nested tuples past eight), so the derive generates no
//! code that touches archived bytes: it only moves fields between the struct, its view `TRef`, the struct
//! that JSON is parsed into, and that tuple.

mod check;
mod code;
mod fallback;
mod field;
mod parse;
mod refused;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

pub use parse::{RecordField, RecordStruct};

/// The items that make a struct a record, or its mistakes.
#[must_use]
pub fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    match RecordStruct::parse(&input) {
        Ok(record) => code::items(&record),
        Err(error) => {
            let (errors, items) = (error.to_compile_error(), fallback::items(&input));
            quote!(#errors #items)
        }
    }
}
