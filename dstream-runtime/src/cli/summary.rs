//! What a job did, said at its end.

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use super::args::LogFormat;
use super::show::{bytes, count};
use crate::driver::Summary;
use crate::plan::Plan;

/// In the log, on standard error.
pub(super) fn say(plan: &Plan, done: &Summary, log: LogFormat) {
    match log {
        LogFormat::Text => super::show::lines(&facts(plan, done)),
        LogFormat::Json => {
            super::show::log_json(&json!({"event": "summary", "summary": Line::new(plan, done)}));
        }
    }
}

/// One line per fact.
fn facts(plan: &Plan, done: &Summary) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} records ({}) in {} batches, {:.2} s, {} records/s",
        plan.job,
        count(done.records),
        bytes(done.bytes),
        count(done.batches),
        done.elapsed,
        count(done.records_per_second as u64),
    )];
    for output in &done.outputs {
        lines.push(format!("  {}: {} records", output.name, count(output.records)));
    }
    for source in done.sources.iter().filter(|source| source.dead_letters > 0) {
        lines.push(format!(
            "  {}: {} records were set aside (bind --sink {}.dead=json+file://DIR to keep them)",
            source.name,
            count(source.dead_letters),
            source.name
        ));
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
    #[serde(flatten)]
    done: &'s Summary,
}

impl<'s> Line<'s> {
    fn new(plan: &'s Plan, done: &'s Summary) -> Self {
        Self { job: plan.job, plan: format!("{:016x}", plan.hash), done }
    }
}

/// One line of JSON, on standard output.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn json(plan: &Plan, done: &Summary) -> Result<(), String> {
    let failed = |error: String| format!("cannot write the summary to standard output: {error}");
    let text =
        serde_json::to_string(&Line::new(plan, done)).map_err(|error| failed(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| failed(error.to_string()))
}
