//! The rows of a stream by key: what one side of a join, or a group, is made of.

use std::ops::Range;

use crate::block::{Block, DecodeError, KeyedRow};
use crate::exec::table::KeyTable;
use crate::record::Record;
use crate::store::KeptBlock;

/// No row.
const NONE: u32 = u32::MAX;

/// Rows by key; those of a key are in the order in which they came.
pub(super) struct Side<'b, R: Record> {
    chains: KeyTable<Chain>,
    /// The key of each chain, as it lies in a block.
    keys: Vec<&'b [u8]>,
    rows: Vec<R::View<'b>>,
    /// Per row the next one of the same key.
    next: Vec<u32>,
}

/// First and last of the rows of a key.
#[derive(Clone, Copy)]
struct Chain {
    first: u32,
    last: u32,
}

impl<'b, R: Record> Side<'b, R> {
    pub(super) fn of(blocks: &'b [Block]) -> Result<Self, DecodeError> {
        let (chains, keys) = (KeyTable::new(), Vec::new());
        let mut side = Self { chains, keys, rows: Vec::new(), next: Vec::new() };
        let Self { chains, keys, rows, next } = &mut side;
        for block in blocks {
            for KeyedRow { key, hash, value } in block.keyed::<R>()? {
                let at = rows.len() as u32;
                rows.push(value);
                next.push(NONE);
                chains.upsert_with(
                    key,
                    hash,
                    at,
                    |at| {
                        keys.push(key);
                        Chain { first: at, last: at }
                    },
                    |chain, at| {
                        next[chain.last as usize] = at;
                        chain.last = at;
                    },
                );
            }
        }
        Ok(side)
    }

    /// The entries of all keys, in the order in which the keys came.
    pub(super) fn entries(&self) -> Range<u32> {
        0..self.keys.len() as u32
    }

    /// The key of an entry, and its hash.
    pub(super) fn key(&self, entry: u32) -> (&'b [u8], u64) {
        (self.keys[entry as usize], self.chains.hash(entry))
    }

    /// The entry of a key.
    #[inline]
    pub(super) fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.chains.find(key, hash)
    }

    /// The rows of an entry, in order.
    #[inline]
    pub(super) fn rows(&self, entry: u32) -> impl Iterator<Item = R::View<'b>> {
        let mut at = self.chains.value(entry).first;
        std::iter::from_fn(move || {
            let row = *self.rows.get(at as usize)?;
            at = self.next[at as usize];
            Some(row)
        })
    }

    /// Puts the rows of an entry into a list, which is used again.
    pub(super) fn list(&self, entry: Option<u32>, into: &mut Vec<R>) {
        into.clear();
        into.extend(entry.into_iter().flat_map(|entry| self.rows(entry)).map(R::own));
    }

    /// Gives the rows of a key to `each`; whether there are any.
    #[inline]
    pub(super) fn each(&self, key: &[u8], hash: u64, each: impl FnMut(R::View<'b>)) -> bool {
        let Some(entry) = self.find(key, hash) else { return false };
        self.rows(entry).for_each(each);
        true
    }
}

/// Blocks whose rows are read until the end, so that they are held until then.
pub(super) fn held<'k>(
    blocks: impl IntoIterator<Item = &'k KeptBlock>,
) -> Result<Vec<Block>, DecodeError> {
    blocks.into_iter().map(KeptBlock::get).collect()
}
