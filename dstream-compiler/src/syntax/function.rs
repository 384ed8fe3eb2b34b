//! Functions that users pass to operators: closures and paths.

use syn::{Attribute, Expr, ExprClosure, Lit, Meta};

use super::argument::count;
use super::lowering::Lowering;
use super::scope::{Scope, strip};
use super::{determinism, mention};
use crate::diag::{Diagnostic, Place, table};
use crate::ir::logical::{Function, is_context};
use crate::op::Operator;

/// Requirements of an operator on a function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The operator.
    pub(super) operator: &'static Operator,
    /// How many parameters.
    pub(super) parameters: usize,
    /// An example.
    pub(super) example: &'static str,
    /// Whether it may take its context behind them.
    pub(super) context: bool,
}

impl Wanted {
    /// Whether the function may differ from run to run: what an output does is not computed again, and nothing
    /// follows from what one does that only looks.
    fn may_differ(self) -> bool {
        self.operator.is_output() || self.operator.observes
    }
}

impl Lowering<'_> {
    /// Checks a function argument. `allowed`: the statement allows non-determinism.
    pub(super) fn function(
        &mut self,
        expr: &Expr,
        wanted: Wanted,
        scope: &mut Scope,
        allowed: bool,
    ) -> Option<Function> {
        match strip(expr) {
            Expr::Closure(closure) => self.closure(closure, wanted, scope, allowed),
            Expr::Path(path) => {
                if let Some(name) = scope.stream_name(expr) {
                    let name = name.to_string();
                    scope.use_stream(&name);
                    self.report(
                        Diagnostic::new(&table::NOT_A_CLOSURE, Place::of(expr))
                            .with("name", wanted.operator.name)
                            .with("example", wanted.example),
                    );
                    return None;
                }
                let expr = Expr::Path(path.clone());
                let allowed = allowed || wanted.may_differ();
                if !allowed {
                    determinism::function(&expr, &mut self.diagnostics);
                }
                Some(Function::new(expr, allowed))
            }
            _ => {
                self.report(
                    Diagnostic::new(&table::NOT_A_CLOSURE, Place::of(expr))
                        .with("name", wanted.operator.name)
                        .with("example", wanted.example),
                );
                None
            }
        }
    }

    fn closure(
        &mut self,
        closure: &ExprClosure,
        wanted: Wanted,
        scope: &mut Scope,
        allowed: bool,
    ) -> Option<Function> {
        let before = self.diagnostics.len();
        let mut closure = closure.clone();
        let allowed = self.allowance(&mut closure.attrs) || allowed || wanted.may_differ();
        if let Some(token) = closure.asyncness.take() {
            self.report(
                Diagnostic::new(&table::ASYNC_CLOSURE, token.span)
                    .with("name", wanted.operator.name),
            );
        }
        self.parameters(&closure, wanted);
        if wanted.operator.makes_key && is_float(&closure.body) {
            self.report(Diagnostic::new(&table::FLOAT_KEY, Place::of(&closure.body)));
        }
        let expr = Expr::Closure(ExprClosure { capture: None, ..closure });
        for stream in mention::streams(&expr, scope) {
            let name = stream.to_string();
            scope.use_stream(&name);
            self.report(Diagnostic::new(&table::STREAM_IN_CLOSURE, &stream).with("name", name));
        }
        if !allowed {
            determinism::function(&expr, &mut self.diagnostics);
        }
        (self.diagnostics.len() == before).then_some(Function::new(expr, allowed))
    }

    fn parameters(&mut self, closure: &ExprClosure, wanted: Wanted) {
        let found = closure.inputs.len();
        let with_context = wanted.context
            && found == wanted.parameters + 1
            && closure.inputs.last().is_some_and(is_context);
        if found == wanted.parameters || with_context {
            return;
        }
        let pair = if wanted.parameters == 1 && found == 2 {
            "; to take a pair apart, put it in parentheses: `|(a, b)| …`; a second parameter is the context, called `ctx`"
        } else {
            ""
        };
        let place = if closure.inputs.is_empty() {
            Place::of(&closure.inputs_begin)
        } else {
            Place::of(&closure.inputs)
        };
        self.report(
            Diagnostic::new(&table::CLOSURE_PARAMETERS, place)
                .with("name", wanted.operator.name)
                .with("expected", parameter_count(wanted.parameters))
                .with("found", count(found))
                .with("example", wanted.example)
                .with("pair", pair),
        );
    }

    /// Removes `#[allow_nondeterminism = "why"]` from the attributes of a closure or statement.
    pub(super) fn allowance(&mut self, attributes: &mut Vec<Attribute>) -> bool {
        let mut allowed = false;
        attributes.retain(|attribute| {
            if !attribute.path().is_ident("allow_nondeterminism") {
                return true;
            }
            allowed = true;
            let reason = match &attribute.meta {
                Meta::NameValue(pair) => match &pair.value {
                    Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => text.value(),
                    _ => String::new(),
                },
                _ => String::new(),
            };
            if reason.trim().is_empty() {
                self.diagnostics
                    .push(Diagnostic::new(&table::ALLOW_WITHOUT_REASON, Place::of(attribute)));
            }
            false
        });
        allowed
    }
}

/// Whether an expression is evidently a float: a literal, or a conversion to one.
fn is_float(expr: &Expr) -> bool {
    match strip(expr) {
        Expr::Lit(syn::ExprLit { lit: Lit::Float(_), .. }) => true,
        Expr::Cast(cast) => match &*cast.ty {
            syn::Type::Path(ty) => ty.path.is_ident("f32") || ty.path.is_ident("f64"),
            _ => false,
        },
        Expr::Block(block) => match block.block.stmts.last() {
            Some(syn::Stmt::Expr(tail, None)) => is_float(tail),
            _ => false,
        },
        Expr::Unary(unary) => is_float(&unary.expr),
        Expr::Tuple(tuple) => tuple.elems.iter().any(is_float),
        _ => false,
    }
}

fn parameter_count(count: usize) -> String {
    match count {
        0 => "no parameters".to_owned(),
        1 => "one parameter".to_owned(),
        2 => "two parameters".to_owned(),
        n => format!("{n} parameters"),
    }
}
