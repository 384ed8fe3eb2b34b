//! The receiver's side of the client library: which appends of a client are taken in, in which order,
//! and what the client is told.
//!
//! No clock, no socket: the driver of a worker says what came ([`Sessions::said`], [`Sessions::block`],
//! [`Sessions::gone`]) and what has become safe ([`Sessions::safe`], [`Sessions::refused`]), and does what
//! is asked. It never judges whether an append has been taken in before by somebody else: that is known
//! where appends are registered, by [`Append::client`] and [`Append::number`].
//!
//! Invariants: the appends of a session are taken in order and without gaps; what clients have been
//! promised that they may send, and what of them is not safe yet, is within [`SessionLimits::memory`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::{Block, BufferPool};
use crate::id::SourceId;
use crate::net::PeerId;
use crate::record::Format;
use crate::wire::{ClientId, ToClient, ToReceiver};

/// A stream that can be appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub stream: String,
    /// Its source.
    pub source: SourceId,
    /// How its lines are read.
    pub format: Format,
    /// Whether rows of CSV are read by the names in a header.
    pub header: bool,
}

/// How much clients may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Bytes that all clients together may have sent without being acknowledged.
    pub memory: u64,
    /// Bytes that one of them may: enough for a second worker at the other end of a long wire.
    pub window: u64,
    /// The longest append, in bytes.
    pub longest: u32,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { memory: 256 << 20, window: 8 << 20, longest: 1 << 20 }
    }
}

impl SessionLimits {
    /// Where there is only so much memory for what clients send: always enough for a client or two.
    #[must_use]
    pub fn within(self, memory: u64) -> Self {
        Self { memory: self.memory.min(memory.max(self.window)), ..self }
    }
}

/// Appends that may come before one that they have overtaken.
const AHEAD: u64 = 1 << 14;

/// So much of a name that a client sent is repeated.
const NAME: usize = 63;

/// Something to be taken in. [`Sessions::safe`] or [`Sessions::refused`] is called for each.
#[derive(Debug, Clone)]
pub struct Append {
    /// The connection it came on.
    pub peer: PeerId,
    /// The source that it is for.
    pub source: SourceId,
    /// Who numbered it.
    pub client: ClientId,
    /// Its number.
    pub number: u64,
    /// Whole lines: a raw block.
    pub lines: Block,
    /// How many.
    pub records: u64,
    /// Of CSV, the row that names their columns.
    pub header: Option<Arc<str>>,
}

/// What is to be done.
#[derive(Debug)]
pub enum SessionAsks {
    /// Say this.
    Tell(PeerId, ToClient),
    /// Take this in: number it, copy it to a second worker, register it.
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
    /// Appends are taken in.
    Open,
    /// The client was told that nothing is taken in any more; what it had sent by then may still come.
    Refused,
    /// The client is gone; some of its appends are not safe yet.
    Gone,
}

#[derive(Debug)]
struct Session {
    life: Life,
    source: SourceId,
    client: ClientId,
    header: Option<Arc<str>>,
    window: u64,
    /// The number that is taken in next.
    next: u64,
    /// What has overtaken it.
    early: BTreeMap<u64, Block>,
    /// Taken in, and not everything up to it is safe: how long, and whether it is safe itself.
    taken: BTreeMap<u64, (u64, bool)>,
    /// Bytes of both.
    unsafe_bytes: u64,
}

impl Sessions {
    /// Of a worker that receives for these streams.
    #[must_use]
    pub fn new(offers: Vec<Offer>, limits: SessionLimits) -> Self {
        Self { offers, limits, of: BTreeMap::new(), leaving: false }
    }

    /// A client says something; `pool` has room for the lines that lie in the message.
    pub fn said(
        &mut self,
        peer: PeerId,
        message: ToReceiver,
        pool: &BufferPool,
    ) -> Vec<SessionAsks> {
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

    /// An append has come as a block, which has been through the door.
    pub fn block(&mut self, peer: PeerId, number: u64, lines: Block) -> Vec<SessionAsks> {
        let longest = self.limits.longest;
        let Some(session) = self.of.get_mut(&peer) else {
            return accuse(peer, "it appends to a stream that it has not opened".to_owned());
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

    /// An append that was asked to be taken in is registered, and a second worker holds it: or it had
    /// been before.
    pub fn safe(&mut self, peer: PeerId, client: ClientId, number: u64) -> Vec<SessionAsks> {
        let Some(session) = self.of.get_mut(&peer).filter(|s| s.client == client) else {
            return Vec::new();
        };
        let through = session.safe(number);
        let is_open = matches!(session.life, Life::Open);
        self.tidy(peer);
        match through {
            Some(through) if is_open => {
                vec![SessionAsks::Tell(peer, ToClient::Acknowledged { through })]
            }
            _ => Vec::new(),
        }
    }

    /// An append that was asked to be taken in will not be part of any batch.
    pub fn refused(
        &mut self,
        peer: PeerId,
        client: ClientId,
        number: u64,
        why: &str,
    ) -> Vec<SessionAsks> {
        let Some(session) = self.of.get_mut(&peer).filter(|s| s.client == client) else {
            return Vec::new();
        };
        // Nothing after it is acknowledged either: the client would believe that all before is safe.
        session.safe(number);
        let is_open = matches!(session.life, Life::Open);
        if is_open {
            session.close(Life::Refused);
        }
        self.tidy(peer);
        let told = ToClient::Refused { why: why.to_owned(), elsewhere: false };
        if is_open { vec![SessionAsks::Tell(peer, told)] } else { Vec::new() }
    }

    /// A client is gone.
    pub fn gone(&mut self, peer: PeerId) {
        if let Some(session) = self.of.get_mut(&peer) {
            session.close(Life::Gone);
        }
        self.tidy(peer);
    }

    /// Nothing more is taken in: clients are sent elsewhere, with whatever was not acknowledged.
    pub fn leave(&mut self) -> Vec<SessionAsks> {
        self.leaving = true;
        let open = self.of.iter_mut().filter(|(_, session)| matches!(session.life, Life::Open));
        let told = |(peer, session): (&PeerId, &mut Session)| {
            session.close(Life::Refused);
            SessionAsks::Tell(*peer, leaving())
        };
        open.map(told).collect()
    }

    /// Bytes that clients have sent and that are not safe yet.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.of.values().map(|session| session.unsafe_bytes).sum()
    }

    /// The same, of one source.
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
    ) -> Vec<SessionAsks> {
        if self.of.get(&peer).is_some_and(|s| !matches!(s.life, Life::Open) || s.has_begun()) {
            return accuse(peer, "it opens a stream on a connection that has one".to_owned());
        }
        if first == 0 || first == u64::MAX {
            return accuse(peer, format!("it begins with the number {first}"));
        }
        self.of.remove(&peer);
        let refuse = |why: String, elsewhere| {
            vec![SessionAsks::Tell(peer, ToClient::Refused { why, elsewhere })]
        };
        if self.leaving {
            return vec![SessionAsks::Tell(peer, leaving())];
        }
        let Some(offer) = self.offers.iter().find(|offer| offer.stream == stream) else {
            let names: Vec<_> = self.offers.iter().map(|offer| offer.stream.as_str()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let stream: String = stream.chars().filter(|c| !c.is_control()).take(NAME).collect();
            let why = format!("records cannot be sent to `{stream}`; they can be to: {names}");
            return refuse(why, false);
        };
        let left = self.limits.memory.saturating_sub(self.promised());
        // A quarter of what is left, for there may be more clients; but an append must fit.
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
        vec![SessionAsks::Tell(peer, opened)]
    }

    /// Bytes that may come, or have come and are not safe.
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

    /// Puts an append in its place, or says what is wrong with it.
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

    /// Takes in what has its turn.
    fn take(&mut self, peer: PeerId) -> Vec<SessionAsks> {
        let mut asks = Vec::new();
        while let Some(lines) = self.early.remove(&self.next) {
            let number = self.next;
            self.next += 1;
            self.taken.insert(number, (lines.body().len() as u64, false));
            asks.push(SessionAsks::Take(Append {
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

    /// An append is safe; up to which number all are, if that is news.
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

fn accuse(peer: PeerId, why: String) -> Vec<SessionAsks> {
    vec![SessionAsks::Accuse(peer, why)]
}
