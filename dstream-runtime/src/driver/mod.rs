//! Where the cores meet the world: the only clock, the only threads, the only I/O of a job.
//!
//! A driver decides nothing. It takes what happened to the [cores](crate::sched) and carries out what
//! they ask for. [`run`] is the driver of a job in one process.

mod batch;
pub mod cluster;
mod dead;
mod error;
mod executor;
mod intake;
mod latency;
mod local;
mod print;
mod publish;
mod report;
mod stop;
mod store;
mod task;

pub use error::{JobError, Place, TaskFailure};
pub use latency::Latency;
pub use local::{LocalConfig, run};
pub use report::{
    BatchReport, Observer, OutputCount, OutputReport, Savepoint, SourceCount, SourceReport, Summary,
};
pub use stop::StopHandle;
