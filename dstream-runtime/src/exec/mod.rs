//! Where batches are executed.

pub mod table;
