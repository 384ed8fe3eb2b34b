//! Reachability in the plan: the stages behind an output, and the sources of a stage.

use std::collections::BTreeSet;

use super::{InputRow, Plan, StageRow};
use crate::id::{SourceId, StageId};

impl Plan {
    /// These stages and all stages that they depend on.
    #[must_use]
    pub fn stages_behind(&self, stages: impl IntoIterator<Item = StageId>) -> BTreeSet<StageId> {
        let mut behind = BTreeSet::new();
        let mut rest: Vec<StageId> = stages.into_iter().collect();
        while let Some(id) = rest.pop() {
            if behind.insert(id) {
                let inputs = self.stage(id).inputs.iter();
                rest.extend(inputs.flat_map(|input| input.from).map(|(stage, _)| *stage));
            }
        }
        behind
    }

    /// The sources of an input's records.
    #[must_use]
    pub fn sources_of_input(&self, input: &InputRow) -> BTreeSet<SourceId> {
        let behind = self.stages_behind(input.from.iter().map(|(stage, _)| *stage));
        behind.into_iter().filter_map(|stage| self.stage(stage).source()).collect()
    }

    /// The sources of a stage's records, its own included.
    #[must_use]
    pub fn sources_of(&self, stage: &StageRow) -> BTreeSet<SourceId> {
        let inputs = stage.inputs.iter().flat_map(|input| self.sources_of_input(input));
        inputs.chain(stage.source()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::example::PLAN;

    #[test]
    fn sources_reach_what_is_made_of_them() {
        let of = |stage: usize| {
            let sources = PLAN.sources_of(&PLAN.stages[stage]);
            sources.into_iter().map(|source| source.0).collect::<Vec<_>>()
        };
        assert_eq!((of(0), of(2), of(3), of(4)), (vec![0], vec![0], vec![0], vec![1]));
        assert_eq!(of(5), [0, 1]);
        let behind = |stage| PLAN.stages_behind([StageId(stage)]).into_iter().map(|s| s.0);
        assert!(behind(3).eq([0, 1, 2, 3]));
        assert!(behind(1).eq([0, 1]));
    }
}
