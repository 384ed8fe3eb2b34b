//! Joins: records of two streams that have the same key. Several records of a key on both sides give all their pairs,
//! in the order of the left records, then of the right ones; a right outer join has the right records first.

use std::marker::PhantomData;

use super::side::{Side, held};
use super::{TaskContext, blocks};
use crate::block::KeyedRow;
use crate::exec::stage::Head;
use crate::exec::task::TaskError;
use crate::record::{Key, KeyReader, Record};

/// `join`: the pairs.
pub struct Join<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

/// `left_outer_join`: the pairs, and the left records without a right one.
pub struct LeftOuterJoin<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

/// `right_outer_join`: the pairs, and the right records without a left one.
pub struct RightOuterJoin<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

/// `full_outer_join`: the pairs, and the records of both sides without one of the other.
pub struct FullOuterJoin<K, L, R>(pub(crate) PhantomData<Types<K, L, R>>);

type Types<K, L, R> = fn() -> (K, L, R);

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
        let right = Side::<R>::of(&right)?;
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
        let right = Side::<R>::of(&right)?;
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

impl<K: Key, L: Record, R: Record> Head for RightOuterJoin<K, L, R> {
    type Record = (K, (Option<L>, R));
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((K::View<'a>, (Option<L::View<'a>>, R::View<'a>))),
    ) -> Result<(), TaskError> {
        let right = blocks(cx, 1);
        if right.is_empty() {
            return Ok(());
        }
        let (left, right) = (held(blocks(cx, 0))?, held(right)?);
        let left = Side::<L>::of(&left)?;
        for block in &right {
            for KeyedRow { key, hash, value } in block.keyed::<R>()? {
                let read = || K::read(&mut KeyReader::new(key));
                if !left.each(key, hash, |other| emit((read(), (Some(other), value)))) {
                    emit((read(), (None, value)));
                }
            }
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}

impl<K: Key, L: Record, R: Record> Head for FullOuterJoin<K, L, R> {
    type Record = (K, (Option<L>, Option<R>));
    type State = ();
    type Change = ();

    fn run(
        &self,
        cx: &mut TaskContext<'_>,
        (): &mut (),
        mut emit: impl for<'a> FnMut((K::View<'a>, (Option<L::View<'a>>, Option<R::View<'a>>))),
    ) -> Result<(), TaskError> {
        let (left, right) = (held(blocks(cx, 0))?, held(blocks(cx, 1))?);
        let right = Side::<R>::of(&right)?;
        // The right keys that a left record has met.
        let mut met = vec![false; right.entries().len()];
        for block in &left {
            for KeyedRow { key, hash, value } in block.keyed::<L>()? {
                let read = || K::read(&mut KeyReader::new(key));
                let Some(entry) = right.find(key, hash) else {
                    emit((read(), (Some(value), None)));
                    continue;
                };
                met[entry as usize] = true;
                right.rows(entry).for_each(|other| emit((read(), (Some(value), Some(other)))));
            }
        }
        for entry in right.entries().filter(|entry| !met[*entry as usize]) {
            let read = || K::read(&mut KeyReader::new(right.key(entry).0));
            right.rows(entry).for_each(|other| emit((read(), (None, Some(other)))));
        }
        Ok(())
    }

    fn commit(&self, _: &TaskContext<'_>, (): &mut (), (): ()) {}
}
