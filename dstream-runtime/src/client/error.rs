//! What can go wrong for a client.

use std::net::SocketAddr;
use std::time::Duration;

use crate::driver::cluster::ClusterError;

/// Why records cannot be sent, or were not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The network, certificates, tokens, files.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// No master has answered in time.
    #[error(
        "no master has answered at {} for {} s: {why}\n  help: see that the master runs and can be \
         reached from here",
        list(masters), patience.as_secs_f64()
    )]
    NoMaster {
        /// Where it was looked for.
        masters: Vec<SocketAddr>,
        /// For how long.
        patience: Duration,
        /// What happened last.
        why: String,
    },
    /// No receiver has taken anything in for a while.
    #[error(
        "nobody has taken in records of `{stream}` for {} s: {why}\n  help: see with `status` that workers \
         run and receive for this stream",
        patience.as_secs_f64()
    )]
    NoReceiver {
        /// The stream.
        stream: String,
        /// For how long.
        patience: Duration,
        /// What happened last.
        why: String,
    },
    /// A master or a receiver will not have it.
    #[error("records of `{stream}` are refused: {why}")]
    Refused {
        /// The stream.
        stream: String,
        /// Why, and what to do.
        why: String,
    },
    /// A line is longer than a receiver takes.
    #[error(
        "a line of {len} bytes cannot be sent to `{stream}`: it may have {longest}\n  help: leave it out, or \
         put the data where the job can read it as a file"
    )]
    LongLine {
        /// The stream.
        stream: String,
        /// Its length.
        len: usize,
        /// How long it may be.
        longest: usize,
    },
    /// A record that would be read as several lines.
    #[error(
        "record {index} cannot be sent to `{stream}`: there is a line break in it\n  help: take it out, or \
         have the job read the stream as JSON"
    )]
    LineBreak {
        /// The stream.
        stream: String,
        /// Which of those given.
        index: usize,
    },
    /// A record with a float that JSON cannot hold.
    #[error(
        "record {index} cannot be sent to `{stream}`: {why}\n  help: leave it out, or have the job read the \
         stream as CSV"
    )]
    NotFinite {
        /// The stream.
        stream: String,
        /// Which of those given.
        index: usize,
        /// Which float.
        why: crate::record::NotFinite,
    },
    /// What is to be sent cannot be read.
    #[error("what is to be sent to `{stream}` cannot be read: {why}")]
    Input {
        /// The stream.
        stream: String,
        /// What the system says.
        why: String,
    },
    /// The client was dropped, or its thread cannot run.
    #[error("the client has ended: {why}")]
    Ended {
        /// Why.
        why: String,
    },
}

fn list(addrs: &[SocketAddr]) -> String {
    let addrs: Vec<_> = addrs.iter().map(SocketAddr::to_string).collect();
    addrs.join(", ")
}
