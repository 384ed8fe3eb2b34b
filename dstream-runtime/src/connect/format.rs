//! Formats of records: what each is, and its options.

use super::option::{Kind, OptionRow};
use crate::record::{Dialect, Floats, Format};

/// A format of records.
#[derive(Debug, Clone, Copy)]
pub struct FormatRow {
    /// The format.
    pub format: Format,
    /// How URLs call it: `csv`.
    pub name: &'static str,
    /// How sentences call it: `CSV`.
    pub title: &'static str,
    /// What a record is in it, in one line.
    pub about: &'static str,
    /// The options of sources that read it.
    pub reads: &'static [OptionRow],
    /// The options of outputs that write it.
    pub writes: &'static [OptionRow],
}

/// Every format.
pub static FORMATS: [FormatRow; 3] = [
    FormatRow {
        format: Format::Text,
        name: "text",
        title: "text",
        about: "a line each",
        reads: &[],
        writes: &[],
    },
    FormatRow {
        format: Format::Csv,
        name: "csv",
        title: "CSV",
        about: "rows of RFC 4180",
        reads: &[
            OptionRow::flag("header", "The first row of a split names its columns").depends(
                "true for structs; for others, if the first row is exactly the names of the record's columns",
            ),
            DELIMITER,
            QUOTE,
            COMMENT,
            NULL,
        ],
        writes: &[
            OptionRow::flag("header", "Begin with a row of the names of the record's columns").or("true"),
            DELIMITER,
            WRITTEN_QUOTE,
            NULL,
        ],
    },
    FormatRow {
        format: Format::Json,
        name: "json",
        title: "JSON",
        about: "a value per line; sources also read arrays and values over several lines",
        reads: &[FLOATS],
        writes: &[FLOATS],
    },
];

/// The row of a format.
#[must_use]
pub fn row_of(format: Format) -> &'static FormatRow {
    &FORMATS[match format {
        Format::Text => 0,
        Format::Csv => 1,
        Format::Json => 2,
    }]
}

/// How JSON holds floats that it has no numbers for.
pub(crate) const FLOATS: OptionRow = OptionRow::choice(
    "floats",
    &["string", "refuse"],
    "NaN and the infinities: as the strings \"NaN\", \"Infinity\", \"-Infinity\", or an error",
)
.or("refuse");

/// The options that make a [`Dialect`] to read by.
pub(crate) const DIALECT: [OptionRow; 4] = [DELIMITER, QUOTE, COMMENT, NULL];

/// The options that make a [`Dialect`] to write by.
pub(crate) const WRITTEN_DIALECT: [OptionRow; 3] = [DELIMITER, WRITTEN_QUOTE, NULL];

const CHARACTER: &str = "CHAR";

const DELIMITER: OptionRow = dialect(
    "delimiter",
    CHARACTER,
    |text| set("delimiter", text),
    "The character between fields; also `tab`, `comma`, `semicolon`, `pipe`, `space`",
)
.or(",");

const QUOTE_ABOUT: &str = "The character around fields that hold delimiters, quotes or line breaks";

const QUOTE: OptionRow = dialect(
    "quote",
    CHARACTER,
    |text| set("quote", text),
    "The character around fields that hold delimiters, quotes or line breaks; `none` for none",
)
.or("\"");

const WRITTEN_QUOTE: OptionRow = dialect("quote", CHARACTER, quoted, QUOTE_ABOUT).or("\"");

const COMMENT: OptionRow = dialect(
    "comment",
    CHARACTER,
    |text| set("comment", text),
    "Rows that begin with this character are no records",
);

const NULL: OptionRow =
    dialect("null", "TEXT", null, "What stands, without quotes, for an absent value")
        .depends("an empty field");

const fn dialect(
    name: &'static str,
    shown: &'static str,
    check: fn(&str) -> Result<(), String>,
    about: &'static str,
) -> OptionRow {
    OptionRow::new(name, Kind::Text { shown, check }, about)
}

fn set(option: &str, value: &str) -> Result<(), String> {
    Dialect::default().set(option, value)
}

/// Whether it may hold the delimiter depends on that.
fn null(value: &str) -> Result<(), String> {
    Dialect { delimiter: b'\n', ..Dialect::default() }.set("null", value)
}

fn quoted(value: &str) -> Result<(), String> {
    if matches!(value, "" | "none") {
        return Err("an output needs quotes, for texts with delimiters and line breaks".to_owned());
    }
    set("quote", value)
}

/// What the option [`FLOATS`] says, if it is given.
pub(crate) fn floats(word: Option<&str>) -> Option<Floats> {
    word.map(|word| if word == "string" { Floats::Strings } else { Floats::Refuse })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Preset;

    #[test]
    fn rows_stand_where_they_are_looked_for() {
        for row in &FORMATS {
            assert_eq!(row_of(row.format).name, row.name);
        }
    }

    #[test]
    fn the_presets_are_those_of_the_default_dialect() {
        let (mut dialect, default) = (Dialect::default(), Dialect::default());
        for row in DIALECT {
            if let Preset::Is(value) = row.preset {
                dialect.set(row.name, value).unwrap();
            }
        }
        assert_eq!(dialect, default);
        assert_eq!(floats(Some("refuse")), Some(Floats::default()));
        assert!(WRITTEN_QUOTE.read("none").unwrap_err().contains("needs quotes"));
    }
}
