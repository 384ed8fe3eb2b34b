//! What dstream is measured against: data that everybody can make again, and the same work
//! written by hand.
//!
//! Nothing here is used by dstream, and only the programs `kernels` and `net` use dstream.
//!
//! Two styles: [`plain`] is what a good engineer writes on a good day with good libraries, and is
//! the yardstick; [`expert`] is what somebody writes who has a week for one loop, and is the limit.

pub mod counts;
pub mod data;
pub mod expert;
pub mod input;
pub mod jobs;
pub mod net;
pub mod output;
pub mod plain;

/// What programs here end with.
pub type BenchResult<T> = Result<T, Box<dyn std::error::Error>>;
