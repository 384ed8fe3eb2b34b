//! `session`

use super::event_window::assigning;
use super::{Arg, Operator};

pub(super) static OPERATOR: Operator = Operator {
    usage: "session(\"30min\")",
    doc: "the records of each key in sessions, which end when none comes for a time",
    details: "It is for streams with `event_time`, and the next operator says what becomes of a session: `reduce_by_key`, \
              `fold_by_key`, `group_by_key`, `count_by_value`; with `reduce`, `count` or `distinct` all records are of one key. \
              Operators per record may stand between. A session begins with the time of its first record and ends one gap \
              after that of its last one; records that are less than a gap apart are in one session, in whatever order they come. \
              It emits once, when the watermark has passed its end, and its records carry it as `ctx.window()`.",
    example: "pairs.event_time(|(_, n)| n, \"10s\").session(\"30min\").reduce_by_key(|a, b| a + b)",
    is_session: true,
    ..assigning("session", &[&[Arg::Time("gap")]])
};
