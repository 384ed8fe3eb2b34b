//! What dstream is compared with: reproducible data, and the same work written by hand.
//!
//! dstream uses nothing from here. Hand-written code does not use dstream: only [`streams`] and the programs
//! `kernels`, `streams`, `latency` and `net` do.
//!
//! Two styles: [`plain`], the yardstick, uses good libraries and simple loops; [`expert`], the limit, took a
//! week of tuning per loop.

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
