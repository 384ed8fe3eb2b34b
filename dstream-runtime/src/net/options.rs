//! Options and limits of an endpoint.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::trust::{Authority, Identity, WallClock};
use super::{MemoryNetwork, NetError};
use crate::block::{BufferPool, HEADER_LEN, MAX_BODY};
use crate::host;
use crate::wire::{FRAME_HEADER, Hello, LONGEST, Role};

/// Concurrent QUIC streams of a peer towards this process, and the window of each. Their product is the
/// window of the connection: a QUIC stream that waits for room cannot starve one that has room, so every
/// wait ends.
pub(super) const BULK_STREAMS: u32 = 16;
pub(super) const STREAM_WINDOW: u32 = 4 << 20;
pub(super) const BULK_WINDOW: u32 = BULK_STREAMS * STREAM_WINDOW;

/// Concurrent pushes to one peer. One fills the megabyte in front of the network; many would fill as many
/// buffers at the receiver, overflow its caches, and all finish late. The second keeps the link busy while
/// the first waits for room.
pub(super) const BULK_WRITERS: usize = 2;

/// The same for a client: two blocks, one behind the other, since clients may be many.
pub(super) const CLIENT_STREAMS: u32 = 2;
pub(super) const CLIENT_WINDOW: u32 = CLIENT_STREAMS * STREAM_WINDOW;

/// Window of a control connection, and of any connection before its peer is known.
pub(super) const CONTROL_WINDOW: u32 = 4 << 20;
pub(super) const STRANGER_WINDOW: u32 = 64 << 10;

/// Unacknowledged bytes per connection, at most: more only fills the sockets' queues (measured: FACTS,
/// QUIC).
pub(super) const SEND_WINDOW: u64 = 1 << 20;

/// Largest packet to probe. Segmentation offload sends ten at once, which must stay below the 65,507 bytes
/// of a datagram.
pub(super) const MTU_MAX: u16 = 6500;
pub(super) const PAYLOAD_MAX: u16 = 6600;

/// Bytes in flight before the first acknowledgement: ten of the largest packets. QUIC's default is ten of
/// the smallest, where one large probe leaves no room for another packet; a connection closed at that moment
/// could not tell its peer why.
pub(super) const FIRST_WINDOW: u64 = 10 * MTU_MAX as u64;

/// The limits of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest handshake.
    pub handshake: Duration,
    /// Silence after which a peer is disconnected. A back-stop: heartbeats detect losses faster.
    pub silence: Duration,
    /// Interval of keep-alive packets.
    pub keep_alive: Duration,
    /// Concurrent handshakes; further callers are turned away.
    pub handshakes: usize,
    /// Concurrent handshakes above which callers must first prove their address.
    pub retry_above: usize,
    /// Connected peers.
    pub peers: usize,
    /// Undelivered bytes of blocks per peer; at least the longest block.
    pub untaken_blocks: usize,
    /// Longest block body of a client, in bytes; two may be undelivered.
    pub client_block: usize,
    /// Undelivered bytes of messages per peer; at least the longest message.
    pub untaken_messages: usize,
    /// Undelivered events per peer in this process; a peer with more is disconnected. A master has at most a
    /// few reports per task in flight, which are far fewer.
    pub untaken_events: usize,
    /// Unsent bytes of messages per peer; a peer with more is disconnected.
    pub unsent_messages: usize,
    /// Size of the socket's buffers, in bytes, per direction.
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
            untaken_events: 1 << 20,
            unsent_messages: 32 << 20,
            socket_buffer: 4 << 20,
        }
    }
}

impl Limits {
    /// Raises limits that would let nothing through.
    pub(super) fn sane(mut self) -> Self {
        self.untaken_blocks = self.untaken_blocks.max(MAX_BODY + HEADER_LEN);
        self.client_block = self.client_block.clamp(1, MAX_BODY);
        self.untaken_messages = self.untaken_messages.max(LONGEST + FRAME_HEADER);
        self.peers = self.peers.max(1);
        self.handshakes = self.handshakes.max(1);
        self
    }
}

/// Options of an endpoint.
#[derive(Clone)]
pub struct BindOptions {
    /// The address to listen on; by default any port on loopback.
    pub addr: SocketAddr,
    /// The port of bulk on the same address; 0 picks one. The handshake tells it to peers.
    pub bulk_port: u16,
    /// Allows an address that other hosts can reach.
    pub public: bool,
    /// The identity of this process.
    pub identity: Identity,
    /// The hello for handshakes.
    pub hello: Hello,
    /// Issues certificates, for tokens and renewals; present on a master.
    pub authority: Option<Arc<Authority>>,
    /// Returns the time since the Unix epoch, to judge certificates and tokens.
    pub wall: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// The endpoints of this process to be reached by memory.
    pub network: Option<MemoryNetwork>,
    /// The pool for buffers of received blocks.
    pub pool: BufferPool,
    /// Its limits.
    pub limits: Limits,
    /// Whether it holds a lifeline to each master that it calls. A worker does.
    pub lifeline: bool,
}

impl BindOptions {
    /// Options for a process with that identity that runs that plan, on any loopback port.
    #[must_use]
    pub fn new(identity: Identity, plan: u64) -> Self {
        let subject = identity.subject();
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            bulk_port: 0,
            public: false,
            hello: Hello::new(subject.role, &subject.job, plan),
            authority: None,
            network: None,
            wall: Arc::new(system_time),
            pool: BufferPool::new(MAX_BODY),
            limits: Limits::default(),
            lifeline: subject.role == Role::Worker,
            identity,
        }
    }

    /// Listens on that address, which may be public.
    #[must_use]
    pub fn at(self, addr: SocketAddr) -> Self {
        Self { addr, public: true, ..self }
    }

    /// Uses that port for bulk, for hosts behind a firewall.
    #[must_use]
    pub fn with_bulk_port(self, bulk_port: u16) -> Self {
        Self { bulk_port, ..self }
    }

    /// Listens where a caller of `addr` can be answered: on loopback if `addr` is, else on all addresses.
    #[must_use]
    pub fn towards(self, addr: SocketAddr) -> Self {
        let addr = calling_from(addr);
        Self { addr, public: !addr.ip().is_loopback(), ..self }
    }

    /// Adds an authority: makes it a master.
    #[must_use]
    pub fn with_authority(self, authority: Arc<Authority>) -> Self {
        Self { authority: Some(authority), ..self }
    }

    pub(super) fn wall(&self) -> WallClock {
        WallClock(self.wall.clone())
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

/// The local address for calling `addr`: any port, on loopback if `addr` is.
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
