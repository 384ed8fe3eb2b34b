//! Runs the job in this process: opens its inputs and outputs, stops on Ctrl-C, says what was done.

use std::io::IsTerminal;
use std::time::Duration;

use super::Failed;
use super::args::{Invocation, LogFormat, SummaryFormat};
use super::open::{self, Opened};
use super::panel::PREVIEW;
use super::show::{Display, Start};
use super::signals::{Notice, Signals};
use super::summary::{self, Ending};
use crate::driver::{self, JobError, LocalConfig, StopHandle, Summary};
use crate::plan::Plan;
use crate::sink::{self, SinkError};

/// Runs the job to its end.
pub(super) fn run(invocation: &Invocation<'_>) -> Result<(), Failed> {
    let opened = open::open(invocation, false)?;
    let engine = &invocation.engine;
    let cores = cores(invocation);
    let runs_on = format!("{cores} threads");
    let mut running = Running::start(invocation, &opened, &runs_on, Some(cores))?;
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
    /// How long the process may take to end after the first signal.
    stop_timeout: Option<Duration>,
    /// Of a job over history, where its outputs go, by name.
    outlets: Vec<(String, String)>,
}

impl Running {
    /// Says what starts. Signals are caught from here on.
    pub(super) fn start(
        invocation: &Invocation<'_>,
        opened: &Opened,
        runs_on: &str,
        cores: Option<usize>,
    ) -> Result<Self, Failed> {
        let Opened { plan, built, live, .. } = opened;
        let engine = &invocation.engine;
        let terminal = std::io::stderr().is_terminal()
            && engine.log == LogFormat::Text
            && !(opened.prints() && std::io::stdout().is_terminal());
        let signals = Signals::catch().map_err(no_signals)?;
        let addresses = opened.addresses();
        let start = Start { plan, built, engine, runs_on, cores, live: *live, addresses };
        let display = Display::start(&start, terminal);
        let preview = if terminal || *live { PREVIEW } else { 0 };
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
            None => done.map_or(Ok(()), |done| self.judge(&done)),
            // Whoever read the output has seen enough: `JOB | head`.
            Some(_) if closed => Ok(()),
            Some(JobError::Refused(why)) => Err(Failed::Usage(why)),
            Some(error) => Err(Failed::Job(error.to_string())),
        }
    }

    /// Whether a job that came to its end has done what it was to do.
    fn judge(&self, done: &Summary) -> Result<(), Failed> {
        if let Some(source) = done.unprocessed() {
            return Err(Failed::Job(summary::in_vain(source)));
        }
        let job = self.plan.job.to_owned();
        let options = sink::Options { job, ..sink::Options::default() };
        for (name, url) in self.outlets.iter().filter(|_| !done.stopped) {
            let newest = sink::newest(url, name, &options);
            let newest =
                newest.map_err(|error| Failed::Job(format!("output `{name}`: {error}")))?;
            if let Some(left) = newest.filter(|newest| Some(newest.newest) > done.last) {
                return Err(Failed::Job(summary::left(name, &left)));
            }
        }
        Ok(())
    }

    /// Says what was done: on standard output, if it is to be there and somebody reads it.
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
                summary::say(self.plan, done, ending, engine.log);
                Ok(())
            }
        }
    }
}

pub(super) fn no_signals(error: std::io::Error) -> Failed {
    Failed::Job(format!("cannot wait for Ctrl-C: {error}"))
}
