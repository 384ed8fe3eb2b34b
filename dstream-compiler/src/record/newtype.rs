//! A struct of one field without a name: in text and in blocks it is what it holds.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{DeriveInput, Field, Ident, Result};

use super::attributes::FieldOptions;
use super::check::{checks, written};
use super::code::view_name;
use super::field::{is_scalar, owned, record_of, view_type};
use super::held::Held;
use super::parse::Errors;
use super::refused::refused;
use super::{RecordField, RecordStruct};
use crate::codegen::names::{item, local};

/// The items of a struct, or its mistakes.
pub(super) fn items(input: &DeriveInput, field: &Field) -> Result<TokenStream> {
    let record = parse(input, field)?;
    let field = &record.fields[0];
    let (name, of) = (&record.name, record_of(&record, field));
    let view = view_name(name);
    // As the view of a struct does, that of a number uses its lifetime.
    let marker = is_scalar(&field.ty).then(|| quote!(__dstream::core::marker::PhantomData));
    let made = |held: &TokenStream| quote!(#view(#held, #marker));
    let held = Held {
        name,
        view: &view,
        as_record: &owned(&record, field),
        to: &|view| quote!(#view.0),
        from: &|held| made(&quote!(#held)),
    };
    let (written, checks) = (written(&record), checks(&record));
    let (shown, imp) = (view_struct(&record, &view), record_impl(&held, &of, &made));
    let (debug, key) = (debug_impl(&record, &view), held.key());
    let stands = held.stands(&made(&quote!(__dstream::AsRecord::as_view(&self.0))));
    Ok(quote! {
        #shown
        const _: () = {
            use ::dstream::__private as __dstream;
            #written
            #checks
            #imp
            #debug
            #stands
            #key
        };
    })
}

/// The struct as one of a field that has no name in text.
fn parse(input: &DeriveInput, field: &Field) -> Result<RecordStruct> {
    let mut errors = Errors::default();
    for (tokens, message) in refused(&field.ty) {
        errors.add(&tokens, &message);
    }
    let mut attributes = field.attrs.iter().chain(&input.attrs);
    if let Some(attribute) = attributes.find(|a| a.path().is_ident("record")) {
        errors.add(
            attribute,
            "a struct of one field without a name has no name in text\nhelp: remove this",
        );
    }
    errors.finish()?;
    let field = RecordField {
        name: format_ident!("held"),
        text: String::new(),
        visibility: field.vis.clone(),
        ty: field.ty.clone(),
        docs: Vec::new(),
        options: FieldOptions::default(),
    };
    let (name, visibility) = (input.ident.clone(), input.vis.clone());
    Ok(RecordStruct { name, visibility, fields: vec![field] })
}

/// `pub struct AccountRef<'a>(pub u64, …);`
fn view_struct(record: &RecordStruct, view: &Ident) -> TokenStream {
    let (field, visibility) = (&record.fields[0], &record.visibility);
    let (shown, held) = (&field.visibility, view_type(record, field));
    let doc = format!("[`{}`], borrowed: what operators see.", record.name);
    let marker = is_scalar(&field.ty)
        .then(|| quote!(#[doc(hidden)] ::dstream::__private::core::marker::PhantomData<&'a ()>));
    quote! {
        #[doc = #doc]
        #[derive(::dstream::__private::core::clone::Clone, ::dstream::__private::core::marker::Copy)]
        #[allow(dead_code)]
        #visibility struct #view<'a>(#shown #held, #marker);
    }
}

fn record_impl(
    held: &Held<'_>,
    of: &TokenStream,
    made: &impl Fn(&TokenStream) -> TokenStream,
) -> TokenStream {
    let (Held { name, view, .. }, items) = (held, held.items());
    let [v, d, fields, visitor] = ["view", "draft", "fields", "visitor"].map(local);
    let visitor_type = item("V");
    let viewed = made(&quote!(#of::view(&self.0)));
    let drafted = made(&quote!(#of::view_draft(#d)));
    let read = made(&quote!(#of::from_fields(#fields)?));
    quote! {
        impl __dstream::Record for #name {
            #items
            type Draft<'a> = #of::Draft<'a>;
            const SCHEMA: __dstream::Schema = #of::SCHEMA;
            #[inline]
            fn view(&self) -> #view<'_> { #viewed }
            #[inline]
            fn view_draft<'d, 'a: 'd>(#d: &'d Self::Draft<'a>) -> #view<'d> { #drafted }
            #[inline]
            fn own(#v: #view<'_>) -> Self { #name(#of::own(#v.0)) }
            fn visit<#visitor_type: __dstream::Visitor>(#v: #view<'_>, #visitor: &mut #visitor_type) {
                #of::visit(#v.0, #visitor)
            }
            #[inline]
            fn from_fields<'a>(
                #fields: &mut __dstream::Fields<'a>,
            ) -> __dstream::core::result::Result<#view<'a>, __dstream::FieldError> {
                __dstream::core::result::Result::Ok(#read)
            }
        }
    }
}

fn debug_impl(record: &RecordStruct, view: &Ident) -> TokenStream {
    let text = record.name.unraw().to_string();
    let [f, shown] = ["f", "shown"].map(local);
    quote! {
        impl __dstream::core::fmt::Debug for #view<'_> {
            fn fmt(
                &self,
                #f: &mut __dstream::core::fmt::Formatter<'_>,
            ) -> __dstream::core::fmt::Result {
                let mut #shown = __dstream::core::fmt::Formatter::debug_tuple(#f, #text);
                __dstream::core::fmt::DebugTuple::field(&mut #shown, &self.0);
                __dstream::core::fmt::DebugTuple::finish(&mut #shown)
            }
        }
    }
}
