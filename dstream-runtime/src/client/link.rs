//! The connection of a stream to a receiver: its phase, and which receiver to try next.
//!
//! ```text
//! Resting ─> Looking ─> Connecting ─> Opening ─> Open
//!    ^          │            │           │         │        every failure leads back to Resting,
//!    └──────────┴────────────┴───────────┴─────────┘        and then to another receiver
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
use crate::guards::{Guard, left_out};
use crate::net::PeerId;
use crate::record::Format;
use crate::wire::{ToClient, ToReceiver};

/// The properties of an opened stream, for the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamProperties {
    pub(super) format: Format,
    pub(super) wants_header: bool,
    pub(super) longest: usize,
}

/// The phase of a stream's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Pauses after a failure.
    Resting { until: Instant },
    /// Needs the master's answer; asked or not.
    Looking { asked: bool, since: Instant },
    /// Connecting to a receiver.
    Connecting { peer: PeerId, addr: SocketAddr },
    /// Waiting for the receiver's `Opened`.
    Opening { peer: PeerId, addr: SocketAddr, since: Instant },
    /// Sending appends.
    Open { peer: PeerId, addr: SocketAddr, window: u64 },
    /// Failed for good.
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

/// The first pause; doubled up to the longest.
const REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Longest wait for an answer of a master or receiver.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// A stream's connection.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Outbox,
    pub(super) phase: Phase,
    /// Sent once.
    pub(super) opened: Option<oneshot::Sender<Result<StreamProperties, ClientError>>>,
    /// Deadline of gathered lines.
    pub(super) linger: Option<Instant>,
    pub(super) header: Option<String>,
    /// Failures since the last acknowledgement or opening.
    failures: u32,
    /// Since when there is no progress, and the last reason.
    trouble: Option<(Instant, String)>,
    /// The receiver that failed last.
    avoid: Option<SocketAddr>,
    doubt: Doubt,
}

/// Whether the receiver may be lost: its connection notices that late, the master early.
#[derive(Debug, Default)]
struct Doubt {
    /// Since when an answer of the receiver is due.
    since: Option<Instant>,
    /// Questions to the master since then.
    asked: u32,
    /// The last question is unanswered.
    is_open: bool,
}

/// Time after which an overdue receiver is in doubt.
const DOUBT: Duration = Duration::from_millis(200);
/// Longest pause between two such questions.
const LONGEST_DOUBT: Duration = Duration::from_secs(1);

impl Link {
    pub(super) fn new(
        shared: Arc<Shared>,
        opened: oneshot::Sender<Result<StreamProperties, ClientError>>,
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

    /// Whether to ask the master about the receiver.
    pub(super) fn doubts(&mut self, now: Instant) -> bool {
        let owes = match self.phase {
            Phase::Connecting { .. } | Phase::Opening { .. } => true,
            Phase::Open { .. } => self.outbox.is_waiting(),
            Phase::Resting { .. } | Phase::Looking { .. } | Phase::Failed => false,
        };
        if !owes || left_out(Guard::OwedIsDoubted) {
            self.doubt = Doubt::default();
            return false;
        }
        let since = *self.doubt.since.get_or_insert(now);
        let rest = |n: u32| DOUBT.saturating_mul(1 << n.min(10)).min(LONGEST_DOUBT);
        let until: Duration = (0..=self.doubt.asked).map(rest).sum();
        !self.doubt.is_open && now.duration_since(since) >= until
    }

    /// Records a question.
    pub(super) fn has_asked(&mut self) {
        self.doubt.asked = self.doubt.asked.saturating_add(1).min(60);
        self.doubt.is_open = true;
    }

    /// Forgets the question: the master is gone.
    pub(super) fn forget_question(&mut self) {
        self.doubt.is_open = false;
    }

    /// Takes the master's list of receivers; returns whether the doubtful one is missing from it.
    pub(super) fn is_lost(&mut self, receivers: &[ReceiverStatus]) -> bool {
        let Some((_, addr)) = self.phase.peer().filter(|_| self.doubt.is_open) else {
            return false;
        };
        self.doubt.is_open = false;
        !receivers.iter().filter_map(door).any(|other| other == addr)
    }

    /// Records a failure; another receiver is tried after a pause.
    pub(super) fn rest(&mut self, why: String, now: Instant) {
        if matches!(self.phase, Phase::Failed) {
            return;
        }
        if let Some((_, addr)) = self.phase.peer() {
            self.avoid = Some(addr);
        }
        let rest = REST.saturating_mul(1 << self.failures.min(10)).min(LONGEST_REST);
        // No pause after the first failure: the receiver may have been drained, and others are there.
        let until = if self.failures == 0 { now } else { now + rest };
        self.failures += 1;
        let since = self.trouble.take().map_or(now, |(since, _)| since);
        self.trouble = Some((since, why));
        self.outbox.disconnected();
        self.doubt = Doubt::default();
        self.phase = Phase::Resting { until };
    }

    /// Fails the stream.
    pub(super) fn fail(&mut self, error: ClientError) {
        self.phase = Phase::Failed;
        if let Some(opened) = self.opened.take() {
            // The receiver may have been dropped.
            let _ = opened.send(Err(error.clone()));
        }
        self.shared.fail(error);
    }

    /// Returns the error if there was no progress for `patience`.
    pub(super) fn gives_up(&self, patience: Duration, now: Instant) -> Option<ClientError> {
        let (since, why) = self.trouble.as_ref()?;
        let wanted = self.opened.is_some() || !self.outbox.is_empty();
        (wanted && now.duration_since(*since) >= patience).then(|| ClientError::NoReceiver {
            stream: self.shared.stream.clone(),
            patience,
            why: why.clone(),
        })
    }

    /// Chooses a receiver among those named by the master.
    pub(super) fn choose(&self, receivers: &[ReceiverStatus]) -> Option<SocketAddr> {
        let all: Vec<_> = receivers.iter().filter_map(door).collect();
        let others: Vec<_> = all.iter().filter(|addr| Some(**addr) != self.avoid).collect();
        // Streams spread over the receivers, and each stream tries all in turn.
        let mut hash = DefaultHasher::new();
        self.shared.client.0.hash(&mut hash);
        let turn = hash.finish().wrapping_add(u64::from(self.failures));
        let index = (turn % others.len().max(1) as u64) as usize;
        others.get(index).copied().or(all.first()).copied()
    }

    /// The first message to a receiver.
    pub(super) fn open(&self) -> ToReceiver {
        ToReceiver::Open {
            stream: self.shared.stream.clone(),
            client: self.shared.client,
            first: self.outbox.first(self.shared.first_uncollected()),
            header: self.header.clone(),
        }
    }

    /// Handles a receiver's message; an error closes the connection.
    pub(super) fn told(&mut self, message: ToClient, now: Instant) -> Result<(), String> {
        match message {
            ToClient::Opened { format, wants_header, window, longest } => {
                let Phase::Opening { peer, addr, .. } = self.phase else {
                    return Err("it opens a stream that was not asked for".to_owned());
                };
                let longest = longest as usize;
                if (longest as u64) > window || self.outbox.longest() > longest as u64 {
                    return Err(format!("it takes appends of {longest} bytes only"));
                }
                if let Some(opened) = self.opened.take() {
                    // The receiver may have been dropped.
                    let _ = opened.send(Ok(StreamProperties { format, wants_header, longest }));
                }
                (self.failures, self.trouble, self.avoid) = (0, None, None);
                // Rows must follow their header, which comes with the first of them.
                let window = if wants_header { 0 } else { window };
                self.phase = Phase::Open { peer, addr, window };
                Ok(())
            }
            ToClient::Acknowledged { through } => {
                let freed = self.outbox.acknowledged(through);
                let freed = freed.ok_or("it acknowledges appends that were not sent to it")?;
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

/// The address for clients of the library.
fn door(receiver: &ReceiverStatus) -> Option<SocketAddr> {
    receiver.url.strip_prefix("dstream://")?.parse().ok()
}
