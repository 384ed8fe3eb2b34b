//! `#[derive(Record)]`: a struct as a record.
//!
//! A struct is archived as the tuple of its fields (nested tuples past eight), so no code that touches
//! archived bytes is generated: the derive only moves fields between the struct, its borrowed form
//! `TRef`, what JSON is parsed into, and that tuple.

mod code;
mod parse;

use proc_macro2::TokenStream;

pub use parse::{RecordField, RecordStruct};

/// The items that make a struct a record, or the mistakes in it.
#[must_use]
pub fn derive(input: TokenStream) -> TokenStream {
    match syn::parse2(input).and_then(|input| RecordStruct::parse(&input)) {
        Ok(record) => code::items(&record),
        Err(error) => error.to_compile_error(),
    }
}
