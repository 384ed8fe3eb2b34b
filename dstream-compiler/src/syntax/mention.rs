//! Finds streams and jumps in ordinary Rust.

use std::collections::BTreeMap;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Expr, Pat, PatIdent};

use super::scope::Scope;

/// The first use of each stream in ordinary Rust. A name bound by the expression itself (a closure's
/// parameter, a pattern) is not the stream.
pub(crate) fn streams(expr: &Expr, scope: &Scope) -> Vec<Ident> {
    let mut bound = Bound::default();
    bound.visit_expr(expr);
    let mut mentions = Mentions { scope, bound: bound.0, found: Vec::new() };
    mentions.visit_expr(expr);
    mentions.found
}

/// The names that a pattern binds.
pub(crate) fn bound(pat: &Pat) -> Vec<Ident> {
    let mut bound = Bound::default();
    bound.visit_pat(pat);
    bound.0.into_values().collect()
}

#[derive(Default)]
struct Bound(BTreeMap<String, Ident>);

impl<'a> Visit<'a> for Bound {
    fn visit_pat_ident(&mut self, pat: &'a PatIdent) {
        self.0.insert(pat.ident.to_string(), pat.ident.clone());
        visit::visit_pat_ident(self, pat);
    }
}

struct Mentions<'s> {
    scope: &'s Scope,
    bound: BTreeMap<String, Ident>,
    found: Vec<Ident>,
}

impl Mentions<'_> {
    fn see(&mut self, ident: &Ident) {
        let name = ident.to_string();
        if self.scope.streams.contains_key(&name)
            && !self.bound.contains_key(&name)
            && self.found.iter().all(|seen| *seen != name)
        {
            self.found.push(ident.clone());
        }
    }

    fn see_tokens(&mut self, tokens: TokenStream) {
        let mut after_dot = false;
        for token in tokens {
            match &token {
                TokenTree::Ident(ident) if !after_dot => self.see(ident),
                TokenTree::Group(group) => self.see_tokens(group.stream()),
                _ => {}
            }
            after_dot = matches!(&token, TokenTree::Punct(p) if matches!(p.as_char(), '.' | ':'));
        }
    }
}

impl<'a> Visit<'a> for Mentions<'_> {
    fn visit_expr_path(&mut self, path: &'a syn::ExprPath) {
        if let Some(ident) = path.path.get_ident() {
            self.see(ident);
        }
    }

    fn visit_macro(&mut self, mac: &'a syn::Macro) {
        self.see_tokens(mac.tokens.clone());
    }
}

/// A jump out of an expression in a body, where it has no target.
pub(crate) enum Jump<'a> {
    /// `?`
    Try(&'a syn::ExprTry),
    /// `.await`
    Await(&'a syn::ExprAwait),
    /// `return`
    Return(&'a syn::ExprReturn),
}

/// The jumps in an expression, outside of closures and async blocks.
pub(crate) fn jumps(expr: &Expr) -> Vec<Jump<'_>> {
    let mut jumps = Jumps(Vec::new());
    jumps.visit_expr(expr);
    jumps.0
}

struct Jumps<'a>(Vec<Jump<'a>>);

impl<'a> Visit<'a> for Jumps<'a> {
    fn visit_expr_closure(&mut self, _: &'a syn::ExprClosure) {}

    fn visit_expr_async(&mut self, _: &'a syn::ExprAsync) {}

    fn visit_item(&mut self, _: &'a syn::Item) {}

    fn visit_expr_try(&mut self, expr: &'a syn::ExprTry) {
        self.0.push(Jump::Try(expr));
        visit::visit_expr_try(self, expr);
    }

    fn visit_expr_await(&mut self, expr: &'a syn::ExprAwait) {
        self.0.push(Jump::Await(expr));
        visit::visit_expr_await(self, expr);
    }

    fn visit_expr_return(&mut self, expr: &'a syn::ExprReturn) {
        self.0.push(Jump::Return(expr));
        visit::visit_expr_return(self, expr);
    }
}
