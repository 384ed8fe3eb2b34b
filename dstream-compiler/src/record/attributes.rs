//! `#[record(…)]`: how records and their fields are called in text.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, LitStr, Result};

use super::parse::Errors;
use crate::syntax::suggest::nearest;

/// What a field says of itself.
#[derive(Default)]
pub struct FieldOptions {
    /// Its name in text.
    pub rename: Option<String>,
    /// Other names that it is read under.
    pub aliases: Vec<String>,
    /// It may be absent, and is the default of its type then.
    pub default: bool,
    /// It is in no text, and is the default of its type.
    pub skip: bool,
}

/// How names are written in text.
#[derive(Clone, Copy)]
pub(super) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

/// By the words that serde has for them.
const CASES: [(&str, Case); 8] = [
    ("lowercase", Case::Lower),
    ("UPPERCASE", Case::Upper),
    ("PascalCase", Case::Pascal),
    ("camelCase", Case::Camel),
    ("snake_case", Case::Snake),
    ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
    ("kebab-case", Case::Kebab),
    ("SCREAMING-KEBAB-CASE", Case::ScreamingKebab),
];

impl Case {
    /// A name of a field or a variant in this case.
    fn of(self, name: &str) -> String {
        let words = words(name);
        let capital = |word: &String| {
            let mut letters = word.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            first + letters.as_str()
        };
        match self {
            Self::Lower => words.concat(),
            Self::Upper => words.concat().to_uppercase(),
            Self::Pascal => words.iter().map(capital).collect(),
            Self::Camel => match words.split_first() {
                Some((first, rest)) => {
                    [first.clone()].into_iter().chain(rest.iter().map(capital)).collect()
                }
                None => String::new(),
            },
            Self::Snake => words.join("_"),
            Self::ScreamingSnake => words.join("_").to_uppercase(),
            Self::Kebab => words.join("-"),
            Self::ScreamingKebab => words.join("-").to_uppercase(),
        }
    }
}

/// The words of a name, in small letters: `PageView` and `page_view` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let mut after_small = false;
        words.push(String::new());
        for c in part.chars() {
            if c.is_uppercase() && after_small {
                words.push(String::new());
            }
            after_small = !c.is_uppercase();
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
    }
    words
}

/// Calls `f` with each option of the attributes.
fn each(
    attributes: &[Attribute],
    errors: &mut Errors,
    mut f: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>,
) {
    for attribute in attributes.iter().filter(|a| a.path().is_ident("record")) {
        if let Err(error) = attribute.parse_nested_meta(|meta| f(&meta)) {
            errors.push(error);
        }
    }
}

fn text(meta: &ParseNestedMeta<'_>) -> Result<String> {
    Ok(meta.value()?.parse::<LitStr>()?.value())
}

fn unknown(meta: &ParseNestedMeta<'_>, known: &[&str], takes: &str) -> Error {
    let given = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
    let near = nearest(&given, known.iter().copied());
    let near = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    meta.error(format!("unknown option{near}\nhelp: {takes}"))
}

/// The case of all names of a struct or an enum, if it says one.
pub(super) fn rename_all(attributes: &[Attribute], errors: &mut Errors) -> Option<Case> {
    let mut case = None;
    each(attributes, errors, |meta| {
        if !meta.path.is_ident("rename_all") {
            return Err(unknown(
                meta,
                &["rename_all"],
                "a record takes `#[record(rename_all = \"camelCase\")]`",
            ));
        }
        let literal = meta.value()?.parse::<LitStr>()?;
        let known = CASES.iter().find(|(name, _)| *name == literal.value());
        let (_, found) = known.ok_or_else(|| {
            let names: Vec<_> = CASES.iter().map(|(name, _)| format!("`{name}`")).collect();
            Error::new_spanned(
                &literal,
                format!("unknown case\nhelp: write one of {}", names.join(", ")),
            )
        })?;
        case = Some(*found);
        Ok(())
    });
    case
}

/// The options of a field.
pub(super) fn field(attributes: &[Attribute], errors: &mut Errors) -> FieldOptions {
    let mut options = FieldOptions::default();
    each(attributes, errors, |meta| {
        match meta.path.get_ident().map(Ident::to_string).as_deref() {
            Some("rename") => options.rename = Some(text(meta)?),
            Some("alias") => options.aliases.push(text(meta)?),
            Some("default") => options.default = true,
            Some("skip") => options.skip = true,
            _ => {
                return Err(unknown(
                    meta,
                    &["rename", "alias", "default", "skip"],
                    "a field takes `#[record(rename = \"name\")]`, `alias = \"name\"`, `default` and `skip`",
                ));
            }
        }
        Ok(())
    });
    options
}

/// The name of a variant, if it says one.
pub(super) fn variant(attributes: &[Attribute], errors: &mut Errors) -> Option<String> {
    let mut rename = None;
    each(attributes, errors, |meta| {
        if !meta.path.is_ident("rename") {
            return Err(unknown(
                meta,
                &["rename"],
                "a variant takes `#[record(rename = \"name\")]`",
            ));
        }
        rename = Some(text(meta)?);
        Ok(())
    });
    rename
}

/// The name of a field or a variant in text.
pub(super) fn name(own: &Ident, rename: Option<String>, case: Option<Case>) -> String {
    let own = own.unraw().to_string();
    rename.unwrap_or_else(|| case.map_or(own.clone(), |case| case.of(&own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_case() {
        let of = |name: &str| CASES.map(|(_, case)| case.of(name));
        let expected = [
            "pageview",
            "PAGEVIEW",
            "PageView",
            "pageView",
            "page_view",
            "PAGE_VIEW",
            "page-view",
            "PAGE-VIEW",
        ];
        assert_eq!(of("page_view"), expected);
        assert_eq!(of("PageView"), expected);
        assert_eq!(Case::Snake.of("HTTP"), "http");
        assert_eq!(Case::Camel.of("last_10s"), "last10s");
    }
}
