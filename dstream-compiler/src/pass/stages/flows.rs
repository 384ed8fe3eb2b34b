//! Flows: what heads need, in which form, from which operators. Heads that need the same of the same
//! operators share one flow.

use petgraph::graph::NodeIndex;
use syn::Expr;

use super::super::common::same_function;
use crate::ir::logical::Function;
use crate::ir::physical::{Flow, FlowKind, TailKind};

/// A form of flow, with the score that decides what enters a `Top` one.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) kind: FlowKind,
    pub(super) score: Option<Function>,
}

impl Form {
    pub(super) fn plain(kind: FlowKind) -> Self {
        Self { kind, score: None }
    }

    pub(super) fn top(k: &Expr, score: &Function) -> Self {
        Self { kind: FlowKind::Top(k.clone()), score: Some(score.clone()) }
    }

    pub(super) fn tail(&self) -> TailKind {
        match self.kind {
            FlowKind::Combined(_) => TailKind::Combine,
            FlowKind::Keyed => TailKind::Spread,
            FlowKind::KeyedOwn => TailKind::SpreadOwn,
            FlowKind::Rows => TailKind::Rows,
            FlowKind::Fold(_) => TailKind::Fold,
            FlowKind::Tally => TailKind::Tally,
            FlowKind::Top(_) => TailKind::Top,
        }
    }

    fn same(&self, other: &Self) -> bool {
        let kinds = match (&self.kind, &other.kind) {
            (FlowKind::Combined(f), FlowKind::Combined(g))
            | (FlowKind::Fold(f), FlowKind::Fold(g)) => same_function(f, g),
            (FlowKind::Keyed, FlowKind::Keyed)
            | (FlowKind::KeyedOwn, FlowKind::KeyedOwn)
            | (FlowKind::Rows, FlowKind::Rows)
            | (FlowKind::Tally, FlowKind::Tally) => true,
            (FlowKind::Top(k), FlowKind::Top(l)) => k == l,
            _ => false,
        };
        let scores = match (&self.score, &other.score) {
            (None, None) => true,
            (Some(f), Some(g)) => same_function(f, g),
            _ => false,
        };
        kinds && scores
    }
}

/// A flow that is being made.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) form: Form,
    /// Whose records, in order of merging; one twice if it is united with itself.
    pub(super) producers: Vec<NodeIndex>,
    /// The first head that asked for it: its place among the consumers of a producer.
    pub(super) first_head: NodeIndex,
    /// Where the records of each producer leave, once its stage is written.
    pub(super) from: Vec<Option<(usize, usize)>>,
}

/// All flows of a plan.
#[derive(Debug, Default)]
pub(super) struct Flows(pub(super) Vec<Wanted>);

impl Flows {
    /// The flow of that form from those operators.
    pub(super) fn want(&mut self, form: Form, producers: Vec<NodeIndex>, head: NodeIndex) -> usize {
        let same = |flow: &Wanted| flow.producers == producers && flow.form.same(&form);
        if let Some(flow) = self.0.iter().position(same) {
            return flow;
        }
        let from = vec![None; producers.len()];
        self.0.push(Wanted { form, producers, first_head: head, from });
        self.0.len() - 1
    }

    /// The flows with the tails that feed them.
    pub(super) fn finish(self) -> Vec<Flow> {
        self.0
            .into_iter()
            .map(|flow| Flow {
                kind: flow.form.kind,
                from: flow
                    .from
                    .into_iter()
                    .map(|from| from.expect("invariant: every producer is in a stage"))
                    .collect(),
            })
            .collect()
    }
}
