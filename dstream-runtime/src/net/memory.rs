//! Links by memory between endpoints of one process.
//!
//! Messages are passed as values and blocks as they are kept: nothing is encoded, encrypted or copied. An
//! event is delivered on the sender's thread. Blocks that are not taken yet cost no memory beside that of the
//! stores that keep them; messages that are not taken are bounded in number (`Limits::untaken_events`), and the
//! link is closed above that.
//!
//! Invariants: both sides of a link get one `Closed`, as their last event of it. The lock of a link is held
//! while an event is delivered, so `deliver` must only pass the event on.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::event::Deliver;
use super::trust::{Authority, Subject};
use super::{CloseReason, Delivery, NetEvent, PeerId, SendError};
use crate::store::KeptBlock;
use crate::wire::{BlockHeader, Message, Received};

/// Marks the ids of peers that are reached by memory.
const BY_MEMORY: u64 = 1 << 63;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Code under these locks does not panic; if it did, the content would still be valid.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Endpoints of one process that reach each other by memory, by the addresses of their control ports.
#[derive(Clone, Default)]
pub struct MemoryNetwork(Arc<Mutex<BTreeMap<SocketAddr, Weak<MemoryPort>>>>);

impl MemoryNetwork {
    /// Opens a port at an address, or at one that is not in use here: others can connect to it as long as it
    /// lives.
    pub(super) fn open(&self, mut port: MemoryPort, addr: Option<SocketAddr>) -> Arc<MemoryPort> {
        let mut ports = lock(&self.0);
        let free = || {
            let mut numbered = (1..=u16::MAX).map(|n| (Ipv4Addr::LOCALHOST, n).into());
            numbered.find(|addr| !ports.contains_key(addr))
        };
        let addr = addr.or_else(free).unwrap_or(port.addr);
        (port.network, port.addr) = (self.clone(), addr);
        let port = Arc::new(port);
        ports.insert(addr, Arc::downgrade(&port));
        port
    }

    fn port(&self, addr: SocketAddr) -> Option<Arc<MemoryPort>> {
        lock(&self.0).get(&addr)?.upgrade()
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryNetwork").field(&lock(&self.0).keys()).finish()
    }
}

impl PartialEq for MemoryNetwork {
    /// Whether they are the same one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for MemoryNetwork {}

/// The links of an endpoint.
pub(super) struct MemoryPort {
    subject: Subject,
    addr: SocketAddr,
    authority: Option<Arc<Authority>>,
    untaken: usize,
    deliver: Deliver,
    network: MemoryNetwork,
    links: Mutex<BTreeMap<PeerId, Side>>,
    next: AtomicU64,
    /// Set while the endpoint ends: a link that opens now is closed at once.
    ending: AtomicBool,
}

/// A link as one of its sides sees it.
#[derive(Clone)]
struct Side {
    link: Arc<Link>,
    other: usize,
}

struct Link {
    ends: [End; 2],
    is_open: Mutex<bool>,
}

struct End {
    /// The links of a port hold it: it must not hold the port.
    port: Weak<MemoryPort>,
    /// What the port calls the other side.
    peer: PeerId,
    untaken: Arc<Semaphore>,
}

impl MemoryPort {
    /// That holds at most `untaken` events of each peer.
    pub(super) fn new(subject: Subject, untaken: usize, deliver: Deliver) -> Self {
        let (network, links, next, ending) = Default::default();
        let (addr, authority) = ((Ipv4Addr::LOCALHOST, 0).into(), None);
        Self { subject, addr, authority, untaken, deliver, network, links, next, ending }
    }

    /// Of a master that issues certificates.
    pub(super) fn with_authority(self, authority: Option<Arc<Authority>>) -> Self {
        Self { authority, ..self }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A peer that is closed at once: no endpoint of this process has its address.
    pub(super) fn unreachable(&self) -> PeerId {
        let peer = self.next_peer();
        self.deliver(NetEvent::Closed { peer, reason: CloseReason::Unreachable }, None);
        peer
    }

    fn next_peer(&self) -> PeerId {
        PeerId(BY_MEMORY | self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a peer is reached by memory.
    pub(super) fn is_of(peer: PeerId) -> bool {
        peer.0 & BY_MEMORY != 0
    }

    /// Connects to an endpoint of this process, if one has that address and may be talked to.
    pub(super) fn connect(self: &Arc<Self>, addr: SocketAddr) -> Option<PeerId> {
        let other = self.network.port(addr).filter(|other| {
            let (from, to) = (&self.subject, &other.subject);
            !Arc::ptr_eq(self, other) && from.role.may_talk_to(to.role) && from.job == to.job
        })?;
        let ends = [self.end(), other.end()];
        let (peer, there) = (ends[0].peer, ends[1].peer);
        let link = Arc::new(Link { ends, is_open: Mutex::new(true) });
        let open = lock(&link.is_open);
        lock(&self.links).insert(peer, Side { link: link.clone(), other: 1 });
        lock(&other.links).insert(there, Side { link: link.clone(), other: 0 });
        for (to, peer, of) in [(self, peer, &other), (&other, there, self)] {
            let (subject, addr) = (of.subject.clone(), of.addr);
            to.deliver(NetEvent::Connected { peer, subject, addr }, None);
        }
        drop(open);
        if self.is_ending() || other.is_ending() {
            self.close(peer);
        }
        Some(peer)
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    fn end(self: &Arc<Self>) -> End {
        let peer = self.next_peer();
        End { port: Arc::downgrade(self), peer, untaken: Arc::new(Semaphore::new(self.untaken)) }
    }

    fn deliver(&self, event: NetEvent, held: Option<OwnedSemaphorePermit>) {
        (self.deliver)(Delivery::new(event, held));
    }

    fn side(&self, peer: PeerId) -> Option<Side> {
        lock(&self.links).get(&peer).cloned()
    }

    /// Sends a message.
    pub(super) fn send<M: Message>(&self, peer: PeerId, message: M) -> Result<(), SendError> {
        let side = self.side(peer).ok_or(SendError::Gone)?;
        let (kind, from, to) = (M::KIND, self.subject.role, side.role()?);
        if !kind.may_go(from, to) {
            return Err(SendError::Role { kind, from, to });
        }
        let message = Received::value(message);
        side.pass(|peer| NetEvent::Message { peer, message })
    }

    /// Passes blocks on.
    pub(super) fn push(
        &self,
        peer: PeerId,
        blocks: Vec<(BlockHeader, KeptBlock)>,
    ) -> Result<(), SendError> {
        let side = self.side(peer).ok_or(SendError::Gone)?;
        let (from, to) = (self.subject.role, side.role()?);
        if let Some((header, _)) = blocks.iter().find(|(h, _)| !h.kind.may_go(from, to)) {
            return Err(SendError::Push { kind: header.kind.name(), from, to });
        }
        for (header, block) in blocks {
            side.pass(|peer| NetEvent::Handed { peer, header, block })?;
        }
        Ok(())
    }

    /// Says goodbye to a peer.
    pub(super) fn close(&self, peer: PeerId) {
        if let Some(side) = self.side(peer) {
            side.close(CloseReason::Local, CloseReason::Bye);
        }
    }

    /// Says goodbye to all peers, as the endpoint ends.
    pub(super) fn close_all(&self) {
        self.ending.store(true, Ordering::SeqCst);
        let sides: Vec<_> = lock(&self.links).values().cloned().collect();
        sides.iter().for_each(|side| side.close(CloseReason::Local, CloseReason::Bye));
    }

    /// Closes the link to a peer that broke the protocol.
    pub(super) fn accuse(&self, peer: PeerId, why: String) {
        if let Some(side) = self.side(peer) {
            side.close(CloseReason::Violation(why.clone()), CloseReason::Accused(why));
        }
    }

    /// How many peers there are.
    pub(super) fn peers(&self) -> usize {
        lock(&self.links).len()
    }

    /// The authority of a peer.
    pub(super) fn authority(&self) -> Option<Arc<Authority>> {
        lock(&self.links).values().find_map(|side| side.there().port.upgrade()?.authority.clone())
    }
}

impl Side {
    fn there(&self) -> &End {
        &self.link.ends[self.other]
    }

    fn here(&self) -> &End {
        &self.link.ends[1 - self.other]
    }

    fn role(&self) -> Result<crate::wire::Role, SendError> {
        self.there().port.upgrade().map(|port| port.subject.role).ok_or(SendError::Gone)
    }

    /// Delivers an event to the other side.
    fn pass(&self, event: impl FnOnce(PeerId) -> NetEvent) -> Result<(), SendError> {
        let open = lock(&self.link.is_open);
        let end = self.there();
        let port = end.port.upgrade().filter(|_| *open).ok_or(SendError::Gone)?;
        if let Ok(held) = end.untaken.clone().try_acquire_owned() {
            port.deliver(event(end.peer), Some(held));
            return Ok(());
        }
        drop(open);
        self.close(CloseReason::Slow, CloseReason::Slow);
        Err(SendError::Gone)
    }

    /// Ends the link; the first time, both sides hear why.
    fn close(&self, here: CloseReason, there: CloseReason) {
        let mut open = lock(&self.link.is_open);
        if !std::mem::replace(&mut *open, false) {
            return;
        }
        for (end, reason) in [(self.there(), there), (self.here(), here)] {
            if let Some(port) = end.port.upgrade() {
                lock(&port.links).remove(&end.peer);
                port.deliver(NetEvent::Closed { peer: end.peer, reason }, None);
            }
        }
    }
}
