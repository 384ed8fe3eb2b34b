//! What an endpoint is told when it is bound: who it is, where it listens, and its limits.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::NetError;
use super::trust::{Authority, Identity, Wall};
use crate::block::{BufferPool, HEADER_LEN, MAX_BODY};
use crate::host;
use crate::wire::{FRAME_HEADER, Hello, LONGEST};

/// quic_streams a peer may have open towards this process at a time, and how far each may run ahead of
/// its reader. Their product is the window of the connection: a quic_stream that waits for room can
/// then never take the window from one that has got it, so that waiting always ends.
pub(super) const BULK_STREAMS: u32 = 16;
pub(super) const STREAM_WINDOW: u32 = 4 << 20;
pub(super) const BULK_WINDOW: u32 = BULK_STREAMS * STREAM_WINDOW;

/// Pushes that write at a time. What is in front of the network is one megabyte, which one fills alone;
/// many fill as many buffers at the receiver, none of which stays in a cache, and all end late. The second is
/// there so that a push which waits for room does not keep those back that have got it.
pub(super) const BULK_WRITERS: usize = 2;

/// The same for a client, of which there may be many: two blocks, one behind the other.
pub(super) const CLIENT_STREAMS: u32 = 2;
pub(super) const CLIENT_WINDOW: u32 = CLIENT_STREAMS * STREAM_WINDOW;

/// The window of a control connection, and of any connection before it is known whose it is.
pub(super) const CONTROL_WINDOW: u32 = 4 << 20;
pub(super) const STRANGER_WINDOW: u32 = 64 << 10;

/// What is sent and not acknowledged is at most this much per connection: more only fills the queues
/// of sockets (measured: FACTS, QUIC).
pub(super) const SEND_WINDOW: u64 = 1 << 20;

/// Largest packet that is tried. Ten of them, which segmentation offload sends at once, must stay
/// below the 65,507 bytes of a datagram.
pub(super) const MTU_MAX: u16 = 6500;
pub(super) const PAYLOAD_MAX: u16 = 6600;

/// What may be under way before the first acknowledgement: ten of the largest packets. With QUIC's
/// default, ten of the smallest, one probe of a large packet leaves no room for another, and a
/// connection that is closed just then is never heard of again: the peer is not told why.
pub(super) const FIRST_WINDOW: u64 = 10 * MTU_MAX as u64;

/// The limits of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a handshake may take.
    pub handshake: Duration,
    /// After that long without any packet the peer counts as gone. A back-stop: heartbeats are faster.
    pub silence: Duration,
    /// A packet is sent at least this often.
    pub keep_alive: Duration,
    /// Handshakes under way at a time; others are turned away.
    pub handshakes: usize,
    /// With more of them under way, whoever connects must first show that it can be reached at its
    /// address.
    pub retry_above: usize,
    /// Peers at a time.
    pub peers: usize,
    /// Bytes of blocks that a peer has sent, or is sending, and nobody has taken; at least the longest block.
    pub untaken_blocks: usize,
    /// Longest body of a block of a client, in bytes; two of them may wait to be taken.
    pub client_block: usize,
    /// Bytes of messages that a peer has sent and nobody has taken; at least the longest message.
    pub untaken_messages: usize,
    /// Bytes of messages that wait to be sent to one peer; with more it counts as dead.
    pub unsent_messages: usize,
    /// Buffer of the socket, in each direction, in bytes.
    pub socket_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(3),
            silence: Duration::from_secs(5),
            keep_alive: Duration::from_secs(1),
            handshakes: 256,
            retry_above: 32,
            peers: 4096,
            untaken_blocks: 192 << 20,
            client_block: 4 << 20,
            untaken_messages: 20 << 20,
            unsent_messages: 32 << 20,
            socket_buffer: 4 << 20,
        }
    }
}

impl Limits {
    /// Bounds without which nothing could arrive at all.
    pub(super) fn sane(mut self) -> Self {
        self.untaken_blocks = self.untaken_blocks.max(MAX_BODY + HEADER_LEN);
        self.client_block = self.client_block.clamp(1, MAX_BODY);
        self.untaken_messages = self.untaken_messages.max(LONGEST + FRAME_HEADER);
        self.peers = self.peers.max(1);
        self.handshakes = self.handshakes.max(1);
        self
    }
}

/// What an endpoint is told when it is bound.
#[derive(Clone)]
pub struct BindOptions {
    /// Where it listens: any port of the loopback address unless something else is said.
    pub addr: SocketAddr,
    /// Port of the same address where it takes blocks; 0 is any. Peers are told which when they connect.
    pub bulk_port: u16,
    /// Whether somebody asked for an address that other hosts can reach.
    pub public: bool,
    /// Who it is.
    pub identity: Identity,
    /// What it says about itself in handshakes.
    pub hello: Hello,
    /// If it issues certificates: from tokens, and to those who have one.
    pub authority: Option<Arc<Authority>>,
    /// The time since the Unix epoch: certificates and tokens are judged by it.
    pub wall: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Where the buffers of received blocks come from.
    pub pool: BufferPool,
    /// Its limits.
    pub limits: Limits,
}

impl BindOptions {
    /// For a process of that identity which runs that plan: on any port of the loopback address.
    #[must_use]
    pub fn new(identity: Identity, plan: u64) -> Self {
        let subject = identity.subject();
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            bulk_port: 0,
            public: false,
            hello: Hello::new(subject.role, &subject.job, plan),
            identity,
            authority: None,
            wall: Arc::new(system_time),
            pool: BufferPool::new(MAX_BODY),
            limits: Limits::default(),
        }
    }

    /// At that address, which somebody asked for.
    #[must_use]
    pub fn at(self, addr: SocketAddr) -> Self {
        Self { addr, public: true, ..self }
    }

    /// With that port for blocks: for hosts behind a firewall that lets in what it was told to.
    #[must_use]
    pub fn with_bulk_port(self, bulk_port: u16) -> Self {
        Self { bulk_port, ..self }
    }

    /// For a process that calls somebody there: on the loopback if it does, else on any of its addresses.
    #[must_use]
    pub fn towards(self, addr: SocketAddr) -> Self {
        let addr = calling_from(addr);
        Self { addr, public: !addr.ip().is_loopback(), ..self }
    }

    /// With an authority: a master.
    #[must_use]
    pub fn with_authority(self, authority: Arc<Authority>) -> Self {
        Self { authority: Some(authority), ..self }
    }

    pub(super) fn wall(&self) -> Wall {
        Wall(self.wall.clone())
    }

    pub(super) fn check(&self) -> Result<(), NetError> {
        if self.addr.ip().is_loopback() || self.public {
            return Ok(());
        }
        Err(NetError::Public { addr: self.addr })
    }
}

impl fmt::Debug for BindOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BindOptions")
            .field("addr", &self.addr)
            .field("hello", &self.hello)
            .field("identity", &self.identity)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Where whoever calls that address calls from: any port, on the same side of the loopback.
pub(super) fn calling_from(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(to) if to.ip().is_loopback() => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(to) if to.ip().is_loopback() => (Ipv6Addr::LOCALHOST, 0).into(),
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The time since the Unix epoch, by which certificates and tokens are judged.
#[must_use]
pub fn system_time() -> Duration {
    host::wall()
}
