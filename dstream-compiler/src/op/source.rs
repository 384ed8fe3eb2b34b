//! Sources: where streams begin, and tables, which are read whole.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::Type;

use super::lower::whole;
use super::{Arg, Begin, Lower, Lowered, Nature, Operator};
use crate::codegen::emit::HeadCode;
use crate::codegen::names::local;
use crate::codegen::{BUILDER, spans};
use crate::diag::Place;
use crate::ir::logical::SourceFormat;

/// A kind of source.
#[derive(Debug)]
pub struct Kind {
    /// What stands before its name.
    pub module: &'static str,
    /// Its name: `source::NAME`, or `table::NAME`.
    pub name: &'static str,
    /// How its records are written.
    pub format: SourceFormat,
    /// Whether it takes a record type.
    pub record: bool,
    /// How it is called, for messages.
    pub usage: &'static str,
    /// The operator of its nodes.
    pub operator: &'static Operator,
}

/// Every kind of source.
pub static KINDS: [Kind; 6] = [
    Kind {
        module: "source",
        name: "text",
        format: SourceFormat::Text,
        record: false,
        usage: "source::text(\"file:///data/*.txt\")",
        operator: &TEXT,
    },
    Kind {
        module: "source",
        name: "csv",
        format: SourceFormat::Csv,
        record: true,
        usage: "source::csv::<Row>(\"file:///data/*.csv\")",
        operator: &CSV,
    },
    Kind {
        module: "source",
        name: "json",
        format: SourceFormat::Json,
        record: true,
        usage: "source::json::<PageView>(\"tcp://0.0.0.0:9000\")",
        operator: &JSON,
    },
    Kind {
        module: "table",
        name: "text",
        format: SourceFormat::Text,
        record: false,
        usage: "table::text(\"file:///data/names.txt\")",
        operator: &TABLE_TEXT,
    },
    Kind {
        module: "table",
        name: "csv",
        format: SourceFormat::Csv,
        record: true,
        usage: "table::csv::<Row>(\"file:///data/names.csv\")",
        operator: &TABLE_CSV,
    },
    Kind {
        module: "table",
        name: "json",
        format: SourceFormat::Json,
        record: true,
        usage: "table::json::<Page>(\"file:///data/pages.json\")",
        operator: &TABLE_JSON,
    },
];

/// Every kind of source or table that is written with a module.
pub fn kinds_of(module: &str) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(move |kind| kind.module == module)
}

/// Lines of text.
pub(crate) static TEXT: Operator = Operator { name: "source::text", ..SOURCE };
static CSV: Operator = Operator { name: "source::csv", ..SOURCE };
static JSON: Operator = Operator { name: "source::json", ..SOURCE };
static TABLE_TEXT: Operator = Operator { name: "table::text", ..TABLE };
static TABLE_CSV: Operator = Operator { name: "table::csv", ..TABLE };
static TABLE_JSON: Operator = Operator { name: "table::json", ..TABLE };

/// It is opened and decoded as a source is.
const TABLE: Operator = Operator { makes: Nature::Table, ..SOURCE };

const SOURCE: Operator = Operator {
    name: "source",
    usage: "source::text(url)",
    forms: &[&[Arg::Url]],
    doc: "records from outside",
    lower: Lower::Source(Begin {
        words: |_| "source".to_owned(),
        lower: |_, _| Lowered::reads([]),
        emit,
        record: whole,
    }),
    ..Operator::BASE
};

/// Declares a source. Its decoder is at the type of its records, which has to be a record.
fn emit(head: &HeadCode<'_>) -> TokenStream {
    let (id, place, url) = (head.source(), head.place(), head.arguments().value());
    let mut check = None;
    let decode = match head.arguments().records() {
        Some((SourceFormat::Csv, Some(record))) => {
            check = Some(row(record));
            decoder(place, "CsvRows", record)
        }
        Some((SourceFormat::Json, Some(record))) => decoder(place, "JsonLines", record),
        _ => quote!(__dstream::TextLines),
    };
    let add = spans::associated(place, "Builder", "source");
    let builder = local(BUILDER);
    let add = quote!(#add::<#decode>(#builder, __dstream::SourceId(#id), #url));
    if check.is_some() { quote!({ #check #add }) } else { add }
}

/// Asks, at the type of the records, whether rows of CSV can hold them: in a constant, so `cargo check` knows.
fn row(record: &Type) -> TokenStream {
    let place = Place::of(record);
    let is_row = quote_spanned!(place.start()=> __dstream::is_row);
    let (open, close) = (quote_spanned!(place.start()=> ::<), quote_spanned!(place.end()=> >));
    let call = quote_spanned!(place.end()=> ());
    quote!(const _: () = #is_row #open #record #close #call;)
}

/// `__dstream::Name<Record>`, at the type of the record.
fn decoder(place: Place, name: &str, record: &Type) -> TokenStream {
    let runtime = quote_spanned!(place.start()=> __dstream::);
    let name = Ident::new(name, place.start());
    let (open, close) = (quote_spanned!(place.start()=> <), quote_spanned!(place.end()=> >));
    quote!(#runtime #name #open #record #close)
}
