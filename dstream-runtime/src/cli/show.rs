//! What a running job shows on standard error: a display that moves on a terminal, else a line now
//! and then, or JSON objects.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::panel::Panel;
use serde_json::json;

use super::args::{EngineArgs, LogFormat};
use crate::driver::cluster::ClusterNews;
use crate::driver::{BatchReport, Observer, Summary};
use crate::exec::job::BuiltJob;
use crate::exec::task::DeadLetter;
use crate::plan::Plan;

/// About a line per second at most, however short batches are; less than a second, so that batches
/// of one second have a line each. In a log for machines live batches as long as that have one even when
/// they come fast, after a failure: how late each of them was is what one wants to know then.
const EVERY: Duration = Duration::from_millis(900);
/// Dead letters shown per source; all are counted.
const DEAD_SHOWN: u64 = 5;

/// What is known when a job starts.
pub(super) struct Start<'s> {
    pub plan: &'static Plan,
    pub built: &'s BuiltJob,
    pub engine: &'s EngineArgs,
    /// What runs its tasks, for people.
    pub runs_on: &'s str,
    /// Threads of this process that run tasks, if it runs any.
    pub cores: Option<usize>,
    pub live: bool,
    /// Where sources listen.
    pub addresses: Vec<Option<SocketAddr>>,
}

/// The display.
pub(super) struct Display {
    plan: &'static Plan,
    log: LogFormat,
    /// The part of a terminal that moves.
    panel: Option<Panel>,
    /// Live batches are long enough for a line each in a log for machines.
    each: bool,
    shown: Option<Instant>,
    /// Since the last line.
    batches: u64,
    records: u64,
    /// Per source, how many dead letters were shown.
    dead: Vec<u64>,
    /// What a job did that has failed.
    failed: Option<Summary>,
}

impl Display {
    /// Says what starts.
    pub(super) fn start(start: &Start<'_>, terminal: bool) -> Self {
        let Start { plan, engine, .. } = start;
        match engine.log {
            LogFormat::Text => lines(&banner(start)),
            LogFormat::Json => {
                let name = |(row, spec): (
                    &crate::plan::SourceRow,
                    &crate::exec::job::SourceSpec,
                )| { json!({"name": row.name, "url": spec.url}) };
                let sources: Vec<_> =
                    plan.sources.iter().zip(&start.built.sources).map(name).collect();
                let addresses: Vec<_> =
                    start.addresses.iter().map(|a| a.map(|a| a.to_string())).collect();
                log_json(&json!({
                    "event": "start", "job": plan.job, "plan": format!("{:016x}", plan.hash),
                    "partitions": engine.partitions, "cores": start.cores,
                    "live": start.live, "sources": sources, "addresses": addresses,
                }));
            }
        }
        let panel = terminal.then(|| Panel::new(plan.outputs.len()));
        let interval = engine.interval.unwrap_or(Duration::from_millis(plan.interval_ms));
        Self {
            plan,
            log: engine.log,
            panel,
            each: start.live && engine.log == LogFormat::Json && interval >= EVERY,
            shown: None,
            batches: 0,
            records: 0,
            dead: vec![0; plan.sources.len()],
            failed: None,
        }
    }

    /// What the job did until it failed, if it has.
    pub(super) fn until_failure(&mut self) -> Option<Summary> {
        self.failed.take()
    }

    /// Leaves the terminal as it was.
    pub(super) fn end(&mut self) {
        if let Some(panel) = self.panel.take() {
            panel.clear();
        }
    }

    /// What other threads say something with.
    pub(super) fn speaker(&self) -> Speaker {
        Speaker { log: self.log, panel: self.panel.clone() }
    }

    fn say(&self, line: &str) {
        say(self.panel.as_ref(), line);
    }
}

/// Says something beside the display, from any thread.
#[derive(Clone)]
pub(super) struct Speaker {
    pub log: LogFormat,
    panel: Option<Panel>,
}

impl Speaker {
    /// For a process that has no display.
    pub(super) fn new(log: LogFormat) -> Self {
        Self { log, panel: None }
    }

    /// A line of text, whatever the form of the log.
    pub(super) fn say(&self, line: &str) {
        say(self.panel.as_ref(), line);
    }

    /// An event in the form of the log.
    pub(super) fn tell(&self, event: &impl Told) {
        match self.log {
            LogFormat::Text => event.lines().iter().for_each(|line| self.say(line)),
            LogFormat::Json => self.say(&event.json().to_string()),
        }
    }
}

/// What can be said as text or as JSON.
pub(super) trait Told {
    /// For people.
    fn lines(&self) -> Vec<String>;
    /// One object of the log.
    fn json(&self) -> serde_json::Value;
}

/// Writes a line above the part of a terminal that moves.
fn say(panel: Option<&Panel>, line: &str) {
    match panel {
        Some(panel) => panel.suspend(|| lines(&[line])),
        None => lines(&[line]),
    }
}

impl Observer for Display {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        self.batches += 1;
        self.records += report.sources.iter().map(|source| source.records).sum::<u64>();
        let now = Instant::now();
        let since = self.shown.map(|shown| now.duration_since(shown));
        // The first batch is shown at once: it says that the job works.
        if !self.each && since.is_some_and(|since| since < EVERY) {
            return;
        }
        let rate = since.map(|since| self.records as f64 / since.as_secs_f64());
        match (self.log, &self.panel) {
            (LogFormat::Json, _) => self.log_batch(report, rate),
            (LogFormat::Text, Some(panel)) => {
                let outputs = self.plan.outputs.iter().zip(report.outputs);
                let results = outputs.map(|(row, output)| (row.name, output.preview.as_slice()));
                panel.show(self.line(report, rate), results);
            }
            (LogFormat::Text, None) => lines(&[self.line(report, rate)]),
        }
        self.shown = Some(now);
        (self.batches, self.records) = (0, 0);
    }

    fn on_dead_letters(&mut self, source: &str, letters: &[DeadLetter]) {
        let Some(index) = self.plan.sources.iter().position(|row| row.name == source) else {
            return;
        };
        let left = DEAD_SHOWN.saturating_sub(self.dead[index]) as usize;
        for letter in letters.iter().take(left) {
            let DeadLetter { split, position, reason, text } = letter;
            let text: String = text.chars().take(120).collect();
            match self.log {
                LogFormat::Text => self.say(&format!(
                    "`{source}` sets a record aside: {reason}, at {split}:{position}: {text:?}"
                )),
                LogFormat::Json => log_json(&json!({
                    "event": "dead_letter", "source": source, "split": split,
                    "position": position, "reason": reason, "text": text,
                })),
            }
        }
        if left > 0 && letters.len() >= left && self.log == LogFormat::Text {
            self.say(&format!("`{source}`: further dead letters are only counted"));
        }
        self.dead[index] += letters.len() as u64;
    }

    fn on_cluster(&mut self, news: &ClusterNews) {
        self.speaker().tell(news);
    }

    fn on_failed(&mut self, summary: &Summary) {
        self.failed = Some(summary.clone());
    }

    fn on_warning(&mut self, message: &str) {
        match self.log {
            LogFormat::Text => self.say(&format!("warning: {message}")),
            LogFormat::Json => log_json(&json!({"event": "warning", "message": message})),
        }
    }
}

impl Display {
    /// One line about a batch and those since the last line.
    fn line(&self, report: &BatchReport<'_>, rate: Option<f64>) -> String {
        let mut line = format!("{} at {}", report.batch, report.time);
        match rate {
            Some(rate) => {
                let _ = write!(line, ": {} records/s", count(rate as u64));
            }
            None => {
                let _ = write!(line, ": {} records", count(self.records));
            }
        }
        if self.batches > 1 {
            let _ = write!(line, " in {} batches", self.batches);
        }
        let _ = write!(line, ", {} to process", millis(report.processing));
        if let Some(delay) = report.delay {
            let _ = write!(line, ", delay {}", millis(delay));
        }
        for (row, output) in self.plan.outputs.iter().zip(report.outputs) {
            let _ = write!(line, "; {}: {}", row.name, count(output.records));
        }
        line
    }

    fn log_batch(&self, report: &BatchReport<'_>, rate: Option<f64>) {
        let output = |(row, output): (&crate::plan::OutputRow, &crate::driver::OutputReport)| json!({"name": row.name, "records": output.records});
        let outputs: Vec<_> = self.plan.outputs.iter().zip(report.outputs).map(output).collect();
        log_json(&json!({
            "event": "batch", "batch": report.batch.0, "time": report.time.0,
            "records": self.records, "batches": self.batches, "records_per_second": rate,
            "processing_ms": report.processing.as_secs_f64() * 1e3,
            "delay_ms": report.delay.map(|delay| delay.as_secs_f64() * 1e3),
            "outputs": outputs,
        }));
    }
}

/// What starts, and from where to where.
fn banner(start: &Start<'_>) -> Vec<String> {
    let Start { plan, built, engine, runs_on, live, addresses, .. } = start;
    let ends = if *live { "until Ctrl-C" } else { "to the end of its input" };
    let interval = engine.interval.map_or(plan.interval_ms, |i| i.as_millis() as u64);
    let mut lines = vec![format!(
        "{}: batches of {interval} ms, {} stages, {} partitions, {runs_on}; runs {ends}",
        plan.job,
        plan.stages.len(),
        engine.partitions,
    )];
    for ((row, spec), address) in plan.sources.iter().zip(&built.sources).zip(addresses) {
        let listening = address.map_or_else(String::new, |a| format!(" (listening on {a})"));
        lines.push(format!("  {} ← {}{listening}", row.name, spec.url));
    }
    for (row, spec) in plan.outputs.iter().zip(&built.outputs) {
        lines.push(format!("  {} → {}", row.name, spec.url));
    }
    lines
}

/// Writes lines to standard error. Nobody may be reading; the job goes on.
pub(super) fn lines(lines: &[impl AsRef<str>]) {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Why the process ends.
pub(super) fn error(log: LogFormat, message: &str) {
    match log {
        LogFormat::Text => lines(&[format!("error: {message}")]),
        LogFormat::Json => log_json(&json!({"event": "error", "message": message})),
    }
}

/// One object of a log in JSON.
pub(super) fn log_json(value: &serde_json::Value) {
    lines(&[value.to_string()]);
}

/// A number with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes, roughly.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(millis(Duration::from_micros(1500)), "1.50 ms");
    }
}
