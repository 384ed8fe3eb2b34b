//! Which batches of which clients were taken in, so that one that is sent again counts once.
//!
//! A client numbers its batches from 1 on and sends them in order, so the numbers taken of it have no gaps.
//! Only after another master has gone on, which hears from one worker after the other what had been taken,
//! there may be some for a while.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::RangeSet;

/// How many clients are remembered; then those that have been silent for longest are forgotten.
const REMEMBERED: usize = 1 << 20;

/// How many clients, those that have sent last, a master remembers that goes on for another: this many are written
/// down with every batch.
const CARRIED: usize = 1 << 12;

/// What a client calls some lines that it has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientBatch {
    /// The client, or rather one stream of what it sends.
    pub client: u128,
    /// The number, from 1 on.
    pub number: u64,
}

impl ClientBatch {
    /// Of a client that goes by a name.
    #[must_use]
    pub fn named(client: &str, number: u64) -> Self {
        Self { client: xxh3_128(client.as_bytes()), number }
    }
}

/// Why lines are not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// The one before is missing.
    #[error(
        "batch {number} of this client cannot be taken: {expected} comes next. Send them in order; \
         a client that is not known begins with 1"
    )]
    Gap {
        /// Its number.
        number: u64,
        /// The one that can be taken.
        expected: u64,
    },
}

/// What is remembered of clients.
#[derive(Debug, Default)]
pub(super) struct Clients {
    known: HashMap<u128, Known>,
    /// Grows with each batch.
    now: u64,
    /// Another process knew more: numbers may be missing.
    goes_on: bool,
}

#[derive(Debug)]
struct Known {
    /// The numbers taken.
    taken: RangeSet,
    /// When that was.
    at: u64,
}

impl Clients {
    /// Whether a batch is new; from now on it is not.
    pub(super) fn take(&mut self, batch: ClientBatch) -> Result<bool, Refusal> {
        self.now += 1;
        let known = self.known.get_mut(&batch.client);
        let expected = known.as_ref().map_or(1, |known| known.taken.end());
        let is_known = known.as_ref().is_some_and(|known| known.taken.contains(batch.number));
        if is_known || batch.number == 0 {
            return Ok(false);
        }
        if batch.number != expected && !self.goes_on || batch.number == u64::MAX {
            return Err(Refusal::Gap { number: batch.number, expected });
        }
        if known.is_none() && self.known.len() >= REMEMBERED {
            self.forget();
        }
        let none = || Known { taken: RangeSet::default(), at: 0 };
        let known = self.known.entry(batch.client).or_insert_with(none);
        known.at = self.now;
        Ok(known.taken.insert(batch.number))
    }

    /// What another process is to know of those that have sent last, oldest first.
    pub(super) fn latest(&self) -> Vec<(u128, RangeSet)> {
        let mut all: Vec<(u64, u128, &RangeSet)> =
            self.known.iter().map(|(client, known)| (known.at, *client, &known.taken)).collect();
        if all.len() > CARRIED {
            let older = all.len() - CARRIED;
            all.select_nth_unstable_by_key(older, |(at, client, _)| (*at, *client));
            all.drain(..older);
        }
        all.sort_unstable_by_key(|(at, client, _)| (*at, *client));
        all.into_iter().map(|(_, client, taken)| (client, taken.clone())).collect()
    }

    /// Another process may have taken what is not known here.
    pub(super) fn expect_gaps(&mut self) {
        self.goes_on = true;
    }

    /// Goes on from what another process knew.
    pub(super) fn go_on(latest: Vec<(u128, RangeSet)>) -> Self {
        let known = latest.into_iter().zip(1..);
        let known: HashMap<_, _> =
            known.map(|((client, taken), at)| (client, Known { taken, at })).collect();
        Self { now: known.len() as u64, known, goes_on: true }
    }

    /// Forgets the half that has been silent for longest.
    fn forget(&mut self) {
        let mut times: Vec<u64> = self.known.values().map(|known| known.at).collect();
        let middle = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(middle);
        let middle = *middle;
        self.known.retain(|_, known| known.at >= middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_batch_is_taken_once_and_in_order() {
        let mut clients = Clients::default();
        let batch = |client: &str, number| ClientBatch::named(client, number);
        let gap = |number, expected| Err(Refusal::Gap { number, expected });
        assert_eq!(clients.take(batch("a", 2)), gap(2, 1));
        assert_eq!(clients.take(batch("a", 1)), Ok(true));
        assert_eq!(clients.take(batch("b", 1)), Ok(true));
        assert_eq!(clients.take(batch("a", 1)), Ok(false));
        assert_eq!(clients.take(batch("a", 2)), Ok(true));
        assert_eq!(clients.take(batch("a", 4)), gap(4, 3));
        assert_eq!(clients.take(batch("a", u64::MAX)), gap(u64::MAX, 3));
        assert_eq!(clients.take(batch("a", 3)), Ok(true));
        assert_eq!(clients.take(batch("a", 2)), Ok(false));
        assert_eq!(clients.take(batch("b", 2)), Ok(true));
        let text = Refusal::Gap { number: 4, expected: 3 }.to_string();
        assert!(text.contains("batch 4") && text.contains("3 comes next"), "{text}");
    }

    #[test]
    fn another_process_knows_of_those_that_have_sent_last() {
        let mut clients = Clients::default();
        for client in 0..CARRIED as u128 + 10 {
            clients.take(ClientBatch { client, number: 1 }).unwrap();
        }
        clients.take(ClientBatch { client: 3, number: 2 }).unwrap();
        let latest = clients.latest();
        assert_eq!(latest.len(), CARRIED);
        let mut next = Clients::go_on(latest);
        let mut take = |client, number| next.take(ClientBatch { client, number });
        assert_eq!(take(3, 2), Ok(false));
        assert_eq!(take(CARRIED as u128, 1), Ok(false));
        // What it cannot know may come in any order, and counts once too.
        assert_eq!(take(3, 5), Ok(true));
        assert_eq!(take(3, 4), Ok(true));
        assert_eq!(take(3, 5), Ok(false));
        assert_eq!(take(0, 9), Ok(true));
        assert_eq!(next.latest().last().unwrap().0, 0);
    }

    #[test]
    fn those_silent_for_longest_are_forgotten() {
        let mut clients = Clients::default();
        for client in 0..10 {
            clients.take(ClientBatch { client, number: 1 }).unwrap();
        }
        clients.take(ClientBatch { client: 0, number: 2 }).unwrap();
        clients.forget();
        let mut left: Vec<u128> = clients.known.keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [0, 6, 7, 8, 9]);
    }
}
