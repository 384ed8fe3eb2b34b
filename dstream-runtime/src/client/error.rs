//! Errors of a client.

use std::net::SocketAddr;
use std::time::Duration;

use crate::driver::cluster::ClusterError;

/// Why records cannot be sent or were not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// A failure of the network, certificates, tokens or files.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// No master answered in time.
    #[error(
        "no master has answered at {} for {} s: {why}\n  help: see that the master runs and can be \
         reached from here",
        list(masters), patience.as_secs_f64()
    )]
    NoMaster {
        /// The masters' addresses.
        masters: Vec<SocketAddr>,
        /// How long the client waited.
        patience: Duration,
        /// The last failure.
        why: String,
    },
    /// No receiver took records in time.
    #[error(
        "no receiver has taken records of `{stream}` for {} s: {why}\n  help: see with `status` that workers \
         run and receive for this stream",
        patience.as_secs_f64()
    )]
    NoReceiver {
        /// The stream.
        stream: String,
        /// How long the client waited.
        patience: Duration,
        /// The last failure.
        why: String,
    },
    /// A master or receiver refused the stream.
    #[error("records of `{stream}` are refused: {why}")]
    Refused {
        /// The stream.
        stream: String,
        /// The reason, and what to do.
        why: String,
    },
    /// A line is longer than the receiver takes.
    #[error(
        "a line of {len} bytes cannot be sent to `{stream}`: it may have {longest}\n  help: leave it out, or \
         put the data where the job can read it as a file"
    )]
    LongLine {
        /// The stream.
        stream: String,
        /// Its length.
        len: usize,
        /// The limit.
        longest: usize,
    },
    /// A line of what `JOB send` reads is longer than the receiver takes; all before it is sent.
    #[error(
        "{place}: a line of {} bytes cannot be sent to `{stream}`: it may have {longest}, with its line break. The \
         {} before it were acknowledged, and nothing from there on was sent\n  help: leave the line out and send \
         those behind it, or put the data where the job can read it as a file",
        length(*len, *whole), lines(*sent)
    )]
    LongInput {
        /// The stream.
        stream: String,
        /// The file and the number of the line.
        place: String,
        /// How much of the line was read, in bytes.
        len: usize,
        /// Whether that is all of it.
        whole: bool,
        /// The limit.
        longest: usize,
        /// How many lines were sent before it.
        sent: u64,
    },
    /// A record contains a line break.
    #[error(
        "record {index} cannot be sent to `{stream}`: there is a line break in it\n  help: take it out, or \
         have the job read the stream as JSON"
    )]
    LineBreak {
        /// The stream.
        stream: String,
        /// Its index among those given.
        index: usize,
    },
    /// A record contains a float that JSON cannot represent.
    #[error(
        "record {index} cannot be sent to `{stream}`: {why}\n  help: leave it out, or have the job read the \
         stream as CSV"
    )]
    NotFinite {
        /// The stream.
        stream: String,
        /// Its index among those given.
        index: usize,
        /// The float.
        why: crate::record::NotFinite,
    },
    /// The input cannot be read.
    #[error(
        "what is to be sent to `{stream}` cannot be read: {why}. The {} before that were acknowledged, and nothing \
         behind them was sent", lines(*sent)
    )]
    Input {
        /// How many lines were sent before.
        sent: u64,
        /// The stream.
        stream: String,
        /// The system's error.
        why: String,
    },
    /// The client was dropped, or its thread has ended.
    #[error("the client has ended: {why}")]
    Ended {
        /// The reason.
        why: String,
    },
}

fn length(len: usize, whole: bool) -> String {
    if whole { len.to_string() } else { format!("more than {len}") }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

fn list(addrs: &[SocketAddr]) -> String {
    let addrs: Vec<_> = addrs.iter().map(SocketAddr::to_string).collect();
    addrs.join(", ")
}
