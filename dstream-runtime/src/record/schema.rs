//! The shape of a record type, as a constant, and the names of its columns.

/// One named part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty in tuples.
    pub name: &'static str,
    /// Its shape.
    pub schema: Schema,
    /// Other names that it is read under.
    pub aliases: &'static [&'static str],
    /// Whether it may be absent from text, although it is no `Option`.
    pub default: bool,
    /// Whether it is in no text at all.
    pub skip: bool,
}

impl Field {
    /// One that is in text under its name.
    #[must_use]
    pub const fn new(name: &'static str, schema: Schema) -> Self {
        Self { name, schema, aliases: &[], default: false, skip: false }
    }

    /// Whether it may be absent from text.
    pub(crate) const fn is_optional(&self) -> bool {
        self.default || matches!(self.schema, Schema::Option(_))
    }
}

/// Name and shape of a record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// A value without parts: `u64`, `str`, `bool`, …
    Scalar(&'static str),
    /// One of some names.
    Enum {
        /// The type's name.
        name: &'static str,
        /// The names of its variants.
        names: &'static [&'static str],
    },
    /// `Option<T>`.
    Option(&'static Schema),
    /// `Vec<T>`.
    List(&'static Schema),
    /// `(A, B, …)`.
    Tuple(&'static [Schema]),
    /// A derived struct.
    Struct {
        /// The type's name.
        name: &'static str,
        /// Its fields, in order of definition.
        fields: &'static [Field],
    },
}

impl Schema {
    /// A hash of names and shapes, stable across builds: what blocks and the plan are compared by.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.mix(0xcbf2_9ce4_8422_2325)
    }

    const fn mix(&self, hash: u64) -> u64 {
        match self {
            Self::Scalar(name) => text(name, byte(hash, 1)),
            Self::Enum { name, names } => {
                let mut hash = text(name, byte(hash, 8));
                let mut i = 0;
                while i < names.len() {
                    hash = text(names[i], hash);
                    i += 1;
                }
                byte(hash, 9)
            }
            Self::Option(of) => of.mix(byte(hash, 2)),
            Self::List(of) => of.mix(byte(hash, 3)),
            Self::Tuple(parts) => {
                let mut hash = byte(hash, 4);
                let mut i = 0;
                while i < parts.len() {
                    hash = parts[i].mix(hash);
                    i += 1;
                }
                byte(hash, 5)
            }
            Self::Struct { name, fields } => {
                let mut hash = text(name, byte(hash, 6));
                let mut i = 0;
                while i < fields.len() {
                    hash = fields[i].schema.mix(text(fields[i].name, hash));
                    i += 1;
                }
                byte(hash, 7)
            }
        }
    }

    /// Whether it is a list or has one: such a record is not read from a row of text.
    #[must_use]
    pub const fn has_list(&self) -> bool {
        match self {
            Self::Scalar(_) | Self::Enum { .. } => false,
            Self::List(_) => true,
            Self::Option(of) => of.has_list(),
            Self::Tuple(parts) => {
                let mut i = 0;
                while i < parts.len() {
                    if parts[i].has_list() {
                        return true;
                    }
                    i += 1;
                }
                false
            }
            Self::Struct { fields, .. } => {
                let mut i = 0;
                while i < fields.len() {
                    if !fields[i].skip && fields[i].schema.has_list() {
                        return true;
                    }
                    i += 1;
                }
                false
            }
        }
    }

    /// Whether it is a pair that an entry of a JSON object can be: a list of such pairs is read from an object too.
    #[must_use]
    pub(super) const fn is_entry(&self) -> bool {
        match self {
            Self::Tuple([Self::Scalar(key), _]) => matches!(key.as_bytes(), b"str" | b"char"),
            _ => false,
        }
    }

    /// The number of leading text fields a value takes up in a CSV row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        match self {
            Self::Scalar(_) | Self::Enum { .. } | Self::List(_) => 1,
            Self::Option(of) => of.columns(),
            Self::Tuple(parts) => {
                let (mut n, mut i) = (0, 0);
                while i < parts.len() {
                    n += parts[i].columns();
                    i += 1;
                }
                n
            }
            Self::Struct { fields, .. } => {
                let (mut n, mut i) = (0, 0);
                while i < fields.len() {
                    if !fields[i].skip {
                        n += fields[i].schema.columns();
                    }
                    i += 1;
                }
                n
            }
        }
    }
}

/// A column of a record as rows of text hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Other names that it is read under.
    pub aliases: Vec<String>,
    /// Whether it may be absent: it lies within an `Option`, or has a default.
    pub optional: bool,
}

impl Column {
    /// Whether a column of a header has one of its names.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

/// The columns that a record is made of, in order: what CSV has in its header.
///
/// A column is named by the path to its value: the names of fields and the numbers of the parts of
/// tuples, joined by dots (`place.city`, `place.at.0`). What the record itself is made of has names
/// too: a pair is `key` and `value`, the parts of another tuple are `_0`, `_1`, … ([`part_name`]), and a
/// record without parts is one column, `value`.
#[must_use]
pub fn columns(schema: &Schema) -> Vec<Column> {
    let mut columns = Vec::new();
    add_columns(schema, &[String::new()], false, &mut columns);
    columns
}

/// The names of [`columns`].
#[must_use]
pub fn column_names(schema: &Schema) -> Vec<String> {
    columns(schema).into_iter().map(|column| column.name).collect()
}

/// The name of a part of a record that is a tuple of `len` parts, in JSON too.
#[must_use]
pub const fn part_name(len: usize, index: usize) -> &'static str {
    const NUMBERS: [&str; 8] = ["_0", "_1", "_2", "_3", "_4", "_5", "_6", "_7"];
    match (len, index) {
        (2, 0) => "key",
        (2, 1) => "value",
        // A tuple has at most eight parts.
        _ => NUMBERS[index % NUMBERS.len()],
    }
}

/// Adds the columns of a part that lies at these paths: its own, and those by other names.
fn add_columns(schema: &Schema, paths: &[String], optional: bool, out: &mut Vec<Column>) {
    let whole = paths.iter().all(String::is_empty);
    let mut part = |names: &[&str], schema: &Schema, optional: bool| {
        let below = |path: &String| {
            let names = names.iter().map(|name| (*name).to_owned());
            let dotted = |name| if path.is_empty() { name } else { format!("{path}.{name}") };
            names.map(dotted).collect::<Vec<_>>()
        };
        let paths: Vec<String> = paths.iter().flat_map(below).collect();
        add_columns(schema, &paths, optional, out);
    };
    match schema {
        Schema::Option(of) => add_columns(of, paths, true, out),
        Schema::Tuple(parts) if whole => {
            let parts = parts.iter().enumerate().map(|(i, of)| (part_name(parts.len(), i), of));
            parts.for_each(|(name, of)| part(&[name], of, optional));
        }
        Schema::Tuple(parts) => {
            let parts = parts.iter().enumerate();
            parts.for_each(|(i, of)| part(&[&i.to_string()], of, optional));
        }
        Schema::Struct { fields, .. } => {
            for field in fields.iter().filter(|field| !field.skip) {
                let names = [&[field.name], field.aliases].concat();
                part(&names, &field.schema, optional || field.default);
            }
        }
        Schema::Scalar(_) | Schema::Enum { .. } | Schema::List(_) => {
            let mut names = paths.to_vec();
            let name = if whole { "value".to_owned() } else { names.remove(0) };
            let aliases = if whole { Vec::new() } else { names };
            out.push(Column { name, aliases, optional });
        }
    }
}

impl std::fmt::Display for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scalar(name) => f.write_str(name),
            Self::Option(of) => write!(f, "Option<{of}>"),
            Self::List(of) => write!(f, "Vec<{of}>"),
            Self::Tuple(parts) => {
                f.write_str("(")?;
                for (i, part) in parts.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{part}")?;
                }
                f.write_str(if parts.len() == 1 { ",)" } else { ")" })
            }
            Self::Struct { name, .. } | Self::Enum { name, .. } => f.write_str(name),
        }
    }
}

/// FNV-1a, one byte.
const fn byte(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

const fn text(text: &str, mut hash: u64) -> u64 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = byte(hash, bytes[i]);
        i += 1;
    }
    byte(hash, 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    const PLACE: Schema = Schema::Struct {
        name: "Place",
        fields: &[
            Field::new("city", Schema::Scalar("str")),
            Field::new("at", Schema::Tuple(&[f64::SCHEMA, f64::SCHEMA])),
        ],
    };

    fn names(schema: &Schema) -> String {
        let names = column_names(schema);
        assert_eq!(names.len(), schema.columns());
        names.join(",")
    }

    #[test]
    fn every_record_has_names_for_its_columns() {
        const PAIR: Schema = <(String, u64)>::SCHEMA;
        assert_eq!(names(&PAIR), "key,value");
        assert_eq!(names(&Schema::Option(&PAIR)), "key,value");
        assert_eq!(names(&<((String, u8), Vec<u64>)>::SCHEMA), "key.0,key.1,value");
        assert_eq!(
            names(&Schema::Tuple(&[PLACE, f64::SCHEMA])),
            "key.city,key.at.0,key.at.1,value"
        );
        assert_eq!(names(&<(u8, u8, (u8, u8))>::SCHEMA), "_0,_1,_2.0,_2.1");
        assert_eq!(names(&<(u8,)>::SCHEMA), "_0");
        assert_eq!(names(&u64::SCHEMA), "value");
        assert_eq!(names(&<Vec<(u8, u8)>>::SCHEMA), "value");
        assert_eq!(names(&PLACE), "city,at.0,at.1");
        let optional: Vec<bool> =
            columns(&<(String, Option<(u8, u8)>)>::SCHEMA).iter().map(|c| c.optional).collect();
        assert_eq!(optional, [false, true, true]);
    }
}
