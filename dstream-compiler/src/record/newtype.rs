//! A struct of one field without a name: in text and in blocks it is what it holds.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Field, Index, Result, Type};

use super::check::asks;
use super::code::view_name;
use super::field::{is_plain, is_scalar, plain_view};
use super::parse::Errors;
use super::refused::refused;
use crate::codegen::names::{item, local};

/// The items of a struct, or its mistakes.
pub(super) fn items(input: &DeriveInput, field: &Field) -> Result<TokenStream> {
    let mut errors = Errors::default();
    for (tokens, message) in refused(&field.ty) {
        errors.add(&tokens, &message);
    }
    if let Some(attribute) =
        field.attrs.iter().chain(&input.attrs).find(|a| a.path().is_ident("record"))
    {
        errors.add(
            attribute,
            "a struct of one field without a name has no name in text\nhelp: remove this",
        );
    }
    errors.finish()?;
    let (name, visibility, ty) = (&input.ident, &input.vis, &field.ty);
    let (view, shown) = (view_name(name), field.vis.clone());
    let record = quote!(<#ty as ::dstream::__private::Record>);
    let held = plain_view(ty).unwrap_or_else(|| quote!(#record::View<'a>));
    let marker = is_scalar(ty)
        .then(|| quote!(#[doc(hidden)] ::dstream::__private::core::marker::PhantomData<&'a ()>));
    let no_marker = is_scalar(ty).then(|| quote!(__dstream::core::marker::PhantomData));
    let doc = format!("[`{name}`], borrowed: what operators see.");
    let asked = (!is_plain(ty)).then(|| check(ty));
    let [v, d, a, b, out, bytes, fields, visitor, archived, f] =
        ["view", "draft", "a", "b", "out", "bytes", "fields", "visitor", "archived", "f"]
            .map(local);
    let (visitor_type, zero, text) = (item("V"), Index::from(0), name.to_string());
    Ok(quote! {
        #[doc = #doc]
        #[derive(::dstream::__private::core::clone::Clone, ::dstream::__private::core::marker::Copy)]
        #[allow(dead_code)]
        #visibility struct #view<'a>(#shown #held, #marker);
        #asked
        const _: () = {
            use ::dstream::__private as __dstream;
            impl __dstream::Record for #name {
                type View<'a> = #view<'a>;
                type Archived = #record::Archived;
                type Wire<'a> = #record::Wire<'a>;
                type Draft<'a> = #record::Draft<'a>;
                const SCHEMA: __dstream::Schema = #record::SCHEMA;
                const EXACT: __dstream::core::primitive::bool = #record::EXACT;
                const INLINE: __dstream::core::primitive::bool = #record::INLINE;
                #[inline]
                fn view(&self) -> #view<'_> { #view(#record::view(&self.#zero), #no_marker) }
                #[inline]
                fn view_archived(#archived: &Self::Archived) -> #view<'_> {
                    #view(#record::view_archived(#archived), #no_marker)
                }
                #[inline]
                fn view_draft<'d, 'a: 'd>(#d: &'d Self::Draft<'a>) -> #view<'d> {
                    #view(#record::view_draft(#d), #no_marker)
                }
                #[inline]
                fn own(#v: #view<'_>) -> Self { #name(#record::own(#v.#zero)) }
                #[inline]
                fn wire<'a: 'a>(#v: #view<'a>) -> Self::Wire<'a> { #record::wire(#v.#zero) }
                #[inline]
                fn compare(#a: #view<'_>, #b: #view<'_>) -> __dstream::core::cmp::Ordering {
                    #record::compare(#a.#zero, #b.#zero)
                }
                fn visit<#visitor_type: __dstream::Visitor>(#v: #view<'_>, #visitor: &mut #visitor_type) {
                    #record::visit(#v.#zero, #visitor)
                }
                #[inline]
                fn from_fields<'a>(
                    #fields: &mut __dstream::Fields<'a>,
                ) -> __dstream::core::result::Result<#view<'a>, __dstream::FieldError> {
                    __dstream::core::result::Result::Ok(#view(#record::from_fields(#fields)?, #no_marker))
                }
            }
            impl __dstream::Key for #name
            where
                for<'k> #ty: __dstream::KeyFor<'k>,
            {
                const WIDTH: __dstream::core::option::Option<__dstream::core::primitive::usize> =
                    <#ty as __dstream::Key>::WIDTH;
                #[inline]
                fn write(
                    #v: <Self as __dstream::Record>::View<'_>,
                    #out: &mut __dstream::std::vec::Vec<__dstream::core::primitive::u8>,
                ) {
                    <#ty as __dstream::Key>::write(#v.#zero, #out)
                }
                #[inline]
                fn read<'a>(
                    #bytes: &mut __dstream::KeyReader<'a>,
                ) -> <Self as __dstream::Record>::View<'a> {
                    #view(<#ty as __dstream::Key>::read(#bytes), #no_marker)
                }
                fn check(#bytes: &mut __dstream::KeyReader<'_>) -> __dstream::core::primitive::bool {
                    <#ty as __dstream::Key>::check(#bytes)
                }
            }
            impl __dstream::core::fmt::Debug for #view<'_> {
                fn fmt(
                    &self,
                    #f: &mut __dstream::core::fmt::Formatter<'_>,
                ) -> __dstream::core::fmt::Result {
                    let mut #v = __dstream::core::fmt::Formatter::debug_tuple(#f, #text);
                    __dstream::core::fmt::DebugTuple::finish(
                        __dstream::core::fmt::DebugTuple::field(&mut #v, &self.#zero),
                    )
                }
            }
            impl __dstream::AsRecord for #name {
                type Record = #name;
                #[inline]
                fn as_view(&self) -> #view<'_> { __dstream::Record::view(self) }
                #[inline]
                fn into_record(self) -> #name { self }
            }
            impl<'x> __dstream::AsRecord for #view<'x> {
                type Record = #name;
                #[inline]
                fn as_view(&self) -> #view<'_> {
                    #view(__dstream::AsRecord::as_view(&self.#zero), #no_marker)
                }
                #[inline]
                fn into_record(self) -> #name { <#name as __dstream::Record>::own(self) }
            }
        };
    })
}

/// That what it holds is a record.
fn check(ty: &Type) -> TokenStream {
    let asked = asks(ty);
    quote! {
        const _: fn() = || {
            #asked;
        };
    }
}
