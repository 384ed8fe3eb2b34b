//! STUB
use crate::record::*;
use std::marker::PhantomData;
#[derive(Debug, Clone)]
pub struct Block;
#[derive(Debug, Clone, thiserror::Error)]
#[error("x")]
pub struct DoorError;
pub struct KeyedBuilder<V>(PhantomData<V>);
impl<V: Record> KeyedBuilder<V> {
    pub fn new<K: Key>() -> Self { todo!() }
    pub fn push(&mut self, key: &[u8], hash: u64, v: V::View<'_>) -> Result<(), DoorError> { todo!() }
    pub fn finish(self, s: u64) -> Result<Option<Block>, DoorError> { todo!() }
}
pub struct RowsBuilder<R>(PhantomData<R>);
impl<V: Record> RowsBuilder<V> {
    pub fn new() -> Self { todo!() }
    pub fn push(&mut self, v: V::View<'_>) { todo!() }
    pub fn finish(self) -> Result<Option<Block>, DoorError> { todo!() }
}
pub struct KeyedRow<'a, V: Record> { pub key: &'a [u8], pub hash: u64, pub value: V::View<'a> }
pub struct KeyedRows<'a, V: Record>(&'a V);
impl<'a, V: Record> KeyedRows<'a, V> { pub fn iter(&self) -> impl Iterator<Item = KeyedRow<'a, V>> + use<'a, V> { std::iter::from_fn(|| todo!()) } }
pub struct RowsView<'a, V: Record>(&'a V);
impl<'a, V: Record> RowsView<'a, V> { pub fn iter(&self) -> impl Iterator<Item = V::View<'a>> + use<'a, V> { std::iter::from_fn(|| todo!()) } }
impl Block {
    pub fn keyed<V: Record>(&self) -> Result<KeyedRows<'_, V>, DoorError> { todo!() }
    pub fn rows<V: Record>(&self) -> Result<RowsView<'_, V>, DoorError> { todo!() }
}
