//! Receivers: where records that are pushed enter a worker.
//!
//! A [`Receiver`] listens, takes whole lines in, and hands them out as [`Received`] blocks, soon after they have
//! come. It acknowledges nothing by itself: the caller that takes the lines says when they are safe
//! ([`Ack::done`]), and only then is the client told so. Invariant: what has been taken in and not been given back
//! ([`Share`]) stays within the `buffer`; when that is full, no socket is read and no client acknowledged, and so
//! they wait.
//!
//! A block that a receiver has handed out is a [`ReceivedBlock`] once its worker has numbered it. The master's side
//! of it is the [`PushSource`]: it knows the holders of each received block, and cuts batches of them.

mod bound;
mod clients;
mod gather;
mod http;
mod local;
mod phase;
mod push;
mod range_set;
mod taken;
#[cfg(test)]
mod tests;
mod tracker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::watch;

pub use bound::Share;
pub use clients::{ClientBatch, Refusal};
pub use push::{PushSource, ReceivedBlock, Registered, Unheld, received_split, receiver_of};
pub use range_set::RangeSet;

pub(super) use bound::{GiveBack, Lent};
pub(super) use gather::{Pace, group, groups, received};
pub(super) use http::CONNECTOR as HTTP;
pub(super) use phase::{DRAIN, Phase, drain, unless};

use super::{Carried, OpenOptions, SourceError, Sources};
use crate::block::{Block, MAX_BODY};
use crate::connect::{ConnectorUrl, OptionRow};
use crate::record::Format;

/// The longest line or body that is taken in: it must fit into a block with its line end.
const LONGEST: u64 = MAX_BODY as u64 - 1;

/// What a receiver says.
#[derive(Debug)]
pub enum Delivery {
    /// Lines have come.
    Received(Received),
    /// Something needs attention, for people.
    Warning(String),
    /// It was stopped, and nothing will follow.
    Ended,
}

/// Takes what a receiver says, on the receiver's thread: while it runs, nothing is received.
pub type Deliver = Box<dyn Fn(Delivery) + Send>;

/// Whole lines that have come.
#[derive(Debug)]
pub struct Received {
    /// Which lines they are, for their reader: travels with them.
    pub what: Carried,
    /// The lines: a raw block.
    pub lines: Block,
    /// How many there are.
    pub records: u64,
    /// What the client calls them, if it numbers what it sends.
    pub client: Option<ClientBatch>,
    /// To be told when they are safe. Dropped, it says that they were lost.
    pub ack: Ack,
}

/// Tells the clients what became of their lines.
#[derive(Debug)]
#[must_use = "dropped, it tells the client that its lines were lost"]
pub struct Ack {
    clients: Vec<Arc<gather::Listener>>,
    share: Share,
}

/// What a client is told.
type Answer = Result<(), Refusal>;

impl Ack {
    /// The lines are safe: they were registered, and a second worker holds them. What they take of
    /// the bound is given back when the share is dropped: once a batch has been cut from them.
    pub fn done(self) -> Share {
        self.clients.iter().for_each(|client| client.tell(Ok(())));
        self.share
    }

    /// The lines will not be part of any batch, and why.
    pub fn refuse(self, why: &Refusal) {
        self.clients.iter().for_each(|client| client.tell(Err(why.clone())));
    }
}

/// A listening receiver; it has a thread of its own.
#[derive(Debug)]
pub struct Receiver {
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    /// Clients for whom there was no place.
    turned_away: Arc<AtomicU64>,
    #[cfg(test)]
    deaf: Option<simulated::Deaf>,
}

impl Receiver {
    /// Listens where `url` says; `deliver` is given what comes.
    ///
    /// # Errors
    /// When the URL has no such scheme, an option is unknown or malformed, or it cannot listen there.
    pub fn open(
        url: &str,
        format: Format,
        options: &OpenOptions,
        deliver: Deliver,
    ) -> Result<Self, SourceError> {
        #[cfg(test)]
        if crate::host::simulated::here().is_some() {
            return Ok(simulated::deaf(deliver));
        }
        Sources::built_in().receive(url, format, options, deliver)
    }

    pub(super) fn new(
        phase: watch::Sender<Phase>,
        thread: JoinHandle<()>,
        address: SocketAddr,
    ) -> Self {
        Self {
            phase,
            thread: Some(thread),
            address,
            turned_away: Arc::default(),
            #[cfg(test)]
            deaf: None,
        }
    }

    /// One whose thread counts there the clients that it turns away.
    pub(super) fn counting(mut self, turned_away: Arc<AtomicU64>) -> Self {
        self.turned_away = turned_away;
        self
    }

    /// How many clients it has turned away since this was asked before.
    pub fn take_turned_away(&self) -> u64 {
        self.turned_away.swap(0, Ordering::Relaxed)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no client any more. What the clients have sent until now is still delivered, and then
    /// [`Delivery::Ended`]. Does not wait for that.
    pub fn stop(&self) {
        drain(&self.phase);
        #[cfg(test)]
        self.deaf.iter().for_each(simulated::Deaf::end);
    }
}

/// Receivers of simulated processes, whose sockets are simulated: no client can connect to them.
#[cfg(test)]
mod simulated {
    use std::fmt;
    use std::net::SocketAddr;
    use std::sync::{Mutex, PoisonError};

    use tokio::sync::watch;

    use super::{Deliver, Delivery, Phase, Receiver};

    pub(super) struct Deaf(Mutex<Option<Deliver>>);

    impl Deaf {
        /// It was stopped.
        pub(super) fn end(&self) {
            if let Some(deliver) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
                deliver(Delivery::Ended);
            }
        }
    }

    impl fmt::Debug for Deaf {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Deaf").finish_non_exhaustive()
        }
    }

    pub(super) fn deaf(deliver: Deliver) -> Receiver {
        let phase = watch::Sender::new(Phase::Open);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let deaf = Some(Deaf(Mutex::new(Some(deliver))));
        Receiver { phase, thread: None, address, turned_away: Default::default(), deaf }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closed);
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has nothing more to say here.
            drop(thread.join());
        }
    }
}

/// Whether records of this source are pushed, so that workers receive them ([`Receiver`]) and a
/// [`PushSource`] cuts them; otherwise the source is opened by the master and read by its ranges.
///
/// # Errors
/// When the URL is malformed.
pub fn is_pushed(url: &str) -> Result<bool, SourceError> {
    Ok(Sources::built_in().is_pushed(&ConnectorUrl::source(url)?))
}

/// Whether a receiver could listen at the address that a URL names.
///
/// # Errors
/// When the URL is malformed, or another process has the address.
pub fn can_listen(url: &str) -> Result<(), SourceError> {
    let url = ConnectorUrl::source(url)?;
    let address = url.place().split('/').next().unwrap_or_default();
    listen(address).map(drop)
}

/// Listens at an address.
pub(super) fn listen(place: &str) -> Result<(TcpListener, SocketAddr), SourceError> {
    let failed = |error| cannot_listen(place, error);
    let listener = TcpListener::bind(place).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

pub(super) fn cannot_listen(place: &str, error: std::io::Error) -> SourceError {
    SourceError::Io { doing: "listen on", what: place.to_owned(), error: Arc::new(error) }
}

/// How long a line may be, and how much may be held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) buffer: usize,
    pub(super) max_line: usize,
}

/// A stream has at most this many receivers.
const MOST_RECEIVERS: u64 = 1 << 10;

/// The options of every source whose records are pushed.
pub(super) const RECEIVERS: OptionRow = OptionRow::count(
    "receivers",
    1,
    "How many workers listen, each at the address of the URL on its host",
)
.at_most(MOST_RECEIVERS)
.or("1");

pub(super) const BUFFER: OptionRow = OptionRow::size(
    "buffer",
    "The most that a receiver holds and no batch has taken: then clients wait",
)
.at_least(64 << 10)
.or("64MiB");

pub(super) const MAX_LINE: OptionRow =
    OptionRow::size("max_line", "The longest record; it must fit into the `buffer`")
        .depends("16MiB, at most the `buffer`; of CSV rows over several lines, 1MiB");

/// A record is no longer, in bytes, unless the URL says otherwise.
const LINE: u64 = 16 << 20;

/// A request is no larger, unless the URL says otherwise.
const BODY: u64 = 16 << 20;

impl Sizes {
    /// What the URL says.
    pub(super) fn of(url: &ConnectorUrl) -> Result<Self, SourceError> {
        let buffer = url.size("buffer")?;
        let max_line = url.if_given("max_line", ConnectorUrl::size)?.unwrap_or(LINE.min(buffer));
        if max_line > buffer {
            let why = format!(
                "a line of `max_line` ({max_line} bytes) must fit into the `buffer` ({buffer} bytes)"
            );
            return Err(url.fail(why).into());
        }
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Self { buffer: size(buffer), max_line: size(max_line) })
    }

    /// Holds no more than there is memory for, whatever the URL says, but always so much as one line, and as
    /// `least`.
    pub(super) fn within(self, memory: u64, least: usize) -> Self {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Self { buffer: self.buffer.min(memory.max(self.max_line).max(least)), ..self }
    }

    /// Refuses what does not fit into a block.
    pub(super) fn in_blocks(self, url: &ConnectorUrl) -> Result<Self, SourceError> {
        if self.max_line as u64 > LONGEST {
            let why =
                format!("`max_line` is at most {LONGEST} bytes where lines travel between workers");
            return Err(url.fail(why).into());
        }
        Ok(self)
    }
}
