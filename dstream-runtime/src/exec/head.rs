//! Heads: what a stage reads.
//!
//! A head never changes state while it runs: it computes the change, the kernel and the tails see the
//! new values, and the change is made when everything has succeeded. So a task that panics half-way
//! leaves the state of batch t − 1, and can run again.

mod due;
mod expiring;
mod firsts;
mod gather;
mod join;
mod keyed_state;
mod merge;
mod panes;
mod rows;
mod running;
mod save;
mod source;
mod touched;
mod track;
mod update_state;
mod window_reduce;

pub use expiring::Expiring;
pub use firsts::{Firsts, Remembered};
pub use gather::{CountAll, Reduce, TopK};
pub use join::{Join, LeftOuterJoin};
pub use merge::Merge;
pub use panes::Span;
pub use rows::{RowsOf, Window};
pub use running::Running;
pub use source::SourceHead;
pub use track::Track;
pub use update_state::UpdateState;
pub use window_reduce::{NoInverse, WindowReduce};

use super::task::TaskContext;
use crate::store::KeptBlock;

/// The blocks of a dependency, in merge order.
fn blocks<'t>(cx: &TaskContext<'t>, dependency: usize) -> &'t [KeptBlock] {
    cx.inputs.get(dependency).map_or(&[], Vec::as_slice)
}
