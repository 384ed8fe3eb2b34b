//! Errors of the durable store: the object, the operation, and the cure.

use std::sync::Arc;

/// Why a durable store cannot be opened or an operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DurableError {
    /// The URL is not a store that this binary can use.
    #[error("{url}: {why}\n  help: {help}")]
    Url {
        /// The URL.
        url: String,
        /// The reason.
        why: String,
        /// The cure.
        help: &'static str,
    },
    /// An invalid object name.
    #[error(
        "`{name}` cannot be the name of an object: names are parts of letters, digits, `-`, `_`, `.` and `=` \
         with `/` between them, and no part begins with a dot"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// No such object.
    #[error("{object}: there is no such object")]
    NotFound {
        /// Its URL.
        object: String,
    },
    /// The store failed; the operation may or may not have taken effect.
    #[error("{object}: cannot {doing}: {error}")]
    Failed {
        /// The URL of the object or place.
        object: String,
        /// The operation.
        doing: &'static str,
        /// The error of the system or the service.
        error: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A directory could not be synced. A second fsync after a failed one proves nothing, so this process
    /// writes nothing more there; another process may.
    #[error(
        "{object}: its directory could not be brought to the disk: {why}\n  help: this process writes nothing more \
         there, as it could not know what is on the disk; see to the disk and start it again"
    )]
    Unsynced {
        /// The URL of the object.
        object: String,
        /// The error of the system.
        why: String,
    },
    /// Another object has that name.
    #[error("{object}: cannot write it: something else has its name")]
    Taken {
        /// Its URL.
        object: String,
    },
}

impl DurableError {
    /// Whether a retry by this process would fail in the same way.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Unsynced { .. } | Self::Url { .. } | Self::Name { .. })
    }
}
