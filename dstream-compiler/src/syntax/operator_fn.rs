//! Operator functions: functions of streams that are inlined into the plans of jobs.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::{Block, Expr, FnArg, ItemFn, Pat, Path, ReturnType, Stmt, Type};

use super::body::names;
use super::chain::Link;
use super::header;
use super::lowering::{Lowering, Slide};
use super::scope::{Binding, Kind, Scope};
use super::statement::split_tail;
use crate::diag::{Diagnostic, Diagnostics, Place, table};
use crate::ir::logical::{Node, SourceFormat};
use crate::ir::rust_text;
use crate::op::{Argument, source};

/// A parameter of an operator function.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name.
    pub name: Ident,
    /// Its type; `None` for a stream.
    pub value: Option<Type>,
}

/// A function marked `#[dstream::operator]`.
#[derive(Debug, Clone)]
pub struct OperatorFn {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Its body.
    pub block: Block,
    /// Whether it has no mistakes of its own. Calls of an invalid function add nothing to the plan, since
    /// its mistakes are reported at its definition.
    pub sound: bool,
}

impl OperatorFn {
    /// Parses an operator function, and checks everything that does not depend on its callers.
    #[must_use]
    pub fn parse(item: TokenStream) -> (Option<Self>, Diagnostics) {
        let mut diagnostics = Diagnostics::default();
        let Some(item) = header::function(item, "operator", &mut diagnostics) else {
            return (None, diagnostics);
        };
        let mut function = signature(&item, &mut diagnostics);
        function.check(&mut diagnostics);
        function.sound = diagnostics.is_empty();
        (Some(function), diagnostics)
    }

    /// Paths called with a stream that are not in the list.
    #[must_use]
    pub fn unresolved(&self, operators: &[(String, OperatorFn)]) -> Vec<Path> {
        self.lowered(operators).unresolved
    }

    fn check(&self, diagnostics: &mut Diagnostics) {
        let mut lowering = self.lowered(&[]);
        diagnostics.extend(std::mem::take(&mut lowering.diagnostics));
    }

    /// Lowers its body, with sources in place of its stream parameters.
    fn lowered<'a>(&self, operators: &'a [(String, OperatorFn)]) -> Lowering<'a> {
        let mut lowering = Lowering::new(operators, None);
        lowering.accept_unresolved = true;
        let name = self.name.to_string();
        let mut scope = Scope::new(Kind::Operator(name.clone()), None);
        for parameter in &self.parameters {
            let ident = &parameter.name;
            match &parameter.value {
                None => {
                    let node = lowering.add(stand_in(ident), &[], Slide::Unknown);
                    scope.bind(Binding {
                        node: Some(node),
                        used: false,
                        broken: false,
                        ident: ident.clone(),
                    });
                }
                Some(_) => _ = scope.values.insert(ident.to_string(), ident.clone()),
            }
        }
        lowering.inlining.push(name.clone());
        let (statements, tail) = split_tail(&self.block.stmts, &scope.kind);
        for name in names(statements) {
            lowering.reserve(&name.unraw().to_string());
        }
        for statement in statements {
            lowering.statement(statement, &mut scope);
        }
        match tail {
            Some(tail) if lowering.is_stream(tail, &scope) => {
                lowering.stream(tail, &mut scope, Link::Named(&name), false);
                if let Some(Stmt::Expr(_, Some(semicolon))) = self.block.stmts.last() {
                    lowering.report(
                        Diagnostic::new(&table::NO_TAIL, semicolon.span).with("name", name),
                    );
                }
            }
            Some(tail) => {
                let before = lowering.diagnostics.len();
                lowering.tail_is_no_stream(tail, &mut scope);
                if lowering.diagnostics.len() == before {
                    lowering.report(
                        Diagnostic::new(&table::NO_TAIL, Place::of(tail)).with("name", name),
                    );
                }
            }
            None => {
                let end = self.block.brace_token.span.close();
                lowering.report(Diagnostic::new(&table::NO_TAIL, end).with("name", name));
            }
        }
        lowering.unused(&scope);
        lowering
    }
}

/// A source in place of a stream parameter.
fn stand_in(name: &Ident) -> Node {
    let url = Expr::Verbatim(TokenStream::new());
    let records = Argument::Records { format: SourceFormat::Text, record: None };
    Node {
        operator: &source::TEXT,
        arguments: vec![records, Argument::Value(url)].into(),
        stream: name.to_string(),
        named: true,
        at: name.span(),
        whole: name.span(),
        merged: Vec::new(),
        synthetic: false,
    }
}

fn signature(item: &ItemFn, diagnostics: &mut Diagnostics) -> OperatorFn {
    let name = item.sig.ident.clone();
    header::plain(
        item,
        "an operator function",
        "an operator function is inlined where it is called; take `Stream<T>` of the record itself",
        diagnostics,
    );
    let parameters: Vec<Parameter> =
        item.sig.inputs.iter().filter_map(|input| parameter(input, diagnostics)).collect();
    if parameters.iter().all(|parameter| parameter.value.is_some()) {
        let place: Place = name.span().into();
        diagnostics.push(
            Diagnostic::new(&table::NO_STREAM_PARAMETER, place).with("name", name.to_string()),
        );
    }
    let (returns, place) = match &item.sig.output {
        ReturnType::Default => (false, Place::of(&item.sig.ident)),
        ReturnType::Type(_, ty) => (is_stream_type(ty), Place::of(ty)),
    };
    if !returns {
        diagnostics.push(
            Diagnostic::new(&table::NO_STREAM_RETURNED, place).with("name", name.to_string()),
        );
    }
    OperatorFn { name, parameters, block: (*item.block).clone(), sound: false }
}

fn parameter(input: &FnArg, diagnostics: &mut Diagnostics) -> Option<Parameter> {
    let FnArg::Typed(typed) = input else {
        diagnostics.push(
            Diagnostic::new(&table::SELF_PARAMETER, Place::of(input))
                .with("what", "an operator function"),
        );
        return None;
    };
    if let Type::Reference(reference) = &*typed.ty
        && is_stream_type(&reference.elem)
    {
        diagnostics
            .push(Diagnostic::new(&table::STREAM_REFERENCE, Place::of(&reference.and_token)));
    }
    let stream = match &*typed.ty {
        Type::Reference(reference) => is_stream_type(&reference.elem),
        ty => is_stream_type(ty),
    };
    match &*typed.pat {
        Pat::Ident(pat) => {
            if let Some(token) = &pat.mutability {
                diagnostics.push(
                    Diagnostic::new(&table::LET_MUT, token.span)
                        .with("where", "an operator function")
                        .with("instead", ""),
                );
            }
            let value = (!stream).then(|| (*typed.ty).clone());
            Some(Parameter { name: pat.ident.clone(), value })
        }
        pat => {
            let ty = rust_text::type_text(&typed.ty);
            diagnostics.push(
                Diagnostic::new(&table::PARAMETER_PATTERN, Place::of(pat))
                    .with("instead", format!("name: {ty}")),
            );
            None
        }
    }
}

/// Whether a type is `Stream<T>`, by any path.
fn is_stream_type(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|s| s.ident == "Stream"),
        Type::Group(group) => is_stream_type(&group.elem),
        Type::Paren(paren) => is_stream_type(&paren.elem),
        _ => false,
    }
}

/// An identifier at a user's place.
pub(super) fn ident(name: &str, span: Span) -> Ident {
    Ident::new(name, span)
}
