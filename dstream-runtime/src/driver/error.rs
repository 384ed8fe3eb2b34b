//! Why a job failed: what, where in the program, in which batch, after how many attempts, and what
//! to do about it.

mod place;
mod task;

use std::sync::Arc;

pub use self::place::Place;
pub use self::task::TaskFailure;
use super::cluster::ClusterError;
use crate::exec::task::Panic;
use crate::id::{Partition, TaskId};
use crate::record::Format;
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
    /// A source is not any more what the job has read, and what it needs of that cannot be read again.
    #[error(
        "source `{name}` ({at}) cannot be read as before: {error}\n  \
         help: put its data back and start the job again; or start it with --skip {name}, which gives up what \
         cannot be read of it any more and keeps the state"
    )]
    SourceLost {
        /// The source's name.
        name: String,
        /// Where the program opens it.
        at: Box<Place>,
        /// Why.
        error: SourceError,
    },
    /// A source names other data than the job has read.
    #[error(
        "source `{name}` ({at}) is another one than before: {error}\n  \
         help: start the job with the URL of before; or with --accept-source {name}, which reads what the new \
         one has from its start, into the state that there is; or begin the job anew with another --state"
    )]
    SourceMoved {
        /// The source's name.
        name: String,
        /// Where the program opens it.
        at: Box<Place>,
        /// Why.
        error: SourceError,
    },
    /// An output could not be written.
    #[error(
        "output `{name}` ({at}) did not take batch {time}{}: {error}\n  \
         help: all batches before are complete; {}",
        after(*.tries), remedy(.error)
    )]
    Output {
        /// The output's name.
        name: String,
        /// Where the program defines it.
        at: Box<Place>,
        /// The batch.
        time: BatchTime,
        /// How often it was given the batch.
        tries: u32,
        /// Why.
        error: SinkError,
    },
    /// A batch was published before with other content, by the same program from the same input.
    #[error(
        "output `{name}`: {} of `{}` at {at} has given batch {time} another content than before, from the \
         same input: {why}\n  \
         help: a function on the way to this output is not deterministic: it depends on more than its record, \
         as on the time, random numbers, the order of a HashMap or a file that has changed; if the job had \
         other parameters then, or a function that it calls was changed: --overwrite replaces what it published \
         there, --sink names another place; what was published stays as it was",
        .at.operator, .at.stream
    )]
    Determinism {
        /// The output's name.
        name: String,
        /// Where the program defines it.
        at: Box<Place>,
        /// The batch.
        time: BatchTime,
        /// How the two differ.
        why: String,
    },
    /// A source or sink panicked.
    #[error(
        "{what} {panic}\n  help: mend the code at that place and start the job again; if it is dstream's own, please report it"
    )]
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
        partition: Partition,
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
    /// The job would give a wrong answer on what it was given: the command line has to say more.
    #[error("{0}")]
    Refused(String),
    /// The engine contradicts itself.
    #[error("{0}\n  help: this is a bug of dstream: please report it")]
    Internal(String),
}

/// How often an output was given a batch, if it was more than once.
fn after(tries: u32) -> String {
    if tries > 1 { format!(" after {tries} tries") } else { String::new() }
}

/// What to do about an output that refuses a batch.
fn remedy(error: &SinkError) -> &'static str {
    match error {
        SinkError::Conflict { .. } => {
            "the output holds results of another run: --overwrite replaces what this job published there, --sink \
             names another place"
        }
        SinkError::Damaged { .. } => {
            "move the directory of that batch away and start the job again, which publishes the batch again; or put its \
             files back"
        }
        _ => "make the output writable and start the job again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_small_enough_to_be_returned() {
        assert!(size_of::<JobError>() <= 128, "{}", size_of::<JobError>());
    }
}
