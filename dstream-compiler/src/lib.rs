//! The compiler of dstream: from a declarative stream program to fused kernels and constant tables.
//!
//! ```text
//! tokens → syntax → logical plan → passes → physical plan → code
//! ```
//!
//! The same front end serves the macros (which need code) and build scripts (which write reports).

pub mod build;
pub mod codegen;
mod compile;
pub mod diag;
pub mod expand;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod ir;
pub mod op;
pub mod params;
pub mod pass;
pub mod record;
mod reserved;
pub mod syntax;
#[cfg(test)]
mod testing;

pub use compile::{Compiled, compile_job, unresolved_operators};
