//! What is generated for a wrong program. The user's item still is a job, so that only the user's own
//! mistakes are shown and an editor keeps working.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::visit::{self, Visit};
use syn::{ExprClosure, ItemFn, PatIdent, Stmt};

use super::names::local;
use crate::diag::Diagnostics;
use crate::ir::logical::Header;

/// What a wrong job was compiled into, as an expression: its mistakes. Behind them stand its closures, for
/// the names that they use: rustc looks them up, and asks no more of a body that has an error in it.
#[must_use]
pub fn wrong(diagnostics: &Diagnostics, header: &Header, item: &ItemFn) -> TokenStream {
    let mut errors = diagnostics.iter().map(|d| d.to_compile_error());
    let (first, others) = (errors.next(), errors);
    let unknown = local("unknown");
    let params =
        header.params.as_ref().map(|(name, ty)| quote!(let #name: &'static #ty = #unknown;));
    let names = bound(item);
    let mut closures = Closures::default();
    closures.visit_block(&item.block);
    let closures = &closures.0;
    let items = item.block.stmts.iter().filter(|statement| matches!(statement, Stmt::Item(_)));
    quote! {
        {
            #(#items)*
            let #unknown = #first;
            #params
            #(let #names = #unknown;)*
            #(let _ = #closures;)*
            #(#others)*
            #unknown
        }
    }
}

/// The names that a body binds.
fn bound(item: &ItemFn) -> Vec<Ident> {
    let mut names = Bound::default();
    for statement in &item.block.stmts {
        if let Stmt::Local(local) = statement {
            names.visit_pat(&local.pat);
        }
    }
    names.0
}

#[derive(Default)]
struct Bound(Vec<Ident>);

impl<'a> Visit<'a> for Bound {
    fn visit_pat_ident(&mut self, pat: &'a PatIdent) {
        self.0.push(pat.ident.clone());
        visit::visit_pat_ident(self, pat);
    }
}

/// The outermost closures, without the attributes that only the compiler knows.
#[derive(Default)]
struct Closures(Vec<ExprClosure>);

impl<'a> Visit<'a> for Closures {
    fn visit_expr_closure(&mut self, closure: &'a ExprClosure) {
        let mut closure = closure.clone();
        closure.attrs.clear();
        self.0.push(closure);
    }
}

/// A method that should have been a job, as a method.
#[must_use]
pub fn method(item: &ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, .. } = item;
    quote! {
        #(#attrs)*
        #[allow(dead_code, unused_variables)]
        #vis #sig {
            ::dstream::__private::core::unreachable!("a method is no job")
        }
    }
}
