//! The runtime of dstream: records and blocks, the execution of tasks, the engine, inputs and
//! outputs, and the command line of a job binary.
//!
//! Nothing here parses or plans programs; the runtime gets constant tables and kernels.

pub mod agg;
mod bits;
pub mod block;
mod calendar;
pub mod cli;
pub mod client;
pub mod connect;
pub mod connectors;
pub mod driver;
pub mod durable;
pub mod exec;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod guards;
mod host;
pub mod id;
pub mod job;
mod mix;
pub mod net;
pub mod plan;
#[doc(hidden)]
pub mod private;
pub mod record;
pub mod sched;
mod shares;
pub mod sink;
pub mod source;
pub mod store;
pub mod testing;
pub mod text;
pub mod time;
pub mod timestamp;
pub mod wire;
