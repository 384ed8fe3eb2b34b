//! Datagrams in flight between simulated hosts, in virtual time.
//!
//! The fate of a datagram is drawn from the seed of its link, which is one-way, so it depends only on
//! earlier datagrams of that link. Datagrams that arrive in the same millisecond are ordered by link.
//!
//! Virtual time is tokio's paused clock, in whole milliseconds.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::udp::{EcnCodepoint, Transmit};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::link::{Link, LinkFault};
use super::{Host, Sites, add, hash};
use crate::sched::simulation::Seed;

/// Size of a socket's buffer, in bytes.
const BUFFER: usize = 1 << 20;

/// A direction between two hosts.
pub(crate) type Way = (Host, Host);

/// The address of a port of a simulated host.
pub(crate) fn address(host: Host, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, host), port))
}

/// The host of an address.
pub(crate) fn host(addr: SocketAddr) -> Host {
    match addr.ip() {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(_) => Host::MAX,
    }
}

/// A datagram.
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) bytes: Vec<u8>,
}

/// The receiving side of a socket.
struct Inbox {
    /// Identifies the socket: a later one at the same address is another.
    id: u64,
    waiting: VecDeque<Datagram>,
    bytes: usize,
    waker: Option<Waker>,
}

/// When and where a datagram arrives; the last field orders those of one link.
type Due = (u64, SocketAddr, SocketAddr, u64);

struct State {
    seed: u64,
    links: BTreeMap<Way, Link>,
    inboxes: BTreeMap<SocketAddr, Inbox>,
    sockets: u64,
    due: BTreeMap<Due, Datagram>,
    /// Paused hosts, and until when.
    still: BTreeMap<Host, u64>,
    /// Hosts with blocked sockets, and until when.
    full: BTreeMap<Host, u64>,
    /// Hosts whose drivers take no events, and until when.
    asleep: BTreeMap<Host, u64>,
    sites: Sites,
}

/// All links between simulated hosts.
pub(crate) struct Network {
    state: Mutex<State>,
    /// Notified when a datagram is due before all others.
    earlier: Notify,
    begun: Instant,
}

impl Network {
    /// A network without faults; datagrams move while [`carry`](Self::carry) runs.
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let state = State {
            seed,
            links: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            sockets: 0,
            due: BTreeMap::new(),
            still: BTreeMap::new(),
            full: BTreeMap::new(),
            asleep: BTreeMap::new(),
            sites: Sites::new(),
        };
        Arc::new(Self { state: Mutex::new(state), earlier: Notify::new(), begun: Instant::now() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    /// That time as an instant.
    pub(crate) fn at(&self, ms: u64) -> Instant {
        self.begun + Duration::from_millis(ms)
    }

    /// Delivers datagrams until cancelled.
    pub(crate) async fn carry(&self) {
        loop {
            let now = self.now();
            let next = self.state().due.first_key_value().map(|(due, _)| due.0);
            match next {
                Some(at) if at <= now => self.arrive(now),
                Some(at) => tokio::select! {
                    biased;
                    () = self.earlier.notified() => {}
                    () = sleep_until(self.at(at)) => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    /// Delivers the datagrams that are due.
    fn arrive(&self, now: u64) {
        let mut woken = Vec::new();
        let mut state = self.state();
        while let Some(entry) = state.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, from, to, number), datagram) = entry.remove_entry();
            if let Some(until) = state.still.get(&host(to)).copied().filter(|until| *until > now) {
                state.due.insert((until, from, to, number), datagram);
                continue;
            }
            let Some(inbox) = state.inboxes.get_mut(&to) else { continue };
            if inbox.bytes + datagram.bytes.len() > BUFFER {
                *state.sites.entry("a socket's buffer is full").or_default() += 1;
                continue;
            }
            inbox.bytes += datagram.bytes.len();
            inbox.waiting.push_back(datagram);
            woken.extend(inbox.waker.take());
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Opens a socket. An earlier one at this address sends and receives nothing any more.
    pub(super) fn open(&self, addr: SocketAddr) -> u64 {
        let mut state = self.state();
        state.sockets += 1;
        let id = state.sockets;
        let inbox = Inbox { id, waiting: VecDeque::new(), bytes: 0, waker: None };
        state.inboxes.insert(addr, inbox);
        id
    }

    /// Closes all sockets of a host.
    pub(crate) fn close(&self, of: Host) {
        self.state().inboxes.retain(|addr, _| host(*addr) != of);
    }

    /// Sends from a socket. `WouldBlock` while the host's sockets block.
    pub(super) fn send(
        &self,
        id: u64,
        from: SocketAddr,
        transmit: &Transmit<'_>,
    ) -> io::Result<()> {
        let now = self.now();
        let mut state = self.state();
        if state.inboxes.get(&from).is_none_or(|inbox| inbox.id != id) {
            // A leftover of a killed process: dropped.
            return Ok(());
        }
        if state.full_until(from, now).is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for bytes in transmit.contents.chunks(size) {
            state.pass(now, from, transmit.destination, transmit.ecn, bytes);
        }
        drop(state);
        self.earlier.notify_one();
        Ok(())
    }

    /// Injects a datagram with any sender address.
    pub(super) fn inject(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = self.now();
        let mut state = self.state();
        state.hit("a datagram that is none");
        state.pass(now, from, to, None, bytes);
        drop(state);
        self.earlier.notify_one();
    }

    /// Until when the sockets of that host block.
    pub(super) fn full_until(&self, addr: SocketAddr) -> Option<Instant> {
        let now = self.now();
        let mut state = self.state();
        let until = state.full_until(addr, now)?;
        state.hit("a socket takes nothing");
        Some(self.at(until))
    }

    /// Receives what has arrived at a socket.
    pub(super) fn poll_recv(
        &self,
        id: u64,
        addr: SocketAddr,
        at_once: usize,
        cx: &Context<'_>,
    ) -> Poll<Vec<Datagram>> {
        let mut state = self.state();
        match state.inboxes.get_mut(&addr) {
            Some(inbox) if inbox.id == id && !inbox.waiting.is_empty() => {
                let count = at_once.min(inbox.waiting.len());
                let taken: Vec<Datagram> = inbox.waiting.drain(..count).collect();
                inbox.bytes -= taken.iter().map(|datagram| datagram.bytes.len()).sum::<usize>();
                Poll::Ready(taken)
            }
            Some(inbox) if inbox.id == id => {
                inbox.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Pending,
        }
    }

    /// Applies a fault to a link for `ms` milliseconds.
    pub(crate) fn trouble(&self, way: Way, trouble: LinkFault, ms: u64) {
        let until = self.now() + ms;
        self.state().link(way).trouble(trouble, until);
    }

    /// Pauses a host: its datagrams wait.
    pub(crate) fn still(&self, host: Host, ms: u64) {
        let until = self.now() + ms;
        self.state().still.insert(host, until);
    }

    /// Blocks the sockets of a host.
    pub(crate) fn full(&self, host: Host, ms: u64) {
        let until = self.now() + ms;
        self.state().full.insert(host, until);
    }

    /// The driver of a host takes no events.
    pub(crate) fn asleep(&self, host: Host, ms: u64) {
        let until = self.now() + ms;
        self.state().asleep.insert(host, until);
    }

    /// Waits while the driver of a host takes no events.
    pub(crate) async fn sleep(&self, host: Host) {
        let now = self.now();
        let until = self.state().asleep.get(&host).copied().filter(|until| *until > now);
        if let Some(until) = until {
            self.state().hit("a driver takes nothing");
            sleep_until(self.at(until)).await;
        }
    }

    /// Replays a recorded datagram.
    pub(super) fn again(&self, way: Way, which: u64) {
        let now = self.now();
        let mut state = self.state();
        if let Some((from, to, bytes)) = state.link(way).recorded(which) {
            state.hit("a datagram of the past");
            state.pass(now, from, to, None, &bytes);
        }
        drop(state);
        self.earlier.notify_one();
    }

    /// The sites that datagrams reached.
    pub(crate) fn sites(&self) -> Sites {
        let state = self.state();
        let mut sites = state.sites.clone();
        for link in state.links.values() {
            add(&mut sites, link.sites.clone());
        }
        sites
    }

    /// Hash of everything sent, when, and its fate.
    pub(crate) fn trace(&self) -> u64 {
        hash(&self.state().links.values().map(|link| link.trace).collect::<Vec<_>>())
    }
}

impl State {
    fn hit(&mut self, site: &'static str) {
        *self.sites.entry(site).or_default() += 1;
    }

    fn full_until(&self, addr: SocketAddr, now: u64) -> Option<u64> {
        self.full.get(&host(addr)).copied().filter(|until| *until > now)
    }

    fn link(&mut self, way: Way) -> &mut Link {
        let seed = hash(&[self.seed, u64::from(way.0), u64::from(way.1)]);
        self.links.entry(way).or_insert_with(|| Link::new(Seed(seed | 1)))
    }

    fn pass(
        &mut self,
        now: u64,
        from: SocketAddr,
        to: SocketAddr,
        ecn: Option<EcnCodepoint>,
        bytes: &[u8],
    ) {
        let way = (host(from), host(to));
        let waits = self.still.get(&way.0).copied().unwrap_or(0).max(now);
        let link = self.link(way);
        let arrivals = link.pass(now, (from, to), bytes);
        let numbered = arrivals.into_iter().map(|arrival| (link.next_number(), arrival));
        for (number, (after, bytes)) in numbered.collect::<Vec<_>>() {
            let datagram = Datagram { from, ecn, bytes };
            self.due.insert((waits + after, from, to, number), datagram);
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}
