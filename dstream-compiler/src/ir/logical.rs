//! The logical plan: one node per operator of the user's program.
//!
//! Edges run from parent to child; the weight is the child's input port (0, or 1 for the right side
//! of a join and the second stream of a union).

use petgraph::stable_graph::StableDiGraph;
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Expr, Ident, Pat, Stmt, Type, Visibility, parse_quote_spanned};

use crate::op::{Arguments, Operator};

/// A job, parsed.
#[derive(Debug, Clone)]
pub struct Job {
    /// Name, documentation, visibility, interval, parameters.
    pub header: Header,
    /// Plain `let`s of parameters, in order.
    pub lets: Vec<ParamLet>,
    /// Operators and how they feed each other. Nodes are added in order of definition.
    pub graph: StableDiGraph<Node, u8>,
}

/// What stands above the body of a job.
#[derive(Debug, Clone)]
pub struct Header {
    /// The function's name.
    pub name: Ident,
    /// Its visibility.
    pub visibility: Visibility,
    /// Documentation and `cfg` attributes, kept on what is generated.
    pub attributes: Vec<Attribute>,
    /// Batch interval in milliseconds.
    pub interval_ms: u64,
    /// Name and type (without the `&`) of the parameters.
    pub params: Option<(Ident, Type)>,
}

/// `let pattern = Pattern::new(&params.pattern);`: evaluated once per process, cloned into the kernels
/// that use it.
#[derive(Debug, Clone)]
pub struct ParamLet {
    /// The name it binds.
    pub name: Ident,
    /// The statement as written.
    pub statement: Stmt,
}

/// One operator.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it does.
    pub operator: &'static Operator,
    /// Of what.
    pub arguments: Arguments,
    /// Name of the stream it makes: its `let` binding, or one derived from its parent's and its own.
    pub stream: String,
    /// Whether the user gave the name.
    pub named: bool,
    /// The operator's name as written, for spans and rows of the plan.
    pub at: Span,
    /// The whole call, for the last line of the operator's row.
    pub whole: Span,
    /// Operators of the user that turned out to compute the same and were merged into this one.
    pub merged: Vec<Merged>,
    /// Whether the compiler put it there: it is no call of the user's.
    pub synthetic: bool,
}

/// An operator that was merged into an equal one: its stream keeps its name and its row.
#[derive(Debug, Clone)]
pub struct Merged {
    /// Name of the stream it made.
    pub stream: String,
    /// Whether the user gave the name.
    pub named: bool,
    /// The operator's name as written.
    pub at: Span,
    /// The whole call.
    pub whole: Span,
}

/// A user's function: a closure or a path to a function.
#[derive(Debug, Clone)]
pub struct Function {
    /// The expression as written, without an outer `move` (it is called where it stands).
    pub expr: Expr,
    /// Whether the user allowed it to be non-deterministic: then it is never merged with another.
    pub nondeterministic: bool,
    /// Whether it changes its first argument, as functions of the runtime do.
    pub in_place: bool,
}

impl Function {
    /// A function of the user's.
    #[must_use]
    pub fn new(expr: Expr, nondeterministic: bool) -> Self {
        Self { expr, nondeterministic, in_place: false }
    }

    /// A function of the runtime that merges one accumulator into another; it stands where the operator's name does.
    #[must_use]
    pub fn merge_accumulators(at: Span) -> Self {
        let expr = parse_quote_spanned!(at=> __dstream::merge_accumulators);
        Self { expr, nondeterministic: false, in_place: true }
    }

    /// Whether its last parameter is the context of the call.
    #[must_use]
    pub fn takes_context(&self) -> bool {
        match &self.expr {
            Expr::Closure(closure) => {
                closure.inputs.len() > 1 && closure.inputs.last().is_some_and(is_context)
            }
            _ => false,
        }
    }

    /// Whether it draws random numbers, which are those of its operator.
    fn draws(&self) -> bool {
        self.takes_context() && mentions(self.expr.to_token_stream(), "rng")
    }
}

/// Whether a parameter of a closure is the context: by its name, or by its type.
#[must_use]
pub fn is_context(parameter: &Pat) -> bool {
    match parameter {
        Pat::Ident(name) => name.ident == "ctx" || name.ident == "_ctx",
        Pat::Type(typed) => match &*typed.ty {
            Type::Path(ty) => ty.path.segments.last().is_some_and(|last| last.ident == "Context"),
            _ => false,
        },
        _ => false,
    }
}

fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => mentions(group.stream(), name),
        _ => false,
    })
}

/// Whether two functions are written alike, and always give the same.
#[must_use]
pub fn same_function(f: &Function, g: &Function) -> bool {
    !f.nondeterministic && !g.nondeterministic && !f.draws() && f.expr == g.expr
}

/// How a source's records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// `source::text`
    Text,
    /// `source::csv::<T>`
    Csv,
    /// `source::json::<T>`
    Json,
}
