//! Files that are held open, within what the process may have open.

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;

use crate::host::limits::Hold;

/// A file that is held open from the moment it is measured until it is read: it may be renamed meanwhile.
/// Held files count among those that the process may have open.
#[derive(Debug)]
pub(super) struct HeldFile {
    file: File,
    _hold: Hold,
}

impl HeldFile {
    /// Holds a file, unless too many are held: that one is opened by its name when it is read.
    pub(super) fn within_limits(file: File) -> Option<Arc<Self>> {
        Hold::one().map(|hold| Arc::new(Self { file, _hold: hold }))
    }

    /// Holds a file however many are held.
    pub(super) fn always(file: File) -> Arc<Self> {
        Arc::new(Self { file, _hold: Hold::more() })
    }
}

impl Deref for HeldFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// A file that is read now.
pub(super) enum Opened {
    Held(Arc<HeldFile>),
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
