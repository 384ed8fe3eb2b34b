//! Messages: which there are, who may send them to whom, and how they are bytes.
//!
//! A message is postcard of a serde type: deterministic, and without references to itself. To add
//! one, add a row to the table of kinds and an `impl Message`. The table is also the law: an endpoint
//! closes the connection to a peer that sends what its role may not. What blocks are for has such a
//! table as well.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::frame::{Frame, FrameError, FrameKind};
use super::role::Role;
use crate::id::{Attempt, BlockId, Epoch, Partition, SourceId, StageId, TaskId, WorkerId};
use crate::sched::message::{ToMaster, ToPeer, ToWorker};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $($from:ident -> $to:ident),+;)*) => {
        /// What a message is. Codes are never used again for something else.
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
    /// What the driver of a master tells those of its workers, beside what its core says.
    MasterNote = 3: Master -> Worker;
    /// What the driver of a worker tells that of its master, beside what its core says.
    WorkerNote = 4: Worker -> Master;
    /// What a client asks.
    Ask = 5: Client -> Master;
    /// What it is told.
    Answer = 6: Master -> Client;
    /// What the driver of a worker tells that of another: what its core says, and what belongs to it.
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

/// A type that travels as a message.
pub trait Message: Serialize + DeserializeOwned {
    /// Its kind: one type per kind.
    const KIND: MessageKind;

    /// As a frame.
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

/// A message as it came: whole and undamaged, its content not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    kind: MessageKind,
    payload: Vec<u8>,
}

impl Received {
    /// A message of that kind.
    #[must_use]
    pub fn new(kind: MessageKind, payload: Vec<u8>) -> Self {
        Self { kind, payload }
    }

    /// Its kind: what to read it as.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Length of its payload in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.payload.len()
    }

    /// The message.
    ///
    /// # Errors
    /// When it is of another kind, or its payload is no `M`: answer by closing the connection.
    pub fn read<M: Message>(&self) -> Result<M, FrameError> {
        let found = FrameKind::Message(self.kind);
        if M::KIND != self.kind {
            return Err(FrameError::Unexpected { found });
        }
        decode(found, &self.payload)
    }
}

/// What a block on the bulk connection is. Kind, schema, length and checksum are in the
/// [`Preamble`](crate::block::Preamble) of the block itself, which follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// The epoch of its batch.
    pub epoch: Epoch,
    /// What it belongs to.
    pub cargo: Cargo,
    /// Which of its pieces this is: there are several where one would have been too large.
    pub piece: u32,
}

macro_rules! cargo {
    ($($(#[$doc:meta])* $name:ident($word:literal) { $($fields:tt)* }: $from:ident -> $to:ident;)*) => {
        /// What blocks are sent for; a message on the control connection says how many pieces there are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Cargo { $($(#[$doc])* $name { $($fields)* },)* }

        impl Cargo {
            /// As a word.
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

cargo! {
    /// What a task made for a partition of the receiver.
    Segment("a segment") {
        /// The block.
        id: BlockId,
        /// Which run of its producer made it.
        attempt: Attempt,
    }: Worker -> Worker;
    /// What leaves the job with a task, raw: parts of outputs, and what could not be read.
    Luggage("luggage") {
        /// The task.
        task: TaskId,
        /// Which run of it.
        attempt: Attempt,
    }: Worker -> Master;
    /// What a task is to read of a source whose data only the sender has, raw.
    Input("an input") {
        /// The task.
        task: TaskId,
    }: Master -> Worker;
    /// The state of a partition of a stage, which moves.
    State("a state") {
        /// The stage.
        stage: StageId,
        /// The partition.
        partition: Partition,
        /// Which part of it.
        tag: u64,
    }: Worker -> Worker;
    /// What a receiver has taken in, raw: a copy for another worker.
    Receipt("a receipt") {
        /// The worker that took it in.
        taker: WorkerId,
        /// The source.
        source: SourceId,
        /// The number that the receiver gave it.
        number: u64,
    }: Worker -> Worker;
    /// What a client sends, raw.
    Append("an append") {
        /// The client's number for it.
        number: u64,
    }: Client -> Worker;
}

/// `value` as a frame of that kind.
pub(crate) fn encode<T: Serialize>(kind: FrameKind, value: &T) -> Result<Vec<u8>, FrameError> {
    let mut failed = false;
    let frame = Frame::seal(kind, |room| {
        postcard::to_extend(value, room).unwrap_or_else(|_| {
            failed = true;
            Vec::new()
        })
    })?;
    // Only a type whose `Serialize` fails or does not know its length comes here: a mistake of ours.
    if failed { Err(FrameError::Payload { kind }) } else { Ok(frame) }
}

/// The value in a payload, which must be nothing but it.
pub(crate) fn decode<T: DeserializeOwned>(
    kind: FrameKind,
    payload: &[u8],
) -> Result<T, FrameError> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        _ => Err(FrameError::Payload { kind }),
    }
}
