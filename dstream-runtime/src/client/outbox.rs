//! The numbered appends of a stream: waiting, sent, or acknowledged.
//!
//! Invariants: appends are sent in the order of their numbers; unacknowledged ones are kept and sent again
//! over the next connection; bytes sent and not acknowledged stay within the receiver's window.

use std::collections::VecDeque;

use crate::block::Block;
use crate::driver::cluster::Acknowledged;

/// A numbered append.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) lines: Block,
    pub(super) records: u64,
}

impl Numbered {
    pub(super) fn bytes(&self) -> u64 {
        self.lines.body().len() as u64
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Unacknowledged, in order.
    kept: VecDeque<Numbered>,
    /// The number and the bytes of those sent.
    sent: usize,
    under_way: u64,
    acknowledged: Acknowledged,
}

impl Outbox {
    pub(super) fn push(&mut self, next: Numbered) {
        self.kept.push_back(next);
    }

    /// Whether everything is acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The first number for a new connection: `next` if everything is acknowledged.
    pub(super) fn first(&self, next: u64) -> u64 {
        self.kept.front().map_or(next, |numbered| numbered.number)
    }

    /// Whether appends are in flight.
    pub(super) fn is_waiting(&self) -> bool {
        self.sent > 0
    }

    /// Whether appends wait to be sent.
    pub(super) fn is_held_back(&self) -> bool {
        self.sent < self.kept.len()
    }

    /// The longest append kept, in bytes.
    pub(super) fn longest(&self) -> u64 {
        self.kept.iter().map(Numbered::bytes).max().unwrap_or(0)
    }

    /// The connection is lost: everything unacknowledged must be sent again.
    pub(super) fn disconnected(&mut self) {
        (self.sent, self.under_way) = (0, 0);
    }

    /// The next append to send, if the window has room.
    pub(super) fn next(&mut self, window: u64) -> Option<Numbered> {
        let next = self.kept.get(self.sent)?;
        let under_way = self.under_way + next.bytes();
        if under_way > window {
            return None;
        }
        (self.sent, self.under_way) = (self.sent + 1, under_way);
        Some(next.clone())
    }

    /// Drops everything up to `through`; returns the bytes freed. `None` if that was not sent yet.
    pub(super) fn acknowledged(&mut self, through: u64) -> Option<u64> {
        let mut freed = 0;
        while let Some(first) = self.kept.front().filter(|first| first.number <= through) {
            if self.sent == 0 {
                return None;
            }
            let bytes = first.bytes();
            self.sent -= 1;
            self.under_way -= bytes;
            freed += bytes;
            self.acknowledged.bytes += bytes;
            self.acknowledged.records += first.records;
            self.acknowledged.batches += 1;
            self.kept.pop_front();
        }
        Some(freed)
    }

    pub(super) fn so_far(&self) -> Acknowledged {
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BufferPool;

    fn numbered(number: u64, len: usize) -> Numbered {
        let mut buffer = BufferPool::new(0).take(len);
        buffer.bytes_mut().resize(len, b'\n');
        Numbered { number, lines: Block::raw(buffer), records: 2 }
    }

    fn outbox(numbers: std::ops::Range<u64>) -> Outbox {
        let mut outbox = Outbox::default();
        numbers.for_each(|number| outbox.push(numbered(number, 10)));
        outbox
    }

    fn sent(outbox: &mut Outbox, window: u64) -> Vec<u64> {
        std::iter::from_fn(|| outbox.next(window)).map(|numbered| numbered.number).collect()
    }

    #[test]
    fn the_window_holds_back_and_acknowledgements_let_go() {
        let mut outbox = outbox(1..6);
        assert_eq!(sent(&mut outbox, 25), [1, 2]);
        assert_eq!(sent(&mut outbox, 25), [0; 0]);
        assert_eq!(outbox.acknowledged(1), Some(10));
        assert_eq!(sent(&mut outbox, 25), [3]);
        assert_eq!(outbox.acknowledged(3), Some(20));
        assert_eq!(outbox.acknowledged(2), Some(0));
        let so_far = Acknowledged { records: 6, bytes: 30, batches: 3 };
        assert_eq!(outbox.so_far(), so_far);
        assert!(!outbox.is_empty());
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again() {
        let mut outbox = outbox(5..9);
        assert_eq!(sent(&mut outbox, 100), [5, 6, 7, 8]);
        outbox.acknowledged(5);
        outbox.disconnected();
        assert_eq!(outbox.first(9), 6);
        assert_eq!(sent(&mut outbox, 20), [6, 7]);
        assert_eq!(outbox.acknowledged(7), Some(20));
        assert_eq!(sent(&mut outbox, 20), [8]);
        outbox.acknowledged(8);
        assert_eq!(outbox.first(9), 9);
        assert!(outbox.is_empty());
    }

    #[test]
    fn unsent_appends_cannot_be_acknowledged() {
        let mut outbox = outbox(1..4);
        assert_eq!(sent(&mut outbox, 10), [1]);
        assert_eq!(outbox.acknowledged(2), None);
    }
}
