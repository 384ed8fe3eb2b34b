//! Inputs that another process has cut, rebuilt from their ranges.

use super::url::{SourceUrl, unknown};
use super::{Input, OpenOptions, Range, SourceError, file, generate};
use crate::record::Format;

/// Makes inputs of ranges that another process has cut from the same URL.
pub trait Reread: Send + Sync {
    /// The input of these ranges: it reads the same bytes as the one that was cut, and says the same
    /// about them. What has to be carried ([`Input::carried`]) cannot be made in this way.
    ///
    /// # Errors
    /// When a range is not one that this source cuts, or the header of its file cannot be read.
    fn input(&self, ranges: &[Range]) -> Result<Input, SourceError>;
}

/// What a worker opens instead of the source that `url` names: it lists nothing, listens nowhere
/// and touches no disk before an input is asked for.
///
/// # Errors
/// When the scheme or an option is unknown or malformed, or records of this scheme are pushed, so
/// that no range can bring them back.
pub fn reread(
    url: &str,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Reread>, SourceError> {
    let url = SourceUrl::parse(url)?;
    match url.scheme() {
        "file" => file::reread(&url, format, options),
        "generate" => generate::reread(&url, format, options),
        "tcp" | "http" => Err(url.fail(
            "what clients send is there once and cannot be read again by its range: it is carried \
             to where it is needed",
        )),
        other => Err(url.fail(unknown("scheme", other, super::SCHEMES))),
    }
}

/// Refuses a range that ends before it starts.
pub(super) fn forward(range: &Range) -> Result<(), SourceError> {
    if range.start <= range.end {
        return Ok(());
    }
    let why = format!("the range from {} to {} ends before it starts", range.start, range.end);
    Err(SourceError::Data { what: range.split.to_string(), why })
}
