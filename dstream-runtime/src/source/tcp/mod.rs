//! Lines from TCP clients.
//!
//! One thread of its own receives from all clients into the [`Inbox`]; a cut takes what is there.
//! When the inbox is full the sockets are not read, so that the clients wait: nothing is dropped.
//! What a cut has taken is the batch's and no longer counted.

mod inbox;
mod receive;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use self::inbox::Inbox;
use super::part::{self, Part};
use super::url::SourceUrl;
use super::{Cut, OnError, OpenOptions, Source, SourceError};
use crate::record::Format;

const OPTIONS: &[&str] = &["buffer", "max_line", "header", "on_error"];
const BUFFER: u64 = 64 << 20;
const MAX_LINE: u64 = 16 << 20;

/// An input is about as large: small enough for a batch of a second to keep several cores busy.
const SPLIT: u64 = 256 << 10;

/// How long a stopped source goes on with a client that sends without a pause, and how long `stop`
/// waits for all that; what is not there then comes with the cuts that follow.
const DRAIN: Duration = Duration::from_millis(500);

/// How far the life of the source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It accepts clients and receives.
    Open,
    /// It receives what the kernel had when it was stopped.
    Draining,
    /// It was dropped.
    Closed,
}

/// What the receiving thread and the cutter share.
struct Shared {
    state: Mutex<State>,
    /// A cut has made room.
    room: Notify,
    /// The receiving thread is done, or can do nothing before a cut makes room.
    quiet: Condvar,
}

struct State {
    inbox: Inbox,
    /// How many connections wait for room.
    waiting: usize,
    /// Nothing more will be received.
    done: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The inbox is consistent after each of its calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TcpSource {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    on_error: OnError,
}

pub(super) fn open(
    url: &SourceUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, SourceError> {
    url.allow(OPTIONS)?;
    let buffer = url.size("buffer", 64 << 10)?.unwrap_or(BUFFER);
    let max_line = url.size("max_line", 1)?.unwrap_or(MAX_LINE.min(buffer));
    if max_line > buffer {
        return Err(url.fail(format!(
            "a line of `max_line` ({max_line} bytes) must fit into the `buffer` ({buffer} bytes)"
        )));
    }
    let (header, on_error) = (url.header(format, options)?, url.on_error()?);
    let port = url.place().rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        return Err(url.fail("expected `tcp://HOST:PORT`, such as `tcp://0.0.0.0:9000`"));
    }
    let failed = |error| SourceError::Io {
        doing: "listen on",
        what: url.place().to_owned(),
        error: Arc::new(error),
    };
    let listener = TcpListener::bind(url.place()).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    let inbox = Inbox::new(size(buffer), size(max_line), header);
    let shared = Arc::new(Shared {
        state: Mutex::new(State { inbox, waiting: 0, done: false }),
        room: Notify::new(),
        quiet: Condvar::new(),
    });
    let (phase, watched) = watch::channel(Phase::Open);
    let thread = receive::start(listener, shared.clone(), watched).map_err(failed)?;
    Ok(Box::new(TcpSource { shared, phase, thread: Some(thread), address, on_error }))
}

impl Source for TcpSource {
    fn bounded(&self) -> bool {
        false
    }

    fn immediate(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let (taken, ended) = {
            let mut state = self.shared.state();
            (state.inbox.take(), state.done)
        };
        self.shared.room.notify_waiters();
        let parts = taken.into_iter().map(Part::Held).collect();
        Ok(Cut { inputs: part::inputs(parts, SPLIT, partitions)?, ended })
    }

    fn stop(&mut self) {
        self.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Draining;
            }
            open
        });
        let state = self.shared.state();
        let busy = |state: &mut State| !state.done && state.waiting == 0;
        drop(self.shared.quiet.wait_timeout_while(state, DRAIN, busy));
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}

impl Drop for TcpSource {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closed);
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has nothing more to say here.
            drop(thread.join());
        }
    }
}
