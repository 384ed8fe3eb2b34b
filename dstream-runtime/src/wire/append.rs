//! What a client and a receiver tell each other: one stream per connection.
//!
//! ```text
//! client -> receiver   Open            which stream, who sends, and the number that comes first
//! receiver -> client   Opened          how its lines are read, and how much may wait
//! client -> receiver   Append          whole lines, numbered without gaps; long ones as a block of
//!                                      `Cargo::Append` instead, which may overtake
//! receiver -> client   Acknowledged    everything up to a number is safe
//! receiver -> client   Refused         no more of this stream on this connection
//! ```
//!
//! A client that comes back sends everything again that was not acknowledged, here or elsewhere: what
//! has been taken in before is recognised by client and number.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::message::{Message, MessageKind};
use crate::record::Format;

/// Appends of at most so many bytes lie in their message: a block of its own costs more.
pub const APPEND_INLINE: usize = 16 << 10;

/// Who numbers appends: one stream of what a client sends, for the life of that stream.
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
    /// The first; once more with a header, as long as nothing was appended.
    Open {
        /// The name of the stream.
        stream: String,
        /// Who numbers the appends.
        client: ClientId,
        /// The number of the first append that will be sent.
        first: u64,
        /// The row with the names of the columns, if the lines are CSV and the stream wants one.
        header: Option<String>,
    },
    /// Whole lines.
    Append {
        /// Counts up by one, from 1 for a new client.
        number: u64,
        /// The lines.
        #[serde(with = "serde_bytes")]
        lines: Vec<u8>,
    },
}

/// From a receiver to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClient {
    /// The stream can be appended to.
    Opened {
        /// How its lines are read.
        format: Format,
        /// Whether rows of CSV need a header, and none was given.
        wants_header: bool,
        /// How many bytes may be sent and not be acknowledged.
        window: u64,
        /// How long an append may be, in bytes.
        longest: u32,
    },
    /// Everything up to that number is safe: it will be part of a batch, exactly once.
    Acknowledged {
        /// The highest number.
        through: u64,
    },
    /// Nothing more is taken in.
    Refused {
        /// Why, and what to do.
        why: String,
        /// Whether another receiver may take it.
        elsewhere: bool,
    },
}

impl Message for ToReceiver {
    const KIND: MessageKind = MessageKind::ToReceiver;
}

impl Message for ToClient {
    const KIND: MessageKind = MessageKind::ToClient;
}
