//! An enum of names as a record: its variants are texts in CSV and JSON, and a byte elsewhere. Its view is an enum of
//! the same names that can be copied.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::{DataEnum, DeriveInput, Fields, Result};

use super::attributes::{name, rename_all, variant};
use super::code::view_name;
use super::parse::Errors;

/// A variant is one byte.
const MOST: usize = 256;

/// The items of an enum, or its mistakes.
pub(super) fn items(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let case = rename_all(&input.attrs, &mut errors);
    if let Some(with) = data.variants.iter().find(|v| !matches!(v.fields, Fields::Unit)) {
        errors.add(
            &with.fields,
            "the variants of an enum that is a record hold no data\n\
             help: use a struct with a field of an enum of names, and `Option`s for what differs",
        );
    }
    if data.variants.is_empty() || data.variants.len() > MOST {
        errors.add(
            &input.ident,
            "an enum that is a record has 1 to 256 variants\nhelp: write one, or keep the name as a `String`",
        );
    }
    if !input.generics.params.is_empty() {
        errors.add(&input.generics, "an enum of names has no parameters\nhelp: remove them");
    }
    let mut seen: Vec<String> = Vec::new();
    let mut variants = Vec::new();
    for (place, of) in data.variants.iter().enumerate() {
        let text = name(&of.ident, variant(&of.attrs, &mut errors), case);
        if seen.contains(&text) {
            errors.add(
                &of.ident,
                &format!(
                    "two variants are called `{text}` in CSV and JSON\nhelp: rename one of them"
                ),
            );
        }
        let (ident, place) = (&of.ident, Literal::u8_suffixed(place as u8));
        variants.push(quote!(#ident #text #place));
        seen.push(text);
    }
    errors.finish()?;
    let (enumeration, text) = (&input.ident, name(&input.ident, None, None));
    let shown: Vec<String> = seen.iter().map(|name| format!("`{name}`")).collect();
    let wanted = format!("{text}: it is one of {}", shown.join(", "));
    let (view, visibility) = (view_name(enumeration), &input.vis);
    let doc = format!("[`{text}`], as operators see it.");
    let idents = data.variants.iter().map(|of| &of.ident);
    Ok(quote! {
        #[doc = #doc]
        #[derive(
            ::dstream::__private::core::clone::Clone,
            ::dstream::__private::core::marker::Copy,
            ::dstream::__private::core::cmp::PartialEq,
            ::dstream::__private::core::cmp::Eq,
            ::dstream::__private::core::cmp::PartialOrd,
            ::dstream::__private::core::cmp::Ord,
            ::dstream::__private::core::hash::Hash,
            ::dstream::__private::core::fmt::Debug,
        )]
        #[allow(dead_code, missing_docs)]
        #visibility enum #view {
            #(#idents,)*
        }
        ::dstream::__private::record_of_names!(
            #enumeration, #view, #text, #wanted, [#(#variants)*]
        );
    })
}
