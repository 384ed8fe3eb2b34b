//! Why a process cannot be part of a cluster, or a job on one has failed: what happened, where, and
//! what to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::client::ClientError;
use crate::driver::JobError;
use crate::durable::journal::JournalError;
use crate::durable::{DurableError, SavepointError};
use crate::net::NetError;
use crate::net::trust::TrustError;
use crate::wire::Refusal;

/// What goes wrong between the processes of a cluster.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterError {
    /// The network: an address, a refusal, a peer that does not answer.
    #[error(transparent)]
    Net(Arc<NetError>),
    /// Keys, certificates, tokens.
    #[error(transparent)]
    Trust(Arc<TrustError>),
    /// A file of the state directory.
    #[error("{}: cannot {doing}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        error: Arc<std::io::Error>,
    },
    /// The durable store.
    #[error(transparent)]
    Durable(DurableError),
    /// The journal.
    #[error(transparent)]
    Journal(Box<JournalError>),
    /// A savepoint that a job was to begin with.
    #[error(transparent)]
    Savepoint(Box<SavepointError>),
    /// There is a job already where one was to begin with a savepoint.
    #[error(
        "--from: there is a job in {state} that has not come to its end\n  help: leave --from away to go on \
         with that, or begin from the savepoint with another --state"
    )]
    HasJob {
        /// Where.
        state: String,
    },
    /// There is no master's file where one was looked for.
    #[error(
        "no master of `{job}` has left its address in {}: it was not started there, or the job has ended\n  \
         help: start one with --role master, say \
         where its state is with --state DIR, or where it listens with --master ADDR --token-file FILE",
        state.display()
    )]
    NoMaster {
        /// The job.
        job: String,
        /// Where it was looked for.
        state: PathBuf,
    },
    /// The master's file makes no sense.
    #[error(
        "{}: this is not what a master writes ({why})\n  help: remove it and start the master again",
        path.display()
    )]
    MasterFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Neither a certificate nor a token.
    #[error(
        "there is no certificate in {} and no token\n  help: make a token on the master's host \
         (`token --out FILE`), copy it here and name it with --token-file FILE",
        identity.display()
    )]
    NoToken {
        /// Where the certificate would be.
        identity: PathBuf,
    },
    /// The token is for another role than that of the process.
    #[error(
        "{refusal}\n  help: make one on the master's host (`token --role worker` or `token --role client`) \
         and name it with --token-file FILE"
    )]
    WrongToken {
        /// For which role it is.
        refusal: Refusal,
    },
    /// The master does not do what it was asked.
    #[error("the master at {master} refuses: {why}")]
    Refused {
        /// The master.
        master: SocketAddr,
        /// Why, and what to do.
        why: String,
    },
    /// A part of the ingest log is damaged.
    #[error(
        "{object}: {why}, and it holds records that clients were told are safe\n  help: restore it from a copy; \
         without it they are lost: remove it to go on without them"
    )]
    IngestLog {
        /// The URL of the object.
        object: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A worker would write its ingest log where no restart looks for it.
    #[error(
        "the master has --ingest durable, and {url} is not its store on this host: acknowledged records would be lost\n  \
         help: mount the master's --state here under the same path, or start the master with --ingest memory"
    )]
    IngestStore {
        /// The URL of the store.
        url: String,
    },
    /// What marks the store of the ingest logs is damaged.
    #[error(
        "{object}: it is damaged\n  help: remove it, and start the master and its workers again"
    )]
    IngestMark {
        /// The URL of the object.
        object: String,
    },
    /// A worker would not find its ingest log again.
    #[error(
        "the master has --ingest durable, and a worker that is started again finds what it has acknowledged by its name, \
         which `{name}` is not: it has the number of the process\n  help: start the worker with --name NAME, and again with \
         the same one"
    )]
    IngestName {
        /// The name of the worker.
        name: String,
    },
    /// The worker cannot go on without its master.
    #[error(
        "the master at {master} is gone: {why}\n  help: start the master again, and then this worker"
    )]
    MasterGone {
        /// The master.
        master: SocketAddr,
        /// How the connection ended.
        why: String,
    },
    /// The job cannot be built from what the master shipped.
    #[error("the job cannot be built as the master describes it: {why}")]
    Setup {
        /// What does not fit.
        why: String,
    },
    /// No worker can receive what is pushed for a stream.
    #[error(
        "worker `{worker}` cannot receive records of `{stream}`: {why}\n  \
         help: free the address on that host, or bind the stream to another one with --source {stream}=URL"
    )]
    Receiver {
        /// The stream.
        stream: String,
        /// The worker.
        worker: String,
        /// Why.
        why: String,
    },
    /// What clients were told is safe is held by no process any more.
    #[error(
        "acknowledged records are lost: every process that held them is gone: {what}\n  \
         help: the saved state is intact; to go on without them, start the master again with the same --state \
         and with --accept-loss: published results are not taken back, and running results go on without these \
         records; if a worker that holds them is only out of reach, see to it that it reaches the \
         master, and start the master again as before"
    )]
    Lost {
        /// Which: streams, numbers, times, batches.
        what: String,
    },
    /// Two workers cannot reach each other, though the master reaches both.
    #[error(
        "worker `{from}` has lost worker `{to}` ({why}), and the master still has both; what was on its \
         way between them is lost\n  help: see to it that all workers reach each other at the addresses \
         that `workers` shows, and start the job again"
    )]
    BrokenLink {
        /// Who says so.
        from: String,
        /// Whom it has lost.
        to: String,
        /// How the connection ended.
        why: String,
    },
    /// The job was ended at once, while it waited for its states to be saved.
    #[error(
        "the job was ended before its states were saved ({why}): what clients have sent since they were saved \
         last is published, but no state has it, and it cannot be read again\n  help: begin the job anew with \
         another --state"
    )]
    Unsaved {
        /// What could not be saved, and why.
        why: String,
    },
    /// A stop found no worker to finish the batches in flight.
    #[error(
        "stopped without workers: {} not published, since no worker is connected to run {}\n  help: {}",
        batches(*.unpublished), if *.unpublished == 1 { "it" } else { "them" },
        if *.goes_on {
            "nothing is lost; start the job again with the same --state, and it goes on there"
        } else {
            "start the job again, with a worker"
        }
    )]
    StoppedWithoutWorkers {
        /// How many batches were cut and are not published.
        unpublished: u64,
        /// Whether there is a journal to go on from.
        goes_on: bool,
    },
    /// The engine contradicts itself.
    #[error("{why}\n  help: this is a bug of dstream: please report it")]
    Broken {
        /// What is wrong.
        why: String,
    },
    /// What a client sends is not taken in.
    #[error(transparent)]
    Client(Box<ClientError>),
}

/// A number of batches, with its verb.
fn batches(n: u64) -> String {
    match n {
        1 => "1 batch is".to_owned(),
        n => format!("{n} batches are"),
    }
}

impl From<NetError> for ClusterError {
    fn from(error: NetError) -> Self {
        Self::Net(Arc::new(error))
    }
}

impl From<DurableError> for ClusterError {
    fn from(error: DurableError) -> Self {
        Self::Durable(error)
    }
}

impl From<SavepointError> for ClusterError {
    fn from(error: SavepointError) -> Self {
        Self::Savepoint(Box::new(error))
    }
}

impl From<TrustError> for ClusterError {
    fn from(error: TrustError) -> Self {
        Self::Trust(Arc::new(error))
    }
}

impl From<ClientError> for ClusterError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Cluster(error) => error,
            error => Self::Client(Box::new(error)),
        }
    }
}

impl From<ClusterError> for JobError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(Box::new(error))
    }
}
