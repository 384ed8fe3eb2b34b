//! What can go wrong, and how a connection ends; QUIC's own words turned into ours.

use std::io;
use std::net::SocketAddr;

use quinn::{ConnectionError, TransportErrorCode, VarInt};

use super::SmallBuffer;
use super::trust::TrustError;
use crate::wire::{FrameError, MessageKind, Refusal, Role};

/// Codes with which a connection is closed.
pub(super) const BYE: VarInt = VarInt::from_u32(0);
pub(super) const REFUSED: VarInt = VarInt::from_u32(1);
pub(super) const VIOLATION: VarInt = VarInt::from_u32(2);
pub(super) const SLOW: VarInt = VarInt::from_u32(3);
/// One of the two connections has gone silent, the other has not: that is no goodbye.
pub(super) const SILENT: VarInt = VarInt::from_u32(5);
/// Code with which a quic_stream is given up.
pub(super) const CANCELLED: VarInt = VarInt::from_u32(4);

/// Why an endpoint cannot be had, or a join has failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// An address that others can reach was not asked for.
    #[error(
        "{addr} can be reached from other hosts, which nobody asked for; name it with --listen if that is \
         meant"
    )]
    Public {
        /// The address.
        addr: SocketAddr,
    },
    /// The port cannot be had.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No thread or runtime.
    #[error("cannot start the thread of the network: {0}")]
    Start(io::Error),
    /// Keys, certificates, tokens.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The other side will not have this process.
    #[error("{addr} refuses this process: {refusal}")]
    Refused {
        /// Who.
        addr: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// Nobody there, or the connection broke.
    #[error("cannot join at {addr}: {reason}")]
    Broken {
        /// Who.
        addr: SocketAddr,
        /// Why.
        reason: CloseReason,
    },
}

/// What makes an endpoint less than it could be.
#[derive(Debug, thiserror::Error)]
pub enum NetWarning {
    /// Blocks are slower than they could be.
    #[error("{0}")]
    SmallBuffer(SmallBuffer),
    /// There are no lifelines.
    #[error(
        "cannot listen on TCP port {addr} as well: {source}; when the process of a worker ends, that is noticed \
         by its silence only"
    )]
    NoLifelines {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a message or block is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no such peer any more, or not yet: its `Closed` says why, or is on its way.
    #[error("not connected")]
    Gone,
    /// The peer reads too slowly and is being closed.
    #[error("the peer does not read: {unsent} bytes of messages wait for it")]
    Slow {
        /// Bytes waiting.
        unsent: usize,
    },
    /// This process may not say that to that peer.
    #[error("a {from} does not send {kind:?} to a {to}")]
    Role {
        /// What it is.
        kind: MessageKind,
        /// The role of this process.
        from: Role,
        /// The role of the peer.
        to: Role,
    },
    /// This process may not push that to that peer.
    #[error("a {from} does not push {cargo} to a {to}")]
    Push {
        /// What it is.
        cargo: &'static str,
        /// The role of this process.
        from: Role,
        /// The role of the peer.
        to: Role,
    },
    /// The message is too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This process closed it.
    #[error("closed by this process")]
    Local,
    /// The peer said goodbye, after everything else it had to say.
    #[error("the peer said goodbye")]
    Bye,
    /// One side will not have the other.
    #[error(transparent)]
    Refused(Refusal),
    /// Nobody answered.
    #[error("nobody answers there")]
    Unreachable,
    /// The process is there, but its port for blocks cannot be reached.
    #[error(
        "it answers, but not at {addr}, where it takes blocks; let UDP through to that port, which the \
         process there can be told to keep the same"
    )]
    NoBulk {
        /// Where it takes blocks.
        addr: SocketAddr,
    },
    /// The peer has gone silent: killed, cut off, or without any time to run.
    #[error("the peer has gone silent")]
    Silent,
    /// The peer's host runs another process there now.
    #[error("the peer is not the process it was")]
    Reset,
    /// The peer said something that makes no sense.
    #[error("the peer broke the protocol: {0}")]
    Violation(String),
    /// The peer says that of this process.
    #[error("the peer closed the connection since this process broke the protocol: {0}")]
    Accused(String),
    /// One side let messages wait until there were too many.
    #[error("messages were not read in time")]
    Slow,
    /// Something else between the two QUIC stacks.
    #[error("the connection broke: {0}")]
    Transport(String),
}

impl CloseReason {
    /// What the other side is told.
    pub(super) fn to_wire(&self) -> (VarInt, Vec<u8>) {
        match self {
            Self::Refused(refusal) => (REFUSED, refusal.to_bytes()),
            Self::Violation(why) => (VIOLATION, why.as_bytes().to_vec()),
            Self::Slow => (SLOW, Vec::new()),
            Self::Silent => (SILENT, Vec::new()),
            _ => (BYE, Vec::new()),
        }
    }
}

/// Texts of peers are cut at this length.
const TEXT_MAX: usize = 300;

impl From<ConnectionError> for CloseReason {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                let text = || printable(&close.reason);
                match close.error_code {
                    BYE => Self::Bye,
                    REFUSED => Refusal::from_bytes(&close.reason)
                        .map_or_else(|| Self::Refused(Refusal::Protocol), Self::Refused),
                    VIOLATION => Self::Accused(text()),
                    SLOW => Self::Slow,
                    SILENT => Self::Silent,
                    _ => Self::Transport(text()),
                }
            }
            ConnectionError::ConnectionClosed(close) => of_alert(close.error_code)
                .map_or_else(|| Self::Transport(close.to_string()), Self::Refused),
            ConnectionError::TransportError(error) => of_alert(error.code)
                .map_or_else(|| Self::Transport(error.to_string()), Self::Refused),
            ConnectionError::VersionMismatch => Self::Refused(Refusal::Protocol),
            ConnectionError::TimedOut => Self::Silent,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::LocallyClosed => Self::Local,
            ConnectionError::CidsExhausted => Self::Transport(error.to_string()),
        }
    }
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

/// What an alert of TLS means between processes of dstream.
fn of_alert(code: TransportErrorCode) -> Option<Refusal> {
    let alert = u64::from(code).checked_sub(0x100)?;
    Some(match alert {
        // certificate_expired: too old, or too young.
        45 => Refusal::CertificateTime,
        // bad_certificate, unsupported_certificate, certificate_revoked, certificate_unknown,
        // unknown_ca, access_denied, decrypt_error: an authority of the same name, but another key,
        // shows as the last of these.
        42..=44 | 46 | 48 | 49 | 51 => Refusal::NotOurs,
        // certificate_required
        116 => Refusal::NoCertificate,
        // protocol_version, no_application_protocol
        70 | 120 => Refusal::Protocol,
        _ => return None,
    })
}
