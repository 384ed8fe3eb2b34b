//! A stream's way to a receiver: where it stands, and which receiver is tried next.
//!
//! ```text
//! Resting ─> Looking ─> Connecting ─> Opening ─> Open
//!    ^          │            │           │         │        whatever goes wrong leads back to Resting,
//!    └──────────┴────────────┴───────────┴─────────┘        and from there to another receiver
//! ```

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::ClientError;
use super::draft::Shared;
use super::outbox::Outbox;
use crate::driver::cluster::ReceiverStatus;
use crate::net::PeerId;
use crate::record::Format;
use crate::wire::{ToClient, ToReceiver};

/// What a program learns of a stream that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) format: Format,
    pub(super) wants_header: bool,
    pub(super) longest: usize,
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// After something went wrong, for a moment.
    Resting { until: Instant },
    /// The master is to say who receives; asked or not.
    Looking { asked: bool, since: Instant },
    /// To a receiver.
    Connecting { peer: PeerId, addr: SocketAddr },
    /// The receiver is to say how much it takes.
    Opening { peer: PeerId, addr: SocketAddr, since: Instant },
    /// Appends are sent.
    Open { peer: PeerId, addr: SocketAddr, window: u64 },
    /// Nothing more is sent.
    Failed,
}

impl Phase {
    pub(super) fn peer(&self) -> Option<(PeerId, SocketAddr)> {
        match *self {
            Self::Connecting { peer, addr }
            | Self::Opening { peer, addr, .. }
            | Self::Open { peer, addr, .. } => Some((peer, addr)),
            Self::Resting { .. } | Self::Looking { .. } | Self::Failed => None,
        }
    }
}

/// The first rest; each one after it is twice as long, up to the longest.
const REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_millis(500);

/// How long a master or receiver may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// One stream.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Outbox,
    pub(super) phase: Phase,
    /// Told once.
    pub(super) opened: Option<oneshot::Sender<Result<Opened, ClientError>>>,
    /// Until when lines that are gathered may wait.
    pub(super) linger: Option<Instant>,
    pub(super) header: Option<String>,
    /// What went wrong since the last time that something was acknowledged or opened.
    failures: u32,
    /// Since when nothing goes on, and the last reason.
    trouble: Option<(Instant, String)>,
    /// Where it went wrong.
    avoid: Option<SocketAddr>,
    doubt: Doubt,
}

/// Whether the receiver is still there: a connection says so late, and the master knows it early.
#[derive(Debug, Default)]
struct Doubt {
    /// Since when the receiver owes an answer.
    since: Option<Instant>,
    /// How often the master was asked since.
    asked: u32,
    /// It has not answered yet.
    is_open: bool,
}

/// A receiver that owes an answer for this long is in doubt.
const DOUBT: Duration = Duration::from_millis(200);
/// How long after one question the next one is asked, at the longest.
const LONGEST_DOUBT: Duration = Duration::from_secs(1);

impl Link {
    pub(super) fn new(
        shared: Arc<Shared>,
        opened: oneshot::Sender<Result<Opened, ClientError>>,
        now: Instant,
    ) -> Self {
        Self {
            shared,
            outbox: Outbox::default(),
            phase: Phase::Looking { asked: false, since: now },
            opened: Some(opened),
            linger: None,
            header: None,
            failures: 0,
            trouble: None,
            avoid: None,
            doubt: Doubt::default(),
        }
    }

    /// Whether the master is to be asked if the receiver is still there.
    pub(super) fn doubts(&mut self, now: Instant) -> bool {
        let owes = match self.phase {
            Phase::Connecting { .. } | Phase::Opening { .. } => true,
            Phase::Open { .. } => self.outbox.is_waiting(),
            Phase::Resting { .. } | Phase::Looking { .. } | Phase::Failed => false,
        };
        if !owes {
            self.doubt = Doubt::default();
            return false;
        }
        let since = *self.doubt.since.get_or_insert(now);
        let rest = |n: u32| DOUBT.saturating_mul(1 << n.min(10)).min(LONGEST_DOUBT);
        let until: Duration = (0..=self.doubt.asked).map(rest).sum();
        !self.doubt.is_open && now.duration_since(since) >= until
    }

    /// The master was asked.
    pub(super) fn has_asked(&mut self) {
        self.doubt.asked = self.doubt.asked.saturating_add(1).min(60);
        self.doubt.is_open = true;
    }

    /// There is no master any more that could answer.
    pub(super) fn forget_question(&mut self) {
        self.doubt.is_open = false;
    }

    /// The master says who receives: whether the receiver in doubt is not among them.
    pub(super) fn is_lost(&mut self, receivers: &[ReceiverStatus]) -> bool {
        let Some((_, addr)) = self.phase.peer().filter(|_| self.doubt.is_open) else {
            return false;
        };
        self.doubt.is_open = false;
        !receivers.iter().filter_map(door).any(|other| other == addr)
    }

    /// Something went wrong; another receiver is tried after a rest.
    pub(super) fn rest(&mut self, why: String, now: Instant) {
        if matches!(self.phase, Phase::Failed) {
            return;
        }
        if let Some((_, addr)) = self.phase.peer() {
            self.avoid = Some(addr);
        }
        let rest = REST.saturating_mul(1 << self.failures.min(10)).min(LONGEST_REST);
        // The first time nothing is waited for: the receiver was drained, say, and others are there.
        let until = if self.failures == 0 { now } else { now + rest };
        self.failures += 1;
        let since = self.trouble.take().map_or(now, |(since, _)| since);
        self.trouble = Some((since, why));
        self.outbox.disconnected();
        self.doubt = Doubt::default();
        self.phase = Phase::Resting { until };
    }

    /// Nothing more will be sent.
    pub(super) fn fail(&mut self, error: ClientError) {
        self.phase = Phase::Failed;
        if let Some(opened) = self.opened.take() {
            // Whoever does not wait for it does not need it.
            let _ = opened.send(Err(error.clone()));
        }
        self.shared.fail(error);
    }

    /// What to fail with, if nothing has gone on for so long although something should.
    pub(super) fn gives_up(&self, patience: Duration, now: Instant) -> Option<ClientError> {
        let (since, why) = self.trouble.as_ref()?;
        let wanted = self.opened.is_some() || !self.outbox.is_empty();
        (wanted && now.duration_since(*since) >= patience).then(|| ClientError::NoReceiver {
            stream: self.shared.stream.clone(),
            patience,
            why: why.clone(),
        })
    }

    /// The receiver to try, of those that the master has named.
    pub(super) fn choose(&self, receivers: &[ReceiverStatus]) -> Option<SocketAddr> {
        let all: Vec<_> = receivers.iter().filter_map(door).collect();
        let others: Vec<_> = all.iter().filter(|addr| Some(**addr) != self.avoid).collect();
        // Streams spread over receivers, and each tries all of them in turn.
        let mut hash = DefaultHasher::new();
        self.shared.client.0.hash(&mut hash);
        let turn = hash.finish().wrapping_add(u64::from(self.failures));
        let index = (turn % others.len().max(1) as u64) as usize;
        others.get(index).copied().or(all.first()).copied()
    }

    /// What a receiver is asked first.
    pub(super) fn open(&self) -> ToReceiver {
        ToReceiver::Open {
            stream: self.shared.stream.clone(),
            client: self.shared.client,
            first: self.outbox.first(self.shared.first_uncollected()),
            header: self.header.clone(),
        }
    }

    /// A receiver says something; an error ends the connection to it.
    pub(super) fn told(&mut self, message: ToClient, now: Instant) -> Result<(), String> {
        match message {
            ToClient::Opened { format, wants_header, window, longest } => {
                let Phase::Opening { peer, addr, .. } = self.phase else {
                    return Err("it opens what was not asked for".to_owned());
                };
                let longest = longest as usize;
                if (longest as u64) > window || self.outbox.longest() > longest as u64 {
                    return Err(format!("it takes appends of {longest} bytes only"));
                }
                if let Some(opened) = self.opened.take() {
                    // Whoever does not wait for it does not need it.
                    let _ = opened.send(Ok(Opened { format, wants_header, longest }));
                }
                (self.failures, self.trouble, self.avoid) = (0, None, None);
                // Rows cannot be sent before their header: it comes with the first of them.
                let window = if wants_header { 0 } else { window };
                self.phase = Phase::Open { peer, addr, window };
                Ok(())
            }
            ToClient::Acknowledged { through } => {
                let freed = self.outbox.acknowledged(through);
                let freed = freed.ok_or("it acknowledges what was not sent to it")?;
                self.doubt.since = None;
                self.doubt.asked = 0;
                let so_far = self.outbox.so_far();
                self.shared.progress.send_modify(|progress| {
                    progress.through = progress.through.max(through);
                    progress.so_far = so_far;
                });
                self.shared.room.add_permits(usize::try_from(freed).unwrap_or(usize::MAX >> 4));
                Ok(())
            }
            ToClient::Refused { why, elsewhere: true } => {
                self.rest(why, now);
                Ok(())
            }
            ToClient::Refused { why, elsewhere: false } => {
                let stream = self.shared.stream.clone();
                self.fail(ClientError::Refused { stream, why });
                Ok(())
            }
        }
    }
}

/// Where clients of the library reach a receiver.
fn door(receiver: &ReceiverStatus) -> Option<SocketAddr> {
    receiver.url.strip_prefix("dstream://")?.parse().ok()
}
