//! Lines that came one after the other, delivered together.
//!
//! What comes after a pause is delivered at once; while more keeps coming, a little is waited for,
//! so that thousands of small lines are few blocks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::bound::Share;
use super::{Ack, Answer, ClientBatch, Received};
use crate::source::carry;
use crate::source::part::Held;

/// So often is something delivered at most.
const GATHER: Duration = Duration::from_millis(2);

/// About how many bytes are delivered together at most, where batches have this interval, unless one line has more, or
/// what a client has numbered: a batch takes deliveries whole, and a slow job reads half a megabyte in a second.
pub(in crate::source) fn group(interval: Duration) -> usize {
    let bytes = interval.as_millis().saturating_mul(512);
    usize::try_from(bytes).unwrap_or(usize::MAX).clamp(16 << 10, 256 << 10)
}

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
pub(in crate::source) fn groups(all: Vec<Held>, most: usize) -> Vec<Vec<Held>> {
    let (mut groups, mut size) = (Vec::<Vec<Held>>::new(), 0);
    for held in all.into_iter().flat_map(|held| pieces(held, most)) {
        let len = held.as_bytes().len();
        match groups.last_mut() {
            Some(group) if size + len <= most => group.push(held),
            _ => {
                groups.push(vec![held]);
                size = 0;
            }
        }
        size += len;
    }
    groups
}

/// Divides lines that are too many for one delivery.
fn pieces(all: Held, most: usize) -> Vec<Held> {
    let (mut pieces, mut rest) = (Vec::new(), all);
    while rest.torn.is_none() && rest.as_bytes().len() > most {
        let bytes = rest.as_bytes();
        let end = rest.framing.last_end(&bytes[..most]);
        let end = end.or_else(|| rest.framing.record_end(bytes, most));
        let Some(end) = end.filter(|end| *end < bytes.len()) else { break };
        pieces.push(rest.slice(rest.from, rest.from + end));
        rest = rest.slice(rest.from + end, rest.to);
    }
    pieces.push(rest);
    pieces
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
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Lines of clients that wait.
pub(super) struct Waiting {
    lines: Vec<Held>,
    size: usize,
    share: Share,
    client: Option<ClientBatch>,
    answers: Vec<oneshot::Sender<Answer>>,
}

/// A client that hears once what became of several deliveries. It hears nothing if one of them was dropped.
#[derive(Debug)]
pub(super) struct Listener(Mutex<(usize, Option<oneshot::Sender<Answer>>)>);

impl Listener {
    fn new(deliveries: usize, answer: oneshot::Sender<Answer>) -> Arc<Self> {
        Arc::new(Self(Mutex::new((deliveries, Some(answer)))))
    }

    /// Tells the client if this was the last delivery, or a refusal.
    pub(super) fn tell(&self, answer: Answer) {
        // Each change is made as a whole.
        let (left, client) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(1);
        if (*left == 0 || answer.is_err())
            && let Some(client) = client.take()
        {
            // A client that has gone will ask again.
            let _ = client.send(answer);
        }
    }
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
    pub(super) fn add(&mut self, next: Arrived, most: usize) -> Option<Arrived> {
        let len = next.lines.as_bytes().len();
        if self.client.is_some() || next.client.is_some() || self.size + len > most {
            return Some(next);
        }
        self.size += len;
        self.lines.push(next.lines);
        self.share.join(next.share);
        self.answers.push(next.answer);
        None
    }

    /// What is to be delivered: several times if one client's lines are too many. What a client has numbered stays
    /// whole.
    pub(super) fn received(self, most: usize) -> Vec<Received> {
        let Self { lines, mut share, client, answers, .. } = self;
        let groups = if client.is_some() { vec![lines] } else { groups(lines, most) };
        let tell = |answer| Listener::new(groups.len(), answer);
        let clients: Vec<Arc<Listener>> = answers.into_iter().map(tell).collect();
        let last = groups.len().saturating_sub(1);
        let of = |(at, group): (usize, &Vec<Held>)| {
            let bytes: usize = group.iter().map(|held| held.as_bytes().len()).sum();
            // What they cost beside is given back with the last.
            let bytes = if at == last { share.bytes() } else { bytes };
            let mut received = received(group, share.split(bytes));
            received.client = client;
            received.ack.clients.clone_from(&clients);
            received
        };
        groups.iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::receive::Refusal;
    use crate::source::receive::bound::Bound;

    const GROUP: usize = 100_000;

    fn arrived(bytes: usize, bound: &Arc<Bound>) -> (Arrived, oneshot::Receiver<Answer>) {
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        let lines = Held::new("s".into(), 0, line.repeat(bytes / 1000));
        let (answer, told) = oneshot::channel();
        let share = bound.try_take(bytes + 10).unwrap();
        (Arrived { lines, share, client: None, answer }, told)
    }

    #[test]
    fn much_of_one_client_is_several_deliveries_and_one_answer() {
        let bound = Bound::new(1 << 20);
        let (first, mut told) = arrived(500_000, &bound);
        let all = Waiting::new(first).received(GROUP);
        assert!(all.iter().all(|received| received.lines.body().len() <= GROUP));
        assert_eq!(all.iter().map(|received| received.records).sum::<u64>(), 500);
        let mut shares = Vec::new();
        for received in all {
            assert!(told.try_recv().is_err(), "before the last");
            shares.push(received.ack.done());
        }
        assert_eq!(told.try_recv(), Ok(Ok(())));
        assert_eq!(shares.iter().map(Share::bytes).sum::<usize>(), 500_010);
        drop(shares);
        assert!(bound.try_take(1 << 20).is_some());
    }

    #[test]
    fn a_delivery_that_is_refused_or_lost_is_told() {
        let bound = Bound::new(1 << 20);
        let (first, mut told) = arrived(300_000, &bound);
        let refusal = Refusal::Gap { number: 3, expected: 2 };
        for received in Waiting::new(first).received(GROUP) {
            received.ack.refuse(&refusal);
        }
        assert_eq!(told.try_recv(), Ok(Err(refusal)));
        let (first, mut told) = arrived(300_000, &bound);
        for (at, received) in Waiting::new(first).received(GROUP).into_iter().enumerate() {
            if at > 0 {
                drop(received.ack.done());
            }
        }
        assert_eq!(told.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn what_a_client_has_numbered_stays_whole() {
        let bound = Bound::new(1 << 20);
        let (mut first, _told) = arrived(500_000, &bound);
        first.client = Some(ClientBatch { client: 1, number: 1 });
        assert_eq!(Waiting::new(first).received(GROUP).len(), 1);
    }
}
