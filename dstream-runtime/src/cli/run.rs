//! Runs the job in this process: opens its inputs and outputs, stops on Ctrl-C, says what was done.

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};

use super::Failed;
use super::args::{EngineArgs, Invocation, LogFormat, SummaryFormat};
use super::open::{self, Opened};
use super::panel::{MAX_PRINT, PREVIEW, Terminal};
use super::show::{Display, Start, Told};
use super::signals::{Notice, Signals};
use super::summary::{self, Ending};
use super::words::some;
use crate::driver::{self, JobError, LocalConfig, StopHandle, Summary};
use crate::plan::Plan;
use crate::sink::{self, SinkError, Sinks};

/// Runs the job to its end.
pub(super) fn run(invocation: &Invocation<'_>) -> Result<(), Failed> {
    let mut opened = open::open(invocation, false)?;
    let engine = &invocation.engine;
    let cores = cores(invocation);
    let runs_on = some(cores as u64, "thread");
    let mut running = Running::start(invocation, &mut opened, &runs_on, Some(cores))?;
    if opened.live {
        running.display.speaker().tell(&StartsAnew);
    }
    let stop = running.stop_on_signals(|| ())?;
    let config = LocalConfig {
        partitions: engine.partitions,
        cores,
        interval: engine.interval,
        patience: engine.sink_patience,
        memory: invocation.cluster.memory,
        preview: running.preview,
        dead_letters: opened.dead_letters,
        ..LocalConfig::default()
    };
    let Opened { built, sources, sinks, .. } = opened;
    let result = driver::run(built, config, sources, sinks, &mut running.display, stop);
    running.finish(invocation, result)
}

/// A live job without `--state`.
struct StartsAnew;

impl Told for StartsAnew {
    fn lines(&self) -> Vec<String> {
        vec![
            "nothing is kept: the job starts anew each time; with --state DIR it resumes"
                .to_owned(),
        ]
    }

    fn json(&self) -> Value {
        json!({"event": "starts_anew"})
    }
}

/// Threads that run tasks on this host.
pub(super) fn cores(invocation: &Invocation<'_>) -> usize {
    match invocation.engine.cores {
        Some(cores) => cores as usize,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// A job that is shown while it runs: in this process, or as the master of a cluster.
pub(super) struct Running {
    plan: &'static Plan,
    pub display: Display,
    /// How many records of each output and batch are worth showing.
    pub preview: u32,
    signals: Option<Signals>,
    /// How long the process may take to end after the first signal.
    stop_timeout: Option<Duration>,
    /// Of a job over history, where its outputs go, by name.
    outlets: Vec<(String, String)>,
}

impl Running {
    /// Says what starts. Signals are caught from here on.
    pub(super) fn start(
        invocation: &Invocation<'_>,
        opened: &mut Opened,
        runs_on: &str,
        cores: Option<usize>,
    ) -> Result<Self, Failed> {
        let engine = &invocation.engine;
        let (terminal, redraws) = terminal(engine, opened);
        let redrawn = if redraws { opened.redraw() } else { vec![None; opened.sinks.len()] };
        let Opened { plan, built, live, .. } = &*opened;
        let signals = Signals::catch().map_err(no_signals)?;
        let addresses = opened.addresses();
        let least = if terminal.is_some() || *live { PREVIEW } else { 0 };
        let most = redrawn.iter().flatten().max().copied().unwrap_or(0);
        let start = Start { plan, built, engine, runs_on, cores, live: *live, addresses, redrawn };
        let display = Display::start(&start, terminal);
        let preview = least.max(most.min(MAX_PRINT));
        let stop_timeout = invocation.cluster.stop_timeout.0;
        let outlets = if *live { Vec::new() } else { opened.outlets() };
        Ok(Self { plan, display, preview, signals: Some(signals), stop_timeout, outlets })
    }

    /// What the first signal stops; the second ends the process, after `leave`.
    pub(super) fn stop_on_signals(
        &mut self,
        leave: impl FnOnce() + Send + 'static,
    ) -> Result<StopHandle, Failed> {
        let stop = StopHandle::new();
        if let Some(signals) = self.signals.take() {
            let told =
                Notice::teller(self.display.speaker(), "the job processes what it has received");
            signals.stop(stop.clone(), self.stop_timeout, told, leave).map_err(no_signals)?;
        }
        Ok(stop)
    }

    /// Says what was done.
    pub(super) fn finish(
        mut self,
        invocation: &Invocation<'_>,
        result: Result<Summary, JobError>,
    ) -> Result<(), Failed> {
        self.display.end();
        let until_failure = self.display.until_failure();
        let (done, error) = match result {
            Ok(done) => (Some(done), None),
            Err(error) => (until_failure, Some(error)),
        };
        let closed =
            matches!(error, Some(JobError::Output { error: SinkError::Closed { .. }, .. }));
        let refused = matches!(error, Some(JobError::Refused(_)));
        if let Some(done) = done.as_ref().filter(|_| !refused) {
            let ending = if error.is_some() && !closed { Ending::Failed } else { Ending::Done };
            self.say(invocation, done, ending, closed)?;
        }
        match error {
            None => {
                done.map_or(Ok(()), |done| self.judge(&done, &invocation.job.connectors().sinks))
            }
            // The reader of the output has seen enough: `JOB | head`.
            Some(_) if closed => Ok(()),
            Some(JobError::Refused(why)) => Err(Failed::Usage(why)),
            Some(error) => Err(Failed::Job(error.to_string())),
        }
    }

    /// Whether a job that came to its end has done what it was to do.
    fn judge(&self, done: &Summary, sinks: &Sinks) -> Result<(), Failed> {
        if let Some(source) = done.unprocessed() {
            return Err(Failed::Job(summary::in_vain(source)));
        }
        let job = self.plan.job.to_owned();
        let options = sink::Options { job };
        for (name, url) in self.outlets.iter().filter(|_| done.complete) {
            let newest = sinks.newest(url, name, &options);
            let newest =
                newest.map_err(|error| Failed::Job(format!("output `{name}`: {error}")))?;
            if let Some(left) = newest.filter(|newest| Some(newest.newest) > done.last) {
                return Err(Failed::Job(summary::left(name, &left)));
            }
        }
        Ok(())
    }

    /// Writes the summary: to standard output, if that is asked for and has a reader.
    fn say(
        &self,
        invocation: &Invocation<'_>,
        done: &Summary,
        ending: Ending,
        closed: bool,
    ) -> Result<(), Failed> {
        let engine = &invocation.engine;
        match engine.summary {
            SummaryFormat::Json if !closed => {
                summary::json(self.plan, done, ending).map_err(Failed::Job)
            }
            _ => {
                summary::say(self.plan, done, ending, &self.display.speaker());
                Ok(())
            }
        }
    }
}

/// Where the display is drawn, if it is, and whether it shows what `print` prints: results of a live job on a
/// terminal, if nothing else is written there. Over history every batch stays to be seen.
fn terminal(engine: &EngineArgs, opened: &Opened) -> (Option<Terminal>, bool) {
    let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
    let speaks = err && engine.log == LogFormat::Text;
    let redraws = out
        && opened.live
        && opened.prints()
        && !opened.streams()
        && (speaks || !err)
        && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    match (redraws, speaks) {
        (true, true) => (Some(Terminal::Err), true),
        (true, false) => (Some(Terminal::Out), true),
        (false, true) if !(out && (opened.prints() || opened.streams())) && !engine.quiet => {
            (Some(Terminal::Err), false)
        }
        (false, _) => (None, false),
    }
}

pub(super) fn no_signals(error: std::io::Error) -> Failed {
    Failed::Job(format!("cannot wait for Ctrl-C: {error}"))
}
