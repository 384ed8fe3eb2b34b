//! Renames the values of an inlined operator function, so that two calls do not clash.
//!
//! Every listed name is renamed wherever it is a local name, shadowed or not: bindings inside closures are
//! renamed together with their uses and keep their meaning.

use std::collections::BTreeMap;

use proc_macro2::{Group, Ident, Literal, TokenStream, TokenTree};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Block, Expr, ExprMethodCall, ExprPath, FieldPat, FieldValue, Lit, Macro, Member, PatIdent,
};

/// Renames local names in a block.
pub(super) fn block(block: &mut Block, names: &BTreeMap<String, String>) {
    Rename { names }.visit_block_mut(block);
}

struct Rename<'n> {
    names: &'n BTreeMap<String, String>,
}

impl Rename<'_> {
    fn rename(&self, ident: &mut Ident) -> bool {
        let Some(new) = self.names.get(&ident.to_string()) else {
            return false;
        };
        *ident = Ident::new(new, ident.span());
        true
    }

    /// Renames in a macro's arguments: identifiers that are neither fields nor paths, and `{name}` in format
    /// strings.
    fn tokens(&self, tokens: TokenStream) -> TokenStream {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let punct = |at: Option<usize>, wanted: char| {
            matches!(at.and_then(|at| tokens.get(at)),
                Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
        };
        let renamed = tokens.iter().enumerate().map(|(at, token)| match token {
            TokenTree::Ident(ident) => {
                let before = at.checked_sub(1);
                let field = punct(before, '.') && !punct(at.checked_sub(2), '.');
                let path = (punct(before, ':') && punct(at.checked_sub(2), ':'))
                    || (punct(Some(at + 1), ':') && punct(Some(at + 2), ':'));
                let mut ident = ident.clone();
                if !field && !path {
                    self.rename(&mut ident);
                }
                TokenTree::Ident(ident)
            }
            TokenTree::Group(group) => {
                let mut renamed = Group::new(group.delimiter(), self.tokens(group.stream()));
                renamed.set_span(group.span());
                TokenTree::Group(renamed)
            }
            TokenTree::Literal(literal) => TokenTree::Literal(self.format_string(literal)),
            TokenTree::Punct(_) => token.clone(),
        });
        renamed.collect()
    }

    /// Renames `"{name}"`, `"{name:>5}"`: names captured by a format string.
    fn format_string(&self, literal: &Literal) -> Literal {
        let Lit::Str(text) = Lit::new(literal.clone()) else {
            return literal.clone();
        };
        let text = text.value();
        let mut renamed = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open + 1);
            renamed.push_str(before);
            if let Some(escaped) = after.strip_prefix('{') {
                renamed.push('{');
                rest = escaped;
                continue;
            }
            let end = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
            let name = &after[..end];
            let captured = after[end..].starts_with(['}', ':']);
            renamed.push_str(match self.names.get(name).filter(|_| captured) {
                Some(new) => new,
                None => name,
            });
            rest = &after[end..];
        }
        renamed.push_str(rest);
        if renamed == text {
            return literal.clone();
        }
        let mut new = Literal::string(&renamed);
        new.set_span(literal.span());
        new
    }
}

impl VisitMut for Rename<'_> {
    fn visit_expr_path_mut(&mut self, path: &mut ExprPath) {
        let path = &mut path.path;
        if path.leading_colon.is_none() && path.segments.len() == 1 {
            self.rename(&mut path.segments[0].ident);
        }
    }

    /// `name = value` among the arguments of an operator: the name is no local.
    fn visit_expr_method_call_mut(&mut self, call: &mut ExprMethodCall) {
        self.visit_expr_mut(&mut call.receiver);
        for arg in &mut call.args {
            match arg {
                Expr::Assign(assign) if matches!(*assign.left, Expr::Path(_)) => {
                    self.visit_expr_mut(&mut assign.right);
                }
                arg => self.visit_expr_mut(arg),
            }
        }
    }

    fn visit_pat_ident_mut(&mut self, pat: &mut PatIdent) {
        self.rename(&mut pat.ident);
        visit_mut::visit_pat_ident_mut(self, pat);
    }

    /// `S { name }` becomes `S { name: renamed }`.
    fn visit_field_value_mut(&mut self, field: &mut FieldValue) {
        let Member::Named(name) = &field.member else {
            return self.visit_expr_mut(&mut field.expr);
        };
        if field.colon_token.is_none() && self.names.contains_key(&name.to_string()) {
            field.colon_token = Some(syn::Token![:](name.span()));
        }
        self.visit_expr_mut(&mut field.expr);
    }

    /// `S { name }` as a pattern becomes `S { name: renamed }`.
    fn visit_field_pat_mut(&mut self, field: &mut FieldPat) {
        if let Member::Named(name) = &field.member
            && field.colon_token.is_none()
            && self.names.contains_key(&name.to_string())
        {
            field.colon_token = Some(syn::Token![:](name.span()));
        }
        self.visit_pat_mut(&mut field.pat);
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        mac.tokens = self.tokens(std::mem::take(&mut mac.tokens));
    }
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};
    use syn::parse_quote;

    use super::*;

    fn renamed(mut source: Block) -> String {
        let names = [("limit".to_owned(), "x_limit".to_owned())].into();
        block(&mut source, &names);
        source.into_token_stream().to_string()
    }

    #[test]
    fn names_are_renamed_with_their_shadows() {
        let out =
            renamed(parse_quote!({ s.map(|limit| limit + 1).filter(|v| v > limit && v.limit) }));
        let expected = quote!({ s.map(|x_limit| x_limit + 1).filter(|v| v > x_limit && v.limit) });
        assert_eq!(out, expected.to_string());
    }

    #[test]
    fn shorthand_fields_are_written_out() {
        let out = renamed(parse_quote!({ s.map(|R { limit, .. }| S { limit }) }));
        let expected = quote!({ s.map(|R { limit: x_limit, .. }| S { limit: x_limit }) });
        assert_eq!(out, expected.to_string());
    }

    #[test]
    fn captures_of_format_strings_are_renamed() {
        let out =
            renamed(parse_quote!({ s.map(|v| format!("{limit:>3} {{limit}} {v}", v = v.limit)) }));
        let expected = quote!({ s.map(|v| format!("{x_limit:>3} {{limit}} {v}", v = v.limit)) });
        assert_eq!(out, expected.to_string());
    }

    #[test]
    fn paths_are_not_local_names() {
        let out = renamed(parse_quote!({ s.map(limit::of).map(|v| m!(a::limit, 0..limit)) }));
        let expected = quote!({ s.map(limit::of).map(|v| m!(a::limit, 0..x_limit)) });
        assert_eq!(out, expected.to_string());
    }
}
