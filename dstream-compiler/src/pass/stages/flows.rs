//! Flows: what heads need, in which form, from which operators. Heads that need the same of the same
//! operators share one flow.

use petgraph::graph::NodeIndex;

use crate::ir::flow::Form;
use crate::ir::physical::Flow;

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
                form: flow.form,
                from: flow
                    .from
                    .into_iter()
                    .map(|from| from.expect("invariant: every producer is in a stage"))
                    .collect(),
            })
            .collect()
    }
}
