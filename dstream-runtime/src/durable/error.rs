//! What goes wrong in the durable store: which object, what was tried, and what to do.

use std::sync::Arc;

/// Why a durable store cannot be opened, or does not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DurableError {
    /// The URL names no store that this binary can use.
    #[error("{url}: {why}\n  help: {help}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
        /// What to do.
        help: &'static str,
    },
    /// The name of an object is none.
    #[error(
        "`{name}` cannot be the name of an object: names are parts of letters, digits, `-`, `_`, `.` and `=` \
         with `/` between them, and no part begins with a dot"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// There is no such object.
    #[error("{object}: there is no such object")]
    NotFound {
        /// Its URL.
        object: String,
    },
    /// The store failed. Whether what was asked for has happened is not known.
    #[error("{object}: cannot {doing}: {error}")]
    Failed {
        /// The URL of the object or place.
        object: String,
        /// What was tried.
        doing: &'static str,
        /// What the system or the service says.
        error: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The directory of an object could not be brought to the disk. What a second fsync says is worth nothing, so
    /// this process writes nothing more there; another process may.
    #[error(
        "{object}: its directory could not be brought to the disk: {why}\n  help: this process writes nothing more \
         there, as it could not know what is on the disk; see to the disk and start it again"
    )]
    Unsynced {
        /// The URL of the object.
        object: String,
        /// What the system says.
        why: String,
    },
    /// There is another object of that name.
    #[error("{object}: cannot write it: something else has its name")]
    Taken {
        /// Its URL.
        object: String,
    },
}

impl DurableError {
    /// Whether this process need not try again: it would fail in the same way.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Unsynced { .. } | Self::Url { .. } | Self::Name { .. })
    }
}
