//! Records and their views.
//!
//! A *record* is one element of a stream. Operators never see records but *views*: cheap, copyable
//! values that borrow from wherever the record lies (a network buffer, a mapped file, an archived
//! block, an owned value). What a closure returns may be owned or borrowed; [`AsRecord`] says which
//! record it stands for.
//!
//! Invariants:
//! * `own(view)`, `view()` and an archive round trip are lossless and agree with each other.
//! * `compare` is a total order (floats by `total_cmp`), so results never depend on arrival order.
//! * The canonical key bytes of [`Key`] are a function of the value alone: they are hashed,
//!   compared, stored and sent, so they are part of the format of blocks.

mod check;
mod dialect;
mod encode;
mod explain;
mod fields;
mod floats;
mod impls;
mod key;
mod list;
mod names;
mod object;
mod schema;
mod short;
mod tuple;
mod values;
mod wrong;

use std::cmp::Ordering;
use std::fmt;

use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::{BoxedError, Strategy};
use rkyv::ser::Serializer;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;

pub use check::{Check, Checked, Standard, is_record, is_row, is_standard};
pub use dialect::{Dialect, Null};
pub(crate) use encode::{Alone, InWindow, Shown};
pub use encode::{
    Format, NotFinite, Visitor, write_csv, write_csv_as, write_csv_header, write_json, write_text,
};
pub(crate) use explain::explain;
pub use fields::{FieldError, Fields};
pub use floats::{Float, Floats};
pub use impls::Text;
pub use key::{Key, KeyFor, KeyReader};
pub use list::{List, ListDraft, ListIter, ListWire};
pub use names::{Named, Names, variant, variant_from_fields};
pub use object::Object;
pub use schema::{Column, Field, Schema, column_names, columns, part_name};
pub use tuple::TupleDraft;
pub use values::Parsed;

/// Alignment, in bytes, of the body of every block.
pub const BLOCK_ALIGN: usize = 64;

/// What archives are written with: an aligned buffer and a scratch arena, no shared pointers.
pub type ArchiveWriter<'s> =
    Strategy<Serializer<AlignedVec<BLOCK_ALIGN>, ArenaHandle<'s>, ()>, BoxedError>;

/// What archives are validated with.
pub type Validator<'a> = rkyv::api::high::HighValidator<'a, BoxedError>;

/// One element of a stream.
///
/// Derive it with `#[derive(Record)]`; strings, integers, floats, `bool`, `char`, `Option`, `Vec` and
/// tuples of records are records already.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a record, or a field of one",
    label = "a stream can't carry `{Self}`",
    note = "strings, integers, floats, `bool`, `char`, times and addresses, and `Option`s, `Vec`s and tuples of records are records; a struct or an enum of names of your own is one with `#[derive(Record)]`",
    note = "of a map, keep a `Vec<(K, V)>`, which reads a JSON object too if `K` is `String`; of a path, its text; of a moment, a `dstream::Timestamp`"
)]
pub trait Record: Sized + Send + Sync + 'static {
    /// The borrowed form that operators see.
    type View<'a>: AsRecord<Record = Self> + Copy + fmt::Debug;
    /// The archived form, as it lies in a block.
    type Archived: rkyv::Portable + for<'a> CheckBytes<Validator<'a>> + Send + Sync + 'static;
    /// What [`Record::wire`] hands to rkyv.
    type Wire<'a>: for<'s> rkyv::Serialize<ArchiveWriter<'s>, Archived = Self::Archived>;
    /// What JSON is parsed into before it is viewed; borrows from the line where it can.
    type Draft<'a>: serde::Deserialize<'a>;

    /// Name and shape, for the plan, for errors, and for the schema hash of blocks.
    const SCHEMA: Schema;
    /// Whether arithmetic on it is exact (no float inside): inverse functions of windows need that.
    const EXACT: bool;
    /// Whether a value owns no heap memory, so that making a view owned costs nothing.
    const INLINE: bool;

    /// Views an owned record.
    fn view(&self) -> Self::View<'_>;
    /// Views an archived record in place.
    fn view_archived(archived: &Self::Archived) -> Self::View<'_>;
    /// Views a parsed record.
    fn view_draft<'d, 'a: 'd>(draft: &'d Self::Draft<'a>) -> Self::View<'d>;
    /// Makes a view owned.
    fn own(view: Self::View<'_>) -> Self;
    /// Turns a view into what rkyv archives.
    fn wire<'a: 'a>(view: Self::View<'a>) -> Self::Wire<'a>;
    /// Total order over views.
    fn compare(a: Self::View<'_>, b: Self::View<'_>) -> Ordering;
    /// Shows the record to an encoder.
    fn visit<V: Visitor>(view: Self::View<'_>, visitor: &mut V);
    /// Reads the record from the next field or fields of a row of text.
    ///
    /// # Errors
    /// When a field is missing or cannot be parsed as the type asked for.
    fn from_fields<'a>(fields: &mut Fields<'a>) -> Result<Self::View<'a>, FieldError>;
}

/// A value, owned or borrowed, that stands for a record: what closures may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a record",
    label = "this makes values of type `{Self}`, which a stream can't carry",
    note = "strings, integers, floats, `bool`, `char`, times and addresses, and `Option`s, `Vec`s and tuples of records are records; a struct or an enum of names of your own is one with `#[derive(Record)]`",
    note = "of bytes, keep text or a list of numbers; of a `Result`, use `.filter_map(…)` with `.ok()`"
)]
pub trait AsRecord {
    /// The record it stands for.
    type Record: Record;
    /// Views it.
    fn as_view(&self) -> <Self::Record as Record>::View<'_>;
    /// Makes it a record; free when it is owned already.
    fn into_record(self) -> Self::Record;
}

/// A value that stands for a keyed record: a pair of a key and a value.
#[diagnostic::on_unimplemented(
    message = "this stream has no key: its records are `{Self}`, not pairs `(key, value)`",
    label = "operators by key need pairs `(key, value)`",
    note = "make pairs with `.key_by(|record| …)` or `.map(|record| (key, value))`"
)]
pub trait AsPair {
    /// The key.
    type Key: Key;
    /// The value.
    type Value: Record;
    /// Views both.
    fn parts(&self) -> (<Self::Key as Record>::View<'_>, <Self::Value as Record>::View<'_>);
}

impl<K: AsRecord<Record: Key>, V: AsRecord> AsPair for (K, V) {
    type Key = K::Record;
    type Value = V::Record;
    #[inline(always)]
    fn parts(&self) -> (<K::Record as Record>::View<'_>, <V::Record as Record>::View<'_>) {
        (self.0.as_view(), self.1.as_view())
    }
}
