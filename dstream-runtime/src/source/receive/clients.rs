//! Which batches of which clients were taken in, so that one that is sent again counts once.
//!
//! A client numbers its batches from 1 on and sends them in order. The highest number taken is all
//! that has to be remembered of it. Invariant: the numbers taken of a client are 1, 2, 3 … without
//! gaps.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// So many clients are remembered; then those that have been silent for longest are forgotten.
const REMEMBERED: usize = 1 << 20;

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
}

#[derive(Debug)]
struct Known {
    /// The highest number taken.
    taken: u64,
    /// When that was.
    at: u64,
}

impl Clients {
    /// Whether a batch is new; from now on it is not.
    pub(super) fn take(&mut self, batch: ClientBatch) -> Result<bool, Refusal> {
        self.now += 1;
        let taken = self.known.get(&batch.client).map_or(0, |known| known.taken);
        if batch.number <= taken {
            return Ok(false);
        }
        let expected = taken + 1;
        if batch.number != expected {
            return Err(Refusal::Gap { number: batch.number, expected });
        }
        if taken == 0 && self.known.len() >= REMEMBERED {
            self.forget();
        }
        self.known.insert(batch.client, Known { taken: expected, at: self.now });
        Ok(true)
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
