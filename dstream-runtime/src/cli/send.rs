//! `JOB send`: lines of standard input or a file to a stream of a running job, and how many of them
//! were acknowledged.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::time::{Duration, Instant};

use super::args::{Invocation, SendArgs};
use super::ask::target;
use super::show::lines;
use super::words::{bytes, some};
use super::{Failed, answer};
use crate::connect::unknown;
use crate::driver::cluster::{Acknowledged, send as send_to};
use crate::host::limits;

/// A line on a terminal now and then.
const EVERY: Duration = Duration::from_secs(1);

/// Sends all there is, and says what was acknowledged.
pub(super) fn send(invocation: &Invocation<'_>, options: &SendArgs) -> Result<(), Failed> {
    let plan = invocation.job.plan();
    if !plan.sources.iter().any(|source| source.name == options.stream) {
        let names: Vec<_> = plan.sources.iter().map(|source| source.name).collect();
        let why = unknown("stream", &options.stream, "known", &names);
        return Err(Failed::Usage(format!("--stream {}: {why}", options.stream)));
    }
    let mut input: Box<dyn Read> = match &options.file {
        Some(path) => {
            let failed =
                |error| Failed::Usage(format!("{}: cannot be read: {error}", path.display()));
            Box::new(File::open(path).map_err(failed)?)
        }
        None => {
            let closed = |error| Failed::Usage(format!("standard input cannot be read: {error}"));
            limits::is_open(0).map_err(closed)?;
            Box::new(io::stdin().lock())
        }
    };
    let target = target(invocation)?;
    let terminal = io::stderr().is_terminal();
    let mut shown = Instant::now();
    let mut progress = |so_far: &Acknowledged| {
        if terminal && shown.elapsed() >= EVERY {
            shown = Instant::now();
            lines(&[said(&options.stream, so_far)]);
        }
    };
    let name = options.file.as_ref().map(|path| path.display().to_string());
    let name = name.as_deref().unwrap_or("standard input");
    let done = send_to(&target, &options.stream, (name, &mut input), &mut progress)?;
    answer(&said(&options.stream, &done))
}

fn said(stream: &str, done: &Acknowledged) -> String {
    let Acknowledged { records, bytes: len, batches } = *done;
    format!(
        "{stream}: {} ({}) in {} acknowledged",
        some(records, "record"),
        bytes(len),
        some(batches, "batch")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged() {
        let done = Acknowledged { records: 1_234_567, bytes: 3 << 20, batches: 12 };
        let line = "views: 1,234,567 records (3.0 MiB) in 12 batches acknowledged";
        assert_eq!(said("views", &done), line);
        let one = Acknowledged { records: 1, bytes: 2, batches: 1 };
        assert_eq!(said("views", &one), "views: 1 record (2 B) in 1 batch acknowledged");
    }
}
