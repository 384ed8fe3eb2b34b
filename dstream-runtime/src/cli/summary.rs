//! What a job did, said at its end.

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use super::log::Level;
use super::show::Speaker;
use super::words::{bytes, count, some};
use crate::driver::Summary;
use crate::plan::Plan;

/// In the log, on standard error.
pub(super) fn say(plan: &Plan, done: &Summary, speaker: &Speaker) {
    let event = json!({"event": "summary", "summary": Line::new(plan, done)});
    speaker.event(Level::Info, &facts(plan, done), &event);
}

/// One line per fact.
fn facts(plan: &Plan, done: &Summary) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} ({}) in {}, {:.2} s, {} records/s",
        plan.job,
        some(done.records, "record"),
        bytes(done.bytes),
        some(done.batches, "batch"),
        done.elapsed,
        count(done.records_per_second as u64),
    )];
    for output in &done.outputs {
        lines.push(format!("  {}: {}", output.name, some(output.records, "record")));
    }
    for source in done.sources.iter().filter(|source| source.dead_letters > 0) {
        lines.push(format!(
            "  {}: {} set aside (bind --sink {}.dead=json+file://DIR to keep them)",
            source.name,
            some(source.dead_letters, "record"),
            source.name
        ));
    }
    if let Some(latency) = &done.latency {
        lines.push(format!(
            "  delay of results: median {:.2} ms, 99 % within {:.2} ms, at most {:.2} ms",
            latency.p50_ms, latency.p99_ms, latency.max_ms
        ));
    }
    lines
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
