//! The compiler of dstream: from a declarative stream program to fused kernels and constant tables.
//!
//! ```text
//! tokens → syntax → logical plan → passes → physical plan → code
//! ```
//!
//! The same front end serves the macros (which need code) and build scripts (which write reports).

pub mod codegen;
pub mod ir;
pub mod params;
pub mod record;
