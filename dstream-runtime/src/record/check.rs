//! What a derive asks of the types of a record's fields.
//!
//! A macro cannot know whether a type is a record. The derive asks once per field, in a constant of the record
//! ([`Check`]), and everything else that it generates goes by [`Checked`] with that constant. If the field is no
//! record the constant is an error, at the field; a type that depends on it is an error too, and of such a type
//! rustc says nothing more. So a wrong field is one error, however often the record is used.

use super::Record;

/// What a record says of one of its fields.
pub trait Check<const FIELD: usize> {
    /// Zero, if it is a record.
    const OK: usize;
}

/// A type that was checked.
pub trait Checked<const OK: usize> {
    /// The same type, as a record.
    type Record: Record;
}

impl<R: Record> Checked<0> for R {
    type Record = R;
}

/// Asks whether a type is a record.
pub const fn is_record<R: Record>() {}

/// Asks whether a record can be read from rows of CSV.
///
/// # Panics
/// If not: in a constant, so that the program does not compile.
pub const fn is_row<R: Record>() {
    assert!(
        !R::SCHEMA.has_list(),
        "a row of CSV can't hold a list: read this record from JSON (`source::json`), or read the field as a \
         `String` and split it in a `map`"
    );
}

/// A type that has the name of a standard one, and is that one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has the name of a standard type here, and is another one",
    label = "the derive takes this for the standard type of that name",
    note = "write the path of your own type, like `self::Name`"
)]
pub trait Standard<T> {}

impl<T> Standard<T> for T {}

/// Asks whether a name means the standard type of that name.
pub fn is_standard<T: Standard<S>, S>() {}
