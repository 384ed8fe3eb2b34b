//! What a job did, said at its end.

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use super::log::Level;
use super::show::Speaker;
use super::words::{bytes, count, some};
use crate::driver::{SourceCount, Summary};
use crate::plan::Plan;
use crate::sink::Earlier;

/// How the job has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// At the end of its input, or when it was told to stop.
    Done,
    /// With an error: what it did until then.
    Failed,
}

/// In the log, on standard error.
pub(super) fn say(plan: &Plan, done: &Summary, ending: Ending, speaker: &Speaker) {
    let event = json!({"event": "summary", "summary": Line::new(plan, done, ending)});
    speaker.event(Level::Info, &facts(plan, done), &event);
}

/// Why a run has failed that could process nothing of what a source brought.
pub(super) fn in_vain(source: &SourceCount) -> String {
    let SourceCount { name, dead_letters, first_dead, .. } = source;
    let first = first_dead.as_ref().map_or_else(String::new, |first| {
        let text: String = first.text.chars().take(120).collect();
        format!("; the first, at {}:{}: {}: {text:?}", first.split, first.position, first.reason)
    });
    format!(
        "source `{name}`: all records that were read ({}) were set aside, none was processed{first}\n  \
         help: is this the format that the program reads (`source::text`, `csv` or `json`, and the fields of its \
         record)? --sink {name}.dead=json+file://DIR keeps them, each with its reason",
        count(*dead_letters)
    )
}

/// Why a run over history has failed that found more at an output than it has published.
pub(super) fn left(output: &str, left: &Earlier) -> String {
    format!(
        "output `{output}`: {} holds batches after the last one of this run (the newest is that of {}): an earlier \
         run has published them, and readers take them for results of this one\n  \
         help: --overwrite removes what this job published there before; --sink {output}=FORMAT+file://DIR names \
         another directory",
        left.place, left.newest
    )
}

/// One line per fact.
fn facts(plan: &Plan, done: &Summary) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} read ({}) = {} processed + {} set aside, {}, {:.2} s, {} records/s",
        plan.job,
        some(done.read, "record"),
        bytes(done.bytes),
        count(done.records),
        count(done.dead_letters),
        some(done.batches, "batch"),
        done.elapsed,
        count(done.records_per_second as u64),
    )];
    if done.first_batch > 1 {
        lines.push(format!(
            "  counted from batch {} on: those before it were published by an earlier process of this job",
            count(done.first_batch)
        ));
    }
    let several = done.sources.len() > 1;
    for source in done.sources.iter().filter(|source| several || source.dead_letters > 0) {
        let dead = format!("{}.dead", source.name);
        let is_kept = done.outputs.iter().any(|output| output.name == dead);
        let keep = match source.dead_letters > 0 && !is_kept {
            true => format!(" (bind --sink {dead}=json+file://DIR to keep them)"),
            false => String::new(),
        };
        lines.push(format!(
            "  {}: {} read = {} processed + {} set aside{keep}",
            source.name,
            count(source.read),
            count(source.records),
            count(source.dead_letters),
        ));
    }
    if done.late > 0 {
        let late = some(done.late, "record");
        lines.push(format!(
            "  {late} left out of windows of event time: they came late (counted by each of these operators)"
        ));
    }
    for output in &done.outputs {
        let closed = if output.closed { ", until its reader closed it" } else { "" };
        let records = some(output.records, "record");
        lines.push(format!("  {}: {records} published{closed}", output.name));
    }
    for source in &done.sources {
        let troubles = troubles(&source.name, source.unreadable_files, source.lost_bytes);
        lines.extend(troubles.map(|text| format!("  {text}")));
    }
    if let Some(latency) = &done.latency {
        lines.push(format!(
            "  delay of results: median {:.2} ms, 99 % within {:.2} ms, at most {:.2} ms",
            latency.p50_ms, latency.p99_ms, latency.max_ms
        ));
    }
    lines
}

/// What a source could not read, if there is anything.
pub(super) fn troubles(source: &str, unreadable: u64, lost: u64) -> Option<String> {
    let files = match unreadable {
        0 => None,
        1 => Some("1 file cannot be read".to_owned()),
        files => Some(format!("{} files cannot be read", count(files))),
    };
    let lost = (lost > 0).then(|| format!("{} were lost before they were read", bytes(lost)));
    let both: Vec<String> = files.into_iter().chain(lost).collect();
    (!both.is_empty()).then(|| format!("{source}: {}", both.join("; ")))
}

#[derive(Serialize)]
struct Line<'s> {
    job: &'s str,
    plan: String,
    outcome: Ending,
    #[serde(flatten)]
    done: &'s Summary,
}

impl<'s> Line<'s> {
    fn new(plan: &'s Plan, done: &'s Summary, outcome: Ending) -> Self {
        Self { job: plan.job, plan: format!("{:016x}", plan.hash), outcome, done }
    }
}

/// One line of JSON, on standard output.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn json(plan: &Plan, done: &Summary, ending: Ending) -> Result<(), String> {
    let failed = |error: String| format!("cannot write the summary to standard output: {error}");
    let text = serde_json::to_string(&Line::new(plan, done, ending))
        .map_err(|error| failed(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::OutputCount;
    use crate::exec::task::DeadLetter;
    use crate::plan::example::PLAN;

    fn source(name: &str, records: u64, dead_letters: u64, bounded: bool) -> SourceCount {
        let first_dead = (dead_letters > 0).then(|| DeadLetter {
            split: "views.csv".to_owned(),
            position: 17,
            reason: "no number".to_owned(),
            text: "x,y".to_owned(),
        });
        let (name, read) = (name.to_owned(), records + dead_letters);
        SourceCount {
            name,
            read,
            records,
            dead_letters,
            first_dead,
            bounded,
            ..SourceCount::default()
        }
    }

    fn done(first_batch: u64, sources: Vec<SourceCount>) -> Summary {
        let sum = |count: fn(&SourceCount) -> u64| sources.iter().map(count).sum::<u64>();
        Summary {
            batches: 1,
            last: None,
            complete: false,
            first_batch,
            read: sum(|source| source.read),
            records: sum(|source| source.records),
            late: 0,
            dead_letters: sum(|source| source.dead_letters),
            bytes: 2048,
            outputs: vec![OutputCount { name: "counts".to_owned(), records: 1, closed: false }],
            sources,
            elapsed: 0.5,
            records_per_second: 2.0,
            speculations: None,
            latency: None,
        }
    }

    #[test]
    fn what_was_read_adds_up() {
        let one = done(1, vec![source("views", 1000, 0, true)]);
        assert_eq!(
            facts(&PLAN, &one),
            [
                "page_views: 1,000 records read (2.0 KiB) = 1,000 processed + 0 set aside, 1 batch, 0.50 s, \
                 2 records/s",
                "  counts: 1 record published",
            ]
        );
        let two = done(7, vec![source("views", 2, 1, true), source("people", 5, 0, false)]);
        let lines = facts(&PLAN, &two);
        assert!(
            lines[0].contains("8 records read (2.0 KiB) = 7 processed + 1 set aside"),
            "{lines:?}"
        );
        assert!(lines[1].contains("from batch 7 on"), "{lines:?}");
        assert!(lines[2].contains("views: 3 read = 2 processed + 1 set aside (bind"), "{lines:?}");
        assert_eq!(lines[3], "  people: 5 read = 5 processed + 0 set aside");
    }

    #[test]
    fn a_source_of_which_nothing_could_be_processed_is_a_failure() {
        let vain = |first, sources| {
            let done = done(first, sources);
            done.unprocessed().map(|source| source.name.clone())
        };
        let (good, bad) = (|bounded| source("good", 1, 1, bounded), |b| source("bad", 0, 2, b));
        assert_eq!(vain(1, vec![good(true), bad(true)]).as_deref(), Some("bad"));
        assert_eq!(vain(1, vec![bad(false)]).as_deref(), Some("bad"));
        // A live source may just have begun; an earlier process may have processed something.
        assert_eq!(vain(1, vec![good(true), bad(false)]), None);
        assert_eq!(vain(2, vec![bad(true)]), None);
        assert_eq!(vain(1, vec![source("empty", 0, 0, true)]), None);
        let why = in_vain(&bad(true));
        assert!(
            why.contains("(2) were set aside") && why.contains("views.csv:17: no number"),
            "{why}"
        );
    }
}
