//! What dstream is measured against: data that everybody can make again, and the same work
//! written by hand.
//!
//! Nothing here is used by dstream, and only `kernels` uses dstream.

pub mod data;
