//! State shared by all tasks of an endpoint, and the handle for drivers.
//!
//! Locks here guard small maps and are never held across an await or a callback.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::{ClientConfig, Connection, SendStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::event::Deliver;
use super::lifeline::Lifelines;
use super::memory::MemoryPort;
use super::options::Limits;
use super::peer::Peer;
use super::transfer::{self, Transfer};
use super::trust::{
    ALPN_BULK, ALPN_CONTROL, ALPN_JOIN, Authority, Identity, KeyPair, TrustError, WallClock,
    client_config, server_config,
};
use super::{CloseReason, Delivery, NetEvent, PeerId, SendError, connect, renew, socket};
use crate::block::{Block, BufferPool};
use crate::store::KeptBlock;
use crate::wire::{BlockHeader, Hello, Message, Refusal, Role, Session};

/// Undelivered notices (refusals and the like). Bounded, so that a flood cannot fill the memory.
const NOTICES: usize = 64;

/// TLS and QUIC configuration; replaced as a whole when the certificate is renewed.
pub(super) struct Configs {
    pub(super) identity: Identity,
    pub(super) control: PortConfig,
    pub(super) bulk: PortConfig,
}

/// Server and client configuration of one port.
pub(super) struct PortConfig {
    pub(super) server: quinn::ServerConfig,
    pub(super) client: ClientConfig,
}

impl Configs {
    pub(super) fn new(
        identity: Identity,
        wall: &WallClock,
        limits: &Limits,
    ) -> Result<Self, TrustError> {
        let transport = socket::transport(limits);
        let port = |spoken: &'static [u8], heard: &[&[u8]]| {
            let server = server_config(&identity, wall, heard)?;
            let client = client_config(&identity, wall, spoken)?;
            Ok::<_, TrustError>(PortConfig {
                server: socket::server(server, transport.clone())?,
                client: socket::client(client, transport.clone())?,
            })
        };
        Ok(Self {
            control: port(ALPN_CONTROL, &[ALPN_CONTROL, ALPN_JOIN])?,
            bulk: port(ALPN_BULK, &[ALPN_BULK])?,
            identity,
        })
    }
}

/// A peer, connected or connecting.
pub(super) enum Entry {
    Connecting(Call),
    /// Connected.
    Open(Arc<Peer>),
}

/// A call of this process that has not become a peer yet.
pub(super) struct Call {
    stage: CallStage,
    /// Notified when the call is given up.
    give_up: Arc<Notify>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CallStage {
    /// The other process has not answered, so it has granted nothing.
    Unanswered,
    /// The other process takes part in the handshake. It may have a peer already.
    Answered,
    GivenUp,
}

impl Call {
    fn new() -> (Self, Arc<Notify>) {
        let give_up = Arc::new(Notify::new());
        (Self { stage: CallStage::Unanswered, give_up: give_up.clone() }, give_up)
    }

    fn give_up(&mut self) {
        self.stage = CallStage::GivenUp;
        self.give_up.notify_one();
    }
}

/// The bulk connection that a control connection waits for.
pub(super) struct Bulk {
    pub(super) connection: Connection,
    /// Where to send `Attached`.
    pub(super) answer: SendStream,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) handshakes: AtomicUsize,
    pub(super) retried: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// Counters of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Connected peers.
    pub peers: usize,
    /// Handshakes in progress.
    pub handshakes: usize,
    /// Callers that had to prove their address first.
    pub retried: u64,
    /// Callers turned away because too many handshakes were in progress.
    pub turned_away: u64,
    /// Callers refused, with or without an event.
    pub refused: u64,
}

/// A QUIC socket and the runtime of its thread.
pub(super) struct QuicPort {
    pub(super) runtime: Handle,
    pub(super) quinn: quinn::Endpoint,
    pub(super) addr: SocketAddr,
    /// The listener for lifelines, if there is one.
    pub(super) lifelines: Option<Arc<Lifelines>>,
}

pub(super) struct EndpointState {
    /// The port of control.
    pub(super) control: QuicPort,
    /// The port of bulk.
    pub(super) bulk: QuicPort,
    /// Its links by memory, if other endpoints of this process can have some.
    pub(super) memory: Option<Arc<MemoryPort>>,
    pub(super) hello: Hello,
    pub(super) authority: Option<Arc<Authority>>,
    pub(super) wall: WallClock,
    pub(super) limits: Limits,
    /// It holds a lifeline to each master that it calls.
    pub(super) holds_lifeline: bool,
    pub(super) pool: BufferPool,
    pub(super) counters: Counters,
    /// Permits for handshakes.
    pub(super) gate: Arc<Semaphore>,
    /// Permits for peers.
    pub(super) room: Arc<Semaphore>,
    /// The key of the certificate that was requested.
    pub(super) asked: Mutex<Option<KeyPair>>,
    /// Notified when a certificate may be requested: it is due, or a master has connected.
    pub(super) renew: Notify,
    /// Notified when a peer is removed.
    pub(super) gone: Notify,
    /// Notified to end the endpoint.
    pub(super) end: Notify,
    /// Set while the endpoint ends: a peer that opens now is closed at once.
    pub(super) ending: AtomicBool,
    /// Notified when the bulk thread may end.
    pub(super) end_bulk: Notify,
    pub(super) deliver: Deliver,
    pub(super) configs: Mutex<Arc<Configs>>,
    peers: Mutex<BTreeMap<PeerId, Entry>>,
    awaited: Mutex<BTreeMap<Session, oneshot::Sender<Bulk>>>,
    notices: Arc<Semaphore>,
    next_peer: AtomicU64,
}

/// The parts of an endpoint's state.
pub(super) struct Parts {
    pub(super) control: QuicPort,
    pub(super) bulk: QuicPort,
    pub(super) memory: Option<Arc<MemoryPort>>,
    pub(super) options: super::BindOptions,
    pub(super) configs: Configs,
    pub(super) deliver: Deliver,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Code under these locks does not panic; if it did, the map would still be valid.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EndpointState {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { control, bulk, memory, options, configs, deliver } = parts;
        let wall = options.wall();
        Self {
            control,
            bulk,
            memory,
            hello: options.hello,
            authority: options.authority,
            wall,
            pool: options.pool,
            counters: Counters::default(),
            gate: Arc::new(Semaphore::new(options.limits.handshakes)),
            room: Arc::new(Semaphore::new(options.limits.peers)),
            limits: options.limits,
            holds_lifeline: options.lifeline,
            asked: Mutex::default(),
            renew: Notify::new(),
            gone: Notify::new(),
            end: Notify::new(),
            ending: AtomicBool::new(false),
            end_bulk: Notify::new(),
            deliver,
            configs: Mutex::new(Arc::new(configs)),
            peers: Mutex::default(),
            awaited: Mutex::default(),
            notices: Arc::new(Semaphore::new(NOTICES)),
            next_peer: AtomicU64::new(1),
        }
    }

    pub(super) fn role(&self) -> Role {
        self.hello.role
    }

    pub(super) fn configs(&self) -> Arc<Configs> {
        lock(&self.configs).clone()
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, Option<KeyPair>> {
        lock(&self.asked)
    }

    /// New connections use these from now on.
    pub(super) fn install(&self, configs: Configs) {
        self.control.quinn.set_server_config(Some(configs.control.server.clone()));
        self.bulk.quinn.set_server_config(Some(configs.bulk.server.clone()));
        *lock(&self.configs) = Arc::new(configs);
    }

    pub(super) fn next_peer(&self) -> PeerId {
        PeerId(self.next_peer.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn deliver(&self, event: NetEvent, held: Option<OwnedSemaphorePermit>) {
        (self.deliver)(Delivery::new(event, held));
    }

    /// Delivers a notice, or drops it if too many are undelivered.
    pub(super) fn notice(&self, event: NetEvent) {
        if let Ok(held) = self.notices.clone().try_acquire_owned() {
            self.deliver(event, Some(held));
        }
    }

    pub(super) fn refused(&self, addr: SocketAddr, refusal: Refusal) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        self.notice(NetEvent::Refused { addr, refusal });
    }

    /// Reports the reason to the driver; the caller learns only that the authority failed.
    pub(super) fn authority_failed(&self, why: &TrustError) -> Refusal {
        self.notice(NetEvent::AuthorityFailed { why: why.to_string() });
        Refusal::AuthorityFailed
    }

    /// Registers a call. What is returned is notified when it is given up.
    pub(super) fn call(&self) -> (PeerId, Arc<Notify>) {
        let (id, (call, give_up)) = (self.next_peer(), Call::new());
        lock(&self.peers).insert(id, Entry::Connecting(call));
        (id, give_up)
    }

    /// The other process has answered a call. Whether the call is still wanted.
    pub(super) fn answered(&self, id: PeerId) -> bool {
        match lock(&self.peers).get_mut(&id) {
            Some(Entry::Connecting(call)) if call.stage != CallStage::GivenUp => {
                call.stage = CallStage::Answered;
                true
            }
            _ => false,
        }
    }

    /// Registers a connected peer. Whether it is still wanted: a call can be given up while its handshake ends.
    pub(super) fn open(&self, id: PeerId, peer: Arc<Peer>) -> bool {
        match lock(&self.peers).insert(id, Entry::Open(peer)) {
            Some(Entry::Connecting(call)) => call.stage != CallStage::GivenUp,
            _ => true,
        }
    }

    pub(super) fn remove(&self, id: PeerId) {
        lock(&self.peers).remove(&id);
        self.gone.notify_one();
    }

    pub(super) fn peer(&self, id: PeerId) -> Option<Arc<Peer>> {
        match lock(&self.peers).get(&id)? {
            Entry::Open(peer) => Some(peer.clone()),
            Entry::Connecting(_) => None,
        }
    }

    /// Any connected master.
    pub(super) fn master(&self) -> Option<Arc<Peer>> {
        lock(&self.peers).values().find_map(|entry| match entry {
            Entry::Open(peer) if peer.subject.role == Role::Master => Some(peer.clone()),
            _ => None,
        })
    }

    pub(super) fn peer_ids(&self) -> Vec<PeerId> {
        lock(&self.peers).keys().copied().collect()
    }

    /// Registers the session: a bulk connection may name it from now on.
    pub(super) fn await_bulk(&self, session: Session) -> oneshot::Receiver<Bulk> {
        let (there, wait) = oneshot::channel();
        lock(&self.awaited).insert(session, there);
        wait
    }

    /// Takes the waiter for the session.
    pub(super) fn awaited(&self, session: Session) -> Option<oneshot::Sender<Bulk>> {
        lock(&self.awaited).remove(&session)
    }
}

/// A driver's handle of an endpoint: cheap to clone, usable from any thread, never blocks.
#[derive(Clone)]
pub struct Net {
    /// What other processes reach; none if only endpoints of this process are reached.
    pub(super) state: Option<Arc<EndpointState>>,
    /// What endpoints of this process reach, if they can.
    pub(super) memory: Option<Arc<MemoryPort>>,
}

impl Net {
    pub(super) fn of(state: &Arc<EndpointState>) -> Self {
        Self { memory: state.memory.clone(), state: Some(state.clone()) }
    }

    /// Connects to a process of the cluster: [`NetEvent::Connected`] or [`NetEvent::Closed`] follows. To an
    /// endpoint of this process by memory, if the two share a [`MemoryNetwork`](super::MemoryNetwork).
    pub fn connect(&self, addr: SocketAddr) -> PeerId {
        if let Some(peer) = self.memory.as_ref().and_then(|memory| memory.connect(addr)) {
            return peer;
        }
        let Some(state) = self.state.clone() else {
            return self.memory.as_ref().map_or(PeerId(0), |memory| memory.unreachable());
        };
        let (id, give_up) = state.call();
        state.control.runtime.clone().spawn(connect::connect(state, id, addr, give_up));
        id
    }

    fn peer(&self, peer: PeerId) -> Result<(&Arc<EndpointState>, Arc<Peer>), SendError> {
        let state = self.state.as_ref().ok_or(SendError::Gone)?;
        Ok((state, state.peer(peer).ok_or(SendError::Gone)?))
    }

    /// Its QUIC ports.
    #[cfg(test)]
    pub(super) fn quic(&self) -> &Arc<EndpointState> {
        self.state.as_ref().expect("an endpoint with ports")
    }

    /// Sends a message, in order with all others to that peer.
    ///
    /// # Errors
    /// When the peer is not connected, reads too slowly, or this role may not send that message to it.
    pub fn send<M: Message>(&self, peer: PeerId, message: &M) -> Result<(), SendError> {
        if let Some(memory) = self.by_memory(peer) {
            return memory.send(peer, message.clone());
        }
        let (state, peer) = self.peer(peer)?;
        let (from, to) = (state.role(), peer.subject.role);
        if !M::KIND.may_go(from, to) {
            return Err(SendError::Role { kind: M::KIND, from, to });
        }
        peer.send(message.to_frame()?, &state.limits)
    }

    /// Sends one block; see [`push_blocks`](Self::push_blocks).
    ///
    /// # Errors
    /// When the peer is not connected, or its role takes no such block from this one.
    pub fn push_block(
        &self,
        peer: PeerId,
        header: &BlockHeader,
        block: &Block,
    ) -> Result<Transfer, SendError> {
        self.push_blocks(peer, [(*header, block.clone())])
    }

    /// Sends blocks in order on one QUIC stream, for example those of one task. Large bodies are not copied;
    /// spilled blocks are read when their turn comes. Blocks and messages may overtake each other. The
    /// receiver gets one event per block.
    ///
    /// # Errors
    /// When the peer is not connected, or its role takes no such blocks from this one.
    pub fn push_blocks<B: Into<KeptBlock>>(
        &self,
        peer: PeerId,
        blocks: impl IntoIterator<Item = (BlockHeader, B)>,
    ) -> Result<Transfer, SendError> {
        let blocks: Vec<(BlockHeader, KeptBlock)> =
            blocks.into_iter().map(|(header, block)| (header, block.into())).collect();
        if let Some(memory) = self.by_memory(peer) {
            memory.push(peer, blocks)?;
            return Ok(Transfer::done());
        }
        let (state, peer) = self.peer(peer)?;
        let (from, to) = (state.role(), peer.subject.role);
        if let Some((header, _)) = blocks.iter().find(|(h, _)| !h.kind.may_go(from, to)) {
            return Err(SendError::Push { kind: header.kind.name(), from, to });
        }
        transfer::push(&state.bulk.runtime, &peer, blocks)
    }

    /// Says goodbye to a peer after everything already sent, or stops connecting to it. Unfinished blocks
    /// are cancelled. [`NetEvent::Closed`] follows.
    pub fn close(&self, peer: PeerId) {
        if let Some(memory) = self.by_memory(peer) {
            return memory.close(peer);
        }
        let Some(state) = &self.state else { return };
        match lock(&state.peers).get_mut(&peer) {
            Some(Entry::Connecting(call)) => call.give_up(),
            Some(Entry::Open(peer)) => peer.say_goodbye(),
            None => {}
        }
    }

    /// Stops connecting to a peer that has not answered yet; [`NetEvent::Closed`] follows. Whether it has: one that has
    /// answered may have granted what this process asks for, and goes on.
    pub fn give_up(&self, peer: PeerId) -> bool {
        let Some(state) = &self.state else { return false };
        match lock(&state.peers).get_mut(&peer) {
            Some(Entry::Connecting(call)) if call.stage == CallStage::Unanswered => {
                call.give_up();
                true
            }
            _ => false,
        }
    }

    /// Closes the connection to a peer that broke the protocol above frames, with an unreadable message or
    /// an invalid block.
    pub fn accuse(&self, peer: PeerId, why: &str) {
        let why = why.chars().take(200).collect();
        if let Some(memory) = self.by_memory(peer) {
            memory.accuse(peer, why);
        } else if let Ok((_, peer)) = self.peer(peer) {
            peer.stop(CloseReason::Violation(why));
        }
    }

    /// Whether what is sent to a peer is passed as values, so that what cannot be encoded may be sent too.
    #[must_use]
    pub fn passes_values(&self, peer: PeerId) -> bool {
        self.by_memory(peer).is_some()
    }

    /// The port of a peer in this process.
    fn by_memory(&self, peer: PeerId) -> Option<&MemoryPort> {
        self.memory.as_deref().filter(|_| MemoryPort::is_of(peer))
    }

    /// Bytes of messages waiting to be sent to a peer.
    #[must_use]
    pub fn unsent(&self, peer: PeerId) -> usize {
        self.peer(peer).map_or(0, |(_, peer)| peer.unsent())
    }

    /// The identity of this process, with its latest certificate; none without ports.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.state.as_ref().map(|state| state.configs().identity.clone())
    }

    /// Replaces the certificate, for example by one bought with a token after the old one expired.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn install(&self, identity: Identity) -> Result<(), TrustError> {
        self.state.as_ref().map_or(Ok(()), |state| renew::install(state, identity))
    }

    /// The address of control.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        let by_memory = || self.memory.as_ref().map(|memory| memory.addr());
        let addr = self.state.as_ref().map(|state| state.control.addr).or_else(by_memory);
        addr.unwrap_or((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// The address of bulk. Peers learn it in the handshake.
    #[must_use]
    pub fn bulk_addr(&self) -> SocketAddr {
        self.state.as_ref().map_or_else(|| self.local_addr(), |state| state.bulk.addr)
    }

    /// The endpoint's counters.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        let peers = self.memory.as_ref().map_or(0, |memory| memory.peers());
        let Some(state) = &self.state else { return NetStats { peers, ..NetStats::default() } };
        let counters = &state.counters;
        NetStats {
            peers: peers + lock(&state.peers).len(),
            handshakes: counters.handshakes.load(Ordering::Relaxed),
            retried: counters.retried.load(Ordering::Relaxed),
            turned_away: counters.turned_away.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("addr", &self.local_addr())
            .field("stats", &self.stats())
            .finish()
    }
}
