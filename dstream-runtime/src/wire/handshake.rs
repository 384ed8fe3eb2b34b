//! Handshakes: what two processes must agree on first.

use std::any::TypeId;
use std::fmt;

use rkyv::primitive::{ArchivedU32, ArchivedUsize};
use serde::{Deserialize, Serialize};

use super::frame::PROTOCOL;
use super::refusal::Refusal;
use super::role::Role;

/// Longest name of a process or job, in bytes: a label of a domain name.
pub const NAME_MAX: usize = 63;

/// Identifies a pair of connections between two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Session(pub [u8; 16]);

/// The secret that identifies a lifeline: an idle TCP connection of a worker or a standby to its master, where it is sent
/// unencrypted. It grants nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lifeline(pub [u8; 16]);

/// The public key of a process (Ed25519).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey(pub [u8; 32]);

/// A process's description of itself. Within a cluster, hellos differ only in the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the protocol.
    pub protocol: u8,
    /// Version of dstream.
    pub version: String,
    /// Hash of the plan; 0 for a client of another program, which has no plan.
    pub plan: u64,
    /// Format of its archives.
    pub format: u32,
    /// Its role, or the role that it asks for.
    pub role: Role,
    /// The job.
    pub job: String,
}

/// The layout of rkyv's archives in this build: blocks are read in place, so both sides must agree. Bit 0:
/// little-endian; bits 4..8: alignment of a u64; bits 8..16: width of a pointer.
#[must_use]
pub fn archive_format() -> u32 {
    // Each is a small property of a type.
    let little = u32::from(TypeId::of::<ArchivedU32>() == TypeId::of::<rkyv::rend::u32_le>());
    let align = align_of::<rkyv::primitive::ArchivedU64>() as u32;
    let pointer = (size_of::<ArchivedUsize>() * 8) as u32;
    little | align << 4 | pointer << 8
}

impl Hello {
    /// The hello of a process of this build.
    #[must_use]
    pub fn new(role: Role, job: &str, plan: u64) -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            plan,
            format: archive_format(),
            role,
            job: job.to_owned(),
        }
    }

    /// Checks another process's hello against this one.
    ///
    /// # Errors
    /// The first difference.
    pub fn judge(&self, other: &Self) -> Result<(), Refusal> {
        if other.protocol != self.protocol {
            return Err(Refusal::Protocol);
        }
        if other.version != self.version {
            let (expected, found) = (self.version.clone(), shorten(&other.version));
            return Err(Refusal::Version { expected, found });
        }
        if other.format != self.format {
            return Err(Refusal::Format { expected: self.format, found: other.format });
        }
        if other.job != self.job {
            let (expected, found) = (self.job.clone(), shorten(&other.job));
            return Err(Refusal::Job { expected, found });
        }
        if other.plan != self.plan && !self.is_foreign() && !other.is_foreign() {
            return Err(Refusal::Plan { expected: self.plan, found: other.plan });
        }
        if !other.role.may_talk_to(self.role) {
            return Err(Refusal::Pair { from: other.role, to: self.role });
        }
        Ok(())
    }
}

impl Hello {
    /// Whether it is a client of another program: it computes nothing, so it needs no plan.
    fn is_foreign(&self) -> bool {
        self.role == Role::Client && self.plan == 0
    }
}

/// The answer to [`Hello`]: the peer is accepted once its bulk connection is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The hello of the answering process.
    pub hello: Hello,
    /// The session for the bulk connection to name.
    pub session: Session,
    /// The bulk port, on the same host.
    pub bulk: u16,
    /// The expected lifeline, if any, on the TCP port with the number of the control port.
    pub lifeline: Option<Lifeline>,
}

/// The first frame of a bulk connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// The session from the control connection.
    pub session: Session,
}

/// Exchanges a token for a certificate. Sent inside TLS, to a process that has proved to hold the authority
/// named by the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The hello of the joiner.
    pub hello: Hello,
    /// The name that it asks for.
    pub name: String,
    /// The secret of the token.
    pub secret: [u8; 32],
    /// The key to certify.
    pub key: PublicKey,
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hello, name, secret: _, key } = self;
        f.debug_struct("Join")
            .field("hello", hello)
            .field("name", name)
            .field("key", key)
            .finish_non_exhaustive()
    }
}

/// The certificate for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// When it expires: milliseconds since the Unix epoch.
    pub until_ms: u64,
}

/// Asks for a new certificate with the role, job and name of the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// The key to certify.
    pub key: PublicKey,
}

/// The answer to [`Renew`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The certificate, or the reason for refusing.
    pub result: Result<Issued, Refusal>,
}

/// Checks that `name` is valid in a certificate.
///
/// # Errors
/// When it is not.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let outside = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
    let label = |label: &str| {
        let bytes = label.as_bytes();
        outside(bytes.first()) && outside(bytes.last()) && bytes.iter().copied().all(inside)
    };
    if name.len() <= NAME_MAX && name.split('.').all(label) {
        return Ok(());
    }
    Err(Refusal::Name { name: shorten(name) })
}

/// Shortens a peer's text for an error.
fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}
