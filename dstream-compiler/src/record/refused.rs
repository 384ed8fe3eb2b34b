//! Types that no field of a record can have: the derive rejects them itself, once.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{PathArguments, Type};

use super::field::leaves;

/// Generic types of the standard library, with replacements. A derived record has no type parameters, so
/// none of these names with parameters is the user's.
const GENERIC: &[(&[&str], &str)] = &[
    (&["HashMap", "BTreeMap"], "write `Vec<(K, V)>`: a record has one order"),
    (&["HashSet", "BTreeSet", "BinaryHeap"], "write `Vec<T>`: a record has one order"),
    (&["VecDeque", "LinkedList"], "write `Vec<T>`"),
    (
        &["Box", "Rc", "Arc", "Cow", "Weak", "Pin"],
        "write the type itself, `T`: a record owns what it holds",
    ),
    (
        &["Cell", "RefCell", "OnceCell", "Mutex", "RwLock", "OnceLock"],
        "write the type itself, `T`: a record never changes",
    ),
    (&["Result"], "write `Option<T>`, and set apart what failed with `.filter_map(…)`"),
    (&["PhantomData"], "remove the field: it holds nothing"),
];

/// The invalid types inside a field's type: tokens and replacement.
pub(super) fn refused(ty: &Type) -> Vec<(TokenStream, String)> {
    let mut found = Vec::new();
    leaves(ty, &mut found);
    found.into_iter().filter_map(|ty| Some((ty.to_token_stream(), message(ty)?))).collect()
}

fn message(ty: &Type) -> Option<String> {
    let (what, help) = match ty {
        Type::Reference(_) => {
            return Some(
                "the fields of a record are owned\n\
                 help: write `String` for `&str` and `Vec<T>` for `&[T]`; operators see them borrowed all the same"
                    .to_owned(),
            );
        }
        Type::Array(_) => ("an array", "write `Vec<T>`, or a tuple"),
        Type::Slice(_) => ("a slice", "write `Vec<T>`"),
        Type::Ptr(_) => ("a pointer", "write the type that it points at"),
        Type::FnPtr(_) => ("a function", "call it in an operator, and keep what it returns"),
        Type::TraitObject(_) | Type::ImplTrait(_) => ("a trait", "write a type"),
        Type::Never(_) | Type::Infer(_) => ("this", "write a type"),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let name = last.ident.to_string();
            if path.path.is_ident("str") {
                ("`str`", "write `String`; operators see it as `&str` all the same")
            } else if matches!(last.arguments, PathArguments::AngleBracketed(_)) {
                let (_, help) = GENERIC.iter().find(|(names, _)| names.contains(&&*name))?;
                return Some(format!("`{name}` can't be a record field\nhelp: {help}"));
            } else {
                return None;
            }
        }
        _ => return None,
    };
    Some(format!("{what} can't be a record field\nhelp: {help}"))
}
