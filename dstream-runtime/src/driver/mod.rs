//! Where the cores meet the world: the only clock, the only threads, the only I/O of a job.
//!
//! A driver decides nothing. It takes what happened to the [cores](crate::sched) and carries out what
//! they ask for. There is one engine: a *master* half and a *worker* half (`master`, `worker`), each in a loop of its own
//! (`cluster`), which speak over the network, or by memory if they are in one process ([`run`]).

mod budget;
pub mod cluster;
mod error;
mod journal;
mod latency;
pub(crate) mod local;
mod master;
mod report;
mod stop;
mod worker;

pub(crate) use budget::Budget;
pub use error::{JobError, Place, TaskFailure};
pub use latency::Latency;
pub use local::{LocalConfig, run};
pub use report::{
    BatchReport, Observer, OutputCount, OutputReport, SourceCount, SourceReport, Summary,
};
pub use stop::StopHandle;

use crate::durable::journal::JournalEvent;
use crate::durable::savepoint::WrittenSavepoint;
use crate::durable::{CheckpointError, SavepointError};
#[cfg(test)]
use crate::host::Lane;
use crate::host::{self, Arrives};
use crate::id::{BatchSeq, Epoch, SourceId};
use crate::net::Delivery;
use crate::sched::message::Saved;
use crate::source::receive;

/// How many bytes of buffers are kept to be used again: those of the batches in flight, as a rule.
const BUFFERS_KEPT: usize = 256 << 20;

/// How many events are taken in before what follows from them is done: a flood of them must not keep an engine from
/// its work.
const AT_ONCE: usize = 128;

/// What happened, from whatever thread.
enum Event {
    /// A task has run on an executor.
    Ran(worker::task::Ran),
    /// A source has answered.
    Cut { batch: BatchSeq, source: SourceId, answer: master::Answer },
    /// The sinks have a batch, or one has refused it for good.
    Published { batch: BatchSeq, result: Result<master::Closed, master::Refused> },
    /// A sink has refused a batch, and will be given it again.
    Refused { batch: BatchSeq, refused: master::Refused },
    /// Something came over the network.
    Net(Delivery),
    /// A receiver on this worker has something.
    Received(SourceId, receive::Delivery),
    /// A state is in safety, or is not.
    Saved(Saved, Result<cluster::Tip, CheckpointError>),
    /// A state was loaded for a recovery, or could not be.
    Loaded(Saved, Epoch, Result<cluster::Loaded, String>),
    /// Received blocks are in the ingest log, or cannot be written there.
    Ingest(cluster::IngestEvent),
    /// What the master has decided is durable, or will not be.
    Journal(JournalEvent),
    /// A savepoint is in safety, or was given up.
    Savepoint(Result<WrittenSavepoint, SavepointError>),
    /// The process of a worker has ended, as its launcher reports.
    Ended { worker: String, why: String },
    /// The job is to stop.
    Stop,
}

/// What an engine of a job waits for.
type Inbox = host::Inbox<Event>;

impl Arrives for Event {
    #[cfg(test)]
    fn lane(&self) -> Lane {
        let one = |name, most_ms| Lane { name, about: (0, 0, 0), most_ms };
        match self {
            Self::Ran(ran) => {
                let task = ran.task;
                let about = (task.batch.0, u64::from(task.stage.0), u64::from(task.partition.0));
                Lane { name: "ran", about, most_ms: 30 }
            }
            Self::Cut { batch, source, .. } => {
                Lane { name: "cut", about: (batch.0, u64::from(source.0), 0), most_ms: 3 }
            }
            Self::Published { .. } | Self::Refused { .. } => one("publishes", 20),
            Self::Journal(_) => one("journal", 15),
            Self::Saved(..) | Self::Loaded(..) => one("saves", 80),
            Self::Ingest(_) => one("ingest", 15),
            Self::Savepoint(_) => one("savepoint", 50),
            Self::Received(source, _) => {
                Lane { name: "received", about: (u64::from(source.0), 0, 0), most_ms: 1 }
            }
            Self::Net(_) => one("a network", 0),
            Self::Ended { .. } | Self::Stop => one("an owner", 0),
        }
    }
}

/// Closes a queue however a scope is left: no executor must wait for ever.
struct CloseOnDrop<'q>(&'q worker::Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
