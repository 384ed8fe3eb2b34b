//! Errors of the transport, and how connections end; converts QUIC's reasons into ours.

use std::io;
use std::net::SocketAddr;

use quinn::{ConnectionError, TransportErrorCode, VarInt};

use super::SmallBuffer;
use super::trust::TrustError;
use crate::wire::{FrameError, MessageKind, Refusal, Role};

/// Close code of a goodbye.
pub(super) const BYE: VarInt = VarInt::from_u32(0);
pub(super) const REFUSED: VarInt = VarInt::from_u32(1);
pub(super) const VIOLATION: VarInt = VarInt::from_u32(2);
pub(super) const SLOW: VarInt = VarInt::from_u32(3);
/// One of the two connections is silent while the other works: not a goodbye.
pub(super) const SILENT: VarInt = VarInt::from_u32(5);
/// Reset code of a cancelled QUIC stream.
pub(super) const CANCELLED: VarInt = VarInt::from_u32(4);

/// Why binding or joining failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address is public, and `public` is not set.
    #[error(
        "{addr} can be reached from other hosts, and was not asked for; name it with --listen if that is meant"
    )]
    Public {
        /// The address.
        addr: SocketAddr,
    },
    /// The port cannot be bound.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A thread or runtime cannot be started.
    #[error("cannot start the thread of the network: {0}")]
    Start(io::Error),
    /// Keys, certificates, tokens.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The other side refuses this process.
    #[error("{addr} refuses this process: {refusal}")]
    Refused {
        /// Its address.
        addr: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// The host is there, and no process has the port.
    #[error("no process listens at {addr}")]
    NotThere {
        /// The address.
        addr: SocketAddr,
    },
    /// Unreachable, or the connection broke.
    #[error("cannot join at {addr}: {reason}")]
    Broken {
        /// Its address.
        addr: SocketAddr,
        /// Why.
        reason: CloseReason,
    },
}

/// A limitation of an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum NetWarning {
    /// Blocks are slower than possible.
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
    /// No such peer is connected; its `Closed` event says why, or follows.
    #[error("not connected")]
    Gone,
    /// The peer reads too slowly and is being closed.
    #[error("the peer does not read: {unsent} bytes of messages wait for it")]
    Slow {
        /// Unsent bytes.
        unsent: usize,
    },
    /// This role may not send that message to that peer.
    #[error("a {from} does not send {kind:?} to a {to}")]
    Role {
        /// The message.
        kind: MessageKind,
        /// The role of this process.
        from: Role,
        /// The role of the peer.
        to: Role,
    },
    /// This role may not push that block to that peer.
    #[error("a {from} does not push {kind} to a {to}")]
    Push {
        /// The kind of block.
        kind: &'static str,
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
    /// The peer said goodbye, after everything else it sent.
    #[error("the peer said goodbye")]
    Bye,
    /// One side refuses the other.
    #[error(transparent)]
    Refused(Refusal),
    /// No answer.
    #[error("no answer")]
    Unreachable,
    /// The process answers on control, but its bulk port cannot be reached.
    #[error(
        "it answers, but not at {addr}, where it takes blocks; let UDP through to that port, which the \
         process there can be told to keep the same"
    )]
    NoBulk {
        /// The address of bulk.
        addr: SocketAddr,
    },
    /// The peer is silent: killed, cut off, or without CPU time.
    #[error("the peer has gone silent")]
    Silent,
    /// The peer's host runs another process at that address now.
    #[error("the peer is not the process it was")]
    Reset,
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Violation(String),
    /// The peer says that this process broke the protocol.
    #[error("the peer closed the connection since this process broke the protocol: {0}")]
    Accused(String),
    /// Too many messages waited to be sent.
    #[error("messages were not read in time")]
    Slow,
    /// Any other failure of QUIC.
    #[error("the connection broke: {0}")]
    Transport(String),
}

impl CloseReason {
    /// The code and text for the other side.
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

/// Longest text taken from a peer, in characters.
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

/// The meaning of a TLS alert between dstream processes.
fn of_alert(code: TransportErrorCode) -> Option<Refusal> {
    let alert = u64::from(code).checked_sub(0x100)?;
    Some(match alert {
        // certificate_expired: expired or not valid yet.
        45 => Refusal::CertificateTime,
        // bad_certificate, unsupported_certificate, certificate_revoked, certificate_unknown, unknown_ca,
        // access_denied, decrypt_error. The last is what an authority of the same name with another key
        // causes.
        42..=44 | 46 | 48 | 49 | 51 => Refusal::NotOurs,
        // certificate_required
        116 => Refusal::NoCertificate,
        // protocol_version, no_application_protocol
        70 | 120 => Refusal::Protocol,
        _ => return None,
    })
}
