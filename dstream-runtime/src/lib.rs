//! The runtime of dstream.
pub mod block;
pub mod driver;
pub mod exec;
pub mod id;
pub mod plan;
pub mod record;
pub mod sched;
pub mod sink;
pub mod source;
pub mod time;
