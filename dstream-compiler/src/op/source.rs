//! Sources: where streams begin.

use super::{Arg, Dependency, Effect, Facts};
use crate::ir::logical::{Op, SourceFormat};

/// What is known about a kind of source.
#[derive(Debug)]
pub struct Kind {
    /// Its name: `source::NAME`.
    pub name: &'static str,
    /// How its records are written.
    pub format: SourceFormat,
    /// Whether it takes a record type.
    pub record: bool,
    /// How it is called, for messages.
    pub usage: &'static str,
}

/// Every kind of source.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "text",
        format: SourceFormat::Text,
        record: false,
        usage: "source::text(\"file:///data/*.txt\")",
    },
    Kind {
        name: "csv",
        format: SourceFormat::Csv,
        record: true,
        usage: "source::csv::<Row>(\"file:///data/*.csv\")",
    },
    Kind {
        name: "json",
        format: SourceFormat::Json,
        record: true,
        usage: "source::json::<PageView>(\"tcp://0.0.0.0:9000\")",
    },
];

const SOURCE: Facts = Facts {
    name: "source",
    usage: "source::text(url)",
    forms: &[&[Arg::Url]],
    make: |args| Op::Source { format: SourceFormat::Text, record: None, url: args.value() },
    dependency: Dependency::Narrow,
    keyed_input: false,
    keyed_output: false,
    makes_key: false,
    state: false,
    partitioning: Effect::Loses,
    uniqueness: Effect::Loses,
    doc: "records from outside",
};

static TEXT: Facts = Facts { name: "source::text", ..SOURCE };
static CSV: Facts = Facts { name: "source::csv", ..SOURCE };
static JSON: Facts = Facts { name: "source::json", ..SOURCE };

/// The facts of a source's node.
pub(super) fn facts(format: SourceFormat) -> &'static Facts {
    match format {
        SourceFormat::Text => &TEXT,
        SourceFormat::Csv => &CSV,
        SourceFormat::Json => &JSON,
    }
}
