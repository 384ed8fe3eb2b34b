//! Ctrl-C and SIGTERM: the first stops the job gracefully, the second ends the process.
//!
//! They are caught before the job says that it starts, and heard from then on: whoever has read that
//! it runs may stop it.

use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::driver::StopHandle;

/// `timeout` and some supervisors send a signal to a process and at once to its group: signals so
/// close together are one.
const TOGETHER: Duration = Duration::from_millis(250);

/// The exit code of a process that was told twice.
const INTERRUPTED: i32 = 130;

/// The signals, caught.
pub(super) struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Catches them.
    ///
    /// # Errors
    /// When the system has no descriptors for it.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (interrupt, terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        Ok(Self { runtime, interrupt, terminate })
    }

    /// Waits for them on a thread of its own, which `say`s that the job was told to stop. The second one
    /// ends the process, after `leave`, which takes away what nobody else would.
    ///
    /// # Errors
    /// When there is no thread to be had: the process could not be stopped.
    pub(super) fn stop(
        mut self,
        stop: StopHandle,
        say: impl Fn() + Send + 'static,
        leave: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let watch = move || {
            self.wait();
            let told = Instant::now();
            say();
            stop.stop();
            loop {
                self.wait();
                if told.elapsed() >= TOGETHER {
                    break;
                }
            }
            leave();
            std::process::exit(INTERRUPTED);
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
    }

    /// Waits for the next one.
    fn wait(&mut self) {
        let Self { runtime, interrupt, terminate } = self;
        runtime.block_on(std::future::poll_fn(|cx| {
            let interrupted = interrupt.poll_recv(cx).is_ready();
            let terminated = terminate.poll_recv(cx).is_ready();
            if interrupted || terminated { Poll::Ready(()) } else { Poll::Pending }
        }));
    }
}
