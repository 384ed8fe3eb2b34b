//! The records of a key together: of one stream as a list, of two as two lists, or those whose key the other
//! stream does not have.

use std::marker::PhantomData;

use super::side::{Side, held};
use super::{TaskContext, blocks};
use crate::block::{Block, KeyedRow};
use crate::exec::stage::Head;
use crate::exec::table::KeyTable;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, List, Record};

/// `group_by_key`: per key its values.
pub struct GroupByKey<K, V>(pub(crate) PhantomData<fn() -> (K, V)>);

/// `cogroup`: per key of either stream the values of both.
pub struct Cogroup<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

/// `subtract_by_key`: the left records whose key no right record has.
pub struct SubtractByKey<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

type Types<K, L, R> = fn() -> (K, L, R);

/// Emits the values of each key of some blocks, in their order.
pub(super) fn emit_groups<K: Key, V: Record>(
    blocks: &[Block],
    emit: &mut impl for<'a> FnMut((K::View<'a>, List<'a, V>)),
) -> Result<(), TaskError> {
    let side = Side::<V>::of(blocks)?;
    let mut values = Vec::new();
    for entry in side.entries() {
        side.list(Some(entry), &mut values);
        emit((K::read(&mut KeyReader::new(side.key(entry).0)), List::Owned(&values)));
    }
    Ok(())
}

impl<K: Key, V: Record> Head for GroupByKey<K, V> {
    type Record = (K, Vec<V>);
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((K::View<'a>, List<'a, V>)),
    ) -> Result<(), TaskError> {
        emit_groups::<K, V>(&held(blocks(cx, 0))?, &mut emit)
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

impl<K: Key, L: Record, R: Record> Head for Cogroup<K, L, R> {
    type Record = (K, (Vec<L>, Vec<R>));
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((K::View<'a>, (List<'a, L>, List<'a, R>))),
    ) -> Result<(), TaskError> {
        let (left, right) = (held(blocks(cx, 0))?, held(blocks(cx, 1))?);
        let (left, right) = (Side::<L>::of(&left)?, Side::<R>::of(&right)?);
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for entry in left.entries() {
            let (key, hash) = left.key(entry);
            left.list(Some(entry), &mut mine);
            right.list(right.find(key, hash), &mut others);
            let key = K::read(&mut KeyReader::new(key));
            emit((key, (List::Owned(&mine), List::Owned(&others))));
        }
        for entry in right.entries() {
            let (key, hash) = right.key(entry);
            if left.find(key, hash).is_none() {
                right.list(Some(entry), &mut others);
                let key = K::read(&mut KeyReader::new(key));
                emit((key, (List::Owned(&[]), List::Owned(&others))));
            }
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

impl<K: Key, L: Record, R: Record> Head for SubtractByKey<K, L, R> {
    type Record = (K, L);
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((K::View<'a>, L::View<'a>)),
    ) -> Result<(), TaskError> {
        if blocks(cx, 0).is_empty() {
            return Ok(());
        }
        let mut gone = KeyTable::<bool>::new();
        for block in blocks(cx, 1) {
            for KeyedRow { key, hash, .. } in block.get()?.keyed::<R>()? {
                gone.upsert(key, hash, || true, |_| {});
            }
        }
        for block in blocks(cx, 0) {
            for KeyedRow { key, hash, value } in block.get()?.keyed::<L>()? {
                if gone.find(key, hash).is_none() {
                    emit((K::read(&mut KeyReader::new(key)), value));
                }
            }
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}
