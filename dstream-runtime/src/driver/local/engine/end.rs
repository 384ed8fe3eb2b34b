//! How a job ends, and how the next one goes on from there.

use std::collections::BTreeMap;

use super::Engine;
use crate::block::Block;
use crate::driver::error::{JobError, TaskFailure};
use crate::driver::report::{Savepoint, Summary};
use crate::driver::store::Store;
use crate::driver::task::Kernels;
use crate::exec::task::SavedState;
use crate::plan::Plan;
use crate::sched::master::{Cause, Outcome};

impl Engine<'_> {
    pub(super) fn end(mut self, outcome: Outcome) -> Result<Summary, JobError> {
        let Outcome::Failed(cause) = outcome else {
            let savepoint = self.config.savepoint.then(|| self.savepoint()).transpose()?;
            return Ok(self.totals.summary(self.plan, self.clock.elapsed(), savepoint));
        };
        if let Cause::Task { task, attempts, failure } = cause {
            let time = self.timetable.end(task.batch);
            return Err(match self.errors.remove(&task) {
                Some(error) => JobError::Task(Box::new(TaskFailure::new(
                    self.plan, task, time, attempts, error,
                ))),
                None => JobError::Internal(failure.message),
            });
        }
        let unknown = || JobError::Internal(format!("the job failed without an error: {cause:?}"));
        Err(self.failure.take().map_or_else(unknown, |(_, error)| error))
    }

    fn savepoint(&self) -> Result<Savepoint, JobError> {
        let mut states = BTreeMap::new();
        for (stage, partition, state) in self.store.states() {
            let saved = self.kernels.stages[stage.index()].save(state);
            let saved: SavedState = saved.map_err(|error| JobError::Savepoint {
                doing: "saved",
                stage: self.plan.stage(stage).name.to_owned(),
                error: Box::new(error),
            })?;
            states.insert((stage, partition), saved);
        }
        Ok(Savepoint { batch: self.last, zero_ms: self.timetable.zero_ms(), states })
    }
}

/// Loads the state of a savepoint.
pub(super) fn restore(
    plan: &'static Plan,
    kernels: &Kernels,
    savepoint: &Savepoint,
    store: &mut Store<Block>,
) -> Result<(), JobError> {
    // All of it is looked at before any of it is loaded.
    for (stage, partition) in savepoint.states.keys() {
        let row = plan.stages.get(stage.index()).filter(|row| row.state.is_some());
        if row.is_none() || partition.0 >= kernels.partitions {
            return Err(JobError::Foreign { what: format!("{stage}, {partition}") });
        }
    }
    for ((stage, partition), saved) in &savepoint.states {
        let state = kernels.stages[stage.index()].load(saved);
        *store.state(*stage, *partition) = state.map_err(|error| JobError::Savepoint {
            doing: "restored",
            stage: plan.stage(*stage).name.to_owned(),
            error: Box::new(error),
        })?;
    }
    Ok(())
}
