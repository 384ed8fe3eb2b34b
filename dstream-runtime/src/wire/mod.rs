//! What goes over the wire between the processes of a cluster: frames, and what is in them.
//!
//! Everything here is a total function of bytes: no sockets, no clock. Whatever a peer sends is either
//! exactly one thing of this version or an error that names what is wrong with it; no length is
//! believed before it is compared with its bound.

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
pub use message::{BlockHeader, Cargo, Message, MessageKind, Received};
pub(crate) use message::{decode, encode};
pub use refusal::Refusal;
pub use role::Role;

#[cfg(test)]
mod tests;
