//! What generated code names. Not part of the interface.

pub use crate::cli::main;
pub use crate::exec::call::{as_view, call, call2, into_record, items, option, pair, test, view};
pub use crate::exec::head::Span;
pub use crate::exec::job::{
    Builder, combined, count, join, keyed, merge, merge_keyed, reduce, rows, rows_of, running,
    running_keyed, top_k, window, window_reduce, window_reduce_inverse,
};
pub use crate::exec::tail::{Combine, Fold, Output, Rows, Spread, Tally, Top};
pub use crate::id::{OperatorId, OutputId, SourceId, StageId, TailId};
pub use crate::job::{AnyJob, Job, NoParams};
pub use crate::plan::{
    Dependency, InputRow, OperatorRow, OutputRow, Plan, Report, SourceRow, StageRow, StateKind,
    StateRow, TailRow, Tasks,
};
pub use crate::record::{
    AsRecord, Field, FieldError, Fields, Key, KeyFor, KeyReader, Record, Schema, Visitor,
};
pub use crate::source::{CsvRows, JsonLines, TextLines};
pub use mimalloc::MiMalloc;
pub use {clap, serde};
