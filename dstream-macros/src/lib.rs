//! The macros of dstream: each hands its tokens to the compiler.

use proc_macro::TokenStream;

/// Makes a struct a record: something that a stream can carry.
///
/// ```ignore
/// #[derive(Record)]
/// struct PageView { url: String, user: u64 }
/// ```
///
/// Operators see it borrowed, as `PageViewRef<'_> { url: &str, user: u64 }`.
/// `#[record(rename = "name")]` on a field gives it another name in CSV headers and JSON.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    dstream_compiler::record::derive(input.into()).into()
}
