//! Transport between the processes of a cluster: QUIC, with a certificate on every connection.
//!
//! Two processes share two connections: *control* carries messages in order; *bulk* carries blocks, each on
//! its own QUIC stream. Each has its own port and thread (`net` and `net-bulk`), so that no message waits
//! behind a block, neither in a socket buffer nor for a thread. A process's address is that of control; the
//! handshake tells the port of bulk. An [`Endpoint`] is server and client, and passes every event to one
//! callback as a [`Delivery`]. Everything is bounded: frames by kind, blocks by
//! [`MAX_BODY`](crate::block::MAX_BODY), and undelivered bytes of a peer by [`Limits`].
//!
//! Endpoints of one process that share a [`MemoryNetwork`] reach each other by memory: the same events, but
//! messages are passed as values and blocks as they are kept ([`NetEvent::Handed`]).
//!
//! A worker or a standby also holds an idle TCP connection to its master, its lifeline. When it ends, each side suspects
//! at once that the other's process has exited ([`NetEvent::LifelineEnded`]).
//!
//! This module decides which roles may talk and verifies that bytes arrive unchanged. It never reads
//! messages and never opens blocks: the receiver decodes them with `Block::open_*`.
//!
//! The life of a connection, as a driver sees it:
//!
//! ```text
//! Net::connect(addr) -> PeerId ─┬─> Connected ─> (Message | Block)* ─┐
//!      a process connects ─────┘                                    ├─> Closed
//!                               └────── refused, unreachable ────────┘
//! ```
//!
//! `Closed` is the last event of a peer, and every peer gets one. Two processes that connect to each other
//! at once become two peers, so only one side connects (workers to the master, and to workers with a smaller
//! id).

mod accept;
mod bound_socket;
mod connect;
mod endpoint;
mod endpoint_state;
mod error;
mod event;
mod frames;
mod join;
mod lifeline;
mod memory;
mod options;
mod peer;
mod presence;
mod renew;
mod socket;
mod transfer;
pub mod trust;

#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
mod tests;

pub use endpoint::Endpoint;
pub use endpoint_state::{Net, NetStats};
pub use error::{CloseReason, NetError, NetWarning, SendError};
#[cfg(test)]
pub(crate) use event::Deliver;
pub use event::{Delivery, NetEvent, PeerId};
pub use join::{JoinOptions, join};
pub use memory::MemoryNetwork;
pub use options::{BindOptions, Limits, system_time};
pub(crate) use presence::Presence;
pub use socket::SmallBuffer;
pub use transfer::Transfer;
