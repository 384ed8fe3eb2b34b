//! Messages between a client and a receiver: one stream per connection.
//!
//! ```text
//! client -> receiver   Open            the stream, the client, and the first number
//! receiver -> client   Opened          the format of lines, and the window
//! client -> receiver   Append          whole lines, numbered without gaps; long ones as a block of
//!                                      `BlockKind::Append`, which may overtake
//! receiver -> client   Acknowledged    everything up to a number is safe
//! receiver -> client   Refused         the stream ends on this connection
//! ```
//!
//! A client that reconnects, here or elsewhere, sends every unacknowledged append again. Appends received
//! before are recognised by client and number.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::message::{Message, MessageKind};
use crate::record::Format;

/// Longest append sent inside its message, in bytes: a block costs more.
pub const APPEND_INLINE: usize = 16 << 10;

/// Identifies the sender of a stream's appends, for the life of that stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId(pub u128);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// From a client to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToReceiver {
    /// The first message; repeated with a header while nothing has been appended.
    Open {
        /// The name of the stream.
        stream: String,
        /// The client that numbers the appends.
        client: ClientId,
        /// The number of the first append to follow.
        first: u64,
        /// The row of column names, if the lines are CSV and the stream needs one.
        header: Option<String>,
    },
    /// Whole lines.
    Append {
        /// Increases by one, from 1 for a new client.
        number: u64,
        /// The lines.
        #[serde(with = "serde_bytes")]
        lines: Vec<u8>,
    },
}

/// From a receiver to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClient {
    /// The stream accepts appends.
    Opened {
        /// The format of its lines.
        format: Format,
        /// Whether the stream needs a CSV header that was not given.
        wants_header: bool,
        /// Bytes that may be unacknowledged.
        window: u64,
        /// Longest append, in bytes.
        longest: u32,
    },
    /// Everything up to that number is safe: it becomes part of exactly one batch.
    Acknowledged {
        /// The highest number.
        through: u64,
    },
    /// The receiver takes no more of the stream.
    Refused {
        /// The reason, and what to do.
        why: String,
        /// Whether another receiver may take the stream.
        elsewhere: bool,
    },
}

impl Message for ToReceiver {
    const KIND: MessageKind = MessageKind::ToReceiver;
}

impl Message for ToClient {
    const KIND: MessageKind = MessageKind::ToClient;
}
