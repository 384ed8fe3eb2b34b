//! The types of fields: what a macro sees of them, and how generated code names them.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericArgument, Ident, PathArguments, Type};

use super::{RecordField, RecordStruct};

/// The fields that may not be records, as far as a macro can tell. A record that contains itself is rejected
/// for its size.
pub(super) fn asked(record: &RecordStruct) -> impl Iterator<Item = (usize, &RecordField)> {
    record.fields.iter().enumerate().filter(|(_, field)| {
        let mut found = Vec::new();
        leaves(&field.ty, &mut found);
        let own = |ty: &&Type| matches!(ty, Type::Path(path) if path.path.is_ident(&record.name));
        !found.iter().all(own)
    })
}

/// The names of standard types in a type, each once.
pub(super) fn standard<'t>(ty: &'t Type, into: &mut Vec<&'t Ident>) {
    match ty {
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|ty| standard(ty, into)),
        Type::Paren(inner) => standard(&inner.elem, into),
        Type::Group(inner) => standard(&inner.elem, into),
        Type::Path(path) => {
            if let Some(name) = path.path.segments.first()
                && (is_scalar(ty) || is_string(ty) || holder(ty).is_some())
                && path.path.segments.len() == 1
                && !into.contains(&&name.ident)
            {
                into.push(&name.ident);
            }
            holder(ty).into_iter().for_each(|ty| standard(ty, into));
        }
        _ => {}
    }
}

/// The types inside a type that may not be records.
pub(super) fn leaves<'t>(ty: &'t Type, into: &mut Vec<&'t Type>) {
    match ty {
        ty if is_scalar(ty) || is_string(ty) => {}
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|ty| leaves(ty, into)),
        Type::Paren(inner) => leaves(&inner.elem, into),
        Type::Group(inner) => leaves(&inner.elem, into),
        ty => match holder(ty) {
            Some(held) => leaves(held, into),
            None => into.push(ty),
        },
    }
}

/// `T` of `Option<T>` and `Vec<T>`, by short or full name.
pub(super) fn holder(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let names: Vec<String> = path.path.segments.iter().map(|s| s.ident.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names[..] {
        ["Option" | "Vec"]
        | ["std" | "core", "option", "Option"]
        | ["std" | "alloc", "vec", "Vec"] => {}
        _ => return None,
    }
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) if arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}

/// The type of a field. If it may not be a record, it uses the result of its check: an error there silences
/// further errors about it, here and where the record is used.
pub(super) fn owned(record: &RecordStruct, field: &RecordField) -> TokenStream {
    let (name, ty) = (&record.name, &field.ty);
    match asked(record).find(|(_, asked)| asked.name == field.name) {
        Some((i, _)) => quote! {
            <#ty as ::dstream::__private::Checked<
                { <#name as ::dstream::__private::Check<#i>>::OK }
            >>::Record
        },
        None => quote!(#ty),
    }
}

/// `<Type as Record>` with the span of the field's type, so that errors appear there.
pub(super) fn record_of(record: &RecordStruct, field: &RecordField) -> TokenStream {
    let owned = owned(record, field);
    let span = field.ty.span().resolved_at(Span::mixed_site());
    let record = quote_spanned!(span=> ::dstream::__private::Record);
    quote!(<#owned as #record>)
}

/// The borrowed form of a field. Text and numbers are spelled out: errors and documentation are clearer, and
/// the view stays covariant.
pub(super) fn view_type(record: &RecordStruct, field: &RecordField) -> TokenStream {
    plain_view(&field.ty).unwrap_or_else(|| {
        let record = record_of(record, field);
        quote!(#record::View<'a>)
    })
}

/// The borrowed form of text and numbers.
pub(super) fn plain_view(ty: &Type) -> Option<TokenStream> {
    if is_scalar(ty) {
        return Some(quote!(#ty));
    }
    is_string(ty).then(|| quote!(&'a ::dstream::__private::core::primitive::str))
}

pub(super) fn is_string(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("String"))
}

pub(super) fn is_scalar(ty: &Type) -> bool {
    const SCALARS: [&str; 16] = [
        "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
        "f32", "f64", "bool", "char",
    ];
    matches!(ty, Type::Path(path) if SCALARS.iter().any(|scalar| path.path.is_ident(scalar)))
}

/// Whether a type is known to be a record.
pub(super) fn is_plain(ty: &Type) -> bool {
    let mut found = Vec::new();
    leaves(ty, &mut found);
    found.is_empty()
}

pub(super) fn is_option(ty: &Type) -> bool {
    holder(ty).is_some()
        && matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Option"))
}
