//! What a running job shows: on a terminal a display that is drawn again, else a line now and then, or JSON
//! objects.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::{EngineArgs, LogFormat};
use super::log::{self, Level};
use super::panel::{PREVIEW, Panel, Terminal};
use super::words::{Field, count, fit, millis, some};
use crate::driver::cluster::ClusterNews;
use crate::driver::{BatchReport, Observer, OutputReport, Summary};
use crate::exec::job::{BuiltJob, SourceSpec};
use crate::exec::task::DeadLetter;
use crate::plan::{OutputRow, Plan, SourceRow};

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
    /// Per output, how many records of it are drawn again, if it is a `print` that is.
    pub redrawn: Vec<Option<u32>>,
}

/// The display.
pub(super) struct Display {
    plan: &'static Plan,
    speaker: Speaker,
    /// Whether there is a line about batches.
    batch_lines: bool,
    /// Live batches are long enough for a line each in a log for machines.
    each: bool,
    shown: Option<Instant>,
    /// Since the last line.
    batches: u64,
    records: u64,
    /// Per source, how many dead letters were shown.
    dead: Vec<u64>,
    /// Per output, what a `print` that is drawn again has printed last.
    printed: Vec<Option<Block>>,
    /// What a job did that has failed.
    failed: Option<Summary>,
}

/// What a `print` shows of a batch.
struct Block {
    limit: u32,
    lines: Vec<String>,
}

impl Display {
    /// Says what starts.
    pub(super) fn start(start: &Start<'_>, terminal: Option<Terminal>) -> Self {
        let Start { plan, engine, .. } = start;
        let panel = terminal.map(Panel::new);
        let speaker = Speaker { panel, ..Speaker::new(engine) };
        speaker.event(Level::Info, &banner(start), &start_event(start));
        let interval = engine.interval.unwrap_or(Duration::from_millis(plan.interval_ms));
        let block = |limit: &Option<u32>| limit.map(|limit| Block { limit, lines: Vec::new() });
        Self {
            plan,
            batch_lines: !engine.quiet && terminal != Some(Terminal::Out),
            speaker,
            each: start.live && engine.log == LogFormat::Json && interval >= EVERY,
            shown: None,
            batches: 0,
            records: 0,
            dead: vec![0; plan.sources.len()],
            printed: start.redrawn.iter().map(block).collect(),
            failed: None,
        }
    }

    /// What the job did until it failed, if it has.
    pub(super) fn until_failure(&mut self) -> Option<Summary> {
        self.failed.take()
    }

    /// Leaves the terminal as it was, with the last results of each `print`.
    pub(super) fn end(&mut self) {
        let Some(panel) = self.speaker.panel.take() else { return };
        panel.clear();
        let lines = self.printed.iter().flatten().flat_map(|block| &block.lines);
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        // The terminal may be gone.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// What other threads say something with.
    pub(super) fn speaker(&self) -> Speaker {
        self.speaker.clone()
    }
}

/// Says something beside the display, from any thread.
#[derive(Clone)]
pub(super) struct Speaker {
    pub log: LogFormat,
    /// Only warnings and errors are written.
    quiet: bool,
    panel: Option<Panel>,
}

impl Speaker {
    /// For tests.
    #[cfg(test)]
    pub(super) fn of(log: LogFormat) -> Self {
        Self { log, quiet: false, panel: None }
    }

    /// For a process that has no display.
    pub(super) fn new(engine: &EngineArgs) -> Self {
        Self { log: engine.log, quiet: engine.quiet, panel: None }
    }

    /// A line that is an entry of a log already.
    pub(super) fn pass_on(&self, line: &str) {
        match &self.panel {
            Some(panel) => panel.suspend(|| log::write(line)),
            None => log::write(line),
        }
    }

    /// An entry in the form of the log.
    pub(super) fn event(&self, level: Level, lines: &[String], json: &Value) {
        if !self.quiet || level > Level::Info {
            self.pass_on(&log::entry(self.log, level, lines, json));
        }
    }

    /// The same.
    pub(super) fn tell(&self, event: &impl Told) {
        self.event(event.level(), &event.lines(), &event.json());
    }
}

/// What can be said as text or as JSON.
pub(super) trait Told {
    /// How much it matters.
    fn level(&self) -> Level {
        Level::Info
    }
    /// For people.
    fn lines(&self) -> Vec<String>;
    /// One object of the log.
    fn json(&self) -> Value;
}

impl Observer for Display {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        self.batches += 1;
        self.records += report.sources.iter().map(|source| source.records).sum::<u64>();
        self.print(report);
        let now = Instant::now();
        let since = self.shown.map(|shown| now.duration_since(shown));
        // The first batch is shown at once: it says that the job works.
        if !self.each && since.is_some_and(|since| since < EVERY) {
            return;
        }
        let rate = since.map(|since| self.records as f64 / since.as_secs_f64());
        match &self.speaker.panel {
            Some(panel) => panel.show(&self.panel_lines(panel, report, rate)),
            None if self.batch_lines => {
                let line = fit(self.fields(report, rate), usize::MAX);
                self.speaker.event(Level::Info, &[line], &self.batch_event(report, rate));
            }
            None => {}
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
            let line = format!(
                "`{source}` sets a record aside: {reason}, at {split}:{position}: {text:?}"
            );
            let event = json!({
                "event": "dead_letter", "source": source, "split": split,
                "position": position, "reason": reason, "text": text,
            });
            self.speaker.event(Level::Warn, &[line], &event);
        }
        if left > 0 && letters.len() >= left && self.speaker.log == LogFormat::Text {
            let line = format!("`{source}`: further dead letters are only counted");
            self.speaker.event(Level::Warn, &[line], &Value::Null);
        }
        self.dead[index] += letters.len() as u64;
    }

    fn on_cluster(&mut self, news: &ClusterNews) {
        self.speaker.tell(news);
    }

    fn on_failed(&mut self, summary: &Summary) {
        self.failed = Some(summary.clone());
    }

    fn on_warning(&mut self, message: &str) {
        self.speaker.event(Level::Warn, &[message.to_owned()], &json!({"event": "warning"}));
    }
}

impl Display {
    /// Keeps what a `print` shows of a batch; one without records shows nothing.
    fn print(&mut self, report: &BatchReport<'_>) {
        let outputs = self.printed.iter_mut().zip(self.plan.outputs).zip(report.outputs);
        for ((block, row), output) in outputs {
            let Some(block) = block.as_mut().filter(|_| output.records > 0) else { continue };
            block.lines = vec![format!("{} at {}:", row.name, report.time)];
            block.lines.extend(output.preview.iter().take(block.limit as usize).cloned());
            let more = output.records.saturating_sub(u64::from(block.limit));
            block.lines.extend((more > 0).then(|| format!("… and {more} more")));
        }
    }

    /// What is drawn: a line about the batch, and results.
    fn panel_lines(
        &self,
        panel: &Panel,
        report: &BatchReport<'_>,
        rate: Option<f64>,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        if self.batch_lines {
            lines.push(fit(self.fields(report, rate), panel.width()));
        }
        let outputs = self.printed.iter().zip(self.plan.outputs).zip(report.outputs);
        for ((block, row), output) in outputs {
            match block {
                Some(block) => lines.extend_from_slice(&block.lines),
                None if !self.batch_lines => {}
                None => {
                    for (i, record) in output.preview.iter().take(PREVIEW as usize).enumerate() {
                        let name = if i == 0 { row.name } else { "" };
                        lines.push(format!("  {name:>14} │ {record}"));
                    }
                }
            }
        }
        lines
    }

    /// One line about a batch and those since the last line.
    fn fields(&self, report: &BatchReport<'_>, rate: Option<f64>) -> Vec<Field> {
        let records = match rate {
            Some(rate) => format!(": {} records/s", count(rate as u64)),
            None => format!(": {}", some(self.records, "record")),
        };
        let mut fields =
            vec![(9, report.batch.to_string()), (2, format!(" at {}", report.time)), (8, records)];
        if self.batches > 1 {
            fields.push((1, format!(" in {}", some(self.batches, "batch"))));
        }
        fields.push((3, format!(", {} to process", millis(report.processing))));
        if let Some(delay) = report.delay {
            fields.push((4, format!(", delay {}", millis(delay))));
        }
        for (row, output) in self.plan.outputs.iter().zip(report.outputs) {
            fields.push((5, format!("; {}: {}", row.name, count(output.records))));
        }
        fields
    }

    fn batch_event(&self, report: &BatchReport<'_>, rate: Option<f64>) -> Value {
        let output = |(row, output): (&OutputRow, &OutputReport)| json!({"name": row.name, "records": output.records});
        let outputs: Vec<_> = self.plan.outputs.iter().zip(report.outputs).map(output).collect();
        json!({
            "event": "batch", "batch": report.batch.0, "batch_time": report.time.0,
            "records": self.records, "batches": self.batches, "records_per_second": rate,
            "processing_ms": report.processing.as_secs_f64() * 1e3,
            "delay_ms": report.delay.map(|delay| delay.as_secs_f64() * 1e3),
            "outputs": outputs,
        })
    }
}

fn start_event(start: &Start<'_>) -> Value {
    let Start { plan, built, engine, .. } = start;
    let name = |(row, spec): (&SourceRow, &SourceSpec)| json!({"name": row.name, "url": spec.url});
    let sources: Vec<_> = plan.sources.iter().zip(&built.sources).map(name).collect();
    let addresses: Vec<_> = start.addresses.iter().map(|a| a.map(|a| a.to_string())).collect();
    json!({
        "event": "start", "job": plan.job, "plan": format!("{:016x}", plan.hash),
        "partitions": engine.partitions, "cores": start.cores,
        "live": start.live, "sources": sources, "addresses": addresses,
    })
}

/// What starts, and from where to where.
fn banner(start: &Start<'_>) -> Vec<String> {
    let Start { plan, built, engine, runs_on, live, addresses, .. } = start;
    let ends = if *live { "until Ctrl-C" } else { "to the end of its input" };
    let interval = engine.interval.map_or(plan.interval_ms, |i| i.as_millis() as u64);
    let mut lines = vec![format!(
        "{}: batches of {interval} ms, {}, {}, {runs_on}; runs {ends}",
        plan.job,
        some(plan.stages.len() as u64, "stage"),
        some(engine.partitions, "partition"),
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

/// Writes an answer for people to standard error.
pub(super) fn lines(lines: &[impl AsRef<str>]) {
    lines.iter().for_each(|line| log::write(line.as_ref()));
}

/// Why the process ends: in the log of a job that ran, or as an answer to a command line.
pub(super) fn error(log: LogFormat, ran: bool, message: &str) {
    match log {
        LogFormat::Text if !ran => lines(&[format!("error: {message}")]),
        _ => {
            let event = json!({"event": "error"});
            log::write(&log::entry(log, Level::Error, &[message.to_owned()], &event));
        }
    }
}
