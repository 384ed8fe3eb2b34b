//! Why one process refuses another: the same value, and so the same text, on both sides.

use serde::{Deserialize, Serialize};

use super::role::Role;

/// Why a process is refused. `expected` is the value of the refusing side, `found` the value presented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Another version of dstream.
    #[error(
        "another version of dstream: the cluster runs {expected}, the process that asked {found}; \
         start the same binary everywhere"
    )]
    Version {
        /// What the cluster runs.
        expected: String,
        /// What was presented.
        found: String,
    },
    /// The two have no protocol version in common.
    #[error(
        "the two processes do not speak the same version of dstream's protocol, or one of them is no \
         dstream; start the same binary everywhere"
    )]
    Protocol,
    /// Another plan.
    #[error(
        "another plan: the cluster runs {expected:016x}, the process that asked {found:016x}; start the \
         same binary everywhere"
    )]
    Plan {
        /// What the cluster runs.
        expected: u64,
        /// What was presented.
        found: u64,
    },
    /// Another job.
    #[error("another job: this is the cluster of `{expected}`, asked for was `{found}`")]
    Job {
        /// What the cluster runs.
        expected: String,
        /// What was presented.
        found: String,
    },
    /// Archives of another format.
    #[error(
        "blocks of another format: {found:#x} instead of {expected:#x}; build for one kind of machine"
    )]
    Format {
        /// What the cluster has.
        expected: u32,
        /// What was presented.
        found: u32,
    },
    /// The claimed role differs from the certificate's.
    #[error("the certificate is that of a {certified}, not of a {claimed}")]
    Role {
        /// The role claimed.
        claimed: Role,
        /// The role certified.
        certified: Role,
    },
    /// Processes of these roles do not connect to each other.
    #[error("a {from} does not connect to a {to}")]
    Pair {
        /// The caller's role.
        from: Role,
        /// The callee's role.
        to: Role,
    },
    /// It has no certificate.
    #[error("no certificate was presented; join with a token first (--token-file)")]
    NoCertificate,
    /// Its certificate is from another authority.
    #[error(
        "the certificate was not issued by this cluster's authority; join with a token of this cluster \
         (--token-file)"
    )]
    NotOurs,
    /// Its certificate has expired, or is not valid yet.
    #[error(
        "the certificate is not valid at this time; join again with a token (--token-file), and compare \
         the clocks of the two hosts"
    )]
    CertificateTime,
    /// The token is for another cluster.
    #[error(
        "the token belongs to another cluster: its authority is {expected}, that of the process asked is \
         {found}"
    )]
    OtherAuthority {
        /// Fingerprint in the token, first 16 hex digits.
        expected: String,
        /// Fingerprint of the process, first 16 hex digits.
        found: String,
    },
    /// Unknown token.
    #[error("the authority does not know this token; make another on the master's host (`token`)")]
    TokenUnknown,
    /// The token has expired.
    #[error("the token has expired; make another on the master's host (`token`)")]
    TokenExpired,
    /// The token has no uses left.
    #[error(
        "the token has been used up ({uses} of {uses}); make another on the master's host (`token`)"
    )]
    TokenUsedUp {
        /// Its number of uses.
        uses: u32,
    },
    /// The token is for another role.
    #[error("the token is for a {allowed}, not for a {asked}")]
    TokenRole {
        /// The token's role.
        allowed: Role,
        /// The role asked for.
        asked: Role,
    },
    /// The name is invalid.
    #[error(
        "`{name}` is not a valid process name: use letters, digits, `_`, and between them `-` and `.`, at most 63"
    )]
    Name {
        /// The name asked for.
        name: String,
    },
    /// This process issues no certificates.
    #[error("the process asked issues no certificates; join at the master")]
    NoAuthority,
    /// The authority failed.
    #[error("the authority cannot issue a certificate at the moment; see the log of the master")]
    AuthorityFailed,
    /// Too many peers.
    #[error("the process asked has {peers} connections and takes no more")]
    Full {
        /// The number of peers.
        peers: usize,
    },
    /// The handshake took too long.
    #[error("the handshake was not completed in time")]
    Timeout,
    /// The handshake is invalid.
    #[error("the handshake is broken: {why}")]
    Malformed {
        /// The reason.
        why: String,
    },
}

impl Refusal {
    /// Whether the reason is temporary and on the refusing side: the same process may be accepted later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::AuthorityFailed | Self::Full { .. } | Self::Timeout)
    }

    /// Encodes it as the reason of a closed connection, short enough for one packet.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Decodes a peer's bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((refusal, [])) => Some(refusal),
            _ => None,
        }
    }
}
