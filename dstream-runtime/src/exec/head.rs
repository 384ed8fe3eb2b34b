//! Heads: what a stage reads.
//!
//! A head never changes state while it runs: it computes the change, the kernel and the tails see the
//! new values, and the change is made when everything has succeeded. So a task that panics half-way
//! leaves the state of batch t − 1, and can run again.

mod due;
mod event_window;
mod expiring;
mod firsts;
mod gather;
mod group;
mod join;
mod join_within;
mod keyed_state;
mod merge;
mod panes;
mod rows;
mod running;
mod save;
mod session;
mod side;
mod source;
mod table_join;
mod timed_lists;
mod touched;
mod track;
mod update_state;
mod watermark;
mod window_reduce;

pub use event_window::EventWindow;
pub use expiring::Expiring;
pub use firsts::{Firsts, Remembered};
pub use gather::{CountAll, Reduce, SortBy, TopK, WindowTopK, ZipWithIndex};
pub use group::{Cogroup, GroupByKey, SubtractByKey};
pub use join::{FullOuterJoin, Join, LeftOuterJoin, RightOuterJoin};
pub use join_within::{Both, Full, JoinWithin, Left, Within};
pub use merge::Merge;
pub use panes::Span;
pub use rows::{PartitionRows, RowsOf, Window};
pub use running::Running;
pub use session::SessionReduce;
pub use source::SourceHead;
pub use table_join::{Absent, Inner, Kept, Meet, Outer, TableJoin, Timed};
pub(crate) use timed_lists::append;
pub use timed_lists::{Append, TimedLists, TimedValues};
pub use track::Track;
pub use update_state::UpdateState;
pub use watermark::{Marked, Watermark};
pub use window_reduce::{NoInverse, WindowGroup, WindowReduce};

use super::task::TaskContext;
use crate::store::KeptBlock;

/// The blocks of a dependency, in merge order.
fn blocks<'t>(cx: &TaskContext<'t>, dependency: usize) -> &'t [KeptBlock] {
    cx.inputs.get(dependency).map_or(&[], Vec::as_slice)
}
