//! What sources and sinks have in common: URLs, and options that are declared once.
//!
//! A connector declares each option in an [`OptionRow`]: name, type, default, documentation. The options of a record
//! format stand in the row of the format ([`FormatRow`]), whatever reads or writes it. All that uses options follows
//! from these rows: what a URL may say, errors, help, `JOB sources`, `JOB sinks`, and CONNECTORS.md.
//!
//! Knows no connector.

mod format;
mod near;
mod option;
mod url;

pub(crate) use format::{DIALECT, FLOATS, WRITTEN_DIALECT, floats};
pub use format::{FORMATS, FormatRow, row_of};
pub(crate) use near::{nearest, unknown};
pub(crate) use option::declared_once;
pub use option::{Kind, OptionRow, Preset};
pub(crate) use url::{Allowed, NOT_HOME, is_home, is_scheme};
pub use url::{ConnectorUrl, UrlError};
