//! How a job ends.

use super::Master;
use crate::driver::cluster::lost;
use crate::driver::error::{JobError, Place, TaskFailure};
use crate::driver::report::{Speculations, Summary};
use crate::sched::master::{Cause, Outcome};

pub(super) fn end(
    master: Master<'_>,
    done: Summary,
    outcome: Outcome,
) -> Result<Summary, JobError> {
    match outcome {
        Outcome::Done => Ok(Summary { complete: !master.stopped, ..done }),
        Outcome::Failed(Cause::Task { task, attempts, failure }) => {
            let time = master.core.timetable().end(task.batch);
            let failure = TaskFailure::new(master.plan, task, time, attempts, failure);
            Err(JobError::Task(Box::new(failure)))
        }
        Outcome::Failed(Cause::Differs { task }) => {
            let row = master.plan.stage(task.stage);
            let at = Box::new(Place::stage(master.plan, row));
            Err(JobError::Differs { task, stage: row.name, at })
        }
        Outcome::Failed(Cause::Lost { rows }) => Err(lost(master.plan, &rows).into()),
        Outcome::Failed(Cause::Worker { worker: _, why }) => Err(JobError::Worker { why }),
        Outcome::Failed(Cause::Fenced { why }) => match master.failure {
            Some((_, error @ JobError::Journal { .. })) => Err(error),
            _ => Err(JobError::Fenced { why }),
        },
        Outcome::Failed(Cause::State { stage, partition, why }) => {
            Err(JobError::State { stage: master.plan.stage(stage).name.to_owned(), partition, why })
        }
        Outcome::Failed(cause) => {
            let unknown =
                || JobError::Internal(format!("the job failed without an error: {cause:?}"));
            Err(master.failure.map_or_else(unknown, |(_, error)| error))
        }
    }
}

/// What a job did, up to here.
pub(super) fn summary(master: &Master<'_>) -> Summary {
    let (runs, won) = master.core.speculations();
    let speculations = (runs > 0).then_some(Speculations { runs, won });
    let summary = master.totals.summary(master.plan, master.clock.elapsed());
    Summary { speculations, ..summary }
}
