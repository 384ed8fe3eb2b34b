//! Messages: their kinds, their directions, and their encoding.
//!
//! A message is a serde type encoded with postcard, which is deterministic. To add one, add a row to the
//! table of kinds and an `impl Message`. An endpoint closes the connection to a peer that sends a kind its
//! role may not send. Kinds of blocks have such a table too.

use std::any::Any;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::frame::{Frame, FrameError, FrameKind};
use super::role::Role;
use crate::id::{Attempt, BlockId, Epoch, Partition, SourceId, StageId, TaskId, WorkerId};
use crate::sched::message::{ToMaster, ToPeer, ToWorker};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $($from:ident -> $to:ident),+;)*) => {
        /// The kind of a message. Codes are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum MessageKind { $($(#[$doc])* $name = $code,)* }

        impl MessageKind {
            pub(super) fn of(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// Whether a process of the role `from` may send it to one of the role `to`.
            #[must_use]
            pub fn may_go(self, from: Role, to: Role) -> bool {
                match self { $(Self::$name => [$((Role::$from, Role::$to)),+].contains(&(from, to)),)* }
            }
        }
    };
}

kinds! {
    /// [`ToWorker`].
    ToWorker = 0: Master -> Worker;
    /// [`ToMaster`].
    ToMaster = 1: Worker -> Master;
    /// [`ToPeer`].
    ToPeer = 2: Worker -> Worker;
    /// From a master's driver to its workers' drivers, beside the core's messages.
    MasterNote = 3: Master -> Worker;
    /// From a worker's driver to its master's driver, beside the core's messages.
    WorkerNote = 4: Worker -> Master;
    /// A client's question.
    Ask = 5: Client -> Master;
    /// The master's answer.
    Answer = 6: Master -> Client;
    /// Between workers' drivers: the core's messages with their attachments.
    PeerNote = 8: Worker -> Worker;
    /// [`ToReceiver`](super::ToReceiver).
    ToReceiver = 9: Client -> Worker;
    /// [`ToClient`](super::ToClient).
    ToClient = 10: Worker -> Client;
}

impl MessageKind {
    pub(super) const fn code(self) -> u8 {
        self as u8
    }
}

/// A type that is sent as a message: encoded to another process, as a clone within this one.
pub trait Message: Serialize + DeserializeOwned + Clone + Send + 'static {
    /// Its kind, unique to the type.
    const KIND: MessageKind;

    /// Encodes it as a frame.
    ///
    /// # Errors
    /// When it is longer than a frame may be.
    fn to_frame(&self) -> Result<Vec<u8>, FrameError> {
        encode(FrameKind::Message(Self::KIND), self)
    }
}

impl Message for ToWorker {
    const KIND: MessageKind = MessageKind::ToWorker;
}

impl Message for ToMaster {
    const KIND: MessageKind = MessageKind::ToMaster;
}

impl Message for ToPeer {
    const KIND: MessageKind = MessageKind::ToPeer;
}

/// A received message: whole and undamaged, not decoded yet.
pub struct Received {
    kind: MessageKind,
    content: Content,
}

enum Content {
    /// Of another process.
    Encoded(Vec<u8>),
    /// Of this process.
    Value(Box<dyn Any + Send>),
}

impl Received {
    /// An encoded message of that kind.
    #[must_use]
    pub fn new(kind: MessageKind, payload: Vec<u8>) -> Self {
        Self { kind, content: Content::Encoded(payload) }
    }

    /// A message of this process.
    pub(crate) fn value<M: Message>(message: M) -> Self {
        Self { kind: M::KIND, content: Content::Value(Box::new(message)) }
    }

    /// Its kind: what to read it as.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Length of its encoding in bytes; 0 for a message of this process.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match &self.content {
            Content::Encoded(payload) => payload.len(),
            Content::Value(_) => 0,
        }
    }

    /// The message, decoded if another process sent it.
    ///
    /// # Errors
    /// When it is of another kind or does not decode as `M`; close the connection then.
    pub fn read<M: Message>(self) -> Result<M, FrameError> {
        let found = FrameKind::Message(self.kind);
        if M::KIND != self.kind {
            return Err(FrameError::Unexpected { found });
        }
        match self.content {
            Content::Encoded(payload) => decode(found, &payload),
            Content::Value(value) => match value.downcast() {
                Ok(message) => Ok(*message),
                Err(_) => Err(FrameError::Unexpected { found }),
            },
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received({:?})", self.kind)
    }
}

/// The header of a block on the bulk connection. The block's own [`Preamble`](crate::block::Preamble)
/// follows with kind, schema, length and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// The epoch of its batch.
    pub epoch: Epoch,
    /// The kind and the place of the block.
    pub kind: BlockKind,
    /// The index of this piece; blocks that would be too long are sent in several.
    pub piece: u32,
}

macro_rules! block_kinds {
    ($($(#[$doc:meta])* $name:ident($word:literal) { $($fields:tt)* }: $from:ident -> $to:ident;)*) => {
        /// The purpose of a block; a message on the control connection gives the number of pieces.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum BlockKind { $($(#[$doc])* $name { $($fields)* },)* }

        impl BlockKind {
            /// The kind with its article.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => $word,)* }
            }

            /// Whether a process of the role `from` may send it to one of the role `to`.
            #[must_use]
            pub const fn may_go(&self, from: Role, to: Role) -> bool {
                match self {
                    $(Self::$name { .. } => matches!((from, to), (Role::$from, Role::$to)),)*
                }
            }

            /// Whether blocks of any kind go from a process of the role `from` to one of the role `to`.
            #[must_use]
            pub const fn any_may_go(from: Role, to: Role) -> bool {
                $(matches!((from, to), (Role::$from, Role::$to)))||*
            }
        }
    };
}

block_kinds! {
    /// A task's output for a partition of the receiver.
    Segment("a segment") {
        /// The block.
        id: BlockId,
        /// The attempt of its producer.
        attempt: Attempt,
    }: Worker -> Worker;
    /// A task's results for the master, raw: output parts and dead letters.
    TaskOutput("the output of a task") {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: Attempt,
    }: Worker -> Master;
    /// Input of a task whose data only the sender has, raw.
    Input("an input") {
        /// The task.
        task: TaskId,
    }: Master -> Worker;
    /// The state of a partition that moves.
    State("a state") {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// The tag of the part.
        tag: u64,
    }: Worker -> Worker;
    /// A copy of a received block for another worker, raw.
    ReceivedBlock("a received block") {
        /// The worker that received it.
        receiver: WorkerId,
        /// The source.
        source: SourceId,
        /// Its number at the receiver.
        number: u64,
    }: Worker -> Worker;
    /// A client's append, raw.
    Append("an append") {
        /// The client's number for it.
        number: u64,
    }: Client -> Worker;
}

/// Encodes `value` as a frame of that kind.
pub(crate) fn encode<T: Serialize>(kind: FrameKind, value: &T) -> Result<Vec<u8>, FrameError> {
    let mut failed = false;
    let frame = Frame::seal(kind, |room| {
        postcard::to_extend(value, room).unwrap_or_else(|_| {
            failed = true;
            Vec::new()
        })
    })?;
    // Only a type whose `Serialize` fails or has an unknown length ends here: a bug.
    if failed { Err(FrameError::Payload { kind }) } else { Ok(frame) }
}

/// Decodes a payload; trailing bytes are an error.
pub(crate) fn decode<T: DeserializeOwned>(
    kind: FrameKind,
    payload: &[u8],
) -> Result<T, FrameError> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        _ => Err(FrameError::Payload { kind }),
    }
}
