//! Execution: what runs inside one task.
//!
//! A stage is a *head* (what it reads: a source, merged segments, a join, a window, …), a *kernel*
//! (the generated loop body with the user's closures inlined) and *tails* (what happens to the
//! records that leave it). All three are generic and compiled into one loop per stage; the engine
//! sees them as a [`RunStage`](stage::RunStage), one virtual call per task.
//!
//! Nothing here knows the network, the clock or other tasks.

pub mod call;
pub(crate) mod catch;
pub mod context;
pub mod event_time;
pub mod flow;
pub mod head;
pub mod job;
pub mod keyed;
pub mod meeting;
pub mod poison;
pub mod sample;
pub mod stage;
pub mod state;
pub mod table;
pub mod tail;
pub mod task;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

/// An endless sequence of batches of records, as it stands in the signature of an operator function:
/// `fn sessions(views: Stream<PageView>) -> Stream<Session>`. It exists only while a program is
/// compiled; no value of it is ever made.
pub struct Stream<R>(PhantomData<fn() -> R>);
