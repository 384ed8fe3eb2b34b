//! A place in the user's program: its first and last token.
//!
//! `Span::join` fails on stable, so both ends are kept; rustc underlines from one to the other.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;

/// From the first token to the last.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    start: Span,
    end: Span,
}

impl Place {
    /// The place of these tokens.
    #[must_use]
    pub fn of(tokens: &impl ToTokens) -> Self {
        let mut tokens = tokens.to_token_stream().into_iter();
        let Some(first) = tokens.next() else {
            return Span::call_site().into();
        };
        let start = first.span();
        let end = tokens.last().map_or(start, |token| token.span());
        Self { start, end }
    }

    /// From one token to another.
    #[must_use]
    pub fn between(start: Span, end: Span) -> Self {
        Self { start, end }
    }

    /// Its first token.
    #[must_use]
    pub fn start(&self) -> Span {
        self.start
    }

    /// Its last token.
    #[must_use]
    pub fn end(&self) -> Span {
        self.end
    }

    /// Its first line, if the compiler provides it.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        let line = self.start.start().line;
        (line > 0).then_some(line)
    }

    /// An error at this place.
    pub(super) fn error(&self, text: String) -> syn::Error {
        let ends: TokenStream = [self.start, self.end]
            .map(|span| TokenTree::from(Ident::new("x", span)))
            .into_iter()
            .collect();
        syn::Error::new_spanned(ends, text)
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self { start: span, end: span }
    }
}

impl From<&Ident> for Place {
    fn from(ident: &Ident) -> Self {
        ident.span().into()
    }
}

#[cfg(test)]
impl Place {
    /// The source text of both ends.
    pub(crate) fn source(&self) -> Option<String> {
        self.start.join(self.end)?.source_text()
    }
}
