//! The behaviour of a simulated process: it connects to the hosts before it, sends messages, pushes and
//! cancels blocks, says goodbye now and then, and sometimes takes no events for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep_until;

use super::Host;
use super::book::Book;
use super::network::{Network, address};
use super::process::{PORT, name, role};
use super::words::{self, EndId, Origin};
use crate::net::{Delivery, Limits, Net, NetEvent, PeerId, SendError, Transfer};
use crate::sched::simulation::Seed;
use crate::wire::Role;

/// The phase of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorldPhase {
    /// Faults occur.
    Stormy,
    /// No more faults.
    Calm,
    /// No new messages.
    Quiet,
}

/// State shared by all processes of a world.
pub(super) struct Shared {
    pub(super) network: Arc<Network>,
    pub(super) limits: Limits,
    book: Mutex<Book>,
    phase: Mutex<WorldPhase>,
}

impl Shared {
    pub(super) fn new(network: Arc<Network>, limits: Limits) -> Arc<Self> {
        let (book, phase) = (Mutex::default(), Mutex::new(WorldPhase::Stormy));
        Arc::new(Self { network, limits, book, phase })
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_phase(&self, phase: WorldPhase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> WorldPhase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blocks in flight.
struct Pushed {
    end: EndId,
    blocks: Range<u64>,
    transfer: Transfer,
}

/// A block that takes a while, in bytes.
const LARGE: usize = 40_000;

/// Transfers tracked at a time.
const PUSHED: usize = 12;

pub(super) struct Life {
    shared: Arc<Shared>,
    net: Net,
    number: u64,
    host: Host,
    seed: Seed,
    /// Hosts to connect to.
    calls: Vec<Host>,
    /// Open connections, or when to try again.
    calling: BTreeMap<Host, Result<PeerId, u64>>,
    open: BTreeMap<PeerId, Host>,
    /// Peers that it said goodbye to.
    parted: BTreeSet<PeerId>,
    pushed: Vec<Pushed>,
    /// The last push is cancelled soon.
    regrets: bool,
    is_stranger: bool,
}

impl Life {
    pub(super) fn new(
        shared: &Arc<Shared>,
        net: &Net,
        number: u64,
        host: Host,
        calls: Vec<Host>,
        is_stranger: bool,
        seed: u64,
    ) -> Self {
        shared.book().begins(number, host, is_stranger);
        Self {
            shared: shared.clone(),
            net: net.clone(),
            number,
            host,
            seed: Seed(seed | 1),
            calls,
            calling: BTreeMap::new(),
            open: BTreeMap::new(),
            parted: BTreeSet::new(),
            pushed: Vec::new(),
            regrets: false,
            is_stranger,
        }
    }

    /// Runs until it is aborted.
    pub(super) async fn live(mut self, mut events: UnboundedReceiver<Delivery>) {
        let mut next = 0;
        loop {
            self.shared.network.sleep(self.host).await;
            tokio::select! {
                biased;
                first = events.recv() => {
                    let Some(first) = first else { return };
                    let mut deliveries = vec![first];
                    while let Ok(more) = events.try_recv() {
                        deliveries.push(more);
                    }
                    self.take(deliveries);
                }
                () = sleep_until(self.shared.network.at(next)) => {
                    self.act();
                    let pause = if self.regrets { self.seed.below(25) } else { 20 + self.seed.below(200) };
                    next = self.shared.network.now() + 1 + pause;
                }
            }
        }
    }

    fn end(&self, peer: PeerId) -> EndId {
        EndId::new(self.number, peer)
    }

    /// Takes all delivered events.
    fn take(&mut self, deliveries: Vec<Delivery>) {
        let mut held: BTreeMap<PeerId, (usize, usize)> = BTreeMap::new();
        for delivery in deliveries {
            let event = delivery.take();
            match &event {
                NetEvent::Message { peer, message } => {
                    held.entry(*peer).or_default().0 += message.byte_len();
                }
                NetEvent::Block { peer, preamble, .. } => {
                    held.entry(*peer).or_default().1 += preamble.body_len;
                }
                _ => {}
            }
            self.heard(event);
        }
        let Limits { untaken_messages, untaken_blocks, .. } = self.shared.limits;
        for (peer, (messages, blocks)) in held {
            if messages > untaken_messages || blocks > untaken_blocks {
                let end = self.end(peer);
                let why = format!("{end:?}: {messages} and {blocks} bytes are not taken");
                self.shared.book().violated(why);
            }
            if messages > untaken_messages / 2 {
                self.shared.book().hit("many messages are not taken");
            }
            if blocks > untaken_blocks / 2 {
                self.shared.book().hit("many blocks are not taken");
            }
        }
    }

    fn heard(&mut self, event: NetEvent) {
        let mut book = self.shared.book();
        if !matches!(event, NetEvent::Message { .. } | NetEvent::Block { .. }) {
            let (at, number, host) = (self.shared.network.now(), self.number, self.host);
            book.story.tell(at, format_args!("process {number} of host {host}: {event:?}"));
        }
        match event {
            NetEvent::Connected { peer, subject, .. } => {
                let with =
                    (0..10).find(|host| name(*host) == subject.name && role(*host) == subject.role);
                book.connected(self.end(peer), with);
                self.open.extend(with.map(|with| (peer, with)));
            }
            NetEvent::Message { peer, message } => {
                book.heard(self.end(peer), words::read(message));
            }
            NetEvent::Block { peer, header, bytes, .. } => {
                book.took(self.end(peer), words::open(&header, bytes));
            }
            NetEvent::Closed { peer, reason } => {
                book.closed(self.end(peer), &reason);
                self.open.remove(&peer);
                let now = self.shared.network.now();
                for calling in self.calling.values_mut() {
                    if *calling == Ok(peer) {
                        // Strangers are many, so each retries slowly.
                        let pause = if self.is_stranger { 1500 } else { 20 };
                        *calling = Err(now + pause + self.seed.below(300));
                    }
                }
            }
            NetEvent::Handed { .. } => {
                book.violated("simulated processes share no memory".to_owned())
            }
            NetEvent::Refused { .. } => book.hit("a process is refused"),
            NetEvent::Joined { .. } => book.hit("a process joins with a token"),
            NetEvent::Renewed { .. } => book.hit("a certificate is renewed"),
            NetEvent::RenewalFailed { .. } => book.hit("a certificate is not renewed yet"),
            NetEvent::AuthorityFailed { why } => book.violated(why),
            // Simulated hosts have no TCP.
            NetEvent::LifelineEnded { .. } | NetEvent::NoLifeline { .. } => {}
        }
    }

    fn act(&mut self) {
        let phase = self.shared.phase();
        if self.shared.book().has_stopped(self.number) {
            return;
        }
        if phase == WorldPhase::Quiet {
            self.look_after();
            return self.shared.book().still_under_way(self.number, self.pushed.len());
        }
        self.call();
        let open: Vec<(PeerId, Host)> =
            self.open.iter().map(|(peer, host)| (*peer, *host)).collect();
        if phase == WorldPhase::Calm {
            for (peer, with) in open {
                self.say(peer, with, 1);
                self.push(peer, with, None);
            }
            return;
        }
        if std::mem::take(&mut self.regrets) {
            self.cancel();
        }
        if open.is_empty() {
            return;
        }
        let (peer, with) = open[self.seed.below(open.len() as u64) as usize];
        match self.seed.below(60) {
            0..=34 => {
                let many = 1 + self.seed.below(6);
                self.say(peer, with, many);
            }
            35 => self.say(peer, with, 40),
            36 => (0..6).for_each(|_| self.push(peer, with, None)),
            37..=49 => self.push(peer, with, None),
            50..=57 => {
                self.push(peer, with, Some(LARGE));
                self.regrets = true;
            }
            58 if self.seed.one_in(2) => {
                // These arrive before the goodbye.
                self.say(peer, with, 5);
                self.shared.book().says_goodbye(self.end(peer));
                self.parted.insert(peer);
                self.net.close(peer);
            }
            _ => {}
        }
    }

    fn call(&mut self) {
        let now = self.shared.network.now();
        for host in &self.calls {
            let calling = self.calling.entry(*host).or_insert(Err(0));
            if calling.is_err_and(|not_before| not_before <= now) {
                let peer = self.net.connect(address(*host, PORT));
                *calling = Ok(peer);
                self.shared.book().calls(EndId::new(self.number, peer), *host);
            }
        }
    }

    fn roles(&self, with: Host) -> (Role, Role) {
        (role(self.host), role(with))
    }

    fn say(&mut self, peer: PeerId, with: Host, many: u64) {
        if self.parted.contains(&peer) || self.is_stranger {
            return;
        }
        let end = self.end(peer);
        for _ in 0..many {
            let len = match self.seed.below(30) {
                0 => self.seed.below(30_000),
                1..=4 => self.seed.below(3000),
                _ => self.seed.below(100),
            };
            let origin = self.shared.book().next(end);
            match words::say(&self.net, self.roles(with), peer, origin, len as usize) {
                Ok(()) => self.shared.book().said(end),
                // Closed, and `Closed` has not been taken yet.
                Err(SendError::Gone) => return,
                Err(SendError::Slow { .. }) => return self.shared.book().hit("a peer is too slow"),
                Err(error) => return self.shared.book().violated(error.to_string()),
            }
        }
    }

    fn push(&mut self, peer: PeerId, with: Host, len: Option<usize>) {
        if self.parted.contains(&peer) || self.pushed.len() >= PUSHED {
            return self.look_after();
        }
        let lens = match len {
            Some(len) => vec![len],
            None => (0..1 + self.seed.below(3)).map(|_| self.block_len()).collect(),
        };
        let end = self.end(peer);
        let first: Origin = self.shared.book().next_block(end);
        match words::push(&self.net, self.roles(with), peer, first, &lens) {
            Ok(transfer) => {
                let many = lens.len() as u64;
                self.shared.book().pushed(end, many);
                let blocks = first.number..first.number + many;
                self.pushed.push(Pushed { end, blocks, transfer });
            }
            Err(SendError::Gone) => {}
            Err(error) => self.shared.book().violated(error.to_string()),
        }
        self.look_after();
    }

    fn block_len(&mut self) -> usize {
        let len = match self.seed.below(12) {
            0 => self.seed.below(LARGE as u64),
            1..=3 => self.seed.below(8000),
            _ => self.seed.below(400),
        };
        len as usize
    }

    /// Cancels the last push if it is still in flight.
    fn cancel(&mut self) {
        self.look_after();
        if let Some(Pushed { end, blocks, transfer }) = self.pushed.pop() {
            self.shared.book().cancelled(end, blocks);
            transfer.cancel();
        }
    }

    /// The blocks of a failed transfer belong to a closed connection.
    fn look_after(&mut self) {
        let mut book = self.shared.book();
        self.pushed.retain(|pushed| {
            let Pushed { end, blocks, transfer } = pushed;
            if transfer.has_failed() {
                // The end may not be recorded yet.
                book.failed(*end, blocks.clone());
            }
            !transfer.is_done() && !transfer.has_failed()
        });
    }
}
