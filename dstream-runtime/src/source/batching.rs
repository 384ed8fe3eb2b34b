//! What the batches of a bounded source stand for: nothing but how it was cut, unless its URL says more.

use super::SourceError;
use super::url::SourceUrl;

/// What the batches of a source that is read to its end stand for, as its URL says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batching {
    /// `windows=batches`: each batch is one batch interval, and windows count them.
    pub windows: bool,
    /// `join=batch`: its records meet only those of their own batch.
    pub joins: bool,
}

/// What the URL of a source says about its batches.
///
/// # Errors
/// When an option is malformed.
pub fn batching(url: &str) -> Result<Batching, SourceError> {
    SourceUrl::parse(url)?.batching()
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
    let url = SourceUrl::parse(url).ok()?;
    let is_generator = url.scheme() == "generate";
    let sized = url.has("batch") || url.has("batch_records");
    let windows = if sized { "windows=batches" } else { "batch_records=1000&windows=batches" };
    Some(Instead {
        windows: url.with(windows),
        joins: url.with("join=batch"),
        timed: match url.scheme() {
            "generate" => Some("give it `rate=`, in records per second"),
            "file" if !url.place().is_empty() && url.place() != "-" => {
                Some("follow the files with `?follow`")
            }
            _ => None,
        },
        whole: if is_generator { "a larger `batch_records=`" } else { "`batch=1TiB`" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
