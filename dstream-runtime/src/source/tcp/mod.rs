//! Lines from TCP clients.
//!
//! One thread of its own receives from all clients into the [`Inbox`]; a cut takes what is there.
//! When the inbox is full the sockets are not read, so that the clients wait: nothing is dropped.
//! What a cut has taken is the batch's, and counted beside: batches that are not over have no more than
//! may wait in the inbox ([`Lent`]). On a worker there is no cut: a
//! [`pump`] delivers what has come, and it is counted until it is given back.

mod accept;
mod inbox;
mod pump;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, watch};

use self::inbox::Inbox;
use super::connector::{ALL_FORMATS, Opener, SourceConnector};
use super::form::Form;
use super::part::{self, Part};
use super::receive::{
    self, BUFFER, DRAIN, Deliver, GiveBack, Lent, MAX_LINE, Phase, RECEIVERS, Receiver, Sizes,
};
use super::{Cut, Ends, OpenOptions, Source, SourceError};
use crate::connect::ConnectorUrl;
use crate::record::Format;

/// Lines from clients.
pub(super) const CONNECTOR: SourceConnector = SourceConnector {
    scheme: "tcp",
    urls: &["tcp://HOST:PORT"],
    about: "lines from any number of clients; a last line without its line break counts if the client closed",
    ends: Ends::Never,
    formats: ALL_FORMATS,
    options: &[BUFFER, MAX_LINE, RECEIVERS],
    lacks: &[],
    opener: Opener::Pushed { open, receive: receiver },
};

/// An input is about as large: small enough for a batch of a second to keep several cores busy.
pub(super) const SPLIT: u64 = 256 << 10;

/// What the receiving thread and the cutter share.
struct Shared {
    state: Mutex<State>,
    /// A cut has made room.
    room: Notify,
    /// Something has come.
    arrived: Notify,
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

    /// Tells the inbox what has come.
    fn came(&self, tell: impl FnOnce(&mut Inbox)) {
        tell(&mut self.state().inbox);
        self.arrived.notify_one();
    }
}

impl GiveBack for Shared {
    fn give_back(&self, bytes: usize) {
        self.state().inbox.give_back(bytes);
        self.room.notify_waiters();
    }
}

struct TcpSource {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    /// How many bytes the next cut may bring.
    limit: u64,
    /// What batches have.
    lent: Lent,
}

/// A socket that listens, and where what comes in is put.
struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Listening {
    fn at(url: &ConnectorUrl, sizes: Sizes, form: Form) -> Result<Self, SourceError> {
        let port = url.place().rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            let why = "expected `tcp://HOST:PORT`, such as `tcp://0.0.0.0:9000`";
            return Err(url.fail(why).into());
        }
        let (listener, address) = receive::listen(url.place())?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                inbox: Inbox::new(sizes.buffer, sizes.max_line, form),
                waiting: 0,
                done: false,
            }),
            room: Notify::new(),
            arrived: Notify::new(),
            quiet: Condvar::new(),
        });
        Ok(Self { listener, address, shared })
    }
}

fn open(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, SourceError> {
    let form = Form::of(url, format, options)?;
    let sizes = Sizes::of(url)?.within(options.memory, 0);
    let Listening { listener, address, shared } = Listening::at(url, sizes, form)?;
    let (phase, watched) = watch::channel(Phase::Open);
    let thread = accept::start(listener, shared.clone(), watched, None)
        .map_err(|error| receive::cannot_listen(url.place(), error))?;
    let (thread, limit, lent) = (Some(thread), u64::MAX, Lent::of(url, options)?);
    Ok(Box::new(TcpSource { shared, phase, thread, address, limit, lent }))
}

/// Receives on a worker.
fn receiver(
    url: &ConnectorUrl,
    format: Format,
    options: &OpenOptions,
    deliver: Deliver,
) -> Result<Receiver, SourceError> {
    let form = Form::of(url, format, options)?;
    let sizes = Sizes::of(url)?.in_blocks(url)?.within(options.memory, 0);
    let most = receive::group(options.interval);
    let Listening { listener, address, shared } = Listening::at(url, sizes, form)?;
    let (phase, watched) = watch::channel(Phase::Open);
    let thread = accept::start(listener, shared, watched, Some((deliver, most)))
        .map_err(|error| receive::cannot_listen(url.place(), error))?;
    Ok(Receiver::new(phase, thread, address))
}

impl Source for TcpSource {
    fn bounded(&self) -> bool {
        false
    }

    fn immediate(&self) -> bool {
        true
    }

    fn cut(&mut self, partitions: usize) -> Result<Cut, SourceError> {
        let (taken, waits, ended) = {
            let limit = self.lent.within(std::mem::replace(&mut self.limit, u64::MAX));
            let mut state = self.shared.state();
            let taken = state.inbox.take_some(limit);
            let waits = !state.inbox.is_empty();
            (taken, waits, state.done && !waits)
        };
        self.shared.room.notify_waiters();
        let bytes = taken.iter().map(inbox::cost).sum();
        let parts = taken.into_iter().map(Part::Held).collect();
        let inputs = self.lent.lend(part::inputs(parts, SPLIT, partitions)?, bytes, waits);
        Ok(Cut { inputs, ended, ..Cut::default() })
    }

    fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    fn stop(&mut self) {
        receive::drain(&self.phase);
        let state = self.shared.state();
        let busy = |state: &mut State| !state.done && state.waiting == 0;
        drop(self.shared.quiet.wait_timeout_while(state, DRAIN, busy));
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
