//! Bodies: narrow operators are written into the stage of their parent, as a tree whose leaves are
//! tails. Every consumer of a stream appears in order of definition.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::super::order::consumers;
use super::Known;
use super::flows::Flows;
use super::heads::Beginning;
use crate::ir::flow::Movement;
use crate::ir::physical::{Output, Stage, Step, TailKind, Tasks, Use};
use crate::op::Lower;

/// Makes the stages, and fills in where flows and outputs come from.
pub(super) fn fill(
    known: &Known<'_>,
    heads: Vec<Beginning>,
    flows: &mut Flows,
    outputs: &mut [Output],
) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::with_capacity(heads.len());
    // The stage of each operator that has records of its own.
    let mut homes: BTreeMap<NodeIndex, usize> = BTreeMap::new();
    for beginning in heads {
        let stage = stages.len();
        let tasks = tasks(&beginning, &homes, &stages, flows);
        let mut writer = Writer {
            known,
            flows,
            outputs,
            homes: &mut homes,
            stage,
            tails: Vec::new(),
            operators: Vec::new(),
        };
        for union in &beginning.unions {
            writer.row(*union);
        }
        writer.row(beginning.node);
        let body = writer.uses(beginning.node);
        let Writer { tails, mut operators, .. } = writer;
        operators.sort_unstable();
        operators.dedup();
        stages.push(Stage {
            head: beginning.head,
            stream: known.job.graph[beginning.node].stream.clone(),
            operator: known.rows[&beginning.node],
            body,
            tails,
            tasks,
            state: beginning.state,
            every: beginning.every,
            emits_every: known.slide(beginning.node),
            operators,
        });
    }
    stages
}

/// How many tasks a stage has: one for what is gathered, and for what only continues such a stage.
fn tasks(
    beginning: &Beginning,
    homes: &BTreeMap<NodeIndex, usize>,
    stages: &[Stage],
    flows: &Flows,
) -> Tasks {
    if let Some(source) = beginning.head.source {
        return Tasks::PerRange(source);
    }
    let moves = |wanted: Movement| move |flow: &usize| flows.0[*flow].form.kind.movement == wanted;
    let read = &beginning.head.flows;
    let of_one =
        |producer| homes.get(producer).is_some_and(|home| stages[*home].tasks == Tasks::One);
    if read.iter().any(moves(Movement::Gather))
        || (read.iter().all(moves(Movement::Narrow)) && beginning.producers.iter().all(of_one))
    {
        Tasks::One
    } else {
        Tasks::PerPartition
    }
}

struct Writer<'w, 'j> {
    known: &'w Known<'j>,
    flows: &'w mut Flows,
    outputs: &'w mut [Output],
    homes: &'w mut BTreeMap<NodeIndex, usize>,
    stage: usize,
    tails: Vec<TailKind>,
    operators: Vec<usize>,
}

/// What becomes of a stream's records.
enum Consumer {
    Operator(NodeIndex),
    /// A flow, and which of its producers this is.
    Flow(usize, usize),
}

impl Writer<'_, '_> {
    fn row(&mut self, node: NodeIndex) {
        self.operators.push(self.known.rows[&node]);
        self.operators.extend(self.known.merged_rows.get(&node).into_iter().flatten());
    }

    fn uses(&mut self, node: NodeIndex) -> Vec<Use> {
        self.homes.insert(node, self.stage);
        let mut found: Vec<(NodeIndex, Consumer)> = consumers(self.known.job, node)
            .into_iter()
            .map(|consumer| (consumer, Consumer::Operator(consumer)))
            .collect();
        for (flow, wanted) in self.flows.0.iter().enumerate() {
            for (i, _) in wanted.producers.iter().enumerate().filter(|(_, p)| **p == node) {
                found.push((wanted.first_head, Consumer::Flow(flow, i)));
            }
        }
        found.sort_by_key(|(order, _)| *order);
        found
            .into_iter()
            .filter_map(|(_, consumer)| match consumer {
                Consumer::Operator(consumer) => self.consumer(consumer),
                Consumer::Flow(flow, producer) => Some(self.leave(flow, producer)),
            })
            .collect()
    }

    /// A narrow operator or an output; others take their records by a flow.
    fn consumer(&mut self, node: NodeIndex) -> Option<Use> {
        let weight = &self.known.job.graph[node];
        let step = match &weight.operator.lower {
            Lower::Step { emit, .. } => {
                Step { operator: weight.operator, arguments: weight.arguments.clone(), emit: *emit }
            }
            Lower::Output(_) => {
                let output = *self.known.outputs.get(&node)?;
                self.row(node);
                let tail = self.tail(TailKind::Output(output));
                self.outputs[output].stage = self.stage;
                self.outputs[output].tail = tail;
                return Some(Use::Tail { tail, entry: None });
            }
            Lower::Source(_) | Lower::Union(_) | Lower::Head(_) => return None,
        };
        self.row(node);
        let body = self.uses(node);
        Some(Use::Step {
            step,
            stream: weight.stream.clone(),
            operator: self.known.rows[&node],
            body,
        })
    }

    fn leave(&mut self, flow: usize, producer: usize) -> Use {
        let form = &self.flows.0[flow].form;
        let (kind, entry) = (form.kind, form.entry.clone());
        let tail = self.tail(TailKind::Flow(kind));
        self.flows.0[flow].from[producer] = Some((self.stage, tail));
        Use::Tail { tail, entry }
    }

    fn tail(&mut self, kind: TailKind) -> usize {
        self.tails.push(kind);
        self.tails.len() - 1
    }
}
