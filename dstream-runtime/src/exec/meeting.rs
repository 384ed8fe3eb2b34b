//! Heads of joins that keep a side, as generated code names them: with tables, and by event time.

use std::marker::PhantomData;

use super::flow::{Clock, Keyed, SameKey};
use super::head::{
    Absent, Both, Full, Inner, JoinWithin, Kept, Left, Outer, TableJoin, Timed, Within,
};
use crate::record::{Key, Record};

/// Joins with a table by key.
#[must_use]
pub fn join_table<K, J, L, R>(
    _: &Keyed<K, L>,
    _: &Keyed<J, R>,
    kept: Kept,
) -> TableJoin<K, R, Inner<L>>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    TableJoin::new(kept)
}

/// The same for records that have a time or a window.
#[must_use]
pub fn join_table_timed<K, J, T, L, R>(
    _: &Keyed<K, (T, L)>,
    _: &Keyed<J, R>,
    kept: Kept,
) -> TableJoin<K, R, Timed<T, Inner<L>>>
where
    K: Key,
    J: SameKey<K>,
    T: Record,
    L: Record,
    R: Record,
{
    TableJoin::new(kept)
}

/// Joins with a table by key, and keeps what meets nothing.
#[must_use]
pub fn left_outer_join_table<K, J, L, R>(
    _: &Keyed<K, L>,
    _: &Keyed<J, R>,
    kept: Kept,
) -> TableJoin<K, R, Outer<L>>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    TableJoin::new(kept)
}

/// The same for records that have a time or a window.
#[must_use]
pub fn left_outer_join_table_timed<K, J, T, L, R>(
    _: &Keyed<K, (T, L)>,
    _: &Keyed<J, R>,
    kept: Kept,
) -> TableJoin<K, R, Timed<T, Outer<L>>>
where
    K: Key,
    J: SameKey<K>,
    T: Record,
    L: Record,
    R: Record,
{
    TableJoin::new(kept)
}

/// Keeps what meets nothing of a table.
#[must_use]
pub fn subtract_by_key_table<K, J, L, R>(
    _: &Keyed<K, L>,
    _: &Keyed<J, R>,
    kept: Kept,
) -> TableJoin<K, R, Absent<L>>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    TableJoin::new(kept)
}

/// The same for records that have a time or a window.
#[must_use]
pub fn subtract_by_key_table_timed<K, J, T, L, R>(
    _: &Keyed<K, (T, L)>,
    _: &Keyed<J, R>,
    kept: Kept,
) -> TableJoin<K, R, Timed<T, Absent<L>>>
where
    K: Key,
    J: SameKey<K>,
    T: Record,
    L: Record,
    R: Record,
{
    TableJoin::new(kept)
}

/// Joins by key and event time.
#[must_use]
pub fn join_within<K, J, L, R>(
    _: &Keyed<K, (i64, L)>,
    _: &Keyed<J, (i64, R)>,
    _: &Clock,
    within: Within,
) -> JoinWithin<K, L, R, Both>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    JoinWithin { within, types: PhantomData }
}

/// Joins by key and event time, and keeps what meets no right record.
#[must_use]
pub fn left_outer_join_within<K, J, L, R>(
    _: &Keyed<K, (i64, L)>,
    _: &Keyed<J, (i64, R)>,
    _: &Clock,
    within: Within,
) -> JoinWithin<K, L, R, Left>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    JoinWithin { within, types: PhantomData }
}

/// Joins by key and event time, and keeps what meets nothing.
#[must_use]
pub fn full_outer_join_within<K, J, L, R>(
    _: &Keyed<K, (i64, L)>,
    _: &Keyed<J, (i64, R)>,
    _: &Clock,
    within: Within,
) -> JoinWithin<K, L, R, Full>
where
    K: Key,
    J: SameKey<K>,
    L: Record,
    R: Record,
{
    JoinWithin { within, types: PhantomData }
}
