//! Events that an endpoint delivers to its driver.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::CloseReason;
use super::trust::Subject;
use crate::block::{Bytes, Preamble};
use crate::store::KeptBlock;
use crate::wire::{BlockHeader, Received, Refusal};

/// Identifies a pair of connections to another process; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}", self.0)
    }
}

/// An event of the network.
#[derive(Debug)]
pub enum NetEvent {
    /// Both connections are established and both sides have accepted each other.
    Connected {
        /// The peer.
        peer: PeerId,
        /// Its subject, from its certificate.
        subject: Subject,
        /// Its address.
        addr: SocketAddr,
    },
    /// A message that the peer's role may send, in the order of sending.
    Message {
        /// The peer.
        peer: PeerId,
        /// The message.
        message: Received,
    },
    /// A whole block, in an aligned buffer. The receiver decodes it (`Block::open_*`).
    Block {
        /// The peer.
        peer: PeerId,
        /// Its kind and place.
        header: BlockHeader,
        /// Its preamble.
        preamble: Preamble,
        /// Preamble and body.
        bytes: Bytes,
    },
    /// A block of a peer in this process: as it is kept there, so there is nothing to decode.
    Handed {
        /// The peer.
        peer: PeerId,
        /// Its kind and place.
        header: BlockHeader,
        /// The block.
        block: KeptBlock,
    },
    /// The last event of a peer.
    Closed {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// The lifeline of a worker or a standby, or that to a master, ended: the peer's process probably exited. Raised at
    /// most once. Any later message of the peer disproves it.
    LifelineEnded {
        /// The peer.
        peer: PeerId,
    },
    /// A worker has no lifeline and will get none: TCP does not get through.
    NoLifeline {
        /// The worker.
        peer: PeerId,
    },
    /// A process was refused. Under a flood, some refusals are only counted.
    Refused {
        /// Its address.
        addr: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// A certificate has been issued for a token.
    Joined {
        /// Its address.
        addr: SocketAddr,
        /// Its subject.
        subject: Subject,
    },
    /// The authority of this process failed. The caller learns only that.
    AuthorityFailed {
        /// Why.
        why: String,
    },
    /// This process has a new certificate ([`Net::identity`](super::Net::identity)).
    Renewed {
        /// When it expires, since the Unix epoch.
        until: Duration,
    },
    /// This process could not renew its certificate; it retries until the old one expires.
    RenewalFailed {
        /// Why.
        why: String,
        /// When the old one expires, since the Unix epoch.
        until: Duration,
    },
}

/// An event in flight. It counts against the peer's limits until it is taken, so a driver that does not take
/// events slows the peer down.
#[derive(Debug)]
#[must_use]
pub struct Delivery {
    event: NetEvent,
    _held: Option<OwnedSemaphorePermit>,
}

impl Delivery {
    pub(super) fn new(event: NetEvent, held: Option<OwnedSemaphorePermit>) -> Self {
        Self { event, _held: held }
    }

    /// The peer of the event, if any.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        match &self.event {
            NetEvent::Connected { peer, .. }
            | NetEvent::Message { peer, .. }
            | NetEvent::Block { peer, .. }
            | NetEvent::Handed { peer, .. }
            | NetEvent::Closed { peer, .. }
            | NetEvent::LifelineEnded { peer }
            | NetEvent::NoLifeline { peer } => Some(*peer),
            NetEvent::Refused { .. }
            | NetEvent::Joined { .. }
            | NetEvent::AuthorityFailed { .. }
            | NetEvent::Renewed { .. }
            | NetEvent::RenewalFailed { .. } => None,
        }
    }

    /// Takes the event; its bytes no longer count against the peer's limits.
    #[must_use]
    pub fn take(self) -> NetEvent {
        self.event
    }
}

/// Receives events on the threads of the network and of peers in this process, so it must not block.
pub(crate) type Deliver = Arc<dyn Fn(Delivery) + Send + Sync>;
