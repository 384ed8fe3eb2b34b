//! What dstream is measured against: data that everybody can make again, and the same work
//! written by hand.
//!
//! Nothing here is used by dstream, and nothing written by hand uses it: only [`streams`] does, and
//! the programs `kernels`, `streams`, `latency` and `net`.
//!
//! Two styles: [`plain`] is what a good engineer writes on a good day with good libraries, and is
//! the yardstick; [`expert`] is what somebody writes who has a week for one loop, and is the limit.

pub mod counts;
pub mod data;
pub mod expert;
pub mod fused;
pub mod input;
pub mod jobs;
pub mod net;
pub mod output;
pub mod plain;
pub mod runs;
pub mod streams;
