//! Calls of operator functions: inlines the body into the plan.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;
use syn::{ExprCall, ExprPath, parse_quote};

use super::argument::count;
use super::body::names;
use super::chain::Link;
use super::lowering::{Lowering, path_text};
use super::operator_fn::{OperatorFn, ident};
use super::scope::{Binding, Kind, Scope};
use super::statement::split_tail;
use super::{determinism, rename};
use crate::diag::{Diagnostic, Place, table};
use crate::ir::logical::ParamLet;
use crate::ir::rust_text;
use crate::reserved;

impl Lowering<'_> {
    /// Inlines a call of an operator function.
    pub(super) fn function_call(
        &mut self,
        call: &ExprCall,
        path: &ExprPath,
        scope: &mut Scope,
        link: Link<'_>,
        allowed: bool,
    ) -> Option<NodeIndex> {
        let text = path_text(&path.path);
        let last = path.path.segments.last()?.ident.to_string();
        let circle = match &self.operator(&path.path) {
            Some(_) => self.inlining.contains(&text),
            None => path.path.segments.len() == 1 && self.inlining.contains(&text),
        };
        if circle {
            let circle: Vec<String> = self
                .inlining
                .iter()
                .skip_while(|name| **name != text)
                .chain([&text])
                .map(|name| format!("`{name}`"))
                .collect();
            self.report(
                Diagnostic::new(&table::RECURSION, Place::of(path))
                    .with("circle", circle.join(" → ")),
            );
            self.arguments_alone(call, scope, allowed);
            return None;
        }
        let Some(function) = self.operator(&path.path) else {
            self.arguments_alone(call, scope, allowed);
            if self.unresolved.iter().all(|seen| path_text(seen) != text) {
                self.unresolved.push(path.path.clone());
            }
            if !self.accept_unresolved {
                self.report(
                    Diagnostic::new(&table::UNKNOWN_FUNCTION, Place::of(path))
                        .with("name", text)
                        .with("last", last),
                );
            }
            return None;
        };
        self.inline(call, &text, function, scope, link, allowed)
    }

    /// Checks the arguments of an invalid call.
    fn arguments_alone(&mut self, call: &ExprCall, scope: &mut Scope, allowed: bool) {
        for arg in &call.args {
            if self.is_stream(arg, scope) {
                self.stream(arg, scope, Link::Middle, allowed);
            } else {
                self.plain(arg, scope);
            }
        }
    }

    fn inline(
        &mut self,
        call: &ExprCall,
        path: &str,
        function: &OperatorFn,
        outer: &mut Scope,
        link: Link<'_>,
        allowed: bool,
    ) -> Option<NodeIndex> {
        if call.args.len() != function.parameters.len() {
            self.function_arity(call, path, function);
            self.arguments_alone(call, outer, allowed);
            return None;
        }
        self.calls += 1;
        let number = self.calls;
        let mut scope = Scope::new(Kind::Operator(path.to_owned()), None);
        let mut renamed = BTreeMap::new();
        let mut first_stream = None;
        let mut good = function.sound;
        for (parameter, arg) in function.parameters.iter().zip(&call.args) {
            let name = parameter.name.to_string();
            let is_stream = self.is_stream(arg, outer);
            match (&parameter.value, is_stream) {
                (None, true) => {
                    let node = self.stream(arg, outer, Link::Middle, allowed);
                    first_stream = first_stream.or(node);
                    good &= node.is_some() || self.accept_unresolved;
                    scope.bind(Binding { node, ..Binding::broken(&parameter.name) });
                }
                (Some(ty), false) => {
                    good &= self.plain(arg, outer);
                    if !allowed {
                        determinism::value(arg, &mut self.diagnostics);
                    }
                    let new = reserved::value(number, &name);
                    let new_ident = ident(&new, parameter.name.span());
                    let statement = parse_quote!(let #new_ident: #ty = #arg;);
                    self.lets.push(ParamLet { name: new_ident.clone(), statement });
                    scope.values.insert(new.clone(), new_ident);
                    renamed.insert(name, new);
                }
                (wanted, _) => {
                    good = false;
                    self.wrong_argument(arg, path, &name, wanted.as_ref());
                    if is_stream {
                        self.stream(arg, outer, Link::Middle, allowed);
                    } else {
                        self.plain(arg, outer);
                    }
                }
            }
        }
        if !good {
            return None;
        }
        let prefix = match link {
            Link::Named(name) => name.to_owned(),
            _ => {
                let parent = first_stream.map_or("", |node| self.stream_name(node)).to_owned();
                self.unique(&format!("{parent}.{}", function.name))
            }
        };
        scope.prefix = Some(prefix.clone());
        self.body(
            path,
            function,
            scope,
            &mut renamed,
            number,
            &prefix,
            matches!(link, Link::Named(_)),
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call, used once")]
    fn body(
        &mut self,
        path: &str,
        function: &OperatorFn,
        mut scope: Scope,
        renamed: &mut BTreeMap<String, String>,
        number: usize,
        prefix: &str,
        named: bool,
    ) -> Option<NodeIndex> {
        let mut block = function.block.clone();
        let streams = stream_names(self, function, &scope);
        for name in names(&function.block.stmts).map(ToString::to_string) {
            if !streams.contains(&name) {
                let new = reserved::value(number, &name);
                renamed.insert(name, new);
            }
        }
        rename::block(&mut block, renamed);
        self.inlining.push(path.to_owned());
        let (statements, tail) = split_tail(&block.stmts, &scope.kind);
        for statement in statements {
            self.statement(statement, &mut scope);
        }
        let nodes = self.graph.node_count();
        let node = tail.and_then(|tail| self.stream(tail, &mut scope, Link::Named(prefix), false));
        self.inlining.pop();
        let node = node?;
        // The tail is only a name of the body's: the call's name is the user's.
        let own = scope.streams.values().any(|binding| {
            binding.node == Some(node)
                && function.parameters.iter().all(|p| p.name != binding.ident)
        });
        if own && self.graph.node_count() == nodes {
            self.graph[node].stream = prefix.to_owned();
        }
        if self.graph[node].stream == prefix {
            self.graph[node].named = named;
        }
        Some(node)
    }

    fn function_arity(&mut self, call: &ExprCall, path: &str, function: &OperatorFn) {
        let expected = match function.parameters.len() {
            1 => "one argument".to_owned(),
            n => format!("{n} arguments"),
        };
        let usage: Vec<String> =
            function.parameters.iter().map(|parameter| parameter.name.to_string()).collect();
        let place =
            if call.args.is_empty() { Place::of(&call.func) } else { Place::of(&call.args) };
        self.report(
            Diagnostic::new(&table::FUNCTION_ARITY, place)
                .with("name", path)
                .with("expected", expected)
                .with("found", count(call.args.len()))
                .with("usage", format!("{path}({})", usage.join(", "))),
        );
    }

    fn wrong_argument(
        &mut self,
        arg: &syn::Expr,
        path: &str,
        parameter: &str,
        wanted: Option<&syn::Type>,
    ) {
        let diagnostic = match wanted {
            None => Diagnostic::new(&table::FUNCTION_NEEDS_STREAM, Place::of(arg)),
            Some(ty) => Diagnostic::new(&table::FUNCTION_NEEDS_VALUE, Place::of(arg))
                .with("type", rust_text::type_text(ty)),
        };
        self.report(diagnostic.with("name", path).with("parameter", parameter));
    }
}

/// The names in a body that stand for streams.
fn stream_names(lowering: &Lowering<'_>, function: &OperatorFn, outer: &Scope) -> Vec<String> {
    let mut scope = Scope::new(outer.kind.clone(), None);
    scope.streams.clone_from(&outer.streams);
    for parameter in &function.parameters {
        scope.values.insert(parameter.name.to_string(), parameter.name.clone());
    }
    let mut found = Vec::new();
    for statement in &function.block.stmts {
        let syn::Stmt::Local(local) = statement else {
            continue;
        };
        let (Some(name), Some(init)) = (super::body::bound(&local.pat), &local.init) else {
            continue;
        };
        if lowering.is_stream(&init.expr, &scope) {
            scope.bind(Binding::broken(name));
            found.push(name.to_string());
        } else {
            scope.values.insert(name.to_string(), name.clone());
        }
    }
    found
}
