//! The runtime of dstream.
pub mod exec;
pub mod id;
pub mod plan;
pub mod record;
pub mod sink;
pub mod source;
pub mod text;
pub mod time;
