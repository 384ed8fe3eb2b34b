//! What happens in a cluster, as it happens, for people and logs: names and addresses, not ids.

use std::net::SocketAddr;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::id::{BatchSeq, Epoch};

/// What a master tells its [`Observer`](crate::driver::Observer) about its cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClusterNews {
    /// The first batch waits for workers.
    Waiting {
        /// How many there are.
        have: u32,
        /// How many it waits for.
        want: u32,
    },
    /// A worker has joined.
    Joined {
        /// Its name.
        worker: String,
        /// Where other workers reach it.
        addr: SocketAddr,
        /// How many tasks it runs at a time.
        cores: u32,
        /// How much memory it uses for what grows with the input, in bytes.
        memory: u64,
    },
    /// A process was turned away.
    TurnedAway {
        /// Where from.
        addr: SocketAddr,
        /// Why.
        why: String,
    },
    /// Partitions have a new placement.
    Placed {
        /// The epoch that begins.
        epoch: Epoch,
        /// Its first batch.
        first: BatchSeq,
        /// How many workers own partitions.
        workers: u32,
        /// How many partitions move to another worker.
        moved: u32,
    },
    /// Workers were lost: others go on with their partitions from what was saved.
    Recovering {
        /// The number of the recovery.
        epoch: Epoch,
        /// The oldest batch that may have to be computed again.
        first: BatchSeq,
        /// How many workers own partitions now.
        workers: u32,
        /// How many partitions go on elsewhere.
        moved: u32,
    },
    /// The job goes on where an earlier master has stopped.
    Resumed {
        /// The number of this master among those of the job.
        term: u64,
        /// The first batch that was not cut.
        first: BatchSeq,
        /// How many batches were cut and are perhaps not published.
        again: u64,
    },
    /// A worker is slower than the others again and again: others take partitions from it.
    Slow {
        /// Its name.
        worker: String,
        /// How many times as long as others it takes.
        times: f64,
        /// How many partitions it keeps.
        partitions: u32,
        /// How many there are.
        of: u32,
        /// How much it reads of what comes in, in percent.
        share: u32,
    },
    /// A worker that was slow is as fast as the others again, and gets its share back.
    FastAgain {
        /// Its name.
        worker: String,
        /// How many partitions it owns now.
        partitions: u32,
        /// How many there are.
        of: u32,
    },
    /// A worker hands over what it holds.
    Draining {
        /// Its name.
        worker: String,
    },
    /// A worker has handed everything over and may go.
    Drained {
        /// Its name.
        worker: String,
    },
    /// A worker is gone.
    Left {
        /// Its name.
        worker: String,
        /// Why.
        why: String,
    },
    /// What clients were told is safe is held by no worker that is there: others are waited for that may have it.
    Awaiting {
        /// What.
        what: String,
        /// Workers that were there and may come again.
        workers: Vec<String>,
        /// For how much longer, in seconds, once the first worker of before is there.
        seconds: u64,
    },
    /// Records of a stream are taken in somewhere else from now on, or for the first time.
    Receiving {
        /// The stream.
        stream: String,
        /// The worker that takes them in.
        worker: String,
        /// The URL, with the address as it really is.
        url: String,
    },
    /// What the job has come to was written down under a name.
    Savepoint {
        /// Where.
        url: String,
        /// The last batch that was visible.
        published: BatchSeq,
        /// Who asked for it.
        client: String,
    },
    /// A client asked for the end of the job.
    StopAsked {
        /// The client's name.
        client: String,
        /// Without processing what was received.
        now: bool,
    },
}

/// What a worker says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WorkerNews {
    /// Its token was accepted: it has a certificate.
    Certified {
        /// The name in the certificate.
        name: String,
        /// Which cluster it belongs to: the first digits of the authority's fingerprint.
        authority: String,
    },
    /// It is connected to its master.
    Connected {
        /// The master.
        master: SocketAddr,
        /// Where it listens.
        listen: SocketAddr,
    },
    /// It owns partitions, or no longer does.
    Placed {
        /// The epoch.
        epoch: Epoch,
        /// Its first batch.
        first: BatchSeq,
        /// How many partitions are its own.
        partitions: u32,
    },
    /// It takes in records of a stream.
    Receiving {
        /// The stream.
        stream: String,
        /// The URL, with the address as it really is.
        url: String,
    },
    /// It hands over what it holds.
    Draining,
    /// It holds nothing any more and leaves.
    Drained,
    /// The job is over, as its master says.
    Over,
    /// Its master is gone: it waits for that to start again, or for another.
    MasterGone {
        /// The master.
        master: SocketAddr,
        /// How the connection ended.
        why: String,
    },
    /// Something needs attention, and the worker goes on.
    Warning(#[serde(serialize_with = "as_message")] String),
}

/// What has a tag beside it must have a name itself.
fn as_message<S: Serializer>(message: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let mut warning = serializer.serialize_struct("Warning", 1)?;
    warning.serialize_field("message", message)?;
    warning.end()
}
