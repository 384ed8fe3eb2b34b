//! The runtime of dstream.
pub mod block;
pub mod id;
pub mod plan;
pub mod record;
pub mod sink;
pub mod source;
pub mod time;
