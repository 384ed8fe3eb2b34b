//! Inputs that another process has cut, rebuilt from their ranges.

use super::{Input, OpenOptions, Range, SourceError, Sources};
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

/// [`Sources::reread`], of the sources of this crate.
///
/// # Errors
/// See there.
pub fn reread(
    url: &str,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn Reread>, SourceError> {
    Sources::built_in().reread(url, format, options)
}

/// Refuses a range that ends before it starts.
pub(super) fn forward(range: &Range) -> Result<(), SourceError> {
    if range.start <= range.end {
        return Ok(());
    }
    let why = format!("the range from {} to {} ends before it starts", range.start, range.end);
    Err(SourceError::Data { what: range.split.to_string(), why })
}
