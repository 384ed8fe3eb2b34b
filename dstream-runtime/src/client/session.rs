//! The receiver's side of the client library: accepts appends, orders them, and answers clients.
//!
//! Without clock or socket: a worker's driver reports messages ([`Sessions::said`], [`Sessions::block`],
//! [`Sessions::gone`]) and outcomes ([`Sessions::safe`], [`Sessions::refused`]), and carries out the
//! actions. Duplicates from other sessions are detected where appends are registered, by [`Append::client`]
//! and [`Append::number`].
//!
//! Invariants: the appends of a session are taken in order and without gaps; the bytes promised to clients
//! plus those that are not safe yet stay within [`SessionLimits::memory`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::{Block, BufferPool};
use crate::id::SourceId;
use crate::net::PeerId;
use crate::record::Format;
use crate::wire::{ClientId, ToClient, ToReceiver};

/// A stream that accepts appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub stream: String,
    /// Its source.
    pub source: SourceId,
    /// The format of its lines.
    pub format: Format,
    /// Whether its CSV is read by the column names of a header.
    pub header: bool,
}

/// Limits of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Unacknowledged bytes of all clients, at most.
    pub memory: u64,
    /// Unacknowledged bytes of one client, at most: enough for a second worker on a distant host.
    pub window: u64,
    /// Longest append, in bytes.
    pub longest: u32,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { memory: 256 << 20, window: 8 << 20, longest: 1 << 20 }
    }
}

impl SessionLimits {
    /// Scales the limits to that much memory: enough for at least one or two clients.
    #[must_use]
    pub fn within(self, memory: u64) -> Self {
        Self { memory: self.memory.min(memory.max(self.window)), ..self }
    }
}

/// Appends that may arrive before an earlier one.
const AHEAD: u64 = 1 << 14;

/// Characters of a client's name repeated in messages.
const NAME: usize = 63;

/// An append to take in. [`Sessions::safe`] or [`Sessions::refused`] is called for each.
#[derive(Debug, Clone)]
pub struct Append {
    /// Its connection.
    pub peer: PeerId,
    /// Its source.
    pub source: SourceId,
    /// The client that numbered it.
    pub client: ClientId,
    /// Its number.
    pub number: u64,
    /// Whole lines, as a raw block.
    pub lines: Block,
    /// The number of lines.
    pub records: u64,
    /// For CSV: the header row.
    pub header: Option<Arc<str>>,
}

/// An action for the driver.
#[derive(Debug)]
pub enum SessionEffect {
    /// Send this message.
    Tell(PeerId, ToClient),
    /// Take it in: number it, copy it to a second worker, register it.
    Take(Append),
    /// The client broke the protocol.
    Accuse(PeerId, String),
}

/// All clients of a worker.
#[derive(Debug)]
pub struct Sessions {
    offers: Vec<Offer>,
    limits: SessionLimits,
    of: BTreeMap<PeerId, Session>,
    leaving: bool,
}

#[derive(Debug)]
enum Life {
    /// Appends are accepted.
    Open,
    /// The client was refused; appends already sent may still arrive.
    Refused,
    /// The client has disconnected; some of its appends are not safe yet.
    Gone,
}

#[derive(Debug)]
struct Session {
    life: Life,
    source: SourceId,
    client: ClientId,
    header: Option<Arc<str>>,
    window: u64,
    /// The next number to take in.
    next: u64,
    /// Appends that arrived early.
    early: BTreeMap<u64, Block>,
    /// Appends taken in while an earlier or equal one is not safe: length, and whether it is safe.
    taken: BTreeMap<u64, (u64, bool)>,
    /// Bytes of both.
    unsafe_bytes: u64,
}

impl Sessions {
    /// Sessions of a worker that receives these streams.
    #[must_use]
    pub fn new(offers: Vec<Offer>, limits: SessionLimits) -> Self {
        Self { offers, limits, of: BTreeMap::new(), leaving: false }
    }

    /// Handles a client's message; lines inside it are copied into a buffer of `pool`.
    pub fn said(
        &mut self,
        peer: PeerId,
        message: ToReceiver,
        pool: &BufferPool,
    ) -> Vec<SessionEffect> {
        match message {
            ToReceiver::Open { stream, client, first, header } => {
                self.open(peer, &stream, client, first, header)
            }
            ToReceiver::Append { number, lines } => {
                let mut buffer = pool.take(lines.len());
                buffer.bytes_mut().extend_from_slice(&lines);
                self.block(peer, number, Block::raw(buffer))
            }
        }
    }

    /// Handles an append that arrived as a decoded block.
    pub fn block(&mut self, peer: PeerId, number: u64, lines: Block) -> Vec<SessionEffect> {
        let longest = self.limits.longest;
        let Some(session) = self.of.get_mut(&peer) else {
            return accuse(peer, "it appends to a stream that is not open".to_owned());
        };
        match session.life {
            Life::Open => {}
            Life::Refused | Life::Gone => return Vec::new(),
        }
        match session.came(number, &lines, longest) {
            Ok(()) => session.take(peer),
            Err(why) => accuse(peer, why),
        }
    }

    /// An append is registered and a second worker holds it, or it is a duplicate of such a one.
    pub fn safe(&mut self, peer: PeerId, client: ClientId, number: u64) -> Vec<SessionEffect> {
        let Some(session) = self.of.get_mut(&peer).filter(|s| s.client == client) else {
            return Vec::new();
        };
        let through = session.safe(number);
        let is_open = matches!(session.life, Life::Open);
        self.tidy(peer);
        match through {
            Some(through) if is_open => {
                vec![SessionEffect::Tell(peer, ToClient::Acknowledged { through })]
            }
            _ => Vec::new(),
        }
    }

    /// An append will not be part of any batch.
    pub fn refused(
        &mut self,
        peer: PeerId,
        client: ClientId,
        number: u64,
        why: &str,
    ) -> Vec<SessionEffect> {
        let Some(session) = self.of.get_mut(&peer).filter(|s| s.client == client) else {
            return Vec::new();
        };
        // Nothing after it is acknowledged: an acknowledgement covers everything before it.
        session.safe(number);
        let is_open = matches!(session.life, Life::Open);
        if is_open {
            session.close(Life::Refused);
        }
        self.tidy(peer);
        let told = ToClient::Refused { why: why.to_owned(), elsewhere: false };
        if is_open { vec![SessionEffect::Tell(peer, told)] } else { Vec::new() }
    }

    /// A client has disconnected.
    pub fn gone(&mut self, peer: PeerId) {
        if let Some(session) = self.of.get_mut(&peer) {
            session.close(Life::Gone);
        }
        self.tidy(peer);
    }

    /// Refuses all clients, who continue elsewhere with their unacknowledged appends.
    pub fn leave(&mut self) -> Vec<SessionEffect> {
        self.leaving = true;
        let open = self.of.iter_mut().filter(|(_, session)| matches!(session.life, Life::Open));
        let told = |(peer, session): (&PeerId, &mut Session)| {
            session.close(Life::Refused);
            SessionEffect::Tell(*peer, leaving())
        };
        open.map(told).collect()
    }

    /// Bytes received and not safe yet.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.of.values().map(|session| session.unsafe_bytes).sum()
    }

    /// The same, for one source.
    #[must_use]
    pub fn unacknowledged_of(&self, source: SourceId) -> u64 {
        let of = self.of.values().filter(|session| session.source == source);
        of.map(|session| session.unsafe_bytes).sum()
    }

    fn open(
        &mut self,
        peer: PeerId,
        stream: &str,
        client: ClientId,
        first: u64,
        header: Option<String>,
    ) -> Vec<SessionEffect> {
        if self.of.get(&peer).is_some_and(|s| !matches!(s.life, Life::Open) || s.has_begun()) {
            return accuse(peer, "it opens a stream on a connection that has one".to_owned());
        }
        if first == 0 || first == u64::MAX {
            return accuse(peer, format!("it begins with the number {first}"));
        }
        self.of.remove(&peer);
        let refuse = |why: String, elsewhere| {
            vec![SessionEffect::Tell(peer, ToClient::Refused { why, elsewhere })]
        };
        if self.leaving {
            return vec![SessionEffect::Tell(peer, leaving())];
        }
        let Some(offer) = self.offers.iter().find(|offer| offer.stream == stream) else {
            let names: Vec<_> = self.offers.iter().map(|offer| offer.stream.as_str()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let stream: String = stream.chars().filter(|c| !c.is_control()).take(NAME).collect();
            let why = format!("records cannot be sent to `{stream}`; they can be to: {names}");
            return refuse(why, false);
        };
        let left = self.limits.memory.saturating_sub(self.promised());
        // A quarter of the rest, since more clients may come; but an append must fit.
        let longest = u64::from(self.limits.longest);
        let window = self.limits.window.min(left / 4).max(longest);
        if window > left {
            let clients = self.of.len();
            return refuse(format!("it has {clients} clients, and no room for another"), true);
        }
        let wants_header = offer.header && header.is_none();
        let opened = ToClient::Opened {
            format: offer.format,
            wants_header,
            window,
            longest: self.limits.longest,
        };
        let session = Session {
            life: Life::Open,
            source: offer.source,
            client,
            header: header.filter(|_| offer.header).map(Arc::from),
            window,
            next: first,
            early: BTreeMap::new(),
            taken: BTreeMap::new(),
            unsafe_bytes: 0,
        };
        self.of.insert(peer, session);
        vec![SessionEffect::Tell(peer, opened)]
    }

    /// Bytes promised, or received and not safe.
    fn promised(&self) -> u64 {
        let promised = |session: &Session| match session.life {
            Life::Open => session.window,
            Life::Refused | Life::Gone => session.unsafe_bytes,
        };
        self.of.values().map(promised).sum()
    }

    fn tidy(&mut self, peer: PeerId) {
        let over = |s: &Session| matches!(s.life, Life::Gone) && s.taken.is_empty();
        if self.of.get(&peer).is_some_and(over) {
            self.of.remove(&peer);
        }
    }
}

impl Session {
    fn has_begun(&self) -> bool {
        !self.early.is_empty() || !self.taken.is_empty()
    }

    /// Checks an append and queues it.
    fn came(&mut self, number: u64, lines: &Block, longest: u32) -> Result<(), String> {
        let bytes = lines.raw_bytes().map_err(|error| error.to_string())?;
        if bytes.len() > longest as usize {
            return Err(format!("an append of {} bytes; it may have {longest}", bytes.len()));
        }
        if bytes.last() != Some(&b'\n') {
            return Err("an append does not end with a line break".to_owned());
        }
        if number < self.next || self.early.contains_key(&number) {
            return Err(format!("it appends number {number} twice on one connection"));
        }
        if number - self.next >= AHEAD {
            return Err(format!("it appends number {number} while {} is missing", self.next));
        }
        let sent = self.unsafe_bytes + bytes.len() as u64;
        if sent > self.window {
            return Err(format!(
                "it has sent {sent} bytes without being acknowledged; it may send {}",
                self.window
            ));
        }
        self.unsafe_bytes = sent;
        self.early.insert(number, lines.clone());
        Ok(())
    }

    /// Takes in the appends whose turn has come.
    fn take(&mut self, peer: PeerId) -> Vec<SessionEffect> {
        let mut asks = Vec::new();
        while let Some(lines) = self.early.remove(&self.next) {
            let number = self.next;
            self.next += 1;
            self.taken.insert(number, (lines.body().len() as u64, false));
            asks.push(SessionEffect::Take(Append {
                peer,
                source: self.source,
                client: self.client,
                number,
                records: memchr::memchr_iter(b'\n', lines.body()).count() as u64,
                lines,
                header: self.header.clone(),
            }));
        }
        asks
    }

    /// Marks an append as safe; returns the new highest number up to which all are.
    fn safe(&mut self, number: u64) -> Option<u64> {
        let (bytes, is_safe) = self.taken.get_mut(&number)?;
        if !std::mem::replace(is_safe, true) {
            self.unsafe_bytes -= *bytes;
        }
        let mut through = None;
        while let Some(first) = self.taken.first_entry() {
            if !first.get().1 {
                break;
            }
            through = Some(*first.key());
            first.remove();
        }
        through
    }

    fn close(&mut self, life: Life) {
        self.life = life;
        let early = std::mem::take(&mut self.early);
        self.unsafe_bytes -= early.values().map(|lines| lines.body().len() as u64).sum::<u64>();
    }
}

fn leaving() -> ToClient {
    ToClient::Refused { why: "this worker is leaving the cluster".to_owned(), elsewhere: true }
}

fn accuse(peer: PeerId, why: String) -> Vec<SessionEffect> {
    vec![SessionEffect::Accuse(peer, why)]
}
