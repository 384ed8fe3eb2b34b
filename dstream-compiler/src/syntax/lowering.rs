//! The state of lowering: the plan so far, the mistakes, and the functions being inlined.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;
use petgraph::stable_graph::StableDiGraph;
use syn::Path;

use super::operator_fn::OperatorFn;
use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::logical::{Node, ParamLet};
use crate::op::Nature;
use crate::pass::times::{Time, Times};

/// How often a stream emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slide {
    /// Every that many batches.
    Batches(u64),
    /// Known only where the operator function is called.
    Unknown,
}

impl Slide {
    /// In batches; 1 if unknown.
    pub(crate) fn or_one(self) -> u64 {
        match self {
            Slide::Batches(batches) => batches,
            Slide::Unknown => 1,
        }
    }
}

/// The plan so far. Nodes are never removed.
pub(crate) struct Lowering<'a> {
    /// The plan.
    pub(crate) graph: StableDiGraph<Node, u8>,
    /// Plain `let`s in order.
    pub(crate) lets: Vec<ParamLet>,
    /// The mistakes.
    pub(crate) diagnostics: Diagnostics,
    /// Unknown functions called with a stream.
    pub(crate) unresolved: Vec<Path>,
    /// Whether unknown functions are collected instead of reported.
    pub(crate) accept_unresolved: bool,
    /// Whether a statement is meant as an output, valid or not.
    pub(super) has_output: bool,
    /// Operator functions by their path as written.
    pub(super) operators: &'a [(String, OperatorFn)],
    /// The job's interval; unknown while an operator function is checked alone.
    pub(super) interval_ms: Option<u64>,
    /// Operator functions being inlined, outermost first.
    pub(super) inlining: Vec<String>,
    /// Number of inlined calls, for unique names.
    pub(super) calls: usize,
    slides: BTreeMap<NodeIndex, Slide>,
    times: Times,
    natures: BTreeMap<NodeIndex, Nature>,
    names: BTreeSet<String>,
    outputs: BTreeSet<String>,
}

impl<'a> Lowering<'a> {
    /// An empty plan.
    pub(crate) fn new(operators: &'a [(String, OperatorFn)], interval_ms: Option<u64>) -> Self {
        Self {
            graph: StableDiGraph::new(),
            lets: Vec::new(),
            diagnostics: Diagnostics::default(),
            unresolved: Vec::new(),
            accept_unresolved: false,
            has_output: false,
            operators,
            interval_ms,
            inlining: Vec::new(),
            calls: 0,
            slides: BTreeMap::new(),
            times: Times::new(),
            natures: BTreeMap::new(),
            names: BTreeSet::new(),
            outputs: BTreeSet::new(),
        }
    }

    /// Adds a node with its parents by port.
    pub(super) fn add(&mut self, node: Node, parents: &[NodeIndex], slide: Slide) -> NodeIndex {
        self.names.insert(node.stream.clone());
        let of = parents.iter().map(|parent| self.times_of(*parent));
        let time = Time::after(node.operator, of);
        let of: Vec<Nature> = parents.iter().map(|parent| self.nature(*parent)).collect();
        let nature = Nature::after(node.operator, &of);
        let index = self.graph.add_node(node);
        for (port, parent) in (0u8..).zip(parents) {
            self.graph.add_edge(*parent, index, port);
        }
        self.slides.insert(index, slide);
        self.times.insert(index, time);
        self.natures.insert(index, nature);
        index
    }

    /// What is known of the times of a node's records.
    pub(super) fn times_of(&self, node: NodeIndex) -> Time {
        self.times.get(&node).copied().unwrap_or_default()
    }

    /// Whether a node makes a stream or a table.
    pub(super) fn nature(&self, node: NodeIndex) -> Nature {
        self.natures.get(&node).copied().unwrap_or_default()
    }

    /// How often a node emits.
    pub(super) fn slide(&self, node: NodeIndex) -> Slide {
        self.slides.get(&node).copied().unwrap_or(Slide::Unknown)
    }

    /// The name of a node's stream.
    pub(super) fn stream_name(&self, node: NodeIndex) -> &str {
        &self.graph[node].stream
    }

    /// Reserves a name for a stream.
    pub(super) fn reserve(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Returns a unique name: the wanted one, or with `_2`, `_3` ….
    pub(super) fn unique(&mut self, wanted: &str) -> String {
        unique_in(&mut self.names, wanted)
    }

    /// A name for an output of that stream.
    pub(super) fn output_name(&mut self, stream: &str) -> String {
        unique_in(&mut self.outputs, stream)
    }

    /// Reports a mistake.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// The operator function of a path as written.
    pub(super) fn operator(&self, path: &Path) -> Option<&'a OperatorFn> {
        let written = path_text(path);
        self.operators.iter().find(|(path, _)| *path == written).map(|(_, function)| function)
    }
}

fn unique_in(names: &mut BTreeSet<String>, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2u32;
    while !names.insert(name.clone()) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}

/// A path as it is written, without spaces and type arguments.
pub(crate) fn path_text(path: &Path) -> String {
    let mut text = String::new();
    if path.leading_colon.is_some() {
        text.push_str("::");
    }
    for (i, segment) in path.segments.iter().enumerate() {
        if i > 0 {
            text.push_str("::");
        }
        text.push_str(&segment.ident.to_string());
    }
    text
}
