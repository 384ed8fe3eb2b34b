//! Signals that end a process: SIGINT (Ctrl-C), SIGTERM and SIGHUP. The first one stops the job in order, the
//! second one ends the process at once.
//!
//! Invariant: after the first signal the process ends within the stop limit, whatever the job waits for.
//! Signals are caught before the job says that it starts.

use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::show::{Speaker, Told};
use crate::driver::StopHandle;

/// `timeout` and some supervisors signal a process and then its group: signals this close together count
/// as one.
const TOGETHER: Duration = Duration::from_millis(250);

/// The exit code of a process that was signalled twice.
const INTERRUPTED: i32 = 130;

/// The exit code of a process that did not end within the stop limit.
const OVERDUE: i32 = 1;

/// What a user reads about signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// The first signal came. The process ends within the limit, if there is one.
    Stopping { limit: Option<Duration> },
    /// The limit has passed: the process ends now.
    Overdue { limit: Duration },
}

impl Notice {
    /// For a process that `does` something before it ends, for example "processes what was received".
    fn text(self, does: &str) -> String {
        match self {
            Self::Stopping { limit: Some(limit) } => {
                format!(
                    "stopping: {does}, within {limit:?} (--stop-timeout); Ctrl-C again ends at once"
                )
            }
            Self::Stopping { limit: None } => {
                format!("stopping: {does}; Ctrl-C again ends at once")
            }
            Self::Overdue { limit } => format!(
                "not done {limit:?} after the signal to stop: this process ends now, as if it had been killed; \
                 --stop-timeout sets the limit"
            ),
        }
    }

    /// The name of the event in a JSON log.
    fn event(self) -> &'static str {
        match self {
            Self::Stopping { .. } => "stop",
            Self::Overdue { .. } => "stop_overdue",
        }
    }

    /// What a process that `does` something before it ends calls with each notice.
    pub(super) fn teller(speaker: Speaker, does: &'static str) -> impl Fn(Self) + Send {
        move |notice| speaker.tell(&Entry { notice, does })
    }
}

/// A notice in the log of a process that `does` something before it ends.
struct Entry {
    notice: Notice,
    does: &'static str,
}

impl Told for Entry {
    fn lines(&self) -> Vec<String> {
        vec![self.notice.text(self.does)]
    }

    fn json(&self) -> Value {
        json!({"event": self.notice.event()})
    }
}

/// The signals, caught.
pub(super) struct Signals {
    runtime: Runtime,
    caught: Vec<Signal>,
}

impl Signals {
    /// Catches them. A SIGHUP that was ignored when the process started, as `nohup` does, stays ignored.
    ///
    /// # Errors
    /// When the system has no descriptors for it.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let kinds = [
            Some(SignalKind::interrupt()),
            Some(SignalKind::terminate()),
            (!ignores_hangup()).then(SignalKind::hangup),
        ];
        let caught = {
            let _inside = runtime.enter();
            kinds.into_iter().flatten().map(signal).collect::<io::Result<_>>()?
        };
        Ok(Self { runtime, caught })
    }

    /// Waits for them on a thread of its own. The first one calls `say` and stops the job. The second one, or
    /// the end of `limit`, ends the process after `leave`, which removes temporary files.
    ///
    /// # Errors
    /// When no thread can be started: the process could not be stopped.
    pub(super) fn stop(
        mut self,
        stop: StopHandle,
        limit: Option<Duration>,
        say: impl Fn(Notice) + Send + 'static,
        leave: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let watch = move || {
            self.wait(None);
            let first = Instant::now();
            say(Notice::Stopping { limit });
            stop.stop();
            let code = loop {
                let left = limit.map(|limit| limit.saturating_sub(first.elapsed()));
                match (self.wait(left), limit) {
                    (Woken::Signal, _) if first.elapsed() >= TOGETHER => break INTERRUPTED,
                    (Woken::TimeOut, Some(limit)) => {
                        say(Notice::Overdue { limit });
                        break OVERDUE;
                    }
                    _ => {}
                }
            };
            leave();
            std::process::exit(code);
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
    }

    /// Waits for the next signal, at most for a time.
    fn wait(&mut self, limit: Option<Duration>) -> Woken {
        let Self { runtime, caught } = self;
        let any = std::future::poll_fn(|cx| {
            // Each one is polled: a signal that is skipped would not wake this thread.
            let polled = caught.iter_mut().map(|signal| signal.poll_recv(cx).is_ready());
            let came = polled.filter(|came| *came).count();
            if came > 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        runtime.block_on(async move {
            match limit {
                None => any.await,
                Some(limit) => match tokio::time::timeout(limit, any).await {
                    Ok(()) => {}
                    Err(_) => return Woken::TimeOut,
                },
            }
            Woken::Signal
        })
    }
}

/// Why a wait ended.
enum Woken {
    Signal,
    TimeOut,
}

/// Whether SIGHUP is ignored. Where `/proc` says nothing, it is not.
fn ignores_hangup() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, HANGUP))
}

const HANGUP: u32 = 1;

/// Whether a process with this `/proc/PID/status` ignores a signal.
fn ignores(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_which_signals_are_ignored() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, HANGUP) && ignores(status, 13));
        assert!(!ignores(status, 15));
        assert!(!ignores("Name:\tx\n", HANGUP) && !ignores("SigIgn:\tnone\n", HANGUP));
    }

    #[test]
    fn notices_name_the_limit() {
        let limit = Duration::from_secs(60);
        let text = Notice::Stopping { limit: Some(limit) }.text("finishes");
        assert!(text.contains("finishes, within 60s (--stop-timeout)"), "{text}");
        assert!(!Notice::Stopping { limit: None }.text("finishes").contains("within"));
        assert!(Notice::Overdue { limit }.text("").starts_with("not done 60s after"));
    }
}
