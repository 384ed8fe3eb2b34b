//! What the batches of a bounded source stand for: nothing but how it was cut, unless its URL says more.

use super::SourceError;
use crate::connect::{ConnectorUrl, OptionRow};

/// What the batches of a source that is read to its end stand for, as its URL says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batching {
    /// `windows=batches`: each batch is one batch interval, and windows count them.
    pub windows: bool,
    /// `join=batch`: its records meet only those of their own batch.
    pub joins: bool,
}

const WINDOWS: OptionRow = OptionRow::choice(
    "windows",
    &["batches"],
    "Of a source that ends: take each batch as one batch interval, and count windows in batches",
);

const JOIN: OptionRow = OptionRow::choice(
    "join",
    &["batch"],
    "Of a source that ends: accept that a join pairs records of the same batch only",
);

/// The options of sources that may end.
pub(super) static OPTIONS: [OptionRow; 2] = [WINDOWS, JOIN];

/// What the URL of a source says about its batches.
///
/// # Errors
/// When an option is malformed.
pub fn batching(url: &str) -> Result<Batching, SourceError> {
    of(&ConnectorUrl::source(url)?)
}

/// The same of a URL that was taken apart.
pub(super) fn of(url: &ConnectorUrl) -> Result<Batching, SourceError> {
    let windows = url.word_of(&WINDOWS)?.is_some();
    if windows && !url.has("batch") && !url.has("batch_records") {
        let why = "`windows=batches` takes one batch as one interval: say how much that is with `batch_records=N` \
                   or `batch=SIZE`";
        return Err(url.fail(why).into());
    }
    Ok(Batching { windows, joins: url.word_of(&JOIN)?.is_some() })
}

/// What to write instead of the URL of a bounded source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Instead {
    /// Each batch is one interval.
    pub(crate) windows: String,
    /// Records meet those of their batch.
    pub(crate) joins: String,
    /// How it becomes a source whose batches are intervals.
    pub(crate) timed: Option<&'static str>,
    /// How one batch holds all of it.
    pub(crate) whole: &'static str,
}

/// What to write instead of the URL of a bounded source; nothing for one that is malformed.
pub(crate) fn instead(url: &str) -> Option<Instead> {
    let url = ConnectorUrl::source(url).ok()?;
    let is_file = url.scheme() == "file";
    let sized = url.has("batch") || url.has("batch_records");
    let windows = if sized { "windows=batches" } else { "batch_records=1000&windows=batches" };
    Some(Instead {
        windows: url.with(windows),
        joins: url.with("join=batch"),
        timed: match url.scheme() {
            "generate" => Some("give it `rate=`, in records per second"),
            _ if is_file && !url.place().is_empty() && url.place() != "-" => {
                Some("follow the files with `?follow`")
            }
            _ => None,
        },
        whole: if is_file { "`batch=1TiB`" } else { "a larger `batch_records=`" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_stand_for_intervals_only_by_name() {
        let batching = |url: &str| batching(url).map_err(|error| error.to_string());
        assert_eq!(batching("x?batch=1MiB"), Ok(Batching::default()));
        let both = Batching { windows: true, joins: true };
        assert_eq!(batching("x?batch_records=10&windows=batches&join=batch"), Ok(both));
        assert!(batching("x?windows=batches").unwrap_err().contains("`batch_records=N`"));
        assert!(batching("x?batch=1&windows=5m").unwrap_err().contains("expected `batches`"));
        assert!(batching("x?join").unwrap_err().contains("expected `batch`"));
    }

    #[test]
    fn what_to_write_instead_keeps_what_is_there() {
        let file = instead("logs/*.gz").unwrap();
        assert_eq!(file.windows, "logs/*.gz?batch_records=1000&windows=batches");
        assert_eq!(file.joins, "logs/*.gz?join=batch");
        assert!(file.timed.unwrap().contains("?follow") && file.whole.contains("batch=1TiB"));
        let made = instead("generate://words?records=9&batch_records=3").unwrap();
        assert_eq!(made.windows, "generate://words?records=9&batch_records=3&windows=batches");
        assert!(made.timed.unwrap().contains("rate="));
        for url in [&file.windows, &file.joins, &made.windows, &made.joins] {
            assert!(batching(url).is_ok(), "{url}");
        }
    }
}
