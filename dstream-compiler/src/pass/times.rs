//! What is known of the times of a stream's records.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::order::parents;
use crate::ir::logical::Job;
use crate::op::{self, Operator};

/// What is known of the times of a stream's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Time {
    /// Nothing but when they arrived.
    #[default]
    Arrival,
    /// Each says when it happened.
    Event,
    /// The same, and the next operator reduces windows of them.
    Assigned,
    /// Each is of a window of event time.
    Window,
    /// They had times, and an operator that works per batch has made others of them.
    Lost,
}

impl Time {
    /// What an operator makes of the times of its parents.
    pub(crate) fn after(operator: &Operator, mut parents: impl Iterator<Item = Self>) -> Self {
        let first = parents.next().unwrap_or_default();
        match operator.times() {
            op::Times::Says => Self::Event,
            op::Times::Assigns => Self::Assigned,
            op::Times::Windows => Self::Window,
            op::Times::Meets => Self::Event,
            op::Times::KeepsFirst => first,
            op::Times::Keeps if parents.all(|other| other == first) => first,
            op::Times::Keeps => Self::Lost,
            op::Times::Loses if first == Self::Arrival => Self::Arrival,
            op::Times::Loses => Self::Lost,
        }
    }

    /// Whether records have a time, or a window.
    pub(crate) fn is_known(self) -> bool {
        matches!(self, Self::Event | Self::Assigned | Self::Window)
    }
}

/// By node.
pub(crate) type Times = BTreeMap<NodeIndex, Time>;

/// The times of every node.
pub(crate) fn times(job: &Job) -> Times {
    let mut times = Times::new();
    for node in job.graph.node_indices() {
        let of = parents(job, node).into_iter();
        let of = of.map(|parent| times.get(&parent).copied().unwrap_or_default());
        let time = Time::after(job.graph[node].operator, of.collect::<Vec<_>>().into_iter());
        times.insert(node, time);
    }
    times
}
