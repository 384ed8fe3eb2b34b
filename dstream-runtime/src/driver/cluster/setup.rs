//! What a master and a worker are started with, and what a master ships to its workers.
//!
//! A worker is told nothing about the job on its command line: whatever decides what a task computes is
//! parsed once, on the master, and travels as a [`JobSetup`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::durable::Durable;
use crate::exec::job::Bindings;
use crate::exec::task::OutputSetting;
use crate::id::BatchSeq;
use crate::net::MemoryNetwork;
use crate::sink::Sink;
use crate::source::receive::PushSource;

/// When a received block is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
pub enum Ingest {
    /// When two workers hold it in memory, or the only one.
    #[default]
    Memory,
    /// When it is in the durable store as well.
    Durable,
}

/// The durable store of the workers' ingest logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestStore {
    /// Its URL.
    pub url: String,
    /// What its mark says: on another host another directory may be there.
    pub id: [u8; 16],
}

/// What a worker needs to build the same job as its master, beside the binary.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobSetup {
    /// The job's parameters, as JSON.
    pub params: String,
    /// `--source NAME=URL`, by name.
    pub sources: BTreeMap<String, String>,
    /// `--sink NAME=URL`, by name; also those of dead letters.
    pub sinks: BTreeMap<String, String>,
    /// The master's working directory: what paths of sources that begin with no slash are relative to.
    #[serde(with = "bytes")]
    pub base: PathBuf,
    /// The URL of the store where workers bring states into safety, if they do.
    pub saves: Option<String>,
    /// The store of the ingest logs, if what clients push is acknowledged only once it is in one.
    pub ingest_log: Option<IngestStore>,
    /// Number of partitions.
    pub partitions: u32,
    /// The batch interval in milliseconds.
    pub interval_ms: u64,
    /// How many records of each output and batch are shown where the master runs.
    pub preview: u32,
    /// Per output of the plan, how its records are written. Only the master opens outputs; the workers that
    /// run the tasks must know what they want.
    pub outputs: Vec<OutputSetting>,
}

/// A path as its bytes: not every path is text.
mod bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(path.as_os_str().as_bytes(), to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        serde_bytes::deserialize::<Vec<u8>, _>(from).map(|bytes| OsString::from_vec(bytes).into())
    }
}

impl JobSetup {
    /// The URLs that stand for those in the program.
    #[must_use]
    pub fn bindings(&self) -> Bindings {
        Bindings { sources: self.sources.clone(), sinks: self.sinks.clone() }
    }
}

/// Ways on for a job whose sources are not what they were when it was run before: names of sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceWays {
    /// What cannot be read of these any more is given up; the state stays.
    pub skip: Vec<String>,
    /// These read something else from here on.
    pub accept: Vec<String>,
}

/// How a master and its workers reach each other.
#[derive(Debug, Clone)]
pub enum Reach {
    /// Over the network.
    Network,
    /// In this process by memory, and over the network.
    Near(MemoryNetwork),
    /// By memory alone: no port is opened, and no file but those of blocks that do not fit into memory.
    Within(MemoryNetwork),
}

impl Reach {
    /// The endpoints of this process.
    pub(super) fn near(&self) -> Option<&MemoryNetwork> {
        match self {
            Self::Network => None,
            Self::Near(network) | Self::Within(network) => Some(network),
        }
    }

    /// The endpoints of this process, if no other process is reached.
    pub(super) fn within(&self) -> Option<&MemoryNetwork> {
        match self {
            Self::Within(network) => Some(network),
            Self::Network | Self::Near(_) => None,
        }
    }
}

/// How a job is run by its master.
pub struct MasterOptions {
    /// Where it listens for workers and clients.
    pub listen: SocketAddr,
    /// Whether the options ask for an address that other hosts can reach.
    pub public: bool,
    /// The port for blocks, on the same address; 0 for any.
    pub bulk_port: u16,
    /// How its workers reach it.
    pub reach: Reach,
    /// The directory of the authority, the tokens and the master's file.
    pub state: PathBuf,
    /// The URL of the durable store for the journal and saved states, if that is not the directory.
    pub store: Option<String>,
    /// The durable store, if it is one of this process.
    pub durable: Option<Durable>,
    /// How many bytes a batch of live sources takes in at most.
    pub batch_bytes: u64,
    /// The last batch that this master cuts: then it leaves the job to the next one.
    pub until: Option<BatchSeq>,
    /// The first batch waits for this many workers.
    pub workers: u32,
    /// A worker counts as gone after a silence of this length. Not by memory alone: there a worker ends only
    /// with its process.
    pub lease: Duration,
    /// About how often states are saved: then the partitions of a worker that is lost go on elsewhere. None:
    /// the job ends with such a worker.
    pub checkpoint: Option<Duration>,
    /// When what clients push is acknowledged.
    pub ingest: Ingest,
    /// The savepoint that the job begins with: its URL or path, or its name if it lies in the store.
    pub from: Option<String>,
    /// Whether to go on without what clients have sent before and no process holds any more.
    pub accept_loss: bool,
    /// What is done about sources that are not what they were.
    pub ways: SourceWays,
    /// Whether tasks that are late are run on other workers too; only where states are saved.
    pub speculate: bool,
    /// Whether it has waited for another master: then it completes a stop that this one had begun.
    pub standby: bool,
    /// Whether a stop by [`StopHandle`](crate::driver::StopHandle) ends this master only: the job is left to
    /// the next one. Only where states are saved.
    pub leaves_job: bool,
    /// What it ships to its workers.
    pub setup: JobSetup,
    /// Per source, whether workers receive what is pushed for it; may be shorter than the list of
    /// sources.
    pub pushed: Vec<Option<PushSource>>,
    /// How many batches may be in flight: it bounds memory, and lets input be read ahead.
    pub in_flight: u32,
    /// How often a task is run before the job gives up.
    pub attempts: u32,
    /// For how long an output that refuses a batch is tried again before the job gives up.
    pub patience: Duration,
    /// Per source the output of its dead letters, if it has one, which gets JSON lines; may be shorter
    /// than the list of sources.
    pub dead_letters: Vec<Option<Box<dyn Sink>>>,
}

impl MasterOptions {
    /// The lease where a lost worker ends the job: long enough for a process that gets no time to run for
    /// some seconds, as happens on a host with more to do than it can. A connection that breaks is
    /// noticed at once, and so is the end of a process whose lifeline got through, whatever the lease.
    pub const LEASE: Duration = Duration::from_secs(5);
    /// The lease where others go on for a lost worker.
    pub const SHORT_LEASE: Duration = Duration::from_secs(2);
}

impl fmt::Debug for MasterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterOptions")
            .field("listen", &self.listen)
            .field("public", &self.public)
            .field("state", &self.state)
            .field("store", &self.store)
            .field("workers", &self.workers)
            .field("lease", &self.lease)
            .field("from", &self.from)
            .field("setup", &self.setup)
            .field("in_flight", &self.in_flight)
            .field("attempts", &self.attempts)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Where masters may be, to be tried in this order.
    pub master: Vec<SocketAddr>,
    /// Where it listens for other workers and for clients.
    pub listen: SocketAddr,
    /// Whether the options ask for an address that other hosts can reach.
    pub public: bool,
    /// The port for blocks, on the same address; 0 for any.
    pub bulk_port: u16,
    /// How it reaches its master.
    pub reach: Reach,
    /// The file of a token, needed where there is no certificate yet.
    pub token: Option<PathBuf>,
    /// The file in which its certificate is kept, so that a worker that starts again needs no token. Its
    /// directory is there.
    pub identity: PathBuf,
    /// The directory for blocks that do not fit into memory; made when it is needed.
    pub spill: PathBuf,
    /// The name it would like to have.
    pub name: String,
    /// Whether a process that is started again in its place has the same name.
    pub keeps_name: bool,
    /// Number of executor threads.
    pub cores: usize,
    /// How much memory it uses for what grows with the input, in bytes.
    pub memory: u64,
    /// Where it saves states, if that is a store of this process.
    pub durable: Option<Durable>,
}
