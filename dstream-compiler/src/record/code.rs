//! The items of a derived record, a function for each.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::Ident;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::check::{checks, written};
use super::field::{is_option, is_plain, is_scalar, owned, record_of, view_type};
use super::held::Held;
use super::{RecordField, RecordStruct};
use crate::codegen::names::{item, local};

/// Fields per tuple.
const WIDTH: usize = 8;

/// Names shared by the items.
struct Parts<'r> {
    record: &'r RecordStruct,
    view: Ident,
    draft: Ident,
    /// The field that uses the view's lifetime; not among the user's fields.
    marker: Ident,
    /// Whether a field borrows; otherwise the marker is needed.
    borrows: bool,
}

/// All items of a record.
pub(super) fn items(record: &RecordStruct) -> TokenStream {
    let parts = Parts {
        record,
        view: view_name(&record.name),
        draft: item(&format!("{}Draft", record.name.unraw())),
        marker: marker_name(),
        borrows: record.fields.iter().any(|field| !is_scalar(&field.ty)),
    };
    let held = Held {
        name: &record.name,
        view: &parts.view,
        as_record: &tuple(&record.fields, |field| owned(record, field)),
        to: &|view| as_tuple(record, view),
        from: &|tuple| from_tuple(&parts, tuple),
    };
    let (written, checks) = (written(record), checks(record));
    let (view, draft, debug) = (view_struct(&parts), draft_struct(&parts), debug_impl(&parts));
    let (imp, key) = (record_impl(&parts, &held), held.key());
    let stands = held.stands(&shorter(&parts));
    quote! {
        #view
        const _: () = {
            use ::dstream::__private as __dstream;
            #written
            #checks
            #draft
            #imp
            #debug
            #stands
            #key
        };
    }
}

/// The name of a record's borrowed form.
pub(super) fn view_name(record: &Ident) -> Ident {
    format_ident!("{}Ref", record, span = record.span())
}

/// The field of generated structs that uses a lifetime.
pub(super) fn marker_name() -> Ident {
    item("borrows")
}

/// `pub struct PageViewRef<'a> { pub url: &'a str, pub user: u64 }`
fn view_struct(parts: &Parts<'_>) -> TokenStream {
    let (view, visibility) = (&parts.view, &parts.record.visibility);
    let doc = format!("[`{}`], borrowed: what operators see.", parts.record.name);
    let fields = parts.record.fields.iter().map(|field| {
        let RecordField { name, visibility, docs, .. } = field;
        let ty = view_type(parts.record, field);
        quote!(#(#docs)* #visibility #name: #ty)
    });
    let marker = (!parts.borrows).then(|| {
        let marker = &parts.marker;
        quote! {
            #[doc(hidden)]
            #marker: ::dstream::__private::core::marker::PhantomData<&'a ()>,
        }
    });
    quote! {
        #[doc = #doc]
        #[derive(::dstream::__private::core::clone::Clone, ::dstream::__private::core::marker::Copy)]
        #[allow(dead_code)]
        #visibility struct #view<'a> {
            #(#fields,)*
            #marker
        }
    }
}

/// The struct that JSON is parsed into: from an object only, under the record's name.
fn draft_struct(parts: &Parts<'_>) -> TokenStream {
    let Parts { record, draft, marker, .. } = parts;
    let unknown = record.fields.iter().filter(|field| !is_plain(&field.ty)).map(|field| {
        let record = record_of(record, field);
        quote!(#record::Draft<'a>: ::dstream::__private::serde::Deserialize<'de>)
    });
    let bounds = [quote!('de: 'a)].into_iter().chain(unknown).collect::<Vec<_>>();
    let bound = quote!(#(#bounds),*).to_string();
    let name = record.name.unraw().to_string();
    let fields = record.fields.iter().filter(|field| !field.options.skip).map(|field| {
        let RecordField { name, text, ty, options, .. } = field;
        let default = (is_option(ty) || options.default).then(|| quote!(#[serde(default)]));
        let aliases = options.aliases.iter().map(|alias| quote!(#[serde(alias = #alias)]));
        let record = record_of(record, field);
        let draft = match options.default {
            true => quote!(__dstream::core::option::Option<#record::Draft<'a>>),
            false => quote!(#record::Draft<'a>),
        };
        quote!(#default #(#aliases)* #[serde(rename = #text)] #name: #draft)
    });
    let (deserializer, type_) = (local("deserializer"), item("D"));
    quote! {
        #[derive(__dstream::serde::Deserialize)]
        #[serde(
            crate = "::dstream::__private::serde",
            remote = "Self",
            rename = #name,
            bound(deserialize = #bound)
        )]
        pub struct #draft<'a> {
            #(#fields,)*
            #[serde(skip)]
            #marker: __dstream::core::marker::PhantomData<&'a ()>,
        }
        impl<'de, 'a> __dstream::serde::Deserialize<'de> for #draft<'a>
        where
            #(#bounds,)*
        {
            #[inline]
            fn deserialize<#type_: __dstream::serde::Deserializer<'de>>(
                #deserializer: #type_,
            ) -> __dstream::core::result::Result<Self, #type_::Error> {
                // serde's derive also accepts arrays, by position.
                Self::deserialize(__dstream::Object(#deserializer))
            }
        }
    }
}

/// `(A, B, …)`, or `((A, …, H), (I, …))`.
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
    let marker = &parts.marker;
    (!parts.borrows).then(|| quote!(#marker: __dstream::core::marker::PhantomData))
}

/// The view of the struct from a view of the tuple: `TRef { a: t.0, b: t.1 }`.
fn from_tuple(parts: &Parts<'_>, tuple: &Ident) -> TokenStream {
    let fields = &parts.record.fields;
    let nested = fields.len() > WIDTH;
    let view = &parts.view;
    let assigned = fields.iter().enumerate().map(|(i, field)| {
        let (name, group, part) =
            (&field.name, syn::Index::from(i / WIDTH), syn::Index::from(i % WIDTH));
        if nested { quote!(#name: #tuple.#group.#part) } else { quote!(#name: #tuple.#part) }
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

/// The tuple of the fields of a value.
fn as_tuple(record: &RecordStruct, of: &Ident) -> TokenStream {
    tuple(&record.fields, |field| {
        let name = &field.name;
        quote!(#of.#name)
    })
}

fn record_impl(parts: &Parts<'_>, held: &Held<'_>) -> TokenStream {
    let Parts { record, view, draft, .. } = parts;
    let (name, text) = (&record.name, record.name.unraw().to_string());
    let [v, fields, visitor] = ["view", "fields", "visitor"].map(local);
    let visitor_type = item("V");
    let (held, methods) = (held.items(), methods(parts));
    let schema = record.fields.iter().map(|field| {
        let (text, record) = (&field.text, record_of(record, field));
        let (aliases, default, skip) =
            (&field.options.aliases, field.options.default, field.options.skip);
        quote!(__dstream::Field {
            name: #text,
            schema: #record::SCHEMA,
            aliases: &[#(#aliases),*],
            default: #default,
            skip: #skip,
        })
    });
    let from_fields = view_by(parts, |field| {
        let (of, absent) = (record_of(record, field), absent(record, field));
        match (field.options.skip, field.options.default) {
            (true, _) => absent,
            (_, true) => quote! {
                if __dstream::Fields::skip_null(#fields, &#of::SCHEMA) {
                    #absent
                } else {
                    #of::from_fields(#fields)?
                }
            },
            _ => quote!(#of::from_fields(#fields)?),
        }
    });
    let shown = record.fields.iter().filter(|field| !field.options.skip);
    let visits = shown.enumerate().map(|(i, field)| {
        let (name, text, record) = (&field.name, &field.text, record_of(record, field));
        quote! {
            __dstream::Visitor::field(#visitor, #i, #text);
            #record::visit(#v.#name, #visitor);
        }
    });
    quote! {
        impl __dstream::Record for #name {
            #held
            type Draft<'a> = #draft<'a>;
            const SCHEMA: __dstream::Schema =
                __dstream::Schema::Struct { name: #text, fields: &[#(#schema),*] };
            #methods
            fn visit<#visitor_type: __dstream::Visitor>(#v: #view<'_>, #visitor: &mut #visitor_type) {
                __dstream::Visitor::begin_struct(#visitor);
                #(#visits)*
                __dstream::Visitor::end_struct(#visitor);
            }
            #[inline]
            fn from_fields<'a>(
                #fields: &mut __dstream::Fields<'a>,
            ) -> __dstream::core::result::Result<#view<'a>, __dstream::FieldError> {
                __dstream::core::result::Result::Ok(#from_fields)
            }
        }
    }
}

/// The view of a field that is in no text, or absent: of the default of its type, which is made once.
fn absent(record: &RecordStruct, field: &RecordField) -> TokenStream {
    let (ty, of) = (&field.ty, record_of(record, field));
    let default =
        quote_spanned!(ty.span()=> <#ty as ::dstream::__private::core::default::Default>::default);
    quote! {{
        static __DSTREAM_ABSENT: __dstream::std::sync::LazyLock<#ty> =
            __dstream::std::sync::LazyLock::new(#default);
        #of::view(&*__DSTREAM_ABSENT)
    }}
}

/// Conversions between the struct, its view, and the parsed struct.
fn methods(parts: &Parts<'_>) -> TokenStream {
    let Parts { record, view, draft, .. } = parts;
    let (name, [v, d]) = (&record.name, ["view", "draft"].map(local));
    let own_fields = record.fields.iter().map(|field| {
        let (name, record) = (&field.name, record_of(record, field));
        quote!(#name: #record::own(#v.#name))
    });
    let view_owned = view_by(parts, |field| {
        let (name, record) = (&field.name, record_of(record, field));
        quote!(#record::view(&self.#name))
    });
    let view_draft = view_by(parts, |field| {
        let (name, of, absent) = (&field.name, record_of(record, field), absent(record, field));
        match (field.options.skip, field.options.default) {
            (true, _) => absent,
            (_, true) => quote! {
                match &#d.#name {
                    __dstream::core::option::Option::Some(#d) => #of::view_draft(#d),
                    __dstream::core::option::Option::None => #absent,
                }
            },
            _ => quote!(#of::view_draft(&#d.#name)),
        }
    });
    quote! {
        #[inline]
        fn view(&self) -> #view<'_> { #view_owned }
        #[inline]
        fn view_draft<'d, 'a: 'd>(#d: &'d #draft<'a>) -> #view<'d> { #view_draft }
        #[inline]
        fn own(#v: #view<'_>) -> Self { #name { #(#own_fields),* } }
    }
}

/// The view, field by field, with a shorter lifetime.
fn shorter(parts: &Parts<'_>) -> TokenStream {
    view_by(parts, |field| {
        let name = &field.name;
        quote!(__dstream::AsRecord::as_view(&self.#name))
    })
}

fn debug_impl(parts: &Parts<'_>) -> TokenStream {
    let (view, text) = (&parts.view, parts.record.name.unraw().to_string());
    let [f, shown] = ["f", "shown"].map(local);
    let fields = parts.record.fields.iter().map(|field| {
        let (name, text) = (&field.name, field.name.unraw().to_string());
        quote!(__dstream::core::fmt::DebugStruct::field(&mut #shown, #text, &self.#name);)
    });
    quote! {
        impl __dstream::core::fmt::Debug for #view<'_> {
            fn fmt(
                &self,
                #f: &mut __dstream::core::fmt::Formatter<'_>,
            ) -> __dstream::core::fmt::Result {
                let mut #shown = __dstream::core::fmt::Formatter::debug_struct(#f, #text);
                #(#fields)*
                __dstream::core::fmt::DebugStruct::finish(&mut #shown)
            }
        }
    }
}
