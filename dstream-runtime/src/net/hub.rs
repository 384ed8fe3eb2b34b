//! What all tasks of an endpoint share, and the handle that drivers hold.
//!
//! Locks here guard small maps only, and are never held across an await or a callback.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::{ClientConfig, Connection, SendStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::event::Deliver;
use super::lifeline::Lifelines;
use super::options::Limits;
use super::peer::Peer;
use super::transfer::{self, Transfer};
use super::trust::{
    ALPN_BULK, ALPN_CONTROL, ALPN_JOIN, Authority, Identity, KeyPair, TrustError, Wall,
    client_config, server_config,
};
use super::{CloseReason, Delivery, NetEvent, PeerId, SendError, connect, renew, socket};
use crate::block::{Block, BufferPool};
use crate::store::KeptBlock;
use crate::wire::{BlockHeader, Hello, Message, Refusal, Role, Session};

/// Refusals and the like that wait to be taken: a flood of them must not fill the memory.
const NOTICES: usize = 64;

/// What connections are made with; exchanged as a whole when the certificate is renewed.
pub(super) struct Configs {
    pub(super) identity: Identity,
    pub(super) control: PortConfig,
    pub(super) bulk: PortConfig,
}

/// The two ends of the connections of one port.
pub(super) struct PortConfig {
    pub(super) server: quinn::ServerConfig,
    pub(super) client: ClientConfig,
}

impl Configs {
    pub(super) fn new(
        identity: Identity,
        wall: &Wall,
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

/// A peer that is there, or not yet.
pub(super) enum Entry {
    /// Being connected to; notified, it is given up.
    Connecting(Arc<Notify>),
    /// There.
    Open(Arc<Peer>),
}

/// The bulk connection that a control connection waits for.
pub(super) struct Bulk {
    pub(super) connection: Connection,
    /// Where `Attached` is said.
    pub(super) answer: SendStream,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) handshakes: AtomicUsize,
    pub(super) retried: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// What an endpoint has seen, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Peers at the moment.
    pub peers: usize,
    /// Handshakes under way at the moment.
    pub handshakes: usize,
    /// Who had to show first that it can be reached at its address.
    pub retried: u64,
    /// Who was turned away since too many handshakes were under way.
    pub turned_away: u64,
    /// Who was refused, whether or not an event said so.
    pub refused: u64,
}

/// A socket, and the thread on which everything happens that has to do with it.
pub(super) struct Port {
    pub(super) runtime: Handle,
    pub(super) quinn: quinn::Endpoint,
    pub(super) addr: SocketAddr,
    /// Where lifelines come in, if they do.
    pub(super) lifelines: Option<Arc<Lifelines>>,
}

pub(super) struct Hub {
    /// Where processes meet, and say what is small.
    pub(super) control: Port,
    /// Where blocks travel.
    pub(super) bulk: Port,
    pub(super) hello: Hello,
    pub(super) authority: Option<Arc<Authority>>,
    pub(super) wall: Wall,
    pub(super) limits: Limits,
    pub(super) pool: BufferPool,
    pub(super) counters: Counters,
    /// Handshakes under way.
    pub(super) gate: Arc<Semaphore>,
    /// Room for peers.
    pub(super) room: Arc<Semaphore>,
    /// The key of the certificate that has been asked for.
    pub(super) asked: Mutex<Option<KeyPair>>,
    /// Notified when a certificate could be asked for: the time has come, or a master has.
    pub(super) renew: Notify,
    /// Notified when a peer is gone.
    pub(super) gone: Notify,
    /// Notified when the endpoint is to end.
    pub(super) end: Notify,
    /// It is ending: whoever becomes a peer now is taken leave of at once.
    pub(super) ending: AtomicBool,
    /// Notified when nobody needs the thread of blocks any more.
    pub(super) end_bulk: Notify,
    pub(super) deliver: Deliver,
    pub(super) configs: Mutex<Arc<Configs>>,
    peers: Mutex<BTreeMap<PeerId, Entry>>,
    awaited: Mutex<BTreeMap<Session, oneshot::Sender<Bulk>>>,
    notices: Arc<Semaphore>,
    next_peer: AtomicU64,
}

/// What a hub is made of.
pub(super) struct Parts {
    pub(super) control: Port,
    pub(super) bulk: Port,
    pub(super) options: super::BindOptions,
    pub(super) configs: Configs,
    pub(super) deliver: Deliver,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics while holding one of these locks; were it otherwise, a map is still a map.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { control, bulk, options, configs, deliver } = parts;
        let wall = options.wall();
        Self {
            control,
            bulk,
            hello: options.hello,
            authority: options.authority,
            wall,
            pool: options.pool,
            counters: Counters::default(),
            gate: Arc::new(Semaphore::new(options.limits.handshakes)),
            room: Arc::new(Semaphore::new(options.limits.peers)),
            limits: options.limits,
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

    /// Everything from here on is made with these.
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

    /// Tells the driver, unless it has not yet taken what it was told before.
    pub(super) fn notice(&self, event: NetEvent) {
        if let Ok(held) = self.notices.clone().try_acquire_owned() {
            self.deliver(event, Some(held));
        }
    }

    pub(super) fn refused(&self, addr: SocketAddr, refusal: Refusal) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        self.notice(NetEvent::Refused { addr, refusal });
    }

    /// The driver is told why, whoever asked is not.
    pub(super) fn authority_failed(&self, why: &TrustError) -> Refusal {
        self.notice(NetEvent::AuthorityFailed { why: why.to_string() });
        Refusal::AuthorityFailed
    }

    pub(super) fn insert(&self, id: PeerId, entry: Entry) {
        lock(&self.peers).insert(id, entry);
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

    /// Some master that is connected.
    pub(super) fn master(&self) -> Option<Arc<Peer>> {
        lock(&self.peers).values().find_map(|entry| match entry {
            Entry::Open(peer) if peer.subject.role == Role::Master => Some(peer.clone()),
            _ => None,
        })
    }

    pub(super) fn peer_ids(&self) -> Vec<PeerId> {
        lock(&self.peers).keys().copied().collect()
    }

    /// From now on the session can be named.
    pub(super) fn await_bulk(&self, session: Session) -> oneshot::Receiver<Bulk> {
        let (there, wait) = oneshot::channel();
        lock(&self.awaited).insert(session, there);
        wait
    }

    /// Who waits for the session; nobody waits for it any more.
    pub(super) fn awaited(&self, session: Session) -> Option<oneshot::Sender<Bulk>> {
        lock(&self.awaited).remove(&session)
    }
}

/// What a driver holds of an endpoint: cheap to clone, usable from any thread, never waits.
#[derive(Clone)]
pub struct Net {
    pub(super) hub: Arc<Hub>,
}

impl Net {
    /// Connects to a process of the cluster: [`NetEvent::Connected`] or [`NetEvent::Closed`] follows.
    pub fn connect(&self, addr: SocketAddr) -> PeerId {
        let (hub, id, give_up) = (self.hub.clone(), self.hub.next_peer(), Arc::new(Notify::new()));
        hub.insert(id, Entry::Connecting(give_up.clone()));
        self.hub.control.runtime.spawn(connect::connect(hub, id, addr, give_up));
        id
    }

    /// Sends a message: in order with all others to that peer, and not at all if the peer is gone.
    ///
    /// # Errors
    /// When the peer is not there, reads too slowly, or this process may not say that to it.
    pub fn send<M: Message>(&self, peer: PeerId, message: &M) -> Result<(), SendError> {
        let peer = self.hub.peer(peer).ok_or(SendError::Gone)?;
        let (from, to) = (self.hub.role(), peer.subject.role);
        if !M::KIND.may_go(from, to) {
            return Err(SendError::Role { kind: M::KIND, from, to });
        }
        peer.send(message.to_frame()?, &self.hub.limits)
    }

    /// Sends a block: [`push_blocks`](Self::push_blocks) with one.
    ///
    /// # Errors
    /// When the peer is not there, or takes no such blocks of this process.
    pub fn push_block(
        &self,
        peer: PeerId,
        header: &BlockHeader,
        block: &Block,
    ) -> Result<Transfer, SendError> {
        self.push_blocks(peer, [(*header, block.clone())])
    }

    /// Sends blocks, in order, on one quic_stream: those of one task, say. Large bodies are not copied, and
    /// those that have gone to a file are read when it is their turn. They may overtake messages and other
    /// blocks, and these them. Whoever receives them is told of each as it comes.
    ///
    /// # Errors
    /// When the peer is not there, or takes no such blocks of this process.
    pub fn push_blocks<B: Into<KeptBlock>>(
        &self,
        peer: PeerId,
        blocks: impl IntoIterator<Item = (BlockHeader, B)>,
    ) -> Result<Transfer, SendError> {
        let peer = self.hub.peer(peer).ok_or(SendError::Gone)?;
        let blocks: Vec<(BlockHeader, KeptBlock)> =
            blocks.into_iter().map(|(header, block)| (header, block.into())).collect();
        let (from, to) = (self.hub.role(), peer.subject.role);
        if let Some((header, _)) = blocks.iter().find(|(h, _)| !h.cargo.may_go(from, to)) {
            return Err(SendError::Push { cargo: header.cargo.name(), from, to });
        }
        transfer::push(&self.hub.bulk.runtime, &peer, blocks)
    }

    /// Says goodbye to a peer, after everything already sent, or gives up connecting to it. Blocks that are
    /// not through yet are cancelled. [`NetEvent::Closed`] follows.
    pub fn close(&self, peer: PeerId) {
        match lock(&self.hub.peers).get(&peer) {
            Some(Entry::Connecting(give_up)) => give_up.notify_one(),
            Some(Entry::Open(peer)) => peer.say_goodbye(),
            None => {}
        }
    }

    /// Closes the connection to a peer that broke the protocol above frames: a message that cannot be
    /// read, a block that the door does not let in.
    pub fn accuse(&self, peer: PeerId, why: &str) {
        if let Some(peer) = self.hub.peer(peer) {
            peer.stop(CloseReason::Violation(why.chars().take(200).collect()));
        }
    }

    /// Bytes of messages that wait to be sent to a peer.
    #[must_use]
    pub fn unsent(&self, peer: PeerId) -> usize {
        self.hub.peer(peer).map_or(0, |peer| peer.unsent())
    }

    /// Who this process is, with its latest certificate.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.hub.configs().identity.clone()
    }

    /// Shows another certificate from here on: one that a token has bought, since no master takes the one before.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn install(&self, identity: Identity) -> Result<(), TrustError> {
        renew::install(&self.hub, identity)
    }

    /// Where this endpoint listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.hub.control.addr
    }

    /// Where it takes blocks. Nobody need be told: peers learn it when they connect.
    #[must_use]
    pub fn bulk_addr(&self) -> SocketAddr {
        self.hub.bulk.addr
    }

    /// What the endpoint has seen.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        let counters = &self.hub.counters;
        NetStats {
            peers: lock(&self.hub.peers).len(),
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
