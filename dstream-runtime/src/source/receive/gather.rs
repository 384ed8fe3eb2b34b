//! Lines that came one after the other, delivered together.
//!
//! What comes after a pause is delivered at once; while more keeps coming, a little is waited for,
//! so that thousands of small lines are few blocks.

use std::time::Duration;

use tokio::time::Instant;

use super::bound::Share;
use super::{Ack, Answer, ClientBatch, Received};
use crate::source::carry;
use crate::source::part::Held;

/// So often is something delivered at most.
const GATHER: Duration = Duration::from_millis(2);

/// What is delivered together has about so many bytes at most, unless one line has more.
const GROUP: usize = 1 << 20;

/// When something was delivered last.
pub(in crate::source) struct Pace(Option<Instant>);

impl Pace {
    pub(in crate::source) fn new() -> Self {
        Self(None)
    }

    /// Waits until the next delivery is due.
    pub(in crate::source) async fn wait(&mut self) {
        if let Some(last) = self.0 {
            tokio::time::sleep_until(last + GATHER).await;
        }
        self.0 = Some(Instant::now());
    }
}

/// Divides lines into what is delivered together.
pub(in crate::source) fn groups(all: Vec<Held>) -> Vec<Vec<Held>> {
    let (mut groups, mut size) = (Vec::<Vec<Held>>::new(), 0);
    for held in all {
        let len = held.as_bytes().len();
        match groups.last_mut() {
            Some(group) if size + len <= GROUP => group.push(held),
            _ => {
                groups.push(vec![held]);
                size = 0;
            }
        }
        size += len;
    }
    groups
}

/// What is delivered of these lines.
pub(in crate::source) fn received(group: &[Held], share: Share) -> Received {
    let records = group.iter().map(records).sum();
    let (what, lines) = carry::together(group);
    Received { what, lines, records, client: None, ack: Ack { clients: Vec::new(), share } }
}

fn records(held: &Held) -> u64 {
    if held.torn.is_some() { 1 } else { held.framing.records(held.as_bytes()) }
}

/// A client's lines, and the client that waits for an answer.
pub(super) struct Arrived {
    pub(super) lines: Held,
    pub(super) share: Share,
    pub(super) client: Option<ClientBatch>,
    pub(super) answer: tokio::sync::oneshot::Sender<Answer>,
}

/// Lines of clients that wait.
pub(super) struct Waiting {
    lines: Vec<Held>,
    size: usize,
    share: Share,
    client: Option<ClientBatch>,
    answers: Vec<tokio::sync::oneshot::Sender<Answer>>,
}

impl Waiting {
    pub(super) fn new(first: Arrived) -> Self {
        Self {
            size: first.lines.as_bytes().len(),
            lines: vec![first.lines],
            share: first.share,
            client: first.client,
            answers: vec![first.answer],
        }
    }

    /// Adds them, or gives them back if they do not fit. What a client has numbered is delivered alone, because it may
    /// turn out to be known.
    pub(super) fn add(&mut self, next: Arrived) -> Option<Arrived> {
        let len = next.lines.as_bytes().len();
        if self.client.is_some() || next.client.is_some() || self.size + len > GROUP {
            return Some(next);
        }
        self.size += len;
        self.lines.push(next.lines);
        self.share.join(next.share);
        self.answers.push(next.answer);
        None
    }

    pub(super) fn received(self) -> Received {
        let mut received = received(&self.lines, self.share);
        received.client = self.client;
        received.ack.clients = self.answers;
        received
    }
}
