//! Trust: who belongs to a cluster, and how a process comes to belong to it.
//!
//! The master's directory holds the cluster's authority: a key that signs certificates. A [`Token`]
//! (a secret, limited in time and uses, bound to the authority's fingerprint) buys a certificate that
//! carries role, job and name; from then on every connection is mutual TLS 1.3, and the certificate is
//! renewed with itself. Nothing here reads a clock: every function that needs the time is given it.
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
pub(super) use tls::{ALPN_BULK, ALPN_CONTROL, ALPN_JOIN, Wall, client_config, join_config};
pub(super) use tls::{SERVER_NAME, server_config};

/// Why something of this module failed. What another process did wrong is a [`Refusal`] instead.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read or written.
    #[error("{}: cannot {what}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file with a secret is open to others.
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
    /// A file does not hold what it should.
    #[error("{}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The text of a token is damaged.
    #[error("this is no token of dstream: {why}; copy the whole line that `token` printed")]
    Token {
        /// What is wrong with it.
        why: &'static str,
    },
    /// No token is made for that.
    #[error("no token is made: {why}")]
    Grant {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A name that cannot stand in a certificate.
    #[error(transparent)]
    Name(Refusal),
    /// A certificate or key cannot be made or used.
    #[error("a certificate cannot be {what}: {why}")]
    Certificate {
        /// What was tried.
        what: &'static str,
        /// What the library says.
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

/// SHA-256 of an authority's certificate: which cluster this is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(certificate: &[u8]) -> Self {
        Self(files::sha256(certificate))
    }

    /// The first 16 hex digits: enough to compare by eye.
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
