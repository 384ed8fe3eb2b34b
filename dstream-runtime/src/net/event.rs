//! What an endpoint tells its driver.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::CloseReason;
use super::trust::Subject;
use crate::block::{Bytes, Preamble};
use crate::wire::{BlockHeader, Received, Refusal};

/// A pair of connections to another process; never used again for another pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}", self.0)
    }
}

/// What has happened.
#[derive(Debug)]
pub enum NetEvent {
    /// A peer is there: both connections, judged by both sides.
    Connected {
        /// The peer.
        peer: PeerId,
        /// Who it is, from its certificate.
        subject: Subject,
        /// Where it is.
        addr: SocketAddr,
    },
    /// A message of a peer that its role may send, in the order of sending.
    Message {
        /// The peer.
        peer: PeerId,
        /// The message.
        message: Received,
    },
    /// A block, whole, in a buffer that the door takes; it has not been through the door yet.
    Block {
        /// The peer.
        peer: PeerId,
        /// What it is.
        header: BlockHeader,
        /// What its own header says.
        preamble: Preamble,
        /// Header and body.
        bytes: Bytes,
    },
    /// The last event of a peer.
    Closed {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// The lifeline of a worker has ended, once: most likely with its process, and perhaps because of something on
    /// the way. If it is heard after that, nothing has happened.
    LifelineEnded {
        /// The worker.
        peer: PeerId,
    },
    /// A worker has no lifeline, and will have none: TCP does not get through.
    NoLifeline {
        /// The worker.
        peer: PeerId,
    },
    /// Somebody wanted in and was not let in. Under a flood some are only counted.
    Refused {
        /// From where.
        addr: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// A certificate has been issued for a token.
    Joined {
        /// From where.
        addr: SocketAddr,
        /// Whose it is.
        subject: Subject,
    },
    /// The authority of this process could not do its work; whoever asked is told only that.
    AuthorityFailed {
        /// Why.
        why: String,
    },
    /// This process has a new certificate ([`Net::identity`](super::Net::identity)).
    Renewed {
        /// Until when it is valid, since the Unix epoch.
        until: Duration,
    },
    /// This process could not get a new certificate; it tries again until the old one expires.
    RenewalFailed {
        /// Why.
        why: String,
        /// Until when the old one is valid, since the Unix epoch.
        until: Duration,
    },
}

/// An event on its way. It counts against the limits of the peer until it is taken: a driver that does
/// not take what a peer sends makes the peer wait.
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

    /// The peer that it is about, if it is about one.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        match &self.event {
            NetEvent::Connected { peer, .. }
            | NetEvent::Message { peer, .. }
            | NetEvent::Block { peer, .. }
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

    /// The event; from here on its bytes are the driver's.
    #[must_use]
    pub fn take(self) -> NetEvent {
        self.event
    }
}

/// Where events go: called on the thread of the network, so it must not wait.
pub(crate) type Deliver = Box<dyn Fn(Delivery) + Send + Sync>;
