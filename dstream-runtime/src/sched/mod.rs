//! The decisions of a running job: which batch is cut when, which task may run, what is published.
//!
//! Two state machines, without clocks, sockets or threads:
//!
//! * [`MasterCore`] owns the life cycle of batches: cut, run, commit, publish, in order, each once.
//! * [`WorkerCore`] owns the tasks of its partitions: a task runs when its lineage row is satisfied.
//!
//! They talk in [messages](message) only, which are plain data and carry the epoch, so the same cores
//! are driven by channels in one process and by the network between several. A driver hands events
//! to `handle` and carries out what `poll` gives it; it decides nothing. Handlers are total: a message
//! that is old, doubled or absurd changes nothing. Nothing here depends on the order of a hash map.

mod attempt;
mod clock;
mod engines;
pub mod master;
pub(crate) mod membership;
pub mod message;
pub mod past;
pub mod placement;
mod reach;
mod shape;
pub mod status;
mod stragglers;
pub mod worker;

#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
pub(crate) mod testplan;

/// No more batches than this are ever in flight: a bound on what a worker keeps of batches, and on
/// what it believes.
pub const MAX_IN_FLIGHT: u32 = 256;

pub(crate) use attempt::is_speculative;
#[cfg(test)]
pub(crate) use attempt::speculative;
pub(crate) use clock::JobClock;
pub use master::{MasterAction, MasterConfig, MasterCore, MasterEvent};
pub use past::Past;
pub use worker::{Retention, WorkerAction, WorkerCore, WorkerEvent};
