//! Runs the job in this process: opens its inputs and outputs, stops on Ctrl-C, says what was done.

use std::io::IsTerminal;

use super::Failed;
use super::args::{EngineArgs, Invocation, LogFormat, SummaryFormat};
use super::open::{self, Opened};
use super::panel::{MAX_PRINT, PREVIEW, Terminal};
use super::show::{Display, Start};
use super::signals::Signals;
use super::summary;
use super::words::some;
use crate::driver::{self, JobError, LocalConfig, StopHandle, Summary};
use crate::plan::Plan;
use crate::sink::SinkError;

/// Runs the job to its end.
pub(super) fn run(invocation: &Invocation<'_>) -> Result<(), Failed> {
    let mut opened = open::open(invocation, false)?;
    let engine = &invocation.engine;
    let cores = cores(invocation);
    let runs_on = some(cores as u64, "thread");
    let mut running = Running::start(invocation, &mut opened, &runs_on, Some(cores))?;
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
        Ok(Self { plan, display, preview, signals: Some(signals) })
    }

    /// What the first signal stops; the second ends the process, after `leave`.
    pub(super) fn stop_on_signals(
        &mut self,
        leave: impl FnOnce() + Send + 'static,
    ) -> Result<StopHandle, Failed> {
        let stop = StopHandle::new();
        if let Some(signals) = self.signals.take() {
            signals.stop(stop.clone(), self.display.stopping(), leave).map_err(no_signals)?;
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
        let speaker = self.display.speaker();
        let engine = &invocation.engine;
        match result {
            Ok(done) => {
                match engine.summary {
                    SummaryFormat::Text => summary::say(self.plan, &done, &speaker),
                    SummaryFormat::Json => summary::json(self.plan, &done).map_err(Failed::Job)?,
                }
                Ok(())
            }
            // Whoever read the output has seen enough: `JOB | head`.
            Err(JobError::Output { error: SinkError::Closed { .. }, .. }) => Ok(()),
            Err(error) => Err(Failed::Job(error.to_string())),
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
