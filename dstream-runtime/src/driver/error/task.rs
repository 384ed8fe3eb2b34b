//! A task that failed for good: where in the program, after how many attempts, and what to do about it.

use std::borrow::Cow;
use std::fmt;

use super::Place;
use crate::id::TaskId;
use crate::plan::Plan;
use crate::sched::message::{Failure, FailureKind};
use crate::time::BatchTime;

/// A task that failed as often as it may.
#[derive(Debug, Clone)]
pub struct TaskFailure {
    /// The task.
    pub task: TaskId,
    /// The end of its batch.
    pub time: BatchTime,
    /// The streams that its stage computes.
    pub stage: &'static str,
    /// The operator that failed, where it is known; else the first of the stage.
    pub at: Place,
    /// Whether `at` is known to be the one.
    pub exact: bool,
    /// How often it ran.
    pub attempts: u32,
    /// Why the last run failed.
    pub failure: Failure,
    /// The source that it reads, if it reads one.
    pub source: Option<&'static str>,
}

impl TaskFailure {
    pub(in crate::driver) fn new(
        plan: &'static Plan,
        task: TaskId,
        time: BatchTime,
        attempts: u32,
        failure: Failure,
    ) -> Self {
        let row = plan.stage(task.stage);
        let at = failure.at.as_ref().filter(|_| failure.kind == FailureKind::Panic);
        let panicked = at.and_then(|(file, line)| Place::of_panic(plan, file, *line));
        let written = match failure.kind {
            FailureKind::Output(id) => plan.outputs.get(id.index()),
            _ => None,
        };
        let known = panicked.or_else(|| Some(Place::operator(plan, written?.operator)));
        // A stage that reads begins with its source.
        let reads = matches!(failure.kind, FailureKind::DeadLetter | FailureKind::Source);
        let exact = known.is_some() || reads || row.operators.len() == 1;
        let at = known.unwrap_or_else(|| Place::stage(plan, row));
        let source = row.source().and_then(|source| plan.sources.get(source.index()));
        let source = source.map(|row| row.name);
        Self { task, time, stage: row.name, at, exact, attempts, failure, source }
    }

    fn help(&self) -> Cow<'static, str> {
        if let (FailureKind::Panic, Some(source)) = (self.failure.kind, self.source) {
            return Cow::Owned(format!(
                "make the function return a value for this record, or filter it out before, or set such \
                 records aside with `on_panic=dead_letter` in the URL of source `{source}` (a job that goes \
                 on from its --state can do the last, and change functions that it calls, but not its own \
                 text)"
            ));
        }
        Cow::Borrowed(match self.failure.kind {
            FailureKind::Panic => {
                "make the function return a value for this record, or filter it out before (a job that goes \
                 on from its --state can change functions that it calls, but not its own text)"
            }
            FailureKind::DeadLetter => {
                "correct the record, or open the source with `?on_error=skip` to set such records aside"
            }
            FailureKind::Source => "make the data readable as it was",
            FailureKind::Result => "make the records smaller, or use more --partitions",
            FailureKind::Output(_) => {
                "write such floats as strings with `?floats=string` in the URL of the output (in the program or \
                 with --sink), write CSV, or leave them out before with `.filter(…)`"
            }
            FailureKind::Block => {
                "this is a bug of dstream, or memory or a disk has changed data: please report it"
            }
        })
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { operator, stream, .. } = &self.at;
        if self.exact {
            write!(f, "`{stream}`: {operator} at {} failed", self.at)?;
        } else {
            write!(f, "the stage of `{}`, which begins at {}, failed", self.stage, self.at)?;
        }
        let (task, plural) = (self.task, if self.attempts == 1 { "" } else { "s" });
        writeln!(
            f,
            " in {} (time {}), {}, after {} attempt{plural}: {}",
            task.batch, self.time, task.partition, self.attempts, self.failure.message
        )?;
        write!(
            f,
            "  help: {}; all batches before were published, so start the job again from there",
            self.help()
        )
    }
}

impl std::error::Error for TaskFailure {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::task::{DeadLetter, Panic, TaskError};
    use crate::id::{BatchSeq, OperatorId, Partition, SourceId, StageId};
    use crate::plan::{OperatorRow, Report, StageRow, Tasks};

    const fn operator(id: u16, name: &'static str, stream: &'static str, line: u32) -> OperatorRow {
        let id = OperatorId(id);
        OperatorRow {
            id,
            name,
            stream,
            line,
            column: 5,
            last_line: line + 2,
            file: None,
            silent: true,
        }
    }

    static PLAN: Plan = Plan {
        job: "views",
        file: "src/main.rs",
        line: 3,
        about: "",
        interval_ms: 1000,
        hash: 0,
        operators: &[operator(0, "json", "views", 10), operator(1, "map", "ones", 13)],
        sources: &[],
        outputs: &[],
        stages: &[StageRow {
            id: StageId(0),
            name: "views → ones",
            tasks: Tasks::PerRange(SourceId(0)),
            inputs: &[],
            state: None,
            every: 1,
            emits_every: 1,
            operators: &[OperatorId(0), OperatorId(1)],
            tails: &[],
        }],
        report: Report { phases: &[], dot: "", code: "" },
    };

    fn panic(at: Option<(&str, u32)>) -> String {
        let at = at.map(|(file, line)| (file.to_owned(), line));
        failure(TaskError::Panic(Panic { message: "no such key".into(), at }))
    }

    fn failure(error: TaskError) -> String {
        let (batch, stage, partition) = (BatchSeq(7), StageId(0), Partition(3));
        let task = TaskId { batch, stage, partition };
        let failure = crate::driver::worker::failure(&error);
        TaskFailure::new(&PLAN, task, BatchTime(7000), 3, failure).to_string()
    }

    #[test]
    fn a_panic_names_the_operator_on_whose_lines_it_happened() {
        for file in ["src/main.rs", "/home/me/job/src/main.rs", "main.rs"] {
            let text = panic(Some((file, 14)));
            assert_eq!(
                text,
                format!(
                    "`ones`: map at src/main.rs:13 failed in batch 7 (time 7000 ms), partition 3, \
                     after 3 attempts: panicked: no such key ({file}:14)\n  help: make the function \
                     return a value for this record, or filter it out before (a job that goes on from \
                     its --state can change functions that it calls, but not its own text); all batches before \
                     were published, so start the job again from there"
                )
            );
        }
    }

    #[test]
    fn a_panic_elsewhere_names_the_stage() {
        for at in [None, Some(("src/other.rs", 14)), Some(("src/main.rs", 99))] {
            let text = panic(at);
            let stage = "the stage of `views → ones`, which begins at src/main.rs:10, failed in";
            assert!(text.starts_with(stage), "{text}");
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_its_source_s() {
        let (split, reason, text) = ("a.json".into(), "no JSON".into(), "{".into());
        let letter = DeadLetter { split, position: 7, reason, text };
        let text = failure(TaskError::DeadLetter(Box::new(letter)));
        assert!(text.starts_with("`views`: json at src/main.rs:10 failed in batch 7"), "{text}");
    }
}
