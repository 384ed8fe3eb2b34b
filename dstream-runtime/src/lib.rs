//! The runtime of dstream.
pub mod exec;
pub mod id;
pub mod job;
pub mod plan;
#[doc(hidden)]
pub mod private;
pub mod record;
pub mod sink;
pub mod source;
pub mod text;
pub mod time;
