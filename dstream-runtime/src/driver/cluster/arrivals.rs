//! Messages whose attachments travel beside them: each waits for the other.

use std::collections::BTreeMap;

use crate::store::KeptBlock;

/// Messages (`N`) and the blocks that belong to them, by what they are for (`K`).
///
/// Invariant: what is complete is not in here.
#[derive(Debug)]
pub(super) struct Arrivals<K, N> {
    waiting: BTreeMap<K, Waiting<N>>,
}

#[derive(Debug)]
struct Waiting<N> {
    /// The message, and how many blocks belong to it.
    note: Option<(N, u32)>,
    blocks: BTreeMap<u32, KeptBlock>,
    /// No longer wanted: blocks that are still on their way are dropped when they arrive.
    unwanted: bool,
}

impl<K, N> Default for Arrivals<K, N> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<K: Ord + Copy, N> Arrivals<K, N> {
    /// A message has come, to which `pieces` blocks belong; the message and its blocks, in order, if they
    /// are all there.
    pub(super) fn announced(
        &mut self,
        key: K,
        note: N,
        pieces: u32,
    ) -> Option<(N, Vec<KeptBlock>)> {
        if pieces == 0 {
            return Some((note, Vec::new()));
        }
        self.entry(key).note = Some((note, pieces));
        self.complete(key)
    }

    /// A block has come; the message that it belongs to and all its blocks, in order, if they are all
    /// there.
    pub(super) fn arrived(
        &mut self,
        key: K,
        piece: u32,
        block: impl Into<KeptBlock>,
    ) -> Option<(N, Vec<KeptBlock>)> {
        self.entry(key).blocks.insert(piece, block.into());
        self.complete(key)
    }

    /// The remaining blocks of these will not be sent, or are not needed: drops what has arrived of them.
    pub(super) fn forget(&mut self, gone: impl Fn(&K) -> bool) {
        self.waiting.retain(|key, _| !gone(key));
    }

    /// These messages are announced, still on their way, and no longer wanted.
    pub(super) fn abandon(&mut self, unwanted: impl Fn(&K) -> bool) {
        for (_, waiting) in self.waiting.iter_mut().filter(|(key, _)| unwanted(key)) {
            waiting.unwanted = true;
        }
    }

    fn entry(&mut self, key: K) -> &mut Waiting<N> {
        let none = || Waiting { note: None, blocks: BTreeMap::new(), unwanted: false };
        self.waiting.entry(key).or_insert_with(none)
    }

    fn complete(&mut self, key: K) -> Option<(N, Vec<KeptBlock>)> {
        let waiting = self.waiting.get(&key)?;
        let pieces = waiting.note.as_ref()?.1;
        if (waiting.blocks.len() as u64) < u64::from(pieces) {
            return None;
        }
        let waiting = self.waiting.remove(&key).filter(|waiting| !waiting.unwanted)?;
        Some((waiting.note?.0, waiting.blocks.into_values().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Block, BufferPool};

    fn block(text: &str) -> Block {
        let mut buffer = BufferPool::new(0).take(text.len());
        buffer.bytes_mut().extend_from_slice(text.as_bytes());
        Block::raw(buffer)
    }

    fn texts((note, blocks): (&'static str, Vec<KeptBlock>)) -> (&'static str, Vec<String>) {
        let text =
            |block: &KeptBlock| String::from_utf8(block.get().unwrap().body().to_vec()).unwrap();
        (note, blocks.iter().map(text).collect())
    }

    #[test]
    fn message_and_blocks_may_come_in_any_order() {
        let mut arrivals = Arrivals::<u32, &'static str>::default();
        assert!(arrivals.arrived(1, 1, block("b")).is_none());
        assert!(arrivals.announced(1, "one", 2).is_none());
        assert!(arrivals.announced(2, "two", 1).is_none());
        let one = arrivals.arrived(1, 0, block("a")).map(texts);
        assert_eq!(one, Some(("one", vec!["a".to_owned(), "b".to_owned()])));
        let two = arrivals.arrived(2, 0, block("c")).map(texts);
        assert_eq!(two, Some(("two", vec!["c".to_owned()])));
        assert_eq!(arrivals.announced(3, "three", 0).map(texts), Some(("three", vec![])));
        assert!(arrivals.waiting.is_empty());
    }

    #[test]
    fn unwanted_blocks_are_dropped_when_they_are_complete() {
        let mut arrivals = Arrivals::<u32, &'static str>::default();
        arrivals.announced(1, "one", 1);
        arrivals.announced(2, "two", 1);
        arrivals.abandon(|key| *key == 1);
        assert!(arrivals.arrived(1, 0, block("a")).is_none());
        assert!(arrivals.arrived(2, 0, block("b")).is_some());
        assert!(arrivals.waiting.is_empty());
    }

    #[test]
    fn messages_that_will_not_be_complete_are_forgotten() {
        let mut arrivals = Arrivals::<u32, &'static str>::default();
        arrivals.announced(1, "one", 2);
        arrivals.announced(2, "two", 2);
        arrivals.forget(|key| *key == 1);
        assert_eq!(arrivals.waiting.keys().collect::<Vec<_>>(), [&2]);
    }
}
