//! Where rustc shows what is wrong with a value of the user's.
//!
//! rustc underlines an expression from its first token to its last, and keeps one error of a kind per
//! place. So a call that checks a value has all its tokens at the ends of the user's code that made the
//! value; only the value's name, in brackets, is the generated code's own. A span of generated code at
//! either end would drag the job's attribute into the picture.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::Expr;

use crate::diag::Place;
use crate::ir::logical::Function;

/// The code that makes what a function returns: its body, or its path.
pub(crate) fn result(function: &Function) -> Place {
    match &function.expr {
        Expr::Closure(closure) => Place::of(&closure.body),
        path => Place::of(path),
    }
}

/// `__dstream::function`, at a place.
pub(crate) fn path(place: Place, function: &str) -> TokenStream {
    let runtime = quote_spanned!(place.start()=> __dstream::);
    let function = Ident::new(function, place.end());
    quote!(#runtime #function)
}

/// `__dstream::Type::function`, at a place.
pub(crate) fn associated(place: Place, ty: &str, function: &str) -> TokenStream {
    let ty = Ident::new(ty, place.start());
    let ty = quote_spanned!(place.start()=> __dstream::#ty::);
    let function = Ident::new(function, place.end());
    quote!(#ty #function)
}

/// `__dstream::function(&(value))`, all of it at a place.
pub(crate) fn view(place: Place, function: &str, value: &Ident) -> TokenStream {
    borrowed(place, function, quote_spanned!(place.start()=> &), value)
}

/// `__dstream::next(&mut (iterator))`, all of it at a place.
pub(crate) fn next(place: Place, iterator: &Ident) -> TokenStream {
    borrowed(place, "next", quote_spanned!(place.start()=> &mut), iterator)
}

fn borrowed(place: Place, function: &str, reference: TokenStream, value: &Ident) -> TokenStream {
    let path = path(place, function);
    let value = within(place.end(), quote!(#value));
    let arguments = within(place.end(), quote!(#reference #value));
    quote!(#path #arguments)
}

/// `__dstream::function({ value })`, all of it at a place.
pub(crate) fn value(place: Place, function: &str, value: &Ident) -> TokenStream {
    let path = path(place, function);
    let value = moved(place, value);
    let arguments = within(place.end(), value);
    quote!(#path #arguments)
}

/// `value`, at a place.
pub(crate) fn moved(place: Place, value: &Ident) -> TokenStream {
    // A field of a tuple is the shortest expression that has a token at each end.
    let tuple = within(place.start(), quote!(#value,));
    let field = quote_spanned!(place.end()=> .0);
    quote!(#tuple #field)
}

/// `(…)`, its parentheses at a place.
pub(crate) fn within(span: Span, tokens: TokenStream) -> TokenStream {
    group(Delimiter::Parenthesis, span, tokens)
}

/// `{…}`, its braces at a place.
pub(crate) fn block(span: Span, tokens: TokenStream) -> TokenStream {
    group(Delimiter::Brace, span, tokens)
}

/// `[…]`, its brackets at a place.
pub(crate) fn bracketed(span: Span, tokens: TokenStream) -> TokenStream {
    group(Delimiter::Bracket, span, tokens)
}

fn group(delimiter: Delimiter, span: Span, tokens: TokenStream) -> TokenStream {
    let mut group = Group::new(delimiter, tokens);
    group.set_span(span);
    TokenTree::from(group).into()
}
