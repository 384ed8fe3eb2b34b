//! A file that is read: one that is held open, or one that was opened for this read.

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;

/// A file that is read now.
pub(super) enum Opened {
    /// It is held open, as it may be renamed before it is read.
    Held(Arc<File>),
    Now(File),
}

impl Deref for Opened {
    type Target = File;

    fn deref(&self) -> &File {
        match self {
            Self::Held(held) => held,
            Self::Now(file) => file,
        }
    }
}
