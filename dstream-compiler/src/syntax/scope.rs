//! The meaning of names in a body: streams and values, and whether each stream is used.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;
use proc_macro2::Ident;
use syn::{Expr, Path};

use crate::op::source;

/// The kind of body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A job.
    Job,
    /// An operator function, by name.
    Operator(String),
}

impl Kind {
    /// As the subject of a message.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Kind::Job => "the body of a job",
            Kind::Operator(_) => "the body of an operator function",
        }
    }
}

/// A stream's name.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    /// Where it is defined.
    pub(crate) ident: Ident,
    /// Its node; `None` if its definition is invalid.
    pub(crate) node: Option<NodeIndex>,
    /// Whether anything uses it.
    pub(crate) used: bool,
    /// Whether its definition is invalid, which is reported already.
    pub(crate) broken: bool,
}

impl Binding {
    /// A stream with an invalid definition: its uses are not reported.
    pub(crate) fn broken(ident: &Ident) -> Self {
        Self { ident: ident.clone(), node: None, used: true, broken: true }
    }
}

/// The names of one body.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The kind of body.
    pub(crate) kind: Kind,
    /// Prefix of its streams' names, for an inlined operator function.
    pub(crate) prefix: Option<String>,
    /// Streams by name.
    pub(crate) streams: BTreeMap<String, Binding>,
    /// The names of streams in order of definition.
    pub(crate) order: Vec<String>,
    /// Plain `let`s and parameters by name.
    pub(crate) values: BTreeMap<String, Ident>,
}

impl Scope {
    /// An empty scope.
    pub(crate) fn new(kind: Kind, prefix: Option<String>) -> Self {
        Self { kind, prefix, streams: BTreeMap::new(), order: Vec::new(), values: BTreeMap::new() }
    }

    /// Gives a name to a stream.
    pub(crate) fn bind(&mut self, binding: Binding) {
        let name = binding.ident.to_string();
        self.order.push(name.clone());
        self.streams.insert(name, binding);
    }

    /// Marks a stream as used; returns its node.
    pub(crate) fn use_stream(&mut self, name: &str) -> Option<NodeIndex> {
        let binding = self.streams.get_mut(name)?;
        binding.used = true;
        binding.node
    }

    /// The stream that an expression names, if it is a plain name.
    pub(crate) fn stream_name<'e>(&self, expr: &'e Expr) -> Option<&'e Ident> {
        match strip(expr) {
            Expr::Path(path) => {
                path.path.get_ident().filter(|name| self.streams.contains_key(&name.to_string()))
            }
            _ => None,
        }
    }

    /// Whether an expression makes a stream: it starts with a source, a stream's name, or a function called
    /// with a stream.
    pub(crate) fn is_stream(&self, expr: &Expr, functions: &dyn Fn(&Path) -> bool) -> bool {
        match strip(expr) {
            Expr::Path(_) => self.stream_name(expr).is_some() || self.is_misspelt(expr),
            Expr::MethodCall(call) => {
                self.is_stream(&call.receiver, functions)
                    && (!self.is_misspelt(&call.receiver)
                        || crate::op::by_name(&call.method.to_string()).is_some())
            }
            Expr::Call(call) => match strip(&call.func) {
                Expr::Path(path) if path.qself.is_none() => {
                    source_kind(&path.path).is_some()
                        || functions(&path.path)
                        || (is_function(&path.path)
                            && call.args.iter().any(|arg| {
                                self.is_stream(arg, functions) && !self.is_misspelt(arg)
                            }))
                }
                _ => false,
            },
            Expr::Reference(reference) => self.is_stream(&reference.expr, functions),
            Expr::Try(inner) => self.is_stream(&inner.expr, functions),
            Expr::Await(inner) => self.is_stream(&inner.base, functions),
            _ => false,
        }
    }

    /// Whether an expression is an unknown name. A body has no other local names, so a lower-case one can
    /// only be a misspelt or not yet defined stream.
    pub(crate) fn is_misspelt(&self, expr: &Expr) -> bool {
        let Expr::Path(path) = strip(expr) else {
            return false;
        };
        let Some(name) = path.path.get_ident().map(ToString::to_string) else {
            return false;
        };
        name.starts_with(|c: char| c.is_lowercase() || c == '_')
            && name != "self"
            && !self.streams.contains_key(&name)
            && !self.values.contains_key(&name)
    }
}

/// The expression inside of parentheses.
pub(crate) fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => strip(&paren.expr),
        Expr::Group(group) => strip(&group.expr),
        other => other,
    }
}

/// The last segment of `source::NAME` or `dstream::source::NAME`, and whether it is `source` or `table`.
pub(crate) fn source_kind(path: &Path) -> Option<(&'static str, &syn::PathSegment)> {
    let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let module = match names[..] {
        [module, _] | ["dstream", module, _] | ["dstream", "prelude", module, _] => module,
        _ => return None,
    };
    let module = ["source", "table"].into_iter().find(|known| *known == module)?;
    Some((module, path.segments.last()?))
}

/// Whether a path may be an operator function: not a constructor, `Some(x)`, or an associated function,
/// `Box::new(x)`.
fn is_function(path: &Path) -> bool {
    let camel = |segment: &syn::PathSegment| {
        segment.ident.to_string().starts_with(|c: char| c.is_uppercase())
    };
    !path.is_ident("drop") && !path.segments.iter().rev().take(2).any(camel)
}

/// The names of all kinds of source, or of table.
pub(crate) fn source_names(module: &str) -> impl Iterator<Item = &'static str> {
    source::kinds_of(module).map(|kind| kind.name)
}
