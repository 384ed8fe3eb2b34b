//! `join`: the pairs of records of two streams that have the same key.

use std::marker::PhantomData;

use super::{TaskContext, blocks};
use crate::block::{Block, KeyedRow};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};
use crate::store::KeptBlock;

/// Inner join by key of the left and the right dependency. Duplicate keys give the cross product, in
/// the order of the left records, then of the right ones.
pub struct Join<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

type Types<K, L, R> = fn() -> (K, L, R);

/// First and last of the right rows of a key, which are chained by `next`.
#[derive(Clone, Copy)]
struct Chain {
    first: u32,
    last: u32,
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
        const NONE: u32 = u32::MAX;
        let (left, right) = (blocks(cx, 0), blocks(cx, 1));
        if left.is_empty() || right.is_empty() {
            return Ok(());
        }
        // Rows of both sides are read until the end, so their blocks are held until then.
        let read = |blocks: &[KeptBlock]| blocks.iter().map(KeptBlock::get).collect();
        let left: Result<Vec<Block>, _> = read(left);
        let right: Result<Vec<Block>, _> = read(right);
        let (left, right) = (left?, right?);
        let mut chains = KeyTable::<Chain>::new();
        let mut rows: Vec<R::View<'_>> = Vec::new();
        let mut next: Vec<u32> = Vec::new();
        for block in &right {
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
        for block in &left {
            for KeyedRow { key, hash, value } in block.keyed::<L>()? {
                let Some(found) = chains.find(key, hash) else { continue };
                let mut at = chains.value(found).first;
                while at != NONE {
                    emit((K::read(&mut KeyReader::new(key)), (value, rows[at as usize])));
                    at = next[at as usize];
                }
            }
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}
