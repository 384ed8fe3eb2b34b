//! Why a job failed: what, where in the program, in which batch, after how many attempts, and what
//! to do about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::cluster::ClusterError;
use crate::exec::task::{Panic, TaskError};
use crate::id::{OperatorId, TaskId};
use crate::plan::{OperatorRow, Plan};
use crate::record::Format;
use crate::sched::message::{Failure, FailureKind};
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::time::BatchTime;

/// Why a job failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JobError {
    /// A task failed as often as it may.
    #[error(transparent)]
    Task(Box<TaskFailure>),
    /// A source could not be read.
    #[error(
        "source `{name}` ({at}) cannot be read: {error}\n  \
         help: all batches before were published; make its data readable and start the job again"
    )]
    Source {
        /// The source's name.
        name: String,
        /// Where the program opens it.
        at: Box<Place>,
        /// Why.
        error: SourceError,
    },
    /// An output could not be written.
    #[error(
        "output `{name}` ({at}) did not take batch {time}: {error}\n  \
         help: all batches before are complete; make the output writable and start the job again"
    )]
    Output {
        /// The output's name.
        name: String,
        /// Where the program defines it.
        at: Box<Place>,
        /// The batch.
        time: BatchTime,
        /// Why.
        error: SinkError,
    },
    /// A source or sink panicked.
    #[error("{what} {panic}\n  help: this is a bug of dstream: please report it")]
    Broken {
        /// `source` or `output`, and its name.
        what: String,
        /// The panic.
        panic: Panic,
    },
    /// A thread could not be started.
    #[error(
        "cannot start a thread for {what}: {error}\n  help: raise the limit of processes or use fewer --cores"
    )]
    Thread {
        /// What it was for.
        what: String,
        /// The system's error.
        error: Arc<std::io::Error>,
    },
    /// A savepoint could not be written or read.
    #[error("the state of {stage} cannot be {doing}: {error}")]
    Savepoint {
        /// `saved` or `restored`.
        doing: &'static str,
        /// The stage's streams.
        stage: String,
        /// Why.
        error: Box<TaskError>,
    },
    /// A savepoint is of another program.
    #[error(
        "the savepoint has state of {what}, which this job does not have\n  \
         help: start it with the program and the number of partitions that wrote it"
    )]
    Foreign {
        /// The stage and partition.
        what: String,
    },
    /// Dead letters are bound to an output of another format than theirs.
    #[error(
        "the dead letters of `{name}` are JSON lines and cannot be written as {format:?}\n  \
         help: bind them as in --sink {name}.dead=json+file://DIR"
    )]
    DeadLetters {
        /// The source's name.
        name: String,
        /// The format of the output.
        format: Format,
    },
    /// What was opened does not match the plan.
    #[error(
        "the job has {expected} {what} but was given {given}\n  help: this is a bug of dstream: please report it"
    )]
    Mismatch {
        /// `sources` or `outputs`.
        what: &'static str,
        /// How many the plan has.
        expected: usize,
        /// How many were opened.
        given: usize,
    },
    /// The processes of the cluster cannot work together.
    #[error(transparent)]
    Cluster(Box<ClusterError>),
    /// A worker was lost with the partitions that it held.
    #[error(
        "{why}; the state of its partitions is lost\n  \
         help: all batches before were published; start the job again"
    )]
    Worker {
        /// Which, and why.
        why: String,
    },
    /// The master's journal cannot be read, or cannot be written any more.
    #[error("the journal: {why}")]
    Journal {
        /// What is wrong, and what to do.
        why: String,
    },
    /// Another master has taken over the job.
    #[error(
        "another master has taken over this job: {why}\n  \
         help: nothing is lost, the other one goes on; only one master may use a --state at a time"
    )]
    Fenced {
        /// Who, as far as it is known.
        why: String,
    },
    /// A saved state that was needed after a loss cannot be loaded.
    #[error(
        "the saved state of `{stage}`, {partition}, cannot be loaded: {why}\n  \
         help: all batches before were published; start the job again"
    )]
    State {
        /// The stage's streams.
        stage: String,
        /// The partition.
        partition: crate::id::Partition,
        /// Why.
        why: String,
    },
    /// Two runs of a task have made different things.
    #[error(
        "the stage of `{stage}`, which begins at {at}, is not deterministic: two runs of {task} have made \
         different things\n  help: let its functions depend on nothing but their arguments, for time and \
         random numbers on the job's context"
    )]
    Differs {
        /// The task.
        task: TaskId,
        /// The stage's streams.
        stage: &'static str,
        /// Its first operator.
        at: Box<Place>,
    },
    /// The engine contradicts itself.
    #[error("{0}\n  help: this is a bug of dstream: please report it")]
    Internal(String),
}

/// A place in the user's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The operator's name in the language, if it is known which one it is.
    pub operator: &'static str,
    /// The stream it makes.
    pub stream: &'static str,
    /// The file.
    pub file: &'static str,
    /// The line.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Place {
    fn of(plan: &Plan, row: &OperatorRow) -> Self {
        let file = row.file.unwrap_or(plan.file);
        Self { operator: row.name, stream: row.stream, file, line: row.line }
    }

    /// Where an operator is called; the job itself if the plan does not have it.
    pub(super) fn operator(plan: &'static Plan, id: OperatorId) -> Self {
        match plan.operators.get(id.index()) {
            Some(row) => Self::of(plan, row),
            None => Self { operator: "job", stream: plan.job, file: plan.file, line: plan.line },
        }
    }

    /// The operator that a panic came from, if it is one of the stage's.
    fn of_panic(plan: &'static Plan, file: &str, line: u32) -> Option<Self> {
        // The compiler and the panic may name a file from different directories.
        let same = |known: &&str| {
            let (known, file) = (Path::new(known), Path::new(file));
            known.ends_with(file) || file.ends_with(known)
        };
        let known = plan.operators.iter().filter_map(|row| row.file).chain([plan.file]);
        let row = known.filter(same).find_map(|file| plan.operator_at(file, line))?;
        Some(Self::of(plan, row))
    }
}

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
}

impl TaskFailure {
    pub(super) fn new(
        plan: &'static Plan,
        task: TaskId,
        time: BatchTime,
        attempts: u32,
        failure: Failure,
    ) -> Self {
        let row = plan.stage(task.stage);
        let at = failure.at.as_ref().filter(|_| failure.kind == FailureKind::Panic);
        let panicked = at.and_then(|(file, line)| Place::of_panic(plan, file, *line));
        // A stage that reads begins with its source.
        let reads = matches!(failure.kind, FailureKind::DeadLetter | FailureKind::Source);
        let exact = panicked.is_some() || reads || row.operators.len() == 1;
        let first = || {
            let first = row.operators.first().copied().unwrap_or(OperatorId(u16::MAX));
            Place::operator(plan, first)
        };
        let at = panicked.unwrap_or_else(first);
        Self { task, time, stage: row.name, at, exact, attempts, failure }
    }

    fn help(&self) -> &'static str {
        match self.failure.kind {
            FailureKind::Panic => {
                "make the function return a value for this record, or filter it out before"
            }
            FailureKind::DeadLetter => {
                "correct the record, or open the source with `?on_error=skip` to set such records aside"
            }
            FailureKind::Source => "make the data readable as it was",
            FailureKind::Result => "make the records smaller, or use more --partitions",
            FailureKind::Block => {
                "this is a bug of dstream, or memory or a disk has changed data: please report it"
            }
        }
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
    use crate::exec::task::DeadLetter;
    use crate::id::{BatchSeq, Partition, SourceId, StageId};
    use crate::plan::{Report, StageRow, Tasks};

    const fn operator(id: u16, name: &'static str, stream: &'static str, line: u32) -> OperatorRow {
        let id = OperatorId(id);
        OperatorRow { id, name, stream, line, column: 5, last_line: line + 2, file: None }
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
                     return a value for this record, or filter it out before; all batches before \
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

    #[test]
    fn errors_are_small_enough_to_be_returned() {
        assert!(size_of::<JobError>() <= 128, "{}", size_of::<JobError>());
    }
}
