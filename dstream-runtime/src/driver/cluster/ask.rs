//! What can be asked of a running master, and how it is reached.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::status::{ClusterStatus, ReceiverStatus};
use crate::id::BatchSeq;

/// Where a master is and what lets this process in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTarget {
    /// The job.
    pub job: String,
    /// The hash of its plan.
    pub plan: u64,
    /// Where masters may be, to be tried in this order.
    pub masters: Vec<SocketAddr>,
    /// What lets it in.
    pub access: Access,
    /// The name it would like to have.
    pub name: String,
    /// How long an answer may take.
    pub patience: Duration,
}

/// What lets a client in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It was given a token.
    Token {
        /// The token's file.
        token: PathBuf,
        /// The file in which the certificate that it bought is kept: a token is used once, not with
        /// every question.
        identity: PathBuf,
    },
    /// It runs on the master's host, under the same user: the authority makes it a certificate.
    Authority {
        /// The master's state directory.
        state: PathBuf,
    },
}

/// What is asked of a master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// How the job is doing.
    Status,
    /// How its workers are doing: the same answer.
    Workers,
    /// Have a worker hand over what it holds, and leave.
    Drain {
        /// The worker's name.
        worker: String,
    },
    /// Write down under a name what the job has come to, so that one can begin there.
    Savepoint {
        /// The name; none for one that says how far it reaches.
        name: Option<String>,
    },
    /// End the job.
    Stop {
        /// Without processing what was received.
        now: bool,
    },
    /// Where records of a stream can be sent.
    Receivers {
        /// The stream's name.
        stream: String,
    },
}

/// What a master answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To `Status` and `Workers`.
    Status(Box<ClusterStatus>),
    /// It will be done, and this is what.
    Done(String),
    /// To `Savepoint`: it is in safety.
    Savepoint(SavepointReport),
    /// To `Receivers`: those of the stream.
    Receivers(Vec<ReceiverStatus>),
    /// It will not be done, and this is why and what to do.
    Refused(String),
}

/// A savepoint that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavepointReport {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// The last batch that is visible, with all before it: a job that begins here publishes those after it.
    pub published: BatchSeq,
    /// The last batch that has been cut: a job that begins here takes in what comes after it. Batches between
    /// the two are run again.
    pub cut: BatchSeq,
    /// Bytes of saved states.
    pub bytes: u64,
}

/// What a master has acknowledged to a client: a second worker holds it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acknowledged {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Numbered batches of the client.
    pub batches: u64,
}
