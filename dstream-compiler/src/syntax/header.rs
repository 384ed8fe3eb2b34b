//! Signatures of jobs and operator functions.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{Attribute, FnArg, ItemFn, Pat, ReturnType, Safety, Type};

use crate::diag::{Diagnostic, Diagnostics, Place, table};
use crate::ir::logical::Header;
use crate::ir::rust_text;
use crate::reserved;

/// A job's signature.
#[derive(Debug)]
pub struct Signature {
    /// Its part of the plan.
    pub header: Header,
    /// The item itself.
    pub item: ItemFn,
}

/// Parses the function under an attribute.
pub(crate) fn function(
    item: TokenStream,
    attribute: &str,
    diagnostics: &mut Diagnostics,
) -> Option<ItemFn> {
    let place = Place::of(&item);
    reserved(item.clone(), diagnostics);
    match syn::parse2::<ItemFn>(item) {
        Ok(function) => Some(function),
        Err(_) => {
            diagnostics
                .push(Diagnostic::new(&table::NOT_A_FUNCTION, place).with("macro", attribute));
            None
        }
    }
}

/// Reports reserved names in an item.
pub(crate) fn reserved(item: TokenStream, diagnostics: &mut Diagnostics) {
    for token in item {
        match token {
            TokenTree::Ident(ident) if reserved::is_reserved(&ident.to_string()) => {
                diagnostics.push(Diagnostic::new(&table::RESERVED_NAME, &ident));
            }
            TokenTree::Group(group) => self::reserved(group.stream(), diagnostics),
            _ => {}
        }
    }
}

/// Parses a job's signature.
pub(crate) fn job(item: ItemFn, interval_ms: u64, diagnostics: &mut Diagnostics) -> Signature {
    plain(&item, "a job", "a job is compiled for the types it names", diagnostics);
    if let ReturnType::Type(_, ty) = &item.sig.output {
        diagnostics.push(Diagnostic::new(&table::RETURN_TYPE, Place::of(ty)));
    }
    let mut params = None;
    for (i, input) in item.sig.inputs.iter().enumerate() {
        if i == 1 {
            diagnostics.push(Diagnostic::new(&table::MANY_PARAMETERS, Place::of(input)));
        }
        let parameter = parameter(input, diagnostics);
        if i == 0 {
            params = parameter;
        }
    }
    if item.sig.inputs.len() > 1 {
        // It is unknown which of them are the parameters, so their types are not checked.
        params = None;
    }
    let header = Header {
        name: item.sig.ident.clone(),
        visibility: item.vis.clone(),
        attributes: kept(&item.attrs),
        interval_ms,
        params,
    };
    Signature { header, item }
}

fn parameter(input: &FnArg, diagnostics: &mut Diagnostics) -> Option<(Ident, Type)> {
    let FnArg::Typed(typed) = input else {
        diagnostics
            .push(Diagnostic::new(&table::SELF_PARAMETER, Place::of(input)).with("what", "a job"));
        return None;
    };
    let Pat::Ident(name) = &*typed.pat else {
        diagnostics.push(
            Diagnostic::new(&table::PARAMETER_PATTERN, Place::of(&typed.pat))
                .with("instead", format!("params: {}", rust_text::type_text(&typed.ty))),
        );
        return None;
    };
    match &*typed.ty {
        Type::Reference(reference) if reference.mutability.is_none() => {
            Some((name.ident.clone(), (*reference.elem).clone()))
        }
        ty => {
            let inner = match ty {
                Type::Reference(reference) => &reference.elem,
                other => other,
            };
            diagnostics.push(
                Diagnostic::new(&table::PARAMETER_BY_VALUE, Place::of(typed))
                    .with("name", name.ident.to_string())
                    .with("type", rust_text::type_text(inner)),
            );
            None
        }
    }
}

/// Checks for both jobs and operator functions.
pub(crate) fn plain(item: &ItemFn, what: &str, instead: &str, diagnostics: &mut Diagnostics) {
    let sig = &item.sig;
    let mut report = |mistake, place: Place| {
        diagnostics
            .push(Diagnostic::new(mistake, place).with("what", what).with("instead", instead));
    };
    if let Some(token) = &sig.asyncness {
        report(&table::ASYNC_FN, token.span.into());
    }
    if let Safety::Unsafe(token) = &sig.safety {
        report(&table::UNSAFE_FN, token.span.into());
    }
    if let Some(token) = &sig.constness {
        report(&table::CONST_FN, token.span.into());
    }
    if let Some(abi) = &sig.abi {
        report(&table::EXTERN_FN, Place::of(abi));
    }
    if !sig.generics.params.is_empty() {
        report(&table::GENERIC_FN, Place::of(&sig.generics));
    } else if let Some(clause) = &sig.generics.where_clause {
        report(&table::GENERIC_FN, Place::of(clause));
    }
}

/// Attributes kept on generated items: documentation, `cfg`, lints.
fn kept(attributes: &[Attribute]) -> Vec<Attribute> {
    const KEPT: [&str; 6] = ["doc", "cfg", "allow", "expect", "warn", "deprecated"];
    attributes
        .iter()
        .filter(|attribute| KEPT.iter().any(|name| attribute.path().is_ident(name)))
        .cloned()
        .collect()
}
