//! Messages in flight in a simulated cluster.

use std::collections::BTreeSet;

use super::reference::hash;
use crate::driver::cluster::node::{Answer, Note, Told};
use crate::id::*;
use crate::sched::message::*;

#[derive(Clone)]
pub(super) enum Message {
    /// With the result of a task that makes an output.
    ToMaster(WorkerId, ToMaster, Option<u64>),
    /// With the contents of blocks or of the state.
    ToPeer(WorkerId, WorkerId, ToPeer, Vec<u64>),
    /// Journal entries up to this one.
    Put(JournalSeq),
    Synced(JournalSeq),
    Fenced,
    /// A batch on its way to the outputs.
    Show(BatchSeq, Vec<(TaskId, u64)>),
    Published(BatchSeq),
    Cut(BatchSeq, SourceId),
    ToWorker(WorkerId, ToWorker),
    /// A heartbeat is due.
    Beat(WorkerId),
    /// The master's heartbeat.
    Alive(WorkerId),
    /// The master has admitted a worker.
    Welcome(WorkerId),
    /// The master has disconnected a worker.
    JoinAgain(WorkerId),
    /// A worker's link to another broke; its report to the master, and the time of the judgement.
    BrokenLink(WorkerId, WorkerId),
    Unreachable(WorkerId, WorkerId),
    Judge(WorkerId, WorkerId),
    /// An idle master checks that it is the newest.
    Look,
    /// Messages about pushed records: between workers, to the master, and from it.
    Told(WorkerId, WorkerId, Told),
    Note(WorkerId, Note),
    Answer(WorkerId, Answer),
    /// Reachable workers, and the draining ones among them.
    Crew(WorkerId, Vec<WorkerId>, BTreeSet<WorkerId>),
    /// A worker must stop receiving; its confirmation.
    StopReceiving(WorkerId),
    ReceivedAll(WorkerId),
    /// A worker is to listen at the source's address, or not to; whether it does.
    Receive(WorkerId, bool),
    Listens(WorkerId, bool),
    /// Workers may have to be told to listen.
    Open(u64),
    /// The workers that were there with another master have had time to come.
    Grace(u64),
    /// The grace period of an absent worker is over.
    Losses(u64),
    Ran(WorkerId, TaskId, Attempt, u64),
    Saved(WorkerId, Saved, u64),
    Loaded(WorkerId, Saved, Epoch),
    Left(WorkerId),
    Tick(u64),
}

/// Encodes a message as a number.
pub(super) fn mark(message: &Message) -> u64 {
    let numbers: [u64; 3] = match message {
        Message::ToMaster(from, said, part) => {
            let said = match said {
                ToMaster::TaskDone { task, .. } => 10 + task.batch.0,
                ToMaster::Saved(saved) => 1000 + saved.after.0,
                ToMaster::Placed { epoch } => 2000 + epoch.0,
                _ => 3,
            };
            [1, u64::from(from.0) << 32 | said, part.unwrap_or(0)]
        }
        Message::ToPeer(from, to, said, contents) => {
            [2, u64::from(from.0) << 32 | u64::from(to.0), hash(contents) ^ said.epoch().0]
        }
        Message::ToWorker(to, said) => [3, u64::from(to.0), said.epoch().0],
        Message::Put(seq) => [4, seq.0, 0],
        Message::Synced(seq) => [5, seq.0, 0],
        Message::Fenced => [6, 0, 0],
        Message::Show(batch, parts) => [7, batch.0, parts.len() as u64],
        Message::Published(batch) => [8, batch.0, 0],
        Message::Cut(batch, source) => [9, batch.0, u64::from(source.0)],
        Message::Ran(on, task, attempt, result) => {
            [10, u64::from(on.0), hash(&[task.batch.0, u64::from(attempt.0), *result])]
        }
        Message::Saved(on, saved, state) => [11, u64::from(on.0), state ^ saved.after.0],
        Message::Loaded(on, saved, _) => [12, u64::from(on.0), saved.after.0],
        Message::Left(worker) => [13, u64::from(worker.0), 0],
        Message::Tick(at) => [14, *at, 0],
        Message::Beat(worker) => [15, u64::from(worker.0), 0],
        Message::Alive(worker) => [16, u64::from(worker.0), 0],
        Message::Welcome(worker) => [34, u64::from(worker.0), 0],
        Message::JoinAgain(worker) => [17, u64::from(worker.0), 0],
        Message::BrokenLink(a, b) => [18, u64::from(a.0), u64::from(b.0)],
        Message::Unreachable(a, b) => [19, u64::from(a.0), u64::from(b.0)],
        Message::Look => [21, 0, 0],
        Message::Told(a, b, _) => [22, u64::from(a.0), u64::from(b.0)],
        Message::Note(from, _) => [23, u64::from(from.0), 0],
        Message::Answer(to, _) => [24, u64::from(to.0), 0],
        Message::Crew(to, crew, leaving) => {
            [25, u64::from(to.0), (crew.len() + 100 * leaving.len()) as u64]
        }
        Message::Grace(number) => [26, *number, 0],
        Message::Losses(due) => [30, *due, 0],
        Message::StopReceiving(worker) => [27, u64::from(worker.0), 0],
        Message::ReceivedAll(worker) => [28, u64::from(worker.0), 0],
        Message::Receive(worker, listens) => [31, u64::from(worker.0), u64::from(*listens)],
        Message::Listens(worker, listens) => [32, u64::from(worker.0), u64::from(*listens)],
        Message::Open(due) => [33, *due, 0],
        Message::Judge(a, b) => [20, u64::from(a.0), u64::from(b.0)],
    };
    hash(&numbers)
}
