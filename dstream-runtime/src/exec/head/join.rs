//! Joins: records of two streams that have the same key. Several records of a key on both sides give all their pairs,
//! in the order of the left records, then of the right ones.

use std::marker::PhantomData;

use super::{TaskContext, blocks};
use crate::block::{Block, DecodeError, KeyedRow};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};
use crate::store::KeptBlock;

/// `join`: the pairs.
pub struct Join<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

/// `left_outer_join`: the pairs, and the left records without a right one.
pub struct LeftOuterJoin<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

type Types<K, L, R> = fn() -> (K, L, R);

/// No row.
const NONE: u32 = u32::MAX;

/// The rows of the right side by key.
struct Right<'b, R: Record> {
    chains: KeyTable<Chain>,
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

impl<'b, R: Record> Right<'b, R> {
    fn of(blocks: &'b [Block]) -> Result<Self, DecodeError> {
        let mut right = Self { chains: KeyTable::new(), rows: Vec::new(), next: Vec::new() };
        let Self { chains, rows, next } = &mut right;
        for block in blocks {
            for KeyedRow { key, hash, value } in block.keyed::<R>()? {
                let at = rows.len() as u32;
                rows.push(value);
                next.push(NONE);
                chains.upsert_with(
                    key,
                    hash,
                    at,
                    |at| Chain { first: at, last: at },
                    |chain, at| {
                        next[chain.last as usize] = at;
                        chain.last = at;
                    },
                );
            }
        }
        Ok(right)
    }

    /// Gives the rows of a key to `each`; whether there are any.
    #[inline]
    fn each(&self, key: &[u8], hash: u64, mut each: impl FnMut(R::View<'b>)) -> bool {
        let Some(found) = self.chains.find(key, hash) else { return false };
        let mut at = self.chains.value(found).first;
        while at != NONE {
            each(self.rows[at as usize]);
            at = self.next[at as usize];
        }
        true
    }
}

/// Blocks whose rows are read until the end, so that they are held until then.
fn held(blocks: &[KeptBlock]) -> Result<Vec<Block>, DecodeError> {
    blocks.iter().map(KeptBlock::get).collect()
}

impl<K: Key, L: Record, R: Record> Head for Join<K, L, R> {
    type Record = (K, (L, R));
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((K::View<'a>, (L::View<'a>, R::View<'a>))),
    ) -> Result<(), TaskError> {
        let (left, right) = (blocks(cx, 0), blocks(cx, 1));
        if left.is_empty() || right.is_empty() {
            return Ok(());
        }
        let (left, right) = (held(left)?, held(right)?);
        let right = Right::<R>::of(&right)?;
        for block in &left {
            for KeyedRow { key, hash, value } in block.keyed::<L>()? {
                right.each(key, hash, |other| {
                    emit((K::read(&mut KeyReader::new(key)), (value, other)));
                });
            }
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

impl<K: Key, L: Record, R: Record> Head for LeftOuterJoin<K, L, R> {
    type Record = (K, (L, Option<R>));
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((K::View<'a>, (L::View<'a>, Option<R::View<'a>>))),
    ) -> Result<(), TaskError> {
        let left = blocks(cx, 0);
        if left.is_empty() {
            return Ok(());
        }
        let (left, right) = (held(left)?, held(blocks(cx, 1))?);
        let right = Right::<R>::of(&right)?;
        for block in &left {
            for KeyedRow { key, hash, value } in block.keyed::<L>()? {
                let read = || K::read(&mut KeyReader::new(key));
                if !right.each(key, hash, |other| emit((read(), (value, Some(other))))) {
                    emit((read(), (value, None)));
                }
            }
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}
