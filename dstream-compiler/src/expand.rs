//! The expansion of the macros.
//!
//! A macro cannot see an operator function in another module or crate. So `#[dstream::operator]` also
//! defines a `macro_rules!` with the function's name that passes the function's tokens to a callback. A job
//! that calls operators expands to a call of the first one's macro, with the job as the callback and the
//! known operators as its state, until none is missing.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{ItemFn, Path, Visibility};

use crate::codegen;
use crate::compile::{compile_job, unresolved_operators};
use crate::reserved;
use crate::syntax::OperatorFn;

/// `#[dstream::job(ATTRIBUTE)] ITEM`
#[must_use]
pub fn job(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let compiled = compile_job(attribute.clone(), item.clone(), &[]);
    let (Some(header), Ok(function)) = (&compiled.header, syn::parse2::<ItemFn>(item.clone()))
    else {
        let errors = compiled.diagnostics.to_compile_errors();
        return quote!(#errors #item);
    };
    if function.sig.receiver().is_some() {
        let errors = compiled.diagnostics.to_compile_errors();
        let method = codegen::method(&function);
        return quote!(#errors #method);
    }
    let compiled = State { attribute, item, operators: Vec::new() }.advance();
    codegen::items(header, &compiled)
}

/// The callback: the state with one more operator.
#[must_use]
pub fn job_with_operator(input: TokenStream) -> TokenStream {
    match State::read(input) {
        Some(state) => state.advance(),
        None => {
            quote!(::dstream::__private::core::compile_error!("`__job!` is called by generated code only");)
        }
    }
}

/// The state of a job while its operators are collected.
struct State {
    attribute: TokenStream,
    item: TokenStream,
    /// The path as written at the call, and the function.
    operators: Vec<(String, TokenStream)>,
}

impl State {
    /// Asks for the next operator, or compiles the job.
    fn advance(self) -> TokenStream {
        let mut known = Vec::new();
        for (path, tokens) in &self.operators {
            // Mistakes inside an operator are reported at its definition.
            if let (Some(operator), _) = OperatorFn::parse(tokens.clone()) {
                known.push((path.clone(), operator));
            }
        }
        let missing = unresolved_operators(self.item.clone(), &known)
            .into_iter()
            .chain(known.iter().flat_map(|(_, operator)| operator.unresolved(&known)))
            .find(|path| !self.operators.iter().any(|(known, _)| *known == text(path)));
        match missing {
            Some(path) => self.ask(&path),
            None => self.compile(&known),
        }
    }

    fn ask(&self, path: &Path) -> TokenStream {
        let Self { attribute, item, operators } = self;
        let known = operators.iter().map(|(path, tokens)| quote!({ #path { #tokens } }));
        let text = text(path);
        quote! {
            #path! {
                @dstream { ::dstream::__job } { { #attribute } { #item } { #(#known)* } { #text } }
            }
        }
    }

    fn compile(self, operators: &[(String, OperatorFn)]) -> TokenStream {
        let compiled = compile_job(self.attribute, self.item.clone(), operators);
        match (&compiled.physical, &compiled.header, syn::parse2(self.item)) {
            (Some(plan), _, _) => codegen::compiled(plan),
            (None, Some(header), Ok(item)) => codegen::wrong(&compiled.diagnostics, header, &item),
            (None, ..) => compiled.diagnostics.to_compile_errors(),
        }
    }

    /// `{ { ATTRIBUTE } { ITEM } { KNOWN } { "path" } } { OPERATOR }`
    fn read(input: TokenStream) -> Option<Self> {
        let [state, operator] = groups(input)?.try_into().ok()?;
        let [attribute, item, known, path] = groups(state)?.try_into().ok()?;
        let mut operators = Vec::new();
        for entry in groups(known)? {
            let mut entry = entry.into_iter();
            let path = string(entry.next()?)?;
            let tokens = braced(entry.next()?)?;
            operators.push((path, tokens));
        }
        operators.push((string(path.into_iter().next()?)?, operator));
        Some(Self { attribute, item, operators })
    }
}

/// A path as text, the key of an operator.
fn text(path: &Path) -> String {
    path.to_token_stream().to_string().replace(' ', "")
}

/// The contents of a sequence of `{ … }`.
fn groups(tokens: TokenStream) -> Option<Vec<TokenStream>> {
    tokens.into_iter().map(braced).collect()
}

fn braced(token: TokenTree) -> Option<TokenStream> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
        // `macro_rules!` may add a group.
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            let mut inner = group.stream().into_iter();
            let token = inner.next()?;
            inner.next().is_none().then(|| braced(token)).flatten()
        }
        _ => None,
    }
}

fn string(token: TokenTree) -> Option<String> {
    match token {
        TokenTree::Literal(literal) => {
            syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|text| text.value())
        }
        TokenTree::Group(group) => string(group.stream().into_iter().next()?),
        _ => None,
    }
}

/// `#[dstream::operator] ITEM`
#[must_use]
pub fn operator(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let (_, diagnostics) = OperatorFn::parse(item.clone());
    let mut errors = diagnostics.to_compile_errors();
    if !attribute.is_empty() {
        let message = "`#[dstream::operator]` takes no arguments";
        errors.extend(syn::Error::new_spanned(&attribute, message).to_compile_error());
    }
    match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => {
            let carrier = carrier(&function, &item);
            let stub = stub(&function);
            quote!(#errors #carrier #stub)
        }
        Err(_) => quote!(#errors #item),
    }
}

/// The `macro_rules!` that carries the function's tokens. It has the function's name in the macro namespace,
/// so that importing one imports the other; a standard macro of that name is re-exported.
fn carrier(function: &ItemFn, item: &TokenStream) -> TokenStream {
    let name = &function.sig.ident;
    let (at, text) = (name.span().start(), name.to_string());
    let file = name.span().local_file().map_or(0, |file| hash(&file.to_string_lossy()));
    // Exported macros of a crate share a namespace: the place distinguishes functions of the same name.
    let hidden = reserved::carrier(&text, file, at.line, at.column);
    let hidden = Ident::new(&hidden, Span::call_site());
    let (export, visibility) = match &function.vis {
        // A public one is exported from the root of its crate.
        visibility @ Visibility::Public(_) => (Some(quote!(#[macro_export])), visibility.clone()),
        Visibility::Inherited => (None, syn::parse_quote!(pub(self))),
        visibility => (None, visibility.clone()),
    };
    let item = Group::new(Delimiter::Brace, item.clone());
    let standard = STANDARD.contains(&text.as_str()).then(|| {
        quote! {
            ($($other:tt)*) => { ::dstream::__private::std::#name! { $($other)* } };
        }
    });
    quote! {
        #[doc(hidden)]
        #export
        macro_rules! #hidden {
            (@dstream { $($callback:tt)* } { $($state:tt)* }) => {
                $($callback)*! { { $($state)* } #item }
            };
            #standard
        }
        #[doc(hidden)]
        #[allow(unused_imports)]
        #visibility use #hidden as #name;
    }
}

/// Macros that are in scope everywhere; the carrier of an operator function with such a name hides it.
const STANDARD: [&str; 35] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "cfg",
    "column",
    "compile_error",
    "concat",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "env",
    "eprint",
    "eprintln",
    "file",
    "format",
    "format_args",
    "include",
    "include_bytes",
    "include_str",
    "line",
    "matches",
    "module_path",
    "option_env",
    "panic",
    "print",
    "println",
    "stringify",
    "thread_local",
    "todo",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The function as shown in documentation and editors; never called.
fn stub(function: &ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, .. } = function;
    let name: &Ident = &sig.ident;
    let message = format!("`{name}` is an operator: call it in a job, with a stream");
    quote! {
        #(#attrs)*
        #[allow(dead_code, unused_variables)]
        #vis #sig {
            ::dstream::__private::core::unreachable!(#message)
        }
    }
}
