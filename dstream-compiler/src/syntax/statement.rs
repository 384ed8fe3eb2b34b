//! Statements of a body: those of the language, and advice for others.

use syn::ext::IdentExt;
use syn::{Attribute, Expr, Item, Local, Pat, Stmt};

use super::argument::return_instead;
use super::body::{bound, ends_in_output};
use super::chain::Link;
use super::lowering::{Lowering, path_text};
use super::scope::{Binding, Kind, Scope, strip};
use super::{determinism, mention};
use crate::diag::{Diagnostic, Mistake, Place, table};
use crate::ir::logical::ParamLet;
use crate::ir::rust_text;

impl Lowering<'_> {
    /// Lowers a statement.
    pub(super) fn statement(&mut self, statement: &Stmt, scope: &mut Scope) {
        match statement {
            Stmt::Local(local) => self.local(local, scope),
            Stmt::Item(item) => {
                let (what, place) = item_kind(item);
                self.misplaced(&table::ITEM, place, scope, &[("what", what)]);
            }
            Stmt::Macro(statement) => self.macro_call(&statement.mac, scope),
            Stmt::Expr(expr, _) => self.expression(expr, scope),
        }
    }

    fn local(&mut self, local: &Local, scope: &mut Scope) {
        let mut attributes = local.attrs.clone();
        let allowed = self.allowance(&mut attributes);
        let Some(init) = &local.init else {
            let name = bound(&local.pat).map_or_else(|| "name".to_owned(), ToString::to_string);
            self.report(
                Diagnostic::new(&table::LET_WITHOUT_VALUE, Place::of(&local.pat))
                    .with("name", name),
            );
            return;
        };
        if let Some((token, _)) = &init.diverge {
            self.misplaced(&table::LET_ELSE, token.span.into(), scope, &[]);
        }
        if self.is_stream(&init.expr, scope) {
            self.attributes(&attributes, scope);
            self.stream_let(local, &init.expr, scope, allowed);
        } else {
            self.plain_let(local, &attributes, &init.expr, scope, allowed);
        }
    }

    fn stream_let(&mut self, local: &Local, init: &Expr, scope: &mut Scope, allowed: bool) {
        let pat = match &local.pat {
            Pat::Type(typed) => {
                self.report(
                    Diagnostic::new(&table::STREAM_TYPE, Place::of(&typed.ty))
                        .with("type", rust_text::type_text(&typed.ty)),
                );
                &*typed.pat
            }
            pat => pat,
        };
        let ident = match pat {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
                if let Some(token) = &pat.mutability {
                    self.let_mut(token.span, scope);
                }
                &pat.ident
            }
            pat => {
                self.report(Diagnostic::new(&table::STREAM_PATTERN, Place::of(pat)));
                self.stream(init, scope, Link::Middle, allowed);
                for name in mention::bound(pat) {
                    scope.bind(Binding::broken(&name));
                }
                return;
            }
        };
        let name = ident.to_string();
        if let Some(same) = scope.stream_name(init) {
            let same = same.to_string();
            let node = scope.use_stream(&same);
            scope.bind(Binding { node, ..Binding::broken(ident) });
            self.report(
                Diagnostic::new(&table::ALIAS, Place::of(init))
                    .with("alias", name.clone())
                    .with("name", same),
            );
            return;
        }
        let full = match &scope.prefix {
            Some(prefix) => {
                let wanted = format!("{prefix}.{}", ident.unraw());
                self.unique(&wanted)
            }
            None => ident.unraw().to_string(),
        };
        let before = self.diagnostics.len();
        let node = self.stream(init, scope, Link::Named(&full), allowed);
        let broken = self.diagnostics.len() > before;
        let shadows = scope.values.contains_key(&name);
        if !self.taken(ident, scope) {
            scope.bind(Binding { ident: ident.clone(), node, used: false, broken });
        } else if shadows {
            // Later uses mean the stream.
            scope.values.remove(&name);
            scope.bind(Binding { node, ..Binding::broken(ident) });
        }
    }

    /// Reports a name that is already taken.
    fn taken(&mut self, ident: &proc_macro2::Ident, scope: &Scope) -> bool {
        let name = ident.to_string();
        if let Some(first) = scope.streams.get(&name) {
            self.report(
                Diagnostic::new(&table::SAME_NAME, ident)
                    .with("name", name)
                    .note(&first.ident, "the first one is defined"),
            );
            return true;
        }
        if let Some(first) = scope.values.get(&name) {
            self.report(
                Diagnostic::new(&table::SHADOWED, ident)
                    .with("name", name)
                    .with("what", "a value")
                    .note(first, "it is defined"),
            );
            return true;
        }
        false
    }

    fn plain_let(
        &mut self,
        local: &Local,
        attributes: &[Attribute],
        init: &Expr,
        scope: &mut Scope,
        allowed: bool,
    ) {
        let Some(ident) = bound(&local.pat) else {
            self.report(Diagnostic::new(&table::LET_PATTERN, Place::of(&local.pat)));
            self.plain(init, scope);
            return;
        };
        let pat = match &local.pat {
            Pat::Type(typed) => &typed.pat,
            pat => pat,
        };
        if let Pat::Ident(pat) = pat
            && let Some(token) = &pat.mutability
        {
            self.let_mut(token.span, scope);
        }
        if self.streams_chosen(init, scope) {
            // Reported; treat the name as a stream.
            scope.bind(Binding::broken(ident));
            return;
        }
        self.plain(init, scope);
        if !allowed {
            determinism::value(init, &mut self.diagnostics);
        }
        if let Some(first) = scope.streams.get(&ident.to_string()) {
            let diagnostic = Diagnostic::new(&table::SHADOWED, ident)
                .with("name", ident.to_string())
                .with("what", "a stream")
                .note(&first.ident, "it is defined");
            self.report(diagnostic);
            return;
        }
        if self.taken(ident, scope) {
            return;
        }
        scope.values.insert(ident.to_string(), ident.clone());
        let statement = Stmt::Local(Local { attrs: attributes.to_vec(), ..local.clone() });
        self.lets.push(ParamLet { name: ident.clone(), statement });
    }

    /// Reports control flow that selects a stream: `let s = if … { a } else { b };`.
    fn streams_chosen(&mut self, init: &Expr, scope: &mut Scope) -> bool {
        let control = matches!(
            strip(init),
            Expr::If(_) | Expr::Match(_) | Expr::Block(_) | Expr::Loop(_) | Expr::Unsafe(_)
        );
        if !control || mention::streams(init, scope).is_empty() {
            return false;
        }
        self.use_streams(init, scope);
        self.control_flow(init, scope);
        true
    }

    fn expression(&mut self, expr: &Expr, scope: &mut Scope) {
        let mut expr = expr.clone();
        let mut allowed = false;
        if let Expr::MethodCall(call) = &mut expr {
            let mut attributes = std::mem::take(&mut call.attrs);
            allowed = self.allowance(&mut attributes);
            self.attributes(&attributes, scope);
        }
        if self.is_stream(&expr, scope) {
            if ends_in_output(&expr) {
                self.has_output = true;
                self.stream(&expr, scope, Link::Output, allowed);
            } else {
                let before = self.diagnostics.len();
                self.stream(&expr, scope, Link::Middle, allowed);
                if self.diagnostics.len() == before {
                    let way = match scope.kind {
                        Kind::Job => ", or add an output, `.save(url)` or `.print()`",
                        Kind::Operator(_) => ", and use it in what the function returns",
                    };
                    self.report(
                        Diagnostic::new(&table::NO_EFFECT, Place::of(&expr)).with("way", way),
                    );
                }
            }
            return;
        }
        if !self.control_flow(&expr, scope) {
            let before = self.diagnostics.len();
            self.plain(&expr, scope);
            if self.diagnostics.len() == before {
                self.report(Diagnostic::new(&table::EXPRESSION, Place::of(&expr)));
            }
        }
        self.use_streams(&expr, scope);
    }

    /// Reports a last expression of an operator function that is not a stream.
    pub(super) fn tail_is_no_stream(&mut self, tail: &Expr, scope: &mut Scope) {
        if !self.control_flow(tail, scope) {
            self.plain(tail, scope);
        }
        self.use_streams(tail, scope);
    }

    /// Reports control flow; returns `false` for other expressions.
    fn control_flow(&mut self, expr: &Expr, scope: &Scope) -> bool {
        let (mistake, place, values): (&'static Mistake, Place, Vec<(&'static str, &str)>) =
            match strip(expr) {
                Expr::If(e) => (&table::IF, e.if_token.span.into(), vec![]),
                Expr::Match(e) => (&table::MATCH, e.match_token.span.into(), vec![]),
                Expr::ForLoop(e) => (&table::FOR, e.for_token.span.into(), vec![]),
                Expr::While(e) => {
                    (&table::LOOP, e.while_token.span.into(), vec![("keyword", "while")])
                }
                Expr::Loop(e) => {
                    (&table::LOOP, e.loop_token.span.into(), vec![("keyword", "loop")])
                }
                Expr::Return(e) => (
                    &table::RETURN,
                    e.return_token.span.into(),
                    vec![("instead", return_instead(&scope.kind))],
                ),
                Expr::Break(e) => {
                    (&table::BREAK, e.break_token.span.into(), vec![("keyword", "break")])
                }
                Expr::Continue(e) => {
                    (&table::BREAK, e.continue_token.span.into(), vec![("keyword", "continue")])
                }
                Expr::Try(e) => (&table::TRY, Place::of(&e.question_token), vec![]),
                Expr::Await(e) => (&table::AWAIT, e.await_token.span.into(), vec![]),
                Expr::Block(e) => (&table::BLOCK, e.block.brace_token.span.open().into(), vec![]),
                Expr::Unsafe(e) => (&table::BLOCK, e.unsafe_token.span.into(), vec![]),
                Expr::Async(e) => (&table::BLOCK, e.async_token.span.into(), vec![]),
                Expr::Assign(e) => (&table::ASSIGNMENT, Place::of(e), vec![]),
                Expr::Macro(e) => {
                    self.macro_call(&e.mac, scope);
                    return true;
                }
                _ => return false,
            };
        self.misplaced(mistake, place, scope, &values);
        true
    }

    fn macro_call(&mut self, mac: &syn::Macro, scope: &Scope) {
        let name = path_text(&mac.path);
        let instead = match name.as_str() {
            "println" | "print" | "dbg" | "eprintln" | "eprint" => {
                "to see a stream, write `stream.print();`; a closure may call it for one record"
            }
            "assert" | "assert_eq" | "assert_ne" | "debug_assert" => {
                "check records in a closure, and parameters where they are parsed"
            }
            _ => "write out what it stands for; closures and plain `let`s may call macros",
        };
        self.misplaced(
            &table::MACRO,
            Place::of(&mac.path),
            scope,
            &[("name", &name), ("instead", instead)],
        );
    }

    fn let_mut(&mut self, span: proc_macro2::Span, scope: &Scope) {
        self.misplaced(
            &table::LET_MUT,
            span.into(),
            scope,
            &[(
                "instead",
                "; state from batch to batch is kept by `.running_reduce(…)`, and a plain `let` may use `mut` in a block of its own: `let x = { let mut x = …; x };`",
            )],
        );
    }

    /// Reports attributes without meaning in a body.
    fn attributes(&mut self, attributes: &[Attribute], scope: &Scope) {
        for attribute in attributes {
            let name = path_text(attribute.path());
            self.misplaced(&table::BODY_ATTRIBUTE, Place::of(attribute), scope, &[("name", &name)]);
        }
    }

    fn misplaced(
        &mut self,
        mistake: &'static Mistake,
        place: Place,
        scope: &Scope,
        values: &[(&'static str, &str)],
    ) {
        let mut diagnostic = Diagnostic::new(mistake, place).with("where", scope.kind.noun());
        for (name, value) in values {
            diagnostic = diagnostic.with(name, *value);
        }
        self.report(diagnostic);
    }
}

fn item_kind(item: &Item) -> (&'static str, Place) {
    match item {
        Item::Fn(item) => ("fn", Place::of(&item.sig.fn_token)),
        Item::Struct(item) => ("struct", Place::of(&item.struct_token)),
        Item::Enum(item) => ("enum", Place::of(&item.enum_token)),
        Item::Use(item) => ("use", Place::of(&item.use_token)),
        Item::Const(item) => ("const", Place::of(&item.const_token)),
        Item::Static(item) => ("static", Place::of(&item.static_token)),
        Item::Impl(item) => ("impl", Place::of(&item.impl_token)),
        Item::Trait(item) => ("trait", Place::of(&item.trait_token)),
        Item::Mod(item) => ("mod", Place::of(&item.mod_token)),
        Item::Type(item) => ("type", Place::of(&item.type_token)),
        Item::Macro(item) => ("macro", Place::of(&item.mac.path)),
        other => ("item", Place::of(other)),
    }
}

/// Splits off the last expression of a body. One followed by a semicolon counts too; the caller reports the
/// semicolon.
pub(super) fn split_tail<'s>(
    statements: &'s [Stmt],
    kind: &Kind,
) -> (&'s [Stmt], Option<&'s Expr>) {
    match (kind, statements) {
        (Kind::Operator(_), [rest @ .., Stmt::Expr(tail, semicolon)])
            if semicolon.is_none() || !ends_in_output(tail) =>
        {
            (rest, Some(tail))
        }
        _ => (statements, None),
    }
}
