//! Rust on one line, for plans and messages. Never hashed: see `fingerprint`.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Expr, File, Item, Pat, Type};

use crate::reserved;

/// Longest expression that is shown in a plan.
const SHOWN: usize = 60;

/// An expression, cut short if it is long. Functions that operators pass themselves have no reserved names here.
#[must_use]
pub fn short(expr: &Expr) -> String {
    let text = expression(expr).replace(&reserved::local(""), "");
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// An expression.
#[must_use]
pub fn expression(expr: &Expr) -> String {
    let Some(text) = pretty(quote::quote!(const _: () = { #expr };)) else {
        return expr.to_token_stream().to_string();
    };
    let inner = text
        .trim_start_matches("const _: () = ")
        .trim_end_matches(';')
        .trim_start_matches('{')
        .trim_end_matches('}');
    inner.trim().to_owned()
}

/// A type.
#[must_use]
pub fn type_text(ty: &Type) -> String {
    let Some(text) = pretty(quote::quote!(type T = #ty;)) else {
        return ty.to_token_stream().to_string();
    };
    text.trim_start_matches("type T = ").trim_end_matches(';').to_owned()
}

/// An item as rustfmt would write it, on one line; none if the printer does not know some of it.
fn pretty(item: TokenStream) -> Option<String> {
    Some(items(item)?.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Items as rustfmt would write them; none if the printer does not know some of them.
#[must_use]
pub fn items(items: TokenStream) -> Option<String> {
    let file: File = syn::parse2(items).ok()?;
    let mut unknown = Unknown(false);
    unknown.visit_file(&file);
    // The printer panics on syntax that syn has no tree for.
    (!unknown.0).then(|| prettyplease::unparse(&file))
}

/// Whether there is syntax that syn has no tree for.
struct Unknown(bool);

impl<'a> Visit<'a> for Unknown {
    fn visit_expr(&mut self, expr: &'a Expr) {
        self.0 |= matches!(expr, Expr::Verbatim(_));
        visit::visit_expr(self, expr);
    }

    fn visit_pat(&mut self, pat: &'a Pat) {
        self.0 |= matches!(pat, Pat::Verbatim(_));
        visit::visit_pat(self, pat);
    }

    fn visit_type(&mut self, ty: &'a Type) {
        self.0 |= matches!(ty, Type::Verbatim(_));
        visit::visit_type(self, ty);
    }

    fn visit_item(&mut self, item: &'a Item) {
        self.0 |= matches!(item, Item::Verbatim(_));
        visit::visit_item(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        expression(&syn::parse_str(text).expect("it is Rust"))
    }

    #[test]
    fn expressions_are_on_one_line() {
        assert_eq!(of("|( a,b )|a+b"), "|(a, b)| a + b");
        assert_eq!(of("| l | { let n = l . len ( ) ; n }"), "|l| { let n = l.len(); n }");
        assert_eq!(of("\"x:\""), "\"x:\"");
        assert_eq!(of("& params . input"), "&params.input");
    }

    #[test]
    fn long_ones_are_cut() {
        let long: Expr = syn::parse_str(&format!("|l| {}", "l + ".repeat(30) + "l")).expect("Rust");
        assert_eq!(short(&long).chars().count(), SHOWN + 1);
        assert!(short(&long).ends_with('…'));
    }

    #[test]
    fn syntax_without_a_tree_is_no_panic() {
        assert_eq!(expression(&Expr::Verbatim(quote::quote!(do yeet x))), "do yeet x");
        assert_eq!(type_text(&Type::Verbatim(quote::quote!(do x))), "do x");
    }
}
