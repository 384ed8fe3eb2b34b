//! `Vec<T>` as a record: its view is a slice that is either owned or archived.

use std::cmp::Ordering;
use std::fmt;

use rkyv::vec::{ArchivedVec, VecResolver};
use rkyv::{Archive, Place, Serialize};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess};

use super::{ArchiveWriter, AsRecord, FieldError, Fields, Record, Schema, Visitor};

/// The view of a `Vec<T>`: a slice of records that lie in memory or in a block.
pub enum List<'a, T: Record> {
    /// Owned records.
    Owned(&'a [T]),
    /// Archived records.
    Archived(&'a [T::Archived]),
}

impl<T: Record> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Record> Copy for List<'_, T> {}

impl<'a, T: Record> List<'a, T> {
    /// Number of records.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Owned(s) => s.len(),
            Self::Archived(s) => s.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The record at `index`, if there is one.
    #[must_use]
    pub fn get(self, index: usize) -> Option<T::View<'a>> {
        match self {
            Self::Owned(s) => s.get(index).map(T::view),
            Self::Archived(s) => s.get(index).map(T::view_archived),
        }
    }

    /// The records in order.
    #[must_use]
    pub fn iter(self) -> ListIter<'a, T> {
        ListIter { list: self, next: 0 }
    }
}

impl<'a, T: Record> IntoIterator for List<'a, T> {
    type Item = T::View<'a>;
    type IntoIter = ListIter<'a, T>;
    fn into_iter(self) -> ListIter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Record> fmt::Debug for List<'a, T>
where
    T::View<'a>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The records of a [`List`] in order.
pub struct ListIter<'a, T: Record> {
    list: List<'a, T>,
    next: usize,
}

impl<T: Record> Clone for ListIter<'_, T> {
    fn clone(&self) -> Self {
        Self { list: self.list, next: self.next }
    }
}

impl<'a, T: Record> Iterator for ListIter<'a, T> {
    type Item = T::View<'a>;
    fn next(&mut self) -> Option<T::View<'a>> {
        let item = self.list.get(self.next)?;
        self.next += 1;
        Some(item)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.list.len() - self.next;
        (left, Some(left))
    }
}

impl<T: Record> ExactSizeIterator for ListIter<'_, T> {}

/// A list on its way into an archive.
pub struct ListWire<'a, T: Record>(List<'a, T>);

impl<T: Record> Archive for ListWire<'_, T> {
    type Archived = ArchivedVec<T::Archived>;
    type Resolver = VecResolver;
    fn resolve(&self, resolver: VecResolver, out: Place<Self::Archived>) {
        ArchivedVec::resolve_from_len(self.0.len(), resolver, out);
    }
}

impl<'s, T: Record> Serialize<ArchiveWriter<'s>> for ListWire<'_, T> {
    fn serialize(
        &self,
        serializer: &mut ArchiveWriter<'s>,
    ) -> Result<VecResolver, rkyv::rancor::BoxedError> {
        ArchivedVec::serialize_from_iter::<T::Wire<'_>, _, _>(
            self.0.iter().map(T::wire),
            serializer,
        )
    }
}

/// A list parsed from JSON.
#[derive(Debug)]
pub struct ListDraft<T>(Vec<T>);

impl<'de, T: Record> serde::Deserialize<'de> for ListDraft<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(std::marker::PhantomData<T>);
        impl<'de, T: Record> serde::de::Visitor<'de> for Items<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                let mut ended = false;
                loop {
                    let entry = Entry { map: &mut map, ended: &mut ended, is_value: false };
                    match T::Draft::deserialize(entry) {
                        Ok(draft) => items.push(T::own(T::view_draft(&draft))),
                        Err(_) if ended => return Ok(items),
                        Err(error) => return Err(error),
                    }
                }
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(draft) = seq.next_element::<T::Draft<'de>>()? {
                    items.push(T::own(T::view_draft(&draft)));
                }
                Ok(items)
            }
        }
        let items = Items(std::marker::PhantomData);
        let read = match const { T::SCHEMA.is_entry() } {
            true => deserializer.deserialize_any(items),
            false => deserializer.deserialize_seq(items),
        };
        read.map(ListDraft)
    }
}

/// The next entry of an object, as the pair of its name and its value.
struct Entry<'m, A> {
    map: &'m mut A,
    /// Set if there is none.
    ended: &'m mut bool,
    is_value: bool,
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Entry<'_, A> {
    type Error = A::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, pair: V) -> Result<V::Value, A::Error> {
        pair.visit_seq(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> SeqAccess<'de> for Entry<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.is_value {
            return self.map.next_value_seed(seed).map(Some);
        }
        let name = self.map.next_key_seed(seed)?;
        (self.is_value, *self.ended) = (name.is_some(), name.is_none());
        Ok(name)
    }
}

impl<T: Record> Record for Vec<T> {
    type View<'a> = List<'a, T>;
    type Archived = ArchivedVec<T::Archived>;
    type Wire<'a> = ListWire<'a, T>;
    type Draft<'a> = ListDraft<T>;
    const SCHEMA: Schema = Schema::List(&T::SCHEMA);
    const EXACT: bool = T::EXACT;
    const INLINE: bool = false;

    fn view(&self) -> List<'_, T> {
        List::Owned(self)
    }
    fn view_archived(archived: &Self::Archived) -> List<'_, T> {
        List::Archived(archived.as_slice())
    }
    fn view_draft<'d, 'a: 'd>(draft: &'d ListDraft<T>) -> List<'d, T> {
        List::Owned(&draft.0)
    }
    fn own(view: List<'_, T>) -> Vec<T> {
        view.iter().map(T::own).collect()
    }
    fn wire<'a: 'a>(view: List<'a, T>) -> ListWire<'a, T> {
        ListWire(view)
    }
    fn compare(a: List<'_, T>, b: List<'_, T>) -> Ordering {
        let mut b_items = b.iter();
        for x in a {
            let Some(y) = b_items.next() else {
                return Ordering::Greater;
            };
            let order = T::compare(x, y);
            if order.is_ne() {
                return order;
            }
        }
        a.len().cmp(&b.len())
    }
    fn visit<V: Visitor>(view: List<'_, T>, visitor: &mut V) {
        visitor.begin_list();
        for (i, item) in view.iter().enumerate() {
            visitor.item(i);
            T::visit(item, visitor);
        }
        visitor.end_list();
    }
    fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<List<'a, T>, FieldError> {
        Err(fields.unsupported("a list cannot be read from a row of text; use JSON"))
    }
}

impl<T: AsRecord<Record = T> + Record> AsRecord for Vec<T> {
    type Record = Vec<T>;
    fn as_view(&self) -> List<'_, T> {
        List::Owned(self)
    }
    fn into_record(self) -> Vec<T> {
        self
    }
}

impl<T: Record> AsRecord for List<'_, T> {
    type Record = Vec<T>;
    fn as_view(&self) -> List<'_, T> {
        *self
    }
    fn into_record(self) -> Vec<T> {
        <Vec<T>>::own(self)
    }
}
