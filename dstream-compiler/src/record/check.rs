//! Checks of the types of a record's fields, each reported by rustc at the field.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Ident, Type};

use super::RecordStruct;
use super::field::{asked, leaves, standard};
use crate::codegen::spans;
use crate::diag::Place;

/// Checks each field type that may not be a record, at its place. All other items use the result of the
/// check (see [`owned`]).
pub(super) fn checks(record: &RecordStruct) -> TokenStream {
    let name = &record.name;
    let checks = asked(record).map(|(i, field)| {
        let mut unknown = Vec::new();
        leaves(&field.ty, &mut unknown);
        let asked = unknown.iter().map(|ty| asks(ty));
        quote! {
            impl __dstream::Check<#i> for #name {
                const OK: __dstream::core::primitive::usize = { #(#asked;)* 0 };
            }
        }
    });
    checks.collect()
}

/// Checks that a type is a record, with the error at that type.
pub(super) fn asks(ty: &Type) -> TokenStream {
    let place = Place::of(ty);
    let is_record = quote_spanned!(place.start()=> ::dstream::__private::is_record);
    let (open, close) = (quote_spanned!(place.start()=> ::<), quote_spanned!(place.end()=> >));
    quote!(#is_record #open #ty #close())
}

/// Checks that names of standard types in a record refer to the standard types.
pub(super) fn written(record: &RecordStruct) -> Option<TokenStream> {
    let mut names: Vec<&Ident> = Vec::new();
    for field in &record.fields {
        standard(&field.ty, &mut names);
    }
    let asked = names.iter().map(|name| {
        let standard = match name.to_string().as_str() {
            "String" => quote!(__dstream::std::string::String),
            "Option" => quote!(__dstream::core::option::Option<()>),
            "Vec" => quote!(__dstream::std::vec::Vec<()>),
            _ => quote!(__dstream::core::primitive::#name),
        };
        let arguments = matches!(name.to_string().as_str(), "Option" | "Vec");
        let arguments = arguments.then(|| quote_spanned!(name.span()=> <()>));
        let path = spans::path(name.span().into(), "is_standard");
        let open = quote_spanned!(name.span()=> ::<);
        let close = quote_spanned!(name.span()=> >);
        quote!(#path #open #name #arguments, #standard #close();)
    });
    (!names.is_empty()).then(|| {
        quote! {
            const _: fn() = || {
                #(#asked)*
            };
        }
    })
}
