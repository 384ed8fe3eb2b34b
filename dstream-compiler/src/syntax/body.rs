//! The body of a job: its statements, and checks over all of them.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{Expr, Pat, Stmt};

use super::header::Signature;
use super::lowering::Lowering;
use super::scope::{Kind, Scope};
use crate::diag::{Diagnostic, table};
use crate::op;

impl Lowering<'_> {
    /// Lowers a job's body into the plan.
    pub(crate) fn job(&mut self, signature: &Signature) {
        let mut scope = Scope::new(Kind::Job, None);
        if let Some((name, _)) = &signature.header.params {
            scope.values.insert(name.to_string(), name.clone());
        }
        let statements = &signature.item.block.stmts;
        for name in names(statements) {
            self.reserve(&name.unraw().to_string());
        }
        for statement in statements {
            self.statement(statement, &mut scope);
        }
        self.unused(&scope);
        if !self.has_output && self.diagnostics.is_empty() {
            let name = &signature.header.name;
            self.report(Diagnostic::new(&table::NO_OUTPUT, name).with("name", name.to_string()));
        }
    }

    /// Reports the unused streams of a body.
    pub(super) fn unused(&mut self, scope: &Scope) {
        for name in &scope.order {
            let Some(binding) = scope.streams.get(name) else {
                continue;
            };
            if !binding.used && !binding.broken && !name.starts_with('_') {
                let way = match scope.kind {
                    Kind::Job => format!("give it an output: `{name}.print();`"),
                    Kind::Operator(_) => "use it in what the function returns".to_owned(),
                };
                self.report(
                    Diagnostic::new(&table::UNUSED_STREAM, &binding.ident)
                        .with("name", name.clone())
                        .with("way", way),
                );
            }
        }
    }
}

/// The names bound by `let`s.
pub(super) fn names(statements: &[Stmt]) -> impl Iterator<Item = &Ident> {
    statements.iter().filter_map(|statement| match statement {
        Stmt::Local(local) => bound(&local.pat),
        _ => None,
    })
}

/// The name bound by a pattern that is a plain name.
pub(super) fn bound(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(&pat.ident),
        Pat::Type(typed) => bound(&typed.pat),
        Pat::Paren(paren) => bound(&paren.pat),
        _ => None,
    }
}

/// Whether an expression ends in an output.
pub(super) fn ends_in_output(expr: &Expr) -> bool {
    match super::scope::strip(expr) {
        Expr::MethodCall(call) => {
            op::by_name(&call.method.to_string()).is_some_and(op::Operator::is_output)
        }
        _ => false,
    }
}
