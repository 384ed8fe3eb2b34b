//! Execution: what runs inside one task.
//!
//! A stage is a *head* (what it reads: a source, merged segments, a join, a window, …), a *kernel*
//! (the generated loop body with the user's closures inlined) and *tails* (what happens to the
//! records that leave it). All three are generic and compiled into one loop per stage; the engine
//! sees them as a [`RunStage`], one virtual call per task.
//!
//! Nothing here knows the network, the clock or other tasks.

pub mod call;
pub mod head;
pub mod job;
pub mod stage;
pub mod table;
pub mod tail;
pub mod task;
