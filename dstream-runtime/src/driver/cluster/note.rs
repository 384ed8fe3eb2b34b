//! What the drivers of a cluster tell each other beside what their cores say: who is who, and what
//! travels with a core's message.
//!
//! Small attachments lie in the message itself, since a QUIC stream of its own costs more than it does; large ones
//! come as blocks on the bulk connection, and the message says how many.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::JobSetup;
use super::worker::{BlockRange, Entry};
use crate::driver::worker::Leaving;
use crate::exec::task::{DeadLetter, DeadLetters};
use crate::id::{BatchSeq, OutputId, Partition, SourceId, StageId, TailId, TaskId, WorkerId};
use crate::sched::message::{ToMaster, ToPeer};
use crate::sink::Part;
use crate::source::receive::{RangeSet, ReceivedBlock, Refusal, Registered};
use crate::source::{Carried, Input};
use crate::wire::{Message, MessageKind};

/// Attachments of at most this many bytes lie in their message.
pub(super) const INLINE: usize = 16 << 10;

/// From the driver of a master to that of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum MasterNote {
    /// The first: who the worker is, and what it works on.
    Welcome {
        worker: WorkerId,
        setup: Box<JobSetup>,
        /// How often it should show that it lives, in milliseconds.
        heartbeat_ms: u64,
    },
    /// All workers there are; before any placement that names one of them.
    Crew(Vec<Peer>),
    /// What a task reads of a source whose data only the master has; before its batch begins.
    Input { task: TaskId, carried: Carried, pieces: u32 },
    /// The same, when it cannot be read.
    Unreadable { task: TaskId, why: String },
    /// Take in what clients send for a source, and, if it listens, what comes to the source's own address.
    Receive { source: SourceId, listens: bool },
    /// Receive nothing any more; what has come is still taken.
    StopReceiving,
    /// A batch takes these received blocks of the worker, and another worker reads them.
    Taken { batch: BatchSeq, numbers: BlockRange },
    /// What became of a received block.
    Registered {
        source: SourceId,
        receiver: WorkerId,
        number: u64,
        how: Result<Registered, Refusal>,
    },
    /// These received blocks of that worker will not be read again: the batches that took them are complete, and
    /// it, or those that have read them, are lost.
    Forget { source: SourceId, receiver: WorkerId, blocks: RangeSet },
    /// No process holds these received blocks of that worker any more, and the job goes on without them.
    Lost { source: SourceId, receiver: WorkerId, blocks: RangeSet },
    /// The worker wants to go, and cannot as long as there is no other.
    Kept { why: String },
    /// The worker leaves: it is to hand over what it holds of what clients have sent.
    HandOver,
    /// The worker holds nothing any more and may go.
    Dismissed,
    /// The job is over.
    Over,
    /// The worker is to give up what it has and join again, this master or the one that has taken over.
    JoinAgain { why: String },
    /// A sign of life when there is nothing else to say.
    Alive,
    /// The worker cannot stay, and why.
    Dismiss { why: String },
    /// The received blocks that batches before this one have read will not be read again.
    Spent { before: BatchSeq },
    /// The lifeline of the worker has ended: it is to say at once that it is there, if it is.
    Ping,
    /// What the tasks of a batch read, as it is: only within a process; before their batch begins. The last one, as
    /// variants that are skipped count when one is written and not when it is read.
    #[serde(skip)]
    Opened(Vec<(TaskId, Opened)>),
}

/// What a task reads.
#[derive(Clone)]
pub(super) struct Opened(pub(super) Input);

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.ranges.fmt(f)
    }
}

/// A worker, as the others need to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peer {
    pub(super) worker: WorkerId,
    pub(super) name: String,
    pub(super) addr: SocketAddr,
    /// It is about to leave: it is given nothing to keep any more.
    pub(super) leaves: bool,
    /// It is slow: it is given nothing to keep as long as there is another.
    pub(super) is_slow: bool,
}

/// From the driver of a worker to that of its master.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum WorkerNote {
    /// It has built the job and can be reached by the others.
    Ready { addr: SocketAddr, cores: u32, memory: u64 },
    /// A task is done, and something leaves the job with it.
    Done { message: ToMaster, output: TaskOutput },
    /// It would like to hand over what it holds and go.
    Leave,
    /// It has lost another worker that it needs.
    Unreachable {
        worker: WorkerId,
        why: String,
        /// It was silent for nearly as long as a lease, though the connection has not ended.
        silent: bool,
    },
    /// Its receiver for a source listens at this URL.
    Receiving { source: SourceId, url: String },
    /// It cannot have a receiver for a source.
    CannotReceive { source: SourceId, why: String },
    /// Its receiver has ended: nothing more will come of it.
    ReceivedAll { source: SourceId },
    /// It has received something.
    Received { source: SourceId, received_block: ReceivedBlock, records: u64 },
    /// It holds these, which were received when there was another master, and how many records each has.
    Holds { source: SourceId, blocks: Vec<(ReceivedBlock, u64)> },
    /// Of what had no copy, or one that is lost, another worker has a copy by now.
    Copied { source: SourceId, receiver: WorkerId, number: u64, by: WorkerId },
    /// Its tasks wait for these received blocks, which none of the `asked` workers has.
    Missing { all: Vec<BlockRange>, asked: Vec<WorkerId> },
    /// A state could not be saved, and why.
    NotSaved { stage: StageId, partition: Partition, why: String },
    /// It leaves, and another worker has these, as that one has said since.
    HeldBy { numbers: BlockRange, by: WorkerId },
    /// It leaves, and these workers have all that it held.
    HandedOver { to: Vec<WorkerId> },
    /// Its receiver for a source turned away this many more clients.
    TurnedAway { source: SourceId, clients: u64 },
    /// How much it holds, in bytes.
    Load { memory: u64, spilled: u64 },
    /// It is there, as it was asked.
    Pong,
}

/// Where the output of a `Done` is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum TaskOutput {
    /// Here.
    Here(#[serde(with = "serde_bytes")] Vec<u8>),
    /// In this many raw blocks.
    Sent(u32),
    /// Here, as it is: only within a process. The last one, as in [`MasterNote`].
    #[serde(skip)]
    Passed(Leaving),
}

/// From the driver of a worker to that of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum PeerNote {
    /// The first on a connection, from the worker that made it.
    Hello { worker: WorkerId },
    /// A sign of life.
    Alive,
    /// What the core says, and the blocks that belong to it.
    Said { message: ToPeer, attachment: Attachment },
    /// Keep a copy of what a worker has received: here, or in a block of its own.
    Copy {
        receiver: WorkerId,
        source: SourceId,
        number: u64,
        entry: Entry,
        #[serde(with = "serde_bytes")]
        here: Option<Vec<u8>>,
    },
    /// The copy is kept.
    Copied { receiver: WorkerId, source: SourceId, number: u64 },
    /// These will not be read any more.
    Drop(BlockRange),
    /// Send copies of these, or say that they are not there.
    Want(BlockRange),
    /// All that the sender holds of the time of another master; once, when the two first meet.
    Holding(Vec<BlockRange>),
    /// None of these is here.
    NotFound(BlockRange),
    /// The sender leaves: say which of these are here.
    Hold { round: u64, all: Vec<BlockRange> },
    /// Of what was asked about in that round, these are here.
    Held { round: u64, all: Vec<BlockRange> },
    /// The sender leaves, and that worker has these in its place.
    Instead { numbers: BlockRange, by: WorkerId },
}

/// The blocks that belong to a message between workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Attachment {
    /// What each is.
    pub(super) labels: Vec<Label>,
    /// Their bytes one after another, unless they come as blocks.
    #[serde(with = "serde_bytes")]
    pub(super) here: Option<Vec<u8>>,
}

/// What a block between workers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    pub(super) place: Place,
    /// Its length in bytes, header included.
    pub(super) len: u32,
}

/// Where a block between workers belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// What a task made for a partition.
    Segment(TailId, Partition),
    /// Part of a state, with its tag.
    State(u64),
}

impl Message for MasterNote {
    const KIND: MessageKind = MessageKind::MasterNote;
}

impl Message for WorkerNote {
    const KIND: MessageKind = MessageKind::WorkerNote;
}

impl Message for PeerNote {
    const KIND: MessageKind = MessageKind::PeerNote;
}

/// What leaves the job with a task, as it travels.
#[derive(Serialize, Deserialize)]
struct Packed {
    parts: Vec<PackedPart>,
    dead: Option<(SourceId, u64, Vec<DeadLetter>)>,
}

#[derive(Serialize, Deserialize)]
struct PackedPart {
    output: OutputId,
    partition: Partition,
    records: u64,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    #[serde(with = "serde_bytes")]
    header: Vec<u8>,
    #[serde(with = "serde_bytes")]
    preview: Vec<u8>,
}

/// What leaves the job with a task, as bytes; nothing if nothing does.
pub(super) fn pack(leaving: Leaving) -> Option<Vec<u8>> {
    if leaving.parts.is_empty() && leaving.dead.is_none() {
        return None;
    }
    let parts = leaving.parts.into_iter().map(|(output, part, preview)| PackedPart {
        output,
        partition: part.partition,
        records: part.records,
        bytes: Arc::unwrap_or_clone(part.bytes),
        header: part.header.to_vec(),
        preview,
    });
    let dead = leaving.dead.map(|(source, dead)| (source, dead.count, dead.first));
    let packed = Packed { parts: parts.collect(), dead };
    // Into memory, of types that know their lengths: it cannot fail.
    postcard::to_extend(&packed, Vec::new()).ok()
}

/// What was packed; nothing if it was not.
pub(super) fn unpack(bytes: &[u8]) -> Option<Leaving> {
    let (packed, rest): (Packed, _) = postcard::take_from_bytes(bytes).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let part = |packed: PackedPart| {
        let part = Part {
            partition: packed.partition,
            records: packed.records,
            bytes: Arc::new(packed.bytes),
            header: Arc::from(packed.header),
        };
        (packed.output, part, packed.preview)
    };
    Some(Leaving {
        parts: packed.parts.into_iter().map(part).collect(),
        dead: packed.dead.map(|(source, count, first)| (source, DeadLetters { count, first })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_out_as_they_went_in() {
        let notes = [MasterNote::StopReceiving, MasterNote::Over, MasterNote::Ping];
        for note in notes {
            let bytes = postcard::to_allocvec(&note).unwrap();
            let back: MasterNote = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(format!("{back:?}"), format!("{note:?}"));
        }
        assert!(postcard::to_allocvec(&MasterNote::Opened(Vec::new())).is_err());
        assert!(postcard::to_allocvec(&TaskOutput::Passed(Leaving::default())).is_err());
    }

    #[test]
    fn what_leaves_comes_out_as_it_went_in() {
        let part = Part {
            partition: Partition(3),
            records: 2,
            bytes: Arc::new(b"a,1\nb,2\n".to_vec()),
            header: Arc::from(b"key,n".as_slice()),
        };
        let letter = DeadLetter {
            split: "views.json".to_owned(),
            position: 7,
            reason: "no JSON".to_owned(),
            text: "{".to_owned(),
        };
        let leaving = Leaving {
            parts: vec![(OutputId(1), part, b"a,1".to_vec())],
            dead: Some((SourceId(2), DeadLetters { count: 9, first: vec![letter.clone()] })),
        };
        let bytes = pack(leaving).unwrap();
        let back = unpack(&bytes).unwrap();
        let (output, part, preview) = &back.parts[0];
        assert_eq!((*output, part.partition, part.records), (OutputId(1), Partition(3), 2));
        assert_eq!(
            (&part.bytes[..], &part.header[..], &preview[..]),
            (&b"a,1\nb,2\n"[..], &b"key,n"[..], &b"a,1"[..])
        );
        let (source, dead) = back.dead.unwrap();
        assert_eq!((source, dead.count, dead.first), (SourceId(2), 9, vec![letter]));
        assert!(pack(Leaving::default()).is_none());
        assert!(unpack(&bytes[..bytes.len() - 1]).is_none());
    }
}
