//! What can be asked of a running master, and how it is reached.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::status::{ClusterStatus, ReceiverStatus};

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
    /// To `Receivers`: those of the stream.
    Receivers(Vec<ReceiverStatus>),
    /// It will not be done, and this is why and what to do.
    Refused(String),
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
