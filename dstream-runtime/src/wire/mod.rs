//! The wire format between the processes of a cluster: frames and their payloads.
//!
//! Everything here is a total function of bytes, without sockets or clocks. Any bytes either decode to
//! exactly one value of this version or give an error that names the reason; a length is checked against its
//! bound before it is used.

mod append;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handshake;
mod message;
mod refusal;
mod role;

pub use append::{APPEND_INLINE, ClientId, ToClient, ToReceiver};
pub use frame::{FRAME_HEADER, Frame, FrameError, FrameHeader, FrameKind, LONGEST, PROTOCOL};
pub use handshake::{
    Attach, Hello, Issued, Join, Lifeline, NAME_MAX, PublicKey, Renew, Renewed, Session, Welcome,
    archive_format, check_name,
};
pub use message::{BlockHeader, BlockKind, Message, MessageKind, Received};
pub(crate) use message::{decode, encode};
pub use refusal::Refusal;
pub use role::Role;

#[cfg(test)]
mod tests;
