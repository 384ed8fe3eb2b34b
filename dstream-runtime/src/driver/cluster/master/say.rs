//! What is said to workers, and what travels with it.

use super::Driver;
use crate::driver::cluster::note::{MasterNote, Opened};
use crate::driver::cluster::transfers::Purpose;
use crate::driver::cluster::worker::BlockRange;
use crate::driver::cluster::{ClusterNews, GRACE};
use crate::host;
use crate::id::{BatchSeq, Epoch, Partition, SourceId, TaskId, WorkerId};
use crate::net::{PeerId, SendError};
use crate::sched::message::{TaskInput, ToWorker};
use crate::source::receive::receiver_of;
use crate::wire::{BlockHeader, BlockKind, Message};

impl Driver<'_> {
    /// Sends a message of the core. What cannot be sent was for a worker that is gone: its `Closed` is on
    /// its way.
    pub(super) fn tell(&mut self, worker: WorkerId, message: &ToWorker) {
        if let ToWorker::Begin { oldest, .. } | ToWorker::Release { oldest, .. } = message
            && self.transfers.over(*oldest)
        {
            self.forget_arrivals();
        }
        let Some(peer) = self.members.peer(worker) else { return };
        match message {
            ToWorker::Begin { batch, ranges, .. } => {
                self.carry(peer, *batch, ranges);
                self.tell_receivers(worker, *batch, ranges);
            }
            ToWorker::Speculate { task, .. } => {
                if let Some(source) = self.plan.stage(task.stage).source() {
                    self.carry_input(peer, task.batch, source, task.partition);
                }
            }
            ToWorker::Recover(recover) => {
                for batch in &recover.batches {
                    self.carry(peer, batch.batch, &batch.ranges);
                }
                if let Some(row) = recover.rows.last()
                    && let Some((workers, _)) = self.placed(recover.epoch, &row.placement)
                {
                    let (epoch, first) = (recover.epoch, recover.oldest);
                    let moved = recover.lost.len() as u32;
                    self.master.tell(&ClusterNews::Recovering { epoch, first, workers, moved });
                }
            }
            ToWorker::Place { epoch, placement, first, .. } => {
                if let Some((workers, moved)) = self.placed(*epoch, placement) {
                    let (epoch, first) = (*epoch, *first);
                    self.master.tell(&ClusterNews::Placed { epoch, first, workers, moved });
                }
            }
            ToWorker::Abandon { from, .. } => {
                self.transfers.abandon(*from);
                self.forget_arrivals();
            }
            _ => {}
        }
        self.send(peer, message);
    }

    pub(super) fn send<M: Message>(&self, peer: PeerId, message: &M) {
        if let Err(SendError::Frame(error)) = self.net.send(peer, message) {
            // Bounds on batches keep messages far below a frame's length.
            self.net.accuse(peer, &format!("it cannot be told what it should do: {error}"));
        }
    }

    /// Workers make room for more when a batch has what they have received, also if another worker reads it.
    fn tell_receivers(&self, reader: WorkerId, batch: BatchSeq, inputs: &[TaskInput]) {
        for range in inputs.iter().flat_map(|input| &input.ranges) {
            if let Some((receiver, source)) =
                receiver_of(&range.split).filter(|(of, _)| *of != reader)
            {
                let numbers = BlockRange { receiver, source, from: range.start, to: range.end };
                self.tell_note(receiver, &MasterNote::Taken { batch, numbers });
            }
        }
    }

    /// Sends what the tasks of a batch read: to a worker of this process all of it, to others what only this
    /// process has.
    fn carry(&mut self, peer: PeerId, batch: BatchSeq, inputs: &[TaskInput]) {
        if !self.net.passes_values(peer) {
            for input in inputs {
                self.carry_input(peer, batch, input.source, input.partition);
            }
            return;
        }
        let opened = inputs.iter().flat_map(|input| {
            let tasks = self.readers(batch, input.source, input.partition);
            tasks.filter_map(|task| Some((task, Opened(self.master.input(task)?))))
        });
        let opened: Vec<_> = opened.collect();
        self.send(peer, &MasterNote::Opened(opened));
    }

    /// The tasks that read an input.
    fn readers(
        &self,
        batch: BatchSeq,
        source: SourceId,
        partition: Partition,
    ) -> impl Iterator<Item = TaskId> + use<> {
        let rows = self.plan.stages.iter().filter(move |row| row.source() == Some(source));
        rows.map(move |row| TaskId { batch, stage: row.id, partition })
    }

    /// Sends what a task reads, if only this process has it.
    fn carry_input(
        &mut self,
        peer: PeerId,
        batch: BatchSeq,
        source: SourceId,
        partition: Partition,
    ) {
        for task in self.readers(batch, source, partition) {
            let Some(input) = self.master.input(task) else { continue };
            let (carried, blocks) = match input.carried() {
                Ok(Some(carried)) => carried,
                Ok(None) => continue,
                Err(error) => {
                    let why = error.to_string();
                    self.send(peer, &MasterNote::Unreadable { task, why });
                    continue;
                }
            };
            let epoch = self.members.epoch();
            let header = |piece| BlockHeader { epoch, kind: BlockKind::Input { task }, piece };
            let blocks: Vec<_> =
                blocks.into_iter().zip(0..).map(|(block, piece)| (header(piece), block)).collect();
            let pieces = blocks.len() as u32;
            self.send(peer, &MasterNote::Input { task, carried, pieces });
            if pieces > 0
                && let Ok(transfer) = self.net.push_blocks(peer, blocks)
            {
                self.transfers.add(Purpose { to: peer, task, attempt: None }, transfer);
            }
        }
    }

    /// Drops partial arrivals that are not needed any more: their senders have given them up.
    fn forget_arrivals(&mut self) {
        let transfers = &self.transfers;
        self.arrivals.forget(|(_, task, _)| !transfers.needs(task.batch));
    }

    /// A placement holds; from the first on, workers of another master's time have so long to come. How many
    /// workers own something and how many partitions have moved, the first time it is heard of.
    fn placed(&mut self, epoch: Epoch, placement: &[WorkerId]) -> Option<(u32, u32)> {
        let news = self.members.placed(epoch, placement)?;
        if !self.receivers.is_placed() {
            self.grace = Some(host::now() + GRACE);
            if let Some(may_listen) = self.losses.goes_on() {
                self.receivers.goes_on(may_listen, host::now());
            }
        }
        let members = &self.members;
        self.receivers.placed(placement, |worker| members.peer(worker).is_some());
        self.assign_receivers();
        Some(news)
    }

    /// Received blocks of batches that will not run again can be dropped.
    pub(super) fn say_spent(&mut self) {
        let before = self.master.spent();
        let Some(over) = self.receivers.over(before) else { return };
        let forget = |(source, receiver, blocks)| MasterNote::Forget { source, receiver, blocks };
        let notes = over.into_iter().map(forget).chain([MasterNote::Spent { before }]);
        for note in notes {
            self.members.ready_peers().for_each(|peer| self.send(peer, &note));
        }
    }

    pub(super) fn tell_note(&self, worker: WorkerId, note: &MasterNote) {
        if let Some(peer) = self.members.peer(worker) {
            self.send(peer, note);
        }
    }
}
