//! What the worker half asks for, and what is said to the master and to other workers.
//!
//! Whatever waits to be sent is kept by the store of blocks, so it is within the bound of memory however slow
//! the one is who is to get it.

use super::{Driver, Over};
use crate::block::DecodeError;
use crate::driver::cluster::note::{
    Attachment, INLINE, Label, PeerNote, Place, TaskOutput, WorkerNote, pack,
};
use crate::driver::cluster::transfers::Purpose;
use crate::driver::cluster::{ClusterError, raw};
use crate::driver::worker::{Asks, Leaving, Segment};
use crate::exec::task::SavedState;
use crate::id::{BlockId, Epoch, Partition, StageId, WorkerId};
use crate::net::{PeerId, SendError, Transfer};
use crate::sched::message::{ToMaster, ToPeer};
use crate::sched::worker::RunTask;
use crate::source::receive;
use crate::store::KeptBlock;
use crate::wire::{BlockHeader, BlockKind, Message};

impl Driver<'_> {
    pub(super) fn tell_master(&mut self, note: &WorkerNote) {
        self.send_master(note);
    }

    /// What cannot be sent was for a master that is gone: its `Closed` is on its way.
    pub(super) fn send_master<M: Message>(&mut self, message: &M) {
        if let Err(SendError::Frame(error)) = self.net.send(self.master, message) {
            let why = format!("a message does not fit into a frame: {error}");
            self.over = Some(Over::Failed(ClusterError::Broken { why }));
        }
    }

    pub(super) fn asked(&mut self, asks: Asks) {
        match asks {
            Asks::Read(run) => {
                if let Some(run) = self.inputs.hold(run) {
                    self.start(run);
                }
            }
            Asks::Report(message @ ToMaster::Joined { .. }, _) => {
                self.joining = Some(message);
                self.join();
            }
            Asks::Report(message, leaving) => self.report(message, leaving),
            Asks::Tell(to, message, segments) => self.tell_peer(to, message, segments),
            Asks::Save { stage, partition, after, continues } => {
                self.save(stage, partition, after, continues);
            }
            Asks::Load { state, recovery } => self.load(state, recovery),
            Asks::Move { to, epoch, stage, partition } => {
                match self.worker.give_up(stage, partition) {
                    Ok(saved) => self.hand_over(to, epoch, stage, partition, saved),
                    Err(error) => {
                        let why =
                            format!("the state of {stage}, {partition} cannot be moved: {error}");
                        self.over = Some(Over::Failed(ClusterError::Broken { why }));
                    }
                }
            }
        }
    }

    pub(super) fn start(&mut self, run: RunTask) {
        let missing = self.replicas.missing(&run.ranges);
        if !missing.is_empty() {
            return self.want(run, &missing);
        }
        let opened = match run.ranges.first() {
            // A partition whose owner has received nothing.
            None => self.replicas.open(&[]),
            Some(range) if receive::receiver_of(&range.split).is_some() => {
                self.replicas.open(&run.ranges)
            }
            Some(_) => self.inputs.open(&run),
        };
        match opened {
            Ok(input) => self.worker.start(run, Some(input)),
            Err(error) => self.worker.refuse(&run, &error.into()),
        }
    }

    fn tell_peer(&mut self, to: WorkerId, message: ToPeer, segments: Vec<Segment>) {
        let task = match &message {
            ToPeer::Produced { task, attempt, .. } => Some((*task, *attempt)),
            ToPeer::State { .. } | ToPeer::Want { .. } => None,
        };
        let blocks = segments.into_iter().map(|segment| {
            let Segment { tail, partition, block } = segment;
            (Place::Segment(tail, partition), block)
        });
        let kind = |place| match (task, place) {
            (Some((producer, attempt)), Place::Segment(tail, partition)) => {
                let id = BlockId { producer, tail, partition };
                Some(BlockKind::Segment { id, attempt })
            }
            _ => None,
        };
        let sent = self.send_peer(to, message, blocks.collect(), &kind);
        if let (Some((to, transfer)), Some((task, attempt))) = (sent, task) {
            self.transfers.add(Purpose { to, task, attempt: Some(attempt) }, transfer);
        }
    }

    fn hand_over(
        &mut self,
        to: WorkerId,
        epoch: Epoch,
        stage: StageId,
        partition: Partition,
        saved: SavedState,
    ) {
        let keep = |block| self.kernels.blocks.keep(block);
        let blocks = saved.parts.into_iter().map(|(tag, block)| (Place::State(tag), keep(block)));
        let message = ToPeer::State { epoch, stage, partition };
        let kind = |place| match place {
            Place::State(tag) => Some(BlockKind::State { stage, partition, tag }),
            Place::Segment(..) => None,
        };
        let blocks = blocks.collect();
        let sent = self.send_peer(to, message, blocks, &kind);
        self.moving.extend(sent.map(|(_, transfer)| transfer));
    }

    fn report(&mut self, message: ToMaster, leaving: Leaving) {
        let task = match &message {
            ToMaster::TaskDone { task, attempt, epoch, .. } => Some((*task, *attempt, *epoch)),
            _ => None,
        };
        if task.is_some() && self.net.passes_values(self.master) {
            let output = TaskOutput::Passed(leaving);
            return self.tell_master(&WorkerNote::Done { message, output });
        }
        let (Some((task, attempt, epoch)), Some(bytes)) = (task, pack(leaving)) else {
            return self.send_master(&message);
        };
        if bytes.len() <= INLINE {
            return self
                .tell_master(&WorkerNote::Done { message, output: TaskOutput::Here(bytes) });
        }
        let kind = BlockKind::TaskOutput { task, attempt };
        let header = |piece| BlockHeader { epoch, kind, piece };
        let blocks = raw::pieces(&self.pool, &bytes).into_iter().zip(0..);
        let keep = |block| self.kernels.blocks.keep(block);
        let blocks: Vec<_> = blocks.map(|(block, piece)| (header(piece), keep(block))).collect();
        let output = TaskOutput::Sent(blocks.len() as u32);
        self.tell_master(&WorkerNote::Done { message, output });
        if let Ok(transfer) = self.net.push_blocks(self.master, blocks) {
            // Also of two runs of a task: the master compares what they made.
            self.transfers.add(Purpose { to: self.master, task, attempt: None }, transfer);
        }
    }

    /// Sends a message and its blocks to another worker. One that cannot be reached any more is said to
    /// be so when its connection ends.
    fn send_peer(
        &mut self,
        to: WorkerId,
        message: ToPeer,
        blocks: Vec<(Place, KeptBlock)>,
        kind: &dyn Fn(Place) -> Option<BlockKind>,
    ) -> Option<(PeerId, Transfer)> {
        let peer = self.peers.peer(to)?;
        let epoch = message.epoch();
        let label = |(place, block): &(Place, KeptBlock)| Label {
            place: *place,
            len: block.byte_len() as u32,
        };
        let labels: Vec<Label> = blocks.iter().map(label).collect();
        let total: usize = labels.iter().map(|label| label.len as usize).sum();
        let here = match (total <= INLINE).then(|| together(&blocks, total)).transpose() {
            Ok(here) => here,
            Err(error) => {
                self.unreadable(error);
                return None;
            }
        };
        let is_here = here.is_some();
        let attachment = Attachment { labels, here };
        if self.net.send(peer, &PeerNote::Said { message, attachment }).is_err() || is_here {
            return None;
        }
        let blocks = blocks.into_iter().zip(0..).filter_map(|((place, block), piece)| {
            Some((BlockHeader { epoch, kind: kind(place)?, piece }, block))
        });
        self.net.push_blocks(peer, blocks).ok().map(|transfer| (peer, transfer))
    }

    /// Forgets what has been sent.
    pub(super) fn tidy_transfers(&mut self) {
        let unreadable = self.moving.iter().find_map(|transfer| transfer.unreadable().copied());
        self.moving.retain(|transfer| !transfer.is_done() && !transfer.has_failed());
        if let Err(error) = self.transfers.tidy().and(unreadable.map_or(Ok(()), Err)) {
            self.unreadable(error);
        }
    }

    /// What others wait for is lost.
    fn unreadable(&mut self, error: DecodeError) {
        let why = format!("a block cannot be read back from its file: {error}");
        self.over = Some(Over::Failed(ClusterError::Broken { why }));
    }
}

/// Small blocks, one after another.
fn together(blocks: &[(Place, KeptBlock)], total: usize) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(total);
    for (_, block) in blocks {
        let block = block.get()?;
        bytes.extend_from_slice(block.header());
        bytes.extend_from_slice(block.body());
    }
    Ok(bytes)
}
