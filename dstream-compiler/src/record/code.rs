//! The items of a derived record, one function each.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericArgument, Ident, PathArguments, Type};

use super::{RecordField, RecordStruct};
use crate::codegen::spans;
use crate::diag::Place;

/// Fields per tuple.
const WIDTH: usize = 8;

/// Names that the items share.
struct Parts<'r> {
    record: &'r RecordStruct,
    view: Ident,
    draft: Ident,
    /// The tuple that stands for the struct in archives.
    tuple: TokenStream,
    /// Whether some field borrows; if none does, a marker takes up the view's lifetime.
    borrows: bool,
    /// `where` what is not known to be a record is one: see [`trusting`].
    trusting: TokenStream,
}

/// All items of a record.
pub(super) fn items(record: &RecordStruct) -> TokenStream {
    let parts = Parts {
        record,
        view: format_ident!("{}Ref", record.name),
        draft: format_ident!("__{}Draft", record.name),
        tuple: tuple_type(&record.fields),
        borrows: record.fields.iter().any(|field| !is_scalar(&field.ty)),
        trusting: trusting(record),
    };
    let check = check(record);
    let (view, view_impls) = (view_struct(&parts), view_impls(&parts));
    let (draft, imp, key) = (draft_struct(&parts), record_impl(&parts), key_impl(&parts));
    quote! {
        #view
        const _: () = {
            use ::dstream::__private as __d;
            #check
            #draft
            #imp
            #view_impls
            #key
        };
    }
}

/// What the items of a record take for granted of its fields. Only [`check`] asks whether it holds, so that
/// a field that is no record is one error and not one in every item. The bound mentions a lifetime, or rustc
/// would look into it where it is written.
fn trusting(record: &RecordStruct) -> TokenStream {
    let trusted = trusted(record);
    if trusted.is_empty() {
        return TokenStream::new();
    }
    quote!(where #(#trusted,)*)
}

fn trusted(record: &RecordStruct) -> Vec<TokenStream> {
    let trusted = unknown(record).into_iter();
    trusted.map(|ty| quote!(for<'k> #ty: ::dstream::__private::RecordFor<'k>)).collect()
}

/// Asks of each type that is not known to be a record, where it stands, whether it is one.
fn check(record: &RecordStruct) -> Option<TokenStream> {
    let unknown = unknown(record);
    let asked = unknown.iter().map(|ty| {
        let place = Place::of(ty);
        let is_record = spans::path(place.start().into(), "is_record");
        let (open, close) = (quote_spanned!(place.start()=> ::<), quote_spanned!(place.end()=> >));
        quote!(#is_record #open #ty #close)
    });
    (!unknown.is_empty()).then(|| {
        quote! {
            const _: fn() = || {
                #(#asked();)*
            };
        }
    })
}

/// The types in a record's fields that may be no records, as far as a macro sees.
fn unknown(record: &RecordStruct) -> Vec<&Type> {
    let mut found = Vec::new();
    record.fields.iter().for_each(|field| leaves(&field.ty, &mut found));
    // A record that contains itself is refused for its size.
    found.retain(|ty| !matches!(ty, Type::Path(path) if path.path.is_ident(&record.name)));
    found
}

fn leaves<'t>(ty: &'t Type, into: &mut Vec<&'t Type>) {
    match ty {
        ty if is_scalar(ty) || is_string(ty) => {}
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|ty| leaves(ty, into)),
        Type::Paren(inner) => leaves(&inner.elem, into),
        Type::Group(inner) => leaves(&inner.elem, into),
        Type::Path(path) => match path.path.segments.last() {
            Some(segment) if segment.ident == "Option" || segment.ident == "Vec" => {
                if let PathArguments::AngleBracketed(arguments) = &segment.arguments {
                    for argument in &arguments.args {
                        if let GenericArgument::Type(ty) = argument {
                            leaves(ty, into);
                        }
                    }
                }
            }
            _ => into.push(ty),
        },
        ty => into.push(ty),
    }
}

/// `<Type as Record>`, with the span of the field's type: where an error about it belongs.
fn record_of(ty: &Type) -> TokenStream {
    let record = quote_spanned!(ty.span().resolved_at(Span::mixed_site())=> __d::Record);
    quote!(<#ty as #record>)
}

/// The borrowed form of a field. Text and numbers are spelled out: errors and documentation read
/// better, and the borrowed struct stays covariant.
pub(super) fn view_type(ty: &Type) -> TokenStream {
    if is_scalar(ty) {
        return quote!(#ty);
    }
    if is_string(ty) {
        return quote!(&'a str);
    }
    let record =
        quote_spanned!(ty.span().resolved_at(Span::mixed_site())=> ::dstream::__private::Record);
    quote!(<#ty as #record>::View<'a>)
}

fn is_string(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("String"))
}

fn is_scalar(ty: &Type) -> bool {
    const SCALARS: [&str; 14] = [
        "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize", "f32", "f64",
        "bool", "char",
    ];
    matches!(ty, Type::Path(path) if SCALARS.iter().any(|scalar| path.path.is_ident(scalar)))
}

/// `pub struct PageViewRef<'a> { pub url: &'a str, pub user: u64 }`
fn view_struct(parts: &Parts<'_>) -> TokenStream {
    let (view, visibility, trusting) = (&parts.view, &parts.record.visibility, &parts.trusting);
    let doc = format!("[`{}`], borrowed: what operators see.", parts.record.name);
    let fields = parts.record.fields.iter().map(|field| {
        let RecordField { name, visibility, ty, docs, .. } = field;
        let ty = view_type(ty);
        quote!(#(#docs)* #visibility #name: #ty)
    });
    let marker = (!parts.borrows).then(|| {
        quote! {
            #[doc(hidden)]
            __borrows: ::core::marker::PhantomData<&'a ()>,
        }
    });
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy)]
        #[allow(dead_code)]
        #visibility struct #view<'a> #trusting {
            #(#fields,)*
            #marker
        }
    }
}

/// What JSON is parsed into: from an object alone, as a struct of the record's name.
fn draft_struct(parts: &Parts<'_>) -> TokenStream {
    let (draft, trusting) = (&parts.draft, &parts.trusting);
    let unknown = parts.record.fields.iter().filter(|field| !is_plain(&field.ty)).map(|field| {
        let ty = &field.ty;
        quote! {
            <#ty as ::dstream::__private::Record>::Draft<'a>:
                ::dstream::__private::serde::Deserialize<'de>
        }
    });
    let bounds = [quote!('de: 'a)].into_iter().chain(unknown);
    let bounds = bounds.chain(trusted(parts.record)).collect::<Vec<_>>();
    let bound = quote!(#(#bounds),*).to_string();
    let name = parts.record.name.to_string();
    let fields = parts.record.fields.iter().map(|field| {
        let RecordField { name, text, ty, .. } = field;
        let (record, default) = (record_of(ty), is_option(ty).then(|| quote!(#[serde(default)])));
        quote!(#default #[serde(rename = #text)] #name: #record::Draft<'a>)
    });
    quote! {
        #[derive(__d::serde::Deserialize)]
        #[serde(
            crate = "::dstream::__private::serde",
            remote = "Self",
            rename = #name,
            bound(deserialize = #bound)
        )]
        pub struct #draft<'a> #trusting {
            #(#fields,)*
            #[serde(skip)]
            __borrows: ::core::marker::PhantomData<&'a ()>,
        }
        impl<'de, 'a> __d::serde::Deserialize<'de> for #draft<'a>
        where
            #(#bounds,)*
        {
            #[inline]
            fn deserialize<D: __d::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                // What serde derives: it takes arrays too, by position.
                Self::deserialize(__d::Object(deserializer))
            }
        }
    }
}

/// Whether a type is known to be a record.
pub(super) fn is_plain(ty: &Type) -> bool {
    let mut found = Vec::new();
    leaves(ty, &mut found);
    found.is_empty()
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Option"))
}

/// `(A, B, …)`, or `((A, …, H), (I, …))`.
fn tuple_type(fields: &[RecordField]) -> TokenStream {
    tuple(fields, |field| {
        let ty = &field.ty;
        quote!(#ty)
    })
}

fn tuple(fields: &[RecordField], part: impl Fn(&RecordField) -> TokenStream) -> TokenStream {
    let tuple = |fields: &[RecordField]| {
        let parts = fields.iter().map(&part);
        quote!((#(#parts,)*))
    };
    if fields.len() <= WIDTH {
        return tuple(fields);
    }
    let groups = fields.chunks(WIDTH).map(tuple);
    quote!((#(#groups,)*))
}

fn marker(parts: &Parts<'_>) -> Option<TokenStream> {
    (!parts.borrows).then(|| quote!(__borrows: ::core::marker::PhantomData))
}

/// The view of the struct from a view of the tuple: `TRef { a: t.0, b: t.1 }`.
fn from_tuple(parts: &Parts<'_>) -> TokenStream {
    let fields = &parts.record.fields;
    let nested = fields.len() > WIDTH;
    let view = &parts.view;
    let assigned = fields.iter().enumerate().map(|(i, field)| {
        let (name, group, part) =
            (&field.name, syn::Index::from(i / WIDTH), syn::Index::from(i % WIDTH));
        if nested { quote!(#name: t.#group.#part) } else { quote!(#name: t.#part) }
    });
    let marker = marker(parts);
    quote!(#view { #(#assigned,)* #marker })
}

/// The view of the struct, field by field.
fn view_by(parts: &Parts<'_>, part: impl Fn(&RecordField) -> TokenStream) -> TokenStream {
    let view = &parts.view;
    let assigned = parts.record.fields.iter().map(|field| {
        let (name, value) = (&field.name, part(field));
        quote!(#name: #value)
    });
    let marker = marker(parts);
    quote!(#view { #(#assigned,)* #marker })
}

fn record_impl(parts: &Parts<'_>) -> TokenStream {
    let Parts { record, view, draft, tuple: tuple_type, trusting, .. } = parts;
    let (name, text) = (&record.name, record.name.to_string());
    let schema = record.fields.iter().map(|field| {
        let (text, record) = (&field.text, record_of(&field.ty));
        quote!(__d::Field { name: #text, schema: #record::SCHEMA })
    });
    let own_fields = record.fields.iter().map(|field| {
        let (name, record) = (&field.name, record_of(&field.ty));
        quote!(#name: #record::own(view.#name))
    });
    let by = |value: fn(&Ident) -> TokenStream, method: TokenStream| {
        view_by(parts, |field| {
            let (record, value) = (record_of(&field.ty), value(&field.name));
            quote!(#record::#method(#value))
        })
    };
    let view_owned = by(|name| quote!(&self.#name), quote!(view));
    let view_draft = by(|name| quote!(&draft.#name), quote!(view_draft));
    let from_fields = view_by(parts, |field| {
        let record = record_of(&field.ty);
        quote!(#record::from_fields(fields)?)
    });
    let visits = record.fields.iter().enumerate().map(|(i, field)| {
        let (name, text, record) = (&field.name, &field.text, record_of(&field.ty));
        quote!(visitor.field(#i, #text); #record::visit(view.#name, visitor);)
    });
    let from_tuple = from_tuple(parts);
    let as_tuple = |of: &str| {
        let of = Ident::new(of, Span::call_site());
        tuple(&record.fields, |field| {
            let name = &field.name;
            quote!(#of.#name)
        })
    };
    let (view_tuple, a, b) = (as_tuple("view"), as_tuple("a"), as_tuple("b"));
    quote! {
        impl __d::Record for #name #trusting {
            type View<'a> = #view<'a>;
            type Archived = <#tuple_type as __d::Record>::Archived;
            type Wire<'a> = <#tuple_type as __d::Record>::Wire<'a>;
            type Draft<'a> = #draft<'a>;
            const SCHEMA: __d::Schema = __d::Schema::Struct { name: #text, fields: &[#(#schema),*] };
            const EXACT: bool = <#tuple_type as __d::Record>::EXACT;
            const INLINE: bool = <#tuple_type as __d::Record>::INLINE;

            #[inline]
            fn view(&self) -> #view<'_> { #view_owned }
            #[inline]
            fn view_archived(archived: &Self::Archived) -> #view<'_> {
                let t = <#tuple_type as __d::Record>::view_archived(archived);
                #from_tuple
            }
            #[inline]
            fn view_draft<'d, 'a: 'd>(draft: &'d #draft<'a>) -> #view<'d> { #view_draft }
            #[inline]
            fn own(view: #view<'_>) -> Self { #name { #(#own_fields),* } }
            #[inline]
            fn wire<'a: 'a>(view: #view<'a>) -> Self::Wire<'a> {
                <#tuple_type as __d::Record>::wire(#view_tuple)
            }
            #[inline]
            fn compare(a: #view<'_>, b: #view<'_>) -> ::core::cmp::Ordering {
                <#tuple_type as __d::Record>::compare(#a, #b)
            }
            fn visit<V: __d::Visitor>(view: #view<'_>, visitor: &mut V) {
                visitor.begin_struct();
                #(#visits)*
                visitor.end_struct();
            }
            #[inline]
            fn from_fields<'a>(
                fields: &mut __d::Fields<'a>,
            ) -> ::core::result::Result<#view<'a>, __d::FieldError> {
                ::core::result::Result::Ok(#from_fields)
            }
        }
    }
}

/// Struct and view both stand for the record.
fn view_impls(parts: &Parts<'_>) -> TokenStream {
    let (name, view, trusting) = (&parts.record.name, &parts.view, &parts.trusting);
    // Field by field: the view of a nested record is invariant, so the whole cannot be shortened.
    let shorter = view_by(parts, |field| {
        let name = &field.name;
        quote!(__d::AsRecord::as_view(&self.#name))
    });
    let text = name.to_string();
    let shown = parts.record.fields.iter().map(|field| {
        let (name, text) = (&field.name, field.name.to_string());
        quote!(.field(#text, &self.#name))
    });
    quote! {
        impl ::core::fmt::Debug for #view<'_> #trusting {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(#text)#(#shown)*.finish()
            }
        }
        impl __d::AsRecord for #name #trusting {
            type Record = #name;
            #[inline]
            fn as_view(&self) -> #view<'_> { __d::Record::view(self) }
            #[inline]
            fn into_record(self) -> #name { self }
        }
        impl<'x> __d::AsRecord for #view<'x> #trusting {
            type Record = #name;
            #[inline]
            fn as_view(&self) -> #view<'_> { #shorter }
            #[inline]
            fn into_record(self) -> #name { <#name as __d::Record>::own(self) }
        }
    }
}

/// A record is a key if its fields are. The bound mentions a lifetime so that it is asked only where
/// the record is used as a key.
fn key_impl(parts: &Parts<'_>) -> TokenStream {
    let (name, tuple_type) = (&parts.record.name, &parts.tuple);
    let trusted = unknown(parts.record);
    let (from_tuple, view_tuple) = (
        from_tuple(parts),
        tuple(&parts.record.fields, |field| {
            let name = &field.name;
            quote!(view.#name)
        }),
    );
    quote! {
        impl __d::Key for #name
        where
            #(for<'k> #trusted: __d::RecordFor<'k>,)*
            for<'k> #tuple_type: __d::KeyFor<'k>,
        {
            const WIDTH: ::core::option::Option<usize> = <#tuple_type as __d::Key>::WIDTH;
            #[inline]
            fn write(view: <Self as __d::Record>::View<'_>, out: &mut ::std::vec::Vec<u8>) {
                <#tuple_type as __d::Key>::write(#view_tuple, out)
            }
            #[inline]
            fn read<'a>(bytes: &mut __d::KeyReader<'a>) -> <Self as __d::Record>::View<'a> {
                let t = <#tuple_type as __d::Key>::read(bytes);
                #from_tuple
            }
            fn check(bytes: &mut __d::KeyReader<'_>) -> bool {
                <#tuple_type as __d::Key>::check(bytes)
            }
        }
    }
}
