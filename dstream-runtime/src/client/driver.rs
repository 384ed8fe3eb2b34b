//! The thread of a client: owns its connections and streams, and reads the clock for them.
//!
//! It keeps a connection to a master, which names receivers and renews the certificate, and one to a
//! receiver per stream.

mod master;
mod port;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::oneshot;

use self::master::Master;
use self::port::connect;
use super::draft::Shared;
use super::link::{ANSWER, Link, Phase, StreamProperties};
use super::outbox::Numbered;
use super::{Access, ClientError, ClientOptions};
use crate::driver::cluster::{Question, Reply};
#[cfg(test)]
use crate::host::Lane;
use crate::host::{self, Arrives, Inbox};
use crate::id::Epoch;
use crate::net::{CloseReason, Delivery, Net, NetEvent, PeerId};
use crate::wire::{
    APPEND_INLINE, BlockHeader, BlockKind, MessageKind, Received, ToClient, ToReceiver,
};

/// An event for the thread.
pub(super) enum Event {
    Net(Delivery),
    Open(Box<Opening>),
    /// A stream has gathered its first lines, or a full append.
    Wake,
    Header(u64, String),
    /// The stream's handle was dropped.
    GivenUp(u64),
    /// The client was dropped or closed.
    End(Option<oneshot::Sender<()>>),
}

/// A stream to open.
pub(super) struct Opening {
    pub(super) id: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) opened: oneshot::Sender<Result<StreamProperties, ClientError>>,
}

type Ready = oneshot::Sender<Result<(), ClientError>>;

impl Arrives for Event {
    #[cfg(test)]
    fn lane(&self) -> Lane {
        let name = if matches!(self, Self::Net(_)) { "a network" } else { "an owner" };
        Lane { name, about: (0, 0, 0), most_ms: 0 }
    }
}

/// Runs the thread. `ready` gets the outcome of the first connection to a master.
pub(super) fn serve(
    options: ClientOptions,
    events: Sender<Event>,
    inbox: Receiver<Event>,
    ready: Ready,
) {
    let inbox = Inbox::new(inbox);
    match connect(&options, events) {
        Ok(endpoint) => {
            let done = Driver::new(options, endpoint.net().clone(), ready).run(&inbox);
            drop(endpoint);
            if let Some(done) = done {
                // The receiver may have been dropped.
                let _ = done.send(());
            }
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

/// Longest pause between two checks of all streams.
const LOOK: Duration = Duration::from_millis(100);

struct Driver {
    options: ClientOptions,
    net: Net,
    master: Master,
    /// The next master to try, and refusals in a row.
    turn: usize,
    refusals: usize,
    /// Since when there is no master, and why.
    lonely: (Instant, String),
    ready: Option<Ready>,
    links: BTreeMap<u64, Link>,
    receivers: BTreeMap<PeerId, u64>,
}

impl Driver {
    fn new(options: ClientOptions, net: Net, ready: Ready) -> Self {
        let now = host::now();
        Self {
            options,
            net,
            master: Master::Resting { until: now },
            turn: 0,
            refusals: 0,
            lonely: (now, "not tried yet".to_owned()),
            ready: Some(ready),
            links: BTreeMap::new(),
            receivers: BTreeMap::new(),
        }
    }

    /// Runs until the client ends; returns who waits for the end.
    fn run(mut self, events: &Inbox<Event>) -> Option<oneshot::Sender<()>> {
        loop {
            let now = host::now();
            self.see_master(now);
            let ids: Vec<u64> = self.links.keys().copied().collect();
            ids.into_iter().for_each(|id| self.go_on(id, now));
            let mut next = events.next(Some(self.deadline(now)));
            let now = host::now();
            while let Some(event) = next {
                match event {
                    Event::End(done) => {
                        let why = "it was closed".to_owned();
                        let ended = |link: &mut Link| {
                            link.fail(ClientError::Ended { why: why.clone() });
                        };
                        self.links.values_mut().for_each(ended);
                        return done;
                    }
                    event => self.happened(event, now),
                }
                next = events.ready();
            }
        }
    }

    fn deadline(&self, now: Instant) -> Instant {
        let lingering = self.links.values().filter_map(|link| link.linger);
        let resting = self.links.values().filter_map(|link| match link.phase {
            Phase::Resting { until } => Some(until),
            _ => None,
        });
        lingering.chain(resting).chain([now + LOOK]).min().unwrap_or(now)
    }

    fn happened(&mut self, event: Event, now: Instant) {
        match event {
            Event::Net(delivery) => self.heard(delivery.take(), now),
            Event::Open(opening) => {
                let Opening { id, shared, opened } = *opening;
                self.links.insert(id, Link::new(shared, opened, now));
            }
            Event::Header(id, row) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.header = Some(row);
                }
            }
            Event::GivenUp(id) => {
                if let Some(link) = self.links.remove(&id) {
                    self.hang_up(link.phase);
                }
            }
            // All streams are checked after every event.
            Event::Wake | Event::End(_) => {}
        }
    }

    fn hang_up(&mut self, phase: Phase) {
        if let Some((peer, _)) = phase.peer() {
            self.receivers.remove(&peer);
            self.net.close(peer);
        }
    }

    fn heard(&mut self, event: NetEvent, now: Instant) {
        match event {
            NetEvent::Connected { peer, .. } => self.connected(peer, now),
            NetEvent::Message { peer, message } => self.said(peer, message, now),
            NetEvent::Closed { peer, reason } => self.closed(peer, reason, now),
            NetEvent::Renewed { .. } => {
                if let Access::Token { identity, .. } = &self.options.target.access {
                    // If the write fails, the next process buys a certificate with its token.
                    let _ = self.net.identity().map(|own| own.write(identity));
                }
            }
            // A client gets no blocks and issues no certificates; renewals are retried.
            _ => {}
        }
    }

    fn connected(&mut self, peer: PeerId, now: Instant) {
        if let Master::Connecting { peer: expected, addr } = self.master
            && expected == peer
        {
            self.master = Master::There { peer, addr, asked: VecDeque::new() };
            self.refusals = 0;
            if let Some(ready) = self.ready.take() {
                // The receiver may have been dropped.
                let _ = ready.send(Ok(()));
            }
        } else if let Some(link) = self.receivers.get(&peer).and_then(|id| self.links.get_mut(id))
            && let Phase::Connecting { addr, .. } = link.phase
        {
            open(&self.net, link, peer, addr, now);
        }
    }

    fn said(&mut self, peer: PeerId, message: Received, now: Instant) {
        let result = match message.kind() {
            MessageKind::Answer => message.read().map(|reply| self.answered(peer, reply, now)),
            MessageKind::ToClient => message.read().map(|told| self.told(peer, told, now)),
            _ => return,
        };
        if let Err(error) = result {
            self.net.accuse(peer, &error.to_string());
        }
    }

    fn answered(&mut self, from: PeerId, reply: Reply, now: Instant) {
        let Master::There { peer, asked, .. } = &mut self.master else { return };
        if *peer != from {
            return;
        }
        // The stream has been dropped meanwhile.
        let Some(id) = asked.pop_front() else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        if !matches!(link.phase, Phase::Looking { asked: true, .. }) {
            if let Reply::Receivers(receivers) = &reply
                && link.is_lost(receivers)
                && let Some((_, addr)) = link.phase.peer()
            {
                let phase = link.phase;
                link.rest(format!("{addr}: this receiver is not there any more"), now);
                self.hang_up(phase);
            }
            return;
        }
        match reply {
            Reply::Receivers(receivers) => match link.choose(&receivers) {
                Some(addr) => {
                    let peer = self.net.connect(addr);
                    link.phase = Phase::Connecting { peer, addr };
                    self.receivers.insert(peer, id);
                }
                None => link.rest("no worker receives for it".to_owned(), now),
            },
            // A receiver that has accepted this stream may accept it again, for example after a new master.
            Reply::Refused(why) if link.opened.is_none() => link.rest(why, now),
            Reply::Refused(why) => {
                let stream = link.shared.stream.clone();
                link.fail(ClientError::Refused { stream, why });
            }
            Reply::Status(_) | Reply::Done(_) | Reply::Savepoint(_) => {
                link.rest("the master answers another question".to_owned(), now);
            }
        }
    }

    fn told(&mut self, peer: PeerId, message: ToClient, now: Instant) {
        let Some(id) = self.receivers.get(&peer).copied() else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        let result = link.told(message, now);
        if let Err(why) = &result {
            self.net.accuse(peer, why);
            link.rest(why.clone(), now);
        }
        if link.phase.peer().is_none() {
            self.receivers.remove(&peer);
            self.net.close(peer);
        }
    }

    fn closed(&mut self, peer: PeerId, reason: CloseReason, now: Instant) {
        match &self.master {
            Master::Connecting { peer: of, addr } | Master::There { peer: of, addr, .. }
                if *of == peer =>
            {
                return self.master_lost(*addr, reason, now);
            }
            _ => {}
        }
        if let Some(id) = self.receivers.remove(&peer)
            && let Some(link) = self.links.get_mut(&id)
            && let Some((_, addr)) = link.phase.peer()
        {
            link.rest(format!("{addr}: {reason}"), now);
        }
    }

    /// Advances a stream as far as possible.
    fn go_on(&mut self, id: u64, now: Instant) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let linger = match link.phase {
            // With nothing in flight, lines need not wait.
            Phase::Open { .. } if !link.outbox.is_waiting() => Some(Duration::ZERO),
            Phase::Open { .. } if !link.outbox.is_held_back() => Some(self.options.linger),
            // Gather more while nothing can be sent.
            _ => None,
        };
        let (sealed, due) = link.shared.collect(linger, now);
        sealed.into_iter().for_each(|numbered| link.outbox.push(numbered));
        link.linger = due;
        if let Some(error) = link.gives_up(self.options.target.patience, now) {
            let phase = link.phase;
            link.fail(error);
            return self.hang_up(phase);
        }
        if let Phase::Resting { until } = link.phase
            && until <= now
        {
            link.phase = Phase::Looking { asked: false, since: now };
        }
        if link.doubts(now)
            && let Master::There { peer, asked, .. } = &mut self.master
        {
            let question = Question::Receivers { stream: link.shared.stream.clone() };
            // If the connection is gone, its `Closed` follows and another master is asked.
            if self.net.send(*peer, &question).is_ok() {
                asked.push_back(id);
                link.has_asked();
            }
        }
        match link.phase {
            Phase::Looking { asked: false, since } => {
                let Master::There { peer, asked, .. } = &mut self.master else { return };
                let question = Question::Receivers { stream: link.shared.stream.clone() };
                // If the connection is gone, its `Closed` follows and the question is repeated.
                if self.net.send(*peer, &question).is_ok() {
                    asked.push_back(id);
                    link.phase = Phase::Looking { asked: true, since };
                }
            }
            Phase::Looking { since, .. } if now.duration_since(since) >= ANSWER => {
                link.rest("the master does not answer".to_owned(), now);
                // Answers are matched by order, so this connection cannot be asked again.
                if let Master::There { peer, .. } = self.master {
                    self.net.close(peer);
                }
            }
            Phase::Opening { since, addr, .. } if now.duration_since(since) >= ANSWER => {
                let phase = link.phase;
                link.rest(format!("{addr}: it does not answer"), now);
                self.hang_up(phase);
            }
            Phase::Open { peer, addr, window: 0 } if link.header.is_some() => {
                open(&self.net, link, peer, addr, now);
            }
            Phase::Open { peer, window, .. } => {
                while let Some(next) = link.outbox.next(window) {
                    append(&self.net, peer, &next);
                }
            }
            _ => {}
        }
    }
}

fn open(net: &Net, link: &mut Link, peer: PeerId, addr: SocketAddr, now: Instant) {
    // If the connection is gone, its `Closed` follows.
    let _ = net.send(peer, &link.open());
    link.phase = Phase::Opening { peer, addr, since: now };
}

/// Sends an append. If the connection is gone, its `Closed` follows and the append is sent again.
fn append(net: &Net, peer: PeerId, next: &Numbered) {
    let lines = next.lines.body();
    if lines.len() <= APPEND_INLINE {
        let append = ToReceiver::Append { number: next.number, lines: lines.to_vec() };
        let _ = net.send(peer, &append);
        return;
    }
    let kind = BlockKind::Append { number: next.number };
    let header = BlockHeader { epoch: Epoch(0), kind, piece: 0 };
    if let Ok(transfer) = net.push_block(peer, &header, &next.lines) {
        transfer.detach();
    }
}
