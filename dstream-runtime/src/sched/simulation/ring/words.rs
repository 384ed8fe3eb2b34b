//! What the small drivers say to each other, beside what cores say.

use serde::{Deserialize, Serialize};

use crate::id::WorkerId;
use crate::net::simulation::Host;
use crate::sched::message::{ToMaster, ToPeer};
use crate::wire::{Message, MessageKind};

/// From a master to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Its number.
    Welcome(WorkerId),
    /// All workers that are there.
    Crew(Vec<(WorkerId, Host)>),
    /// The master lives.
    Alive,
    /// It has been given up.
    JoinAgain,
}

/// From a worker to its master.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It can be called.
    Ready,
    /// With the result of a task that makes an output.
    Said(ToMaster, Option<u64>),
    /// Its connection to another one has ended.
    Unreachable(WorkerId),
}

/// Between workers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Aside {
    /// Who calls.
    Hello(WorkerId),
    Said(ToPeer, Freight),
}

/// What blocks, or a state, hold.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Freight {
    Here(Vec<u64>),
    /// So many blocks come beside the message, under this number.
    Sent {
        number: u64,
        pieces: u32,
    },
}

impl Message for Order {
    const KIND: MessageKind = MessageKind::MasterNote;
}

impl Message for Report {
    const KIND: MessageKind = MessageKind::WorkerNote;
}

impl Message for Aside {
    const KIND: MessageKind = MessageKind::PeerNote;
}
