//! Trust: which processes belong to a cluster, and how a process joins it.
//!
//! The master's directory holds the cluster's authority: a key that signs certificates. A [`Token`] (a
//! secret, limited in time and uses, bound to the authority's fingerprint) buys a certificate with a role,
//! job and name. From then on every connection is mutual TLS 1.3, and the certificate renews itself. Nothing
//! here reads a clock: the time is an argument.
//!
//! Invariant: no secret is ever part of a `Debug` or `Display` text, and every file that holds one is
//! readable by its owner only.

mod authority;
mod certificate;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod identity;
mod tls;
mod token;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use crate::wire::Refusal;

pub use authority::{Authority, CERTIFICATE_LIFE, Grant};
pub use certificate::Subject;
pub use identity::Identity;
pub use token::{Token, TokenSecret};

pub(super) use identity::KeyPair;
pub(super) use tls::{ALPN_BULK, ALPN_CONTROL, ALPN_JOIN, WallClock, client_config, join_config};
pub(super) use tls::{SERVER_NAME, server_config};

/// A failure of this side. A failure of another process is a [`Refusal`].
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read or written.
    #[error("{}: cannot {what}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operation.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file with a secret is accessible to others.
    #[error(
        "{}: others may read or change it (mode {mode:04o}), and it holds a secret; run `chmod 600 {}`, and \
         make a new token if it has been open for long",
        path.display(), path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file has invalid content.
    #[error("{}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The text of a token is damaged.
    #[error("this is no token of dstream: {why}; copy the whole line that `token` printed")]
    Token {
        /// The reason.
        why: &'static str,
    },
    /// The grant of a token is invalid.
    #[error("no token is made: {why}")]
    Grant {
        /// The reason.
        why: &'static str,
    },
    /// The name is invalid in a certificate.
    #[error(transparent)]
    Name(Refusal),
    /// A certificate or key cannot be made or used.
    #[error("a certificate cannot be {what}: {why}")]
    Certificate {
        /// The operation.
        what: &'static str,
        /// The library's error.
        why: String,
    },
}

/// 128 random bits.
pub(crate) fn random_id() -> Result<[u8; 16], TrustError> {
    files::random()
}

impl TrustError {
    fn certificate(what: &'static str, why: impl fmt::Display) -> Self {
        Self::Certificate { what, why: why.to_string() }
    }
}

/// SHA-256 of an authority's certificate; identifies the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(certificate: &[u8]) -> Self {
        Self(files::sha256(certificate))
    }

    /// The first 16 hex digits, to compare by eye.
    #[must_use]
    pub fn short(&self) -> String {
        files::to_hex(&self.0[..8])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&files::to_hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", self.short())
    }
}
