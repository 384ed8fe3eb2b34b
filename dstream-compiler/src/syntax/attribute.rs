//! The attribute of a job: `interval = "1s"`.

use proc_macro2::{Ident, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, Lit, Token};

use super::duration;
use crate::diag::{Diagnostic, Diagnostics, Place, table};

/// The default batch interval.
const DEFAULT_INTERVAL_MS: u64 = 1_000;
/// The longest batch interval: one day.
const MAX_INTERVAL_MS: u64 = 86_400_000;

struct Setting {
    name: Ident,
    value: Option<Expr>,
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.parse()?;
        let value = if input.parse::<Option<Token![=]>>()?.is_some()
            && !input.is_empty()
            && !input.peek(Token![,])
        {
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self { name, value })
    }
}

/// The interval in milliseconds; `None` if invalid.
pub(crate) fn interval(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Option<u64> {
    let parser = Punctuated::<Setting, Token![,]>::parse_terminated;
    let place = Place::of(&tokens);
    let settings = match syn::parse::Parser::parse2(parser, tokens.clone()) {
        Ok(settings) => settings,
        Err(_) => {
            diagnostics.push(
                Diagnostic::new(&table::UNKNOWN_ATTRIBUTE, place).with("name", tokens.to_string()),
            );
            return None;
        }
    };
    let mut interval = Some(DEFAULT_INTERVAL_MS);
    let mut first: Option<Ident> = None;
    for Setting { name, value } in settings {
        if name != "interval" {
            diagnostics.push(
                Diagnostic::new(&table::UNKNOWN_ATTRIBUTE, &name).with("name", name.to_string()),
            );
            continue;
        }
        if let Some(first) = &first {
            diagnostics.push(
                Diagnostic::new(&table::REPEATED_ATTRIBUTE, &name)
                    .with("name", "interval")
                    .note(first, "it is first set"),
            );
            continue;
        }
        interval = interval_value(&name, value.as_ref(), diagnostics);
        first = Some(name);
    }
    interval
}

fn interval_value(
    name: &Ident,
    value: Option<&Expr>,
    diagnostics: &mut Diagnostics,
) -> Option<u64> {
    let Some(value) = value else {
        diagnostics.push(Diagnostic::new(&table::MISSING_INTERVAL, name));
        return None;
    };
    let text = match value {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => text.value(),
        other => quote::ToTokens::to_token_stream(other).to_string(),
    };
    let ms = match value {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(_), .. }) => duration::parse(&text),
        _ => None,
    };
    let Some(ms) = ms else {
        diagnostics
            .push(Diagnostic::new(&table::BAD_INTERVAL, Place::of(value)).with("text", text));
        return None;
    };
    if ms == 0 || ms > MAX_INTERVAL_MS {
        diagnostics
            .push(Diagnostic::new(&table::INTERVAL_RANGE, Place::of(value)).with("text", text));
        return None;
    }
    Some(ms)
}
