//! Transport between the processes of a cluster: QUIC, with a certificate on every connection.
//!
//! Two processes share two connections: *control* carries messages in order, *bulk* carries blocks, each
//! on a quic_stream of its own. Each has a port and a thread of its own as well, named `net` and
//! `net-bulk`, so that no message waits behind a block: not on the way, not in the buffer of a socket, not
//! for its turn. An address is that of control; the port of bulk is told in the handshake. An [`Endpoint`]
//! is both server and client, and tells everything that happens to one callback, as a [`Delivery`] per event.
//! What crosses the network is bounded everywhere: frames by kind, blocks by
//! [`MAX_BODY`](crate::block::MAX_BODY), and what a peer sent and nobody has taken yet by [`Limits`].
//!
//! Beside those two a worker holds a TCP connection to its master that carries nothing, its lifeline, by whose end
//! the master suspects at once that the worker's process has ended ([`NetEvent::LifelineEnded`]).
//!
//! This module judges who may talk and whether bytes are what was sent; it never looks into messages,
//! and never opens blocks: `Block::open_*` is the door, and the receiver's business.
//!
//! The life of a connection, as a driver sees it:
//!
//! ```text
//! Net::connect(addr) -> PeerId ─┬─> Connected ─> (Message | Block)* ─┐
//!        somebody connects ─────┘                                    ├─> Closed
//!                               └────── refused, unreachable ────────┘
//! ```
//!
//! `Closed` is the last event of a peer, and every peer gets one. Two processes that connect to each
//! other at once are two peers: let one side do it (workers connect to the master, and to workers with
//! a smaller id).

mod accept;
mod connect;
mod endpoint;
mod error;
mod event;
mod frames;
mod ground;
mod hub;
mod join;
mod lifeline;
mod options;
mod peer;
mod renew;
mod socket;
mod transfer;
pub mod trust;

#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
mod tests;

pub use endpoint::Endpoint;
pub use error::{CloseReason, NetError, NetWarning, SendError};
#[cfg(test)]
pub(crate) use event::Deliver;
pub use event::{Delivery, NetEvent, PeerId};
pub use hub::{Net, NetStats};
pub use join::{JoinOptions, join};
pub use options::{BindOptions, Limits, system_time};
pub use socket::SmallBuffer;
pub use transfer::Transfer;
