//! The shape of a record type, as a constant.

/// One named part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty in tuples.
    pub name: &'static str,
    /// Its shape.
    pub schema: Schema,
}

/// Name and shape of a record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// A value without parts: `u64`, `str`, `bool`, …
    Scalar(&'static str),
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

/// The name of a part of a tuple that is a whole record, in JSON: `key` and `value` of a pair, the number of the part of
/// any other tuple.
#[must_use]
pub const fn part_name(parts: usize, index: usize) -> &'static str {
    const NUMBERS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
    match (parts, index) {
        (2, 0) => "key",
        (2, 1) => "value",
        _ if index < NUMBERS.len() => NUMBERS[index],
        _ => "",
    }
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

    /// The number of leading text fields a value takes up in a CSV row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        match self {
            Self::Scalar(_) | Self::List(_) => 1,
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
                    n += fields[i].schema.columns();
                    i += 1;
                }
                n
            }
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
            Self::Struct { name, .. } => f.write_str(name),
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
