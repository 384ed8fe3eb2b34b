//! Paths for generated code; not part of the interface.
//!
//! Includes the standard library, because a user's crate or module may be called `core` or `std`.

pub use crate::__record_of_names as record_of_names;
pub use crate::__wrong_record as wrong_record;
pub use crate::agg::{begin, finish, merge as merge_accumulators};
pub use crate::cli::main;
pub use crate::exec::call::{
    as_view, call, call_option, call_option_with, call_with, call2, call3, call4, capture, inspect,
    inspect_with, into_option, into_record, items, next, pair, test, test_with, view,
};
pub use crate::exec::context::{Scoped, context};
pub use crate::exec::event_time::{Windows, event_time, time_of};
pub use crate::exec::flow::{
    clock, cogroup, combined, combined_panes, count, event_groups, event_window, expiring,
    expiring_keyed, firsts, firsts_keyed, full_outer_join, group_by_key, join, keyed,
    left_outer_join, listed_panes, merge, merge_keyed, partition_rows, reduce, right_outer_join,
    rows, rows_of, running, running_keyed, session_groups, session_reduce, sort_by,
    subtract_by_key, timed_list, times, top_k, track, united, update_state, window, window_group,
    window_reduce, window_reduce_inverse, window_top_k, zip_with_index,
};
pub use crate::exec::head::{Kept, Remembered, Span, Within};
pub use crate::exec::job::Builder;
pub use crate::exec::keyed::{give, untimed};
pub use crate::exec::meeting::{
    full_outer_join_within, join_table, join_table_timed, join_within, left_outer_join_table,
    left_outer_join_table_timed, left_outer_join_within, subtract_by_key_table,
    subtract_by_key_table_timed,
};
pub use crate::exec::sample::sampled;
pub use crate::exec::tail::{
    Broadcast, Combine, CombinePanes, Fold, Gathered, Marks, Output, Rows, Spread, Tally, Top,
    WindowTop,
};
pub use crate::id::{OperatorId, OutputId, SourceId, StageId, TailId};
pub use crate::job::{AnyJob, Compiled, Job, JobParams, NoParams, job};
pub use crate::plan::{
    Dependency, InputRow, OperatorRow, OutputRow, Plan, Report, SourceRow, StageRow, StateKind,
    StateRow, TailRow, Tasks,
};
pub use crate::record::{
    AsRecord, Check, Checked, Field, FieldError, Fields, Key, KeyFor, KeyReader, Named, Names,
    Object, Record, Schema, Visitor, is_record, is_row, is_standard, variant, variant_from_fields,
};
pub use crate::source::{CsvRows, JsonLines, TextLines};
pub use mimalloc::MiMalloc;
pub use {::core, ::std, clap, serde};
