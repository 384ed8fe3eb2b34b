//! Which states are saved together: a pure function of the plan, so that every master computes the same.
//!
//! States that depend on each other over shuffles, in their partition, or through stages without state are
//! one group.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoints::State;
use crate::id::{Partition, StageId};
use crate::plan::Dependency;
use crate::sched::shape::Shape;

/// The states that are saved together.
pub(super) fn groups(shape: &Shape) -> Vec<Vec<State>> {
    let mut all: Vec<State> = Vec::new();
    for row in shape.plan.stages.iter().filter(|row| row.state.is_some()) {
        all.extend((0..shape.width(row)).map(|partition| (row.id, Partition(partition))));
    }
    let mut group: BTreeMap<State, usize> = all.iter().copied().zip(0..).collect();
    let join = |group: &mut BTreeMap<State, usize>, a: State, b: State| {
        if let (Some(a), Some(b)) = (group.get(&a).copied(), group.get(&b).copied()) {
            let (from, to) = (a.max(b), a.min(b));
            group.values_mut().filter(|of| **of == from).for_each(|of| *of = to);
        }
    };
    for row in shape.plan.stages.iter().filter(|row| row.state.is_some()) {
        for (before, wide) in states_before(shape, row.id) {
            let (width, before_width) = (shape.width(row), shape.width(shape.plan.stage(before)));
            if wide {
                for partition in 0..width {
                    join(&mut group, (row.id, Partition(0)), (row.id, Partition(partition)));
                }
                for partition in 0..before_width {
                    join(&mut group, (row.id, Partition(0)), (before, Partition(partition)));
                }
            } else {
                for partition in (0..width.min(before_width)).map(Partition) {
                    join(&mut group, (row.id, partition), (before, partition));
                }
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<State>> = BTreeMap::new();
    group.into_iter().for_each(|(state, of)| groups.entry(of).or_default().push(state));
    groups.into_values().collect()
}

/// The nearest stages with state that a stage depends on, and whether over a shuffle or gather.
fn states_before(shape: &Shape, stage: StageId) -> BTreeSet<(StageId, bool)> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![(stage, false)];
    while let Some((at, wide)) = open.pop() {
        for input in shape.plan.stage(at).inputs {
            let wide = wide || input.dependency != Dependency::Narrow;
            for (from, _) in input.from {
                let stateful = shape.plan.stage(*from).state.is_some();
                if stateful {
                    found.insert((*from, wide));
                } else if seen.insert((*from, wide)) {
                    open.push((*from, wide));
                }
            }
        }
    }
    found
}
