//! The language: from the tokens of a job or an operator function to the logical plan.
//!
//! All mistakes are reported. Invalid parts are left out of the plan and remembered, so that a mistake is
//! not reported again at every use.

mod argument;
mod attribute;
mod body;
mod call;
mod chain;
mod determinism;
pub mod duration;
mod function;
mod header;
mod lowering;
mod mention;
mod operator_fn;
mod rename;
mod scope;
mod statement;
pub(crate) mod suggest;
mod tables;
#[cfg(test)]
mod tests;
mod within;

pub(crate) use attribute::interval;
pub use header::Signature;
pub(crate) use header::{function, job};
pub(crate) use lowering::{Lowering, path_text};
pub use operator_fn::{OperatorFn, Parameter};
