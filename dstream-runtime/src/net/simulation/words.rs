//! The messages and blocks of simulated processes: each names its origin, from which its content follows.

use serde::{Deserialize, Serialize};

use super::hash;
use crate::block::{Block, BufferPool, Bytes};
use crate::id::{Attempt, BatchSeq, BlockId, Epoch, Partition, StageId, TailId, TaskId};
use crate::net::{Net, PeerId, SendError, Transfer};
use crate::wire::{BlockHeader, BlockKind, Message, MessageKind, Received, Role};

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct EndId {
    pub(super) process: u64,
    pub(super) peer: u64,
}

impl EndId {
    pub(super) fn new(process: u64, peer: PeerId) -> Self {
        Self { process, peer: peer.0 }
    }
}

/// The position of a message or block among those sent at an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) end: EndId,
    pub(super) number: u64,
}

impl Origin {
    /// The filling bytes.
    fn filling(self, len: usize) -> Vec<u8> {
        let mut state = hash(&[self.end.process, self.end.peer, self.number]);
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            state = hash(&[state]);
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Content {
    origin: Origin,
    #[serde(with = "serde_bytes")]
    filling: Vec<u8>,
}

/// Each pair of roles has its own message type.
macro_rules! words {
    ($($name:ident)*) => {$(
        #[derive(Clone, Serialize, Deserialize)]
        #[serde(transparent)]
        struct $name(Content);

        impl Message for $name {
            const KIND: MessageKind = MessageKind::$name;
        }
    )*};
}

words! { ToMaster ToWorker ToPeer }

/// Sends a message with that much filling.
pub(super) fn say(
    net: &Net,
    (from, to): (Role, Role),
    peer: PeerId,
    origin: Origin,
    len: usize,
) -> Result<(), SendError> {
    let content = Content { origin, filling: origin.filling(len) };
    match (from, to) {
        (Role::Master, _) => net.send(peer, &ToWorker(content)),
        (_, Role::Master) => net.send(peer, &ToMaster(content)),
        _ => net.send(peer, &ToPeer(content)),
    }
}

/// Reads a message; fails if it is not what was sent.
pub(super) fn read(message: Received) -> Result<Origin, String> {
    let content = match message.kind() {
        MessageKind::ToMaster => message.read::<ToMaster>().map(|word| word.0),
        MessageKind::ToWorker => message.read::<ToWorker>().map(|word| word.0),
        _ => message.read::<ToPeer>().map(|word| word.0),
    };
    let Content { origin, filling } = content.map_err(|error| error.to_string())?;
    let expected = origin.filling(filling.len());
    if expected == filling { Ok(origin) } else { Err(format!("{origin:?} has changed")) }
}

fn header((from, to): (Role, Role), number: u64) -> BlockHeader {
    let task = TaskId { batch: BatchSeq(1), stage: StageId(0), partition: Partition(0) };
    let (attempt, tail) = (Attempt(0), TailId(0));
    let id = BlockId { producer: task, tail, partition: Partition(0) };
    let kind = match (from, to) {
        (Role::Master, _) => BlockKind::Input { task },
        (_, Role::Master) => BlockKind::TaskOutput { task, attempt },
        _ => BlockKind::Segment { id, attempt },
    };
    BlockHeader { epoch: Epoch(number), kind, piece: 0 }
}

/// Pushes blocks with fillings of these lengths, numbered from `first`.
pub(super) fn push(
    net: &Net,
    roles: (Role, Role),
    peer: PeerId,
    first: Origin,
    lens: &[usize],
) -> Result<Transfer, SendError> {
    let pool = BufferPool::new(0);
    let block = |(number, len): (u64, &usize)| {
        let origin = Origin { number, ..first };
        let ids = [origin.end.process, origin.end.peer, origin.number];
        let mut buffer = pool.take(24 + len);
        ids.iter().for_each(|id| buffer.bytes_mut().extend_from_slice(&id.to_le_bytes()));
        buffer.bytes_mut().extend_from_slice(&origin.filling(*len));
        (header(roles, number), Block::raw(buffer))
    };
    net.push_blocks(peer, (first.number..).zip(lens).map(block))
}

/// Reads a block and its length; fails if it is not what was sent.
pub(super) fn open(header: &BlockHeader, bytes: Bytes) -> Result<Origin, String> {
    let block = Block::open_raw(bytes).map_err(|error| error.to_string())?;
    let bytes = block.raw_bytes().map_err(|error| error.to_string())?;
    let (ids, filling) = bytes.split_at_checked(24).ok_or("a block is too short")?;
    let id = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| ids[at * 8 + byte]));
    let end = EndId { process: id(0), peer: id(1) };
    let origin = Origin { end, number: id(2) };
    if header.epoch.0 != origin.number || origin.filling(filling.len()) != filling {
        return Err(format!("block {origin:?} has changed"));
    }
    Ok(origin)
}
