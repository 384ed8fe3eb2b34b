//! Endpoints on real loopback sockets. Tests wait for events under a deadline and never sleep.

mod blocks;
mod hostile;
mod life;
mod lifelines;
mod membership;
mod memory;
mod relay;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use tempfile::TempDir;

use super::trust::{Authority, Grant, Identity, Token};
use super::*;
use crate::wire::{Message, Role};

pub(super) const PLAN: u64 = 0x1234;
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// A cluster's authority and a clock that moves only when told.
pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) authority: Arc<Authority>,
    clock: Arc<AtomicU64>,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(AtomicU64::new(1_800_000_000));
        let now = Duration::from_secs(clock.load(Ordering::Relaxed));
        let authority = Arc::new(Authority::open(dir.path(), "job", now).unwrap());
        Self { dir, authority, clock }
    }

    pub(super) fn now(&self) -> Duration {
        Duration::from_secs(self.clock.load(Ordering::Relaxed))
    }

    pub(super) fn pass(&self, time: Duration) {
        self.clock.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    pub(super) fn wall(&self) -> Arc<dyn Fn() -> Duration + Send + Sync> {
        let clock = self.clock.clone();
        Arc::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)))
    }

    pub(super) fn identity(&self, role: Role, name: &str) -> Identity {
        self.authority.identity(role, name, self.now()).unwrap()
    }

    pub(super) fn token(&self, role: Role, uses: u32) -> Token {
        let grant = Grant { role, uses, life: Duration::from_secs(600) };
        self.authority.token(grant, self.now()).unwrap()
    }

    pub(super) fn options(&self, role: Role, name: &str) -> BindOptions {
        let mut options = BindOptions::new(self.identity(role, name), PLAN);
        options.wall = self.wall();
        options
    }

    pub(super) fn master(&self) -> Node {
        Node::bind(self.options(Role::Master, "m").with_authority(self.authority.clone()))
    }

    pub(super) fn node(&self, role: Role, name: &str) -> Node {
        Node::bind(self.options(role, name))
    }

    pub(super) fn join_options(&self, node: &Node, token: Token) -> JoinOptions {
        let mut options = JoinOptions::new(node.endpoint.local_addr(), token, "job", PLAN, "w1");
        options.wall = self.wall();
        options
    }
}

/// An endpoint and its undelivered events.
pub(super) struct Node {
    pub(super) endpoint: Endpoint,
    pub(super) events: Receiver<Delivery>,
}

impl Node {
    pub(super) fn bind(options: BindOptions) -> Self {
        let (tell, events) = unbounded();
        let deliver = move |delivery| {
            // The test is over.
            let _ = tell.send(delivery);
        };
        Self { endpoint: Endpoint::bind(options, deliver).unwrap(), events }
    }

    pub(super) fn net(&self) -> &Net {
        self.endpoint.net()
    }

    pub(super) fn next(&self) -> NetEvent {
        self.events.recv_timeout(DEADLINE).expect("an event in time").take()
    }

    /// The next event, except those about renewal and lifelines, which most tests ignore.
    pub(super) fn next_of_peers(&self) -> NetEvent {
        loop {
            match self.next() {
                NetEvent::RenewalFailed { .. }
                | NetEvent::LifelineEnded { .. }
                | NetEvent::NoLifeline { .. } => {}
                event => return event,
            }
        }
    }

    pub(super) fn connected(&self) -> (PeerId, trust::Subject) {
        match self.next() {
            NetEvent::Connected { peer, subject, .. } => (peer, subject),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn message<M: Message>(&self) -> M {
        match self.next() {
            NetEvent::Message { message, .. } => message.read().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn closed(&self) -> CloseReason {
        match self.next_of_peers() {
            NetEvent::Closed { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn refused(&self) -> crate::wire::Refusal {
        match self.next() {
            NetEvent::Refused { refusal, .. } => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// Connects to another node; returns what each calls the other.
    pub(super) fn meet(&self, other: &Self) -> (PeerId, PeerId) {
        let there = self.net().connect(other.endpoint.local_addr());
        assert_eq!(self.connected().0, there);
        (there, other.connected().0)
    }
}
