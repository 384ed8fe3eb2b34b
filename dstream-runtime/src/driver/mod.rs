//! Where the cores meet the world: the only clock, the only threads, the only I/O of a job.
//!
//! A driver decides nothing. It takes what happened to the [cores](crate::sched) and carries out what
//! they ask for. [`run`] is the driver of a job in one process: a *master* half and a *worker* half
//! (`master`, `worker`), put together by a loop that passes messages from one to the other.

mod budget;
pub mod cluster;
mod error;
mod inbox;
mod journal;
mod latency;
mod local;
mod master;
mod report;
mod stop;
mod worker;

pub(crate) use budget::Budget;
pub use error::{JobError, Place, TaskFailure};
pub use latency::Latency;
pub use local::{LocalConfig, run};
pub use report::{
    BatchReport, Observer, OutputCount, OutputReport, Savepoint, SourceCount, SourceReport, Summary,
};
pub use stop::StopHandle;

use self::inbox::Inbox;
use crate::durable::SavepointError;
use crate::durable::journal::JournalNews;
use crate::durable::savepoint::Pinned;
use crate::id::{BatchSeq, Epoch, SourceId};
use crate::net::Delivery;
use crate::sched::message::Saved;
use crate::source::{Cut, receive};

/// How many bytes of buffers are kept to be used again: those of the batches in flight, as a rule.
const BUFFERS_KEPT: usize = 256 << 20;

/// So many events are taken in before what follows from them is done: a flood of them must not keep an
/// engine from its work.
const AT_ONCE: usize = 128;

/// What happened, from whatever thread.
enum Event {
    /// A task has run on an executor.
    Ran(worker::task::Ran),
    /// A source has answered.
    Cut { batch: BatchSeq, source: SourceId, result: Result<Cut, master::AskError> },
    /// The sinks have a batch, or one has refused it for good.
    Published { batch: BatchSeq, result: Result<(), master::Refused> },
    /// A sink has refused a batch, and will be given it again.
    Refused { batch: BatchSeq, refused: master::Refused },
    /// Something came over the network.
    Net(Delivery),
    /// A receiver on this worker has something.
    Received(SourceId, receive::Delivery),
    /// A state is in safety, or is not.
    Saved(Saved, Result<cluster::Tip, String>),
    /// A state was loaded for a recovery, or could not be.
    Loaded(Saved, Epoch, Result<cluster::Loaded, String>),
    /// What the master has decided is durable, or will not be.
    Journal(JournalNews),
    /// A savepoint is in safety, or was given up.
    Savepoint(Result<Pinned, SavepointError>),
    /// The process of a worker has ended, as whoever started it says.
    Ended { worker: String, why: String },
    /// The job is to stop.
    Stop,
}

/// Closes a queue however a scope is left: no executor must wait for ever.
struct CloseOnDrop<'q>(&'q worker::Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
