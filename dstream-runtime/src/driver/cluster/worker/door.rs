//! What comes from other workers: through the door, and to the core once all of it is there.

use super::replicas::{self, Entry};
use super::{Driver, Over};
use crate::block::{Block, BlockDecoder, Bytes, DecodeError};
use crate::driver::cluster::note::{Attachment, PeerNote, Place};
use crate::driver::cluster::{ClusterError, raw};
use crate::driver::worker::Segment;
use crate::exec::task::SavedState;
use crate::id::{Attempt, Epoch, Partition, StageId, TaskId, WorkerId};
use crate::net::PeerId;
use crate::sched::message::ToPeer;
use crate::store::KeptBlock;
use crate::wire::{BlockHeader, BlockKind, MessageKind, Received};

/// Which message a block belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Task(Epoch, TaskId, Attempt),
    State(Epoch, StageId, Partition),
    Want(Epoch, WorkerId),
}

impl Key {
    fn of(message: &ToPeer) -> Self {
        match message {
            ToPeer::Produced { epoch, task, attempt, .. } => Self::Task(*epoch, *task, *attempt),
            ToPeer::State { epoch, stage, partition } => Self::State(*epoch, *stage, *partition),
            ToPeer::Want { epoch, by, .. } => Self::Want(*epoch, *by),
        }
    }
}

impl Driver<'_> {
    pub(super) fn peer_said(&mut self, peer: PeerId, message: Received) {
        if message.kind() != MessageKind::PeerNote {
            return;
        }
        let wrong = match message.read() {
            Ok(PeerNote::Hello { worker }) => {
                let known = self.peers.hello(peer, worker);
                self.take_held();
                self.copy_alone();
                self.meet_all();
                self.hand_over_replicas();
                known.err().map(str::to_owned)
            }
            Ok(PeerNote::Said { message, attachment }) if self.peers.is_known(peer) => {
                self.said(peer, message, &attachment).err()
            }
            Ok(PeerNote::Copy { receiver, source, number, entry, here }) => {
                let key = (receiver, source, number);
                let complete = match here {
                    Some(here) => {
                        let blocks = raw::pieces(&self.pool, &here).into_iter();
                        Some((entry, blocks.map(KeptBlock::from).collect()))
                    }
                    None => self.copies.announced((peer, key), entry, 1),
                };
                self.copy_complete(peer, key, complete);
                None
            }
            Ok(PeerNote::Copied { receiver, source, number }) => {
                self.copied(peer, (receiver, source, number));
                None
            }
            Ok(PeerNote::Alive) => None,
            Ok(PeerNote::Drop(numbers)) => {
                self.drop_replicas(peer, numbers);
                None
            }
            Ok(PeerNote::Want(numbers)) => {
                self.wanted(peer, numbers);
                None
            }
            Ok(PeerNote::Holding(all)) => {
                self.holding(peer, &all);
                None
            }
            Ok(PeerNote::NotFound(numbers)) => {
                self.not_found(peer, numbers);
                None
            }
            Ok(PeerNote::Hold { round, all }) => {
                self.say_what_is_held(peer, round, &all);
                None
            }
            Ok(PeerNote::Held { round, all }) => {
                self.held_by(peer, round, &all);
                None
            }
            Ok(PeerNote::Instead { numbers, by }) => {
                self.instead(peer, numbers, by);
                None
            }
            Ok(PeerNote::Said { .. }) => Some("it did not say which worker it is".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(wrong) = wrong {
            self.net.accuse(peer, &wrong);
        }
    }

    fn said(
        &mut self,
        peer: PeerId,
        message: ToPeer,
        attachment: &Attachment,
    ) -> Result<(), String> {
        let places: Vec<Place> = attachment.labels.iter().map(|label| label.place).collect();
        let Some(here) = &attachment.here else {
            let (key, pieces) = ((peer, Key::of(&message)), places.len() as u32);
            let complete = self.arrivals.announced(key, (message, places), pieces);
            if let Some(((message, places), blocks)) = complete {
                self.pass_on(message, &places, blocks);
            }
            return Ok(());
        };
        let mut rest = here.as_slice();
        let mut blocks = Vec::with_capacity(places.len());
        for label in &attachment.labels {
            let (bytes, after) = rest
                .split_at_checked(label.len as usize)
                .ok_or("a message is shorter than its attachment")?;
            rest = after;
            let mut buffer = self.pool.take(bytes.len());
            buffer.bytes_mut().extend_from_slice(bytes);
            let door = self.door(&message, label.place);
            blocks.push(through(door, buffer.into()).map_err(|error| error.to_string())?.into());
        }
        self.pass_on(message, &places, blocks);
        Ok(())
    }

    /// The door for a block that belongs to a message.
    fn door(&self, message: &ToPeer, place: Place) -> Option<BlockDecoder> {
        match (message, place) {
            (ToPeer::Produced { task, .. }, Place::Segment(tail, _)) => {
                self.kernels.stages.get(task.stage.index())?.door(tail)
            }
            (ToPeer::State { stage, .. }, Place::State(tag)) => {
                self.kernels.stages.get(stage.index())?.state_door(tag)
            }
            _ => None,
        }
    }

    /// A block of another process.
    pub(super) fn block_came(&mut self, peer: PeerId, header: BlockHeader, bytes: Bytes) {
        let stage = |stage: StageId| self.kernels.stages.get(stage.index());
        let opened = match header.kind {
            BlockKind::Segment { id, .. } => {
                through(stage(id.producer.stage).and_then(|stage| stage.door(id.tail)), bytes)
            }
            BlockKind::State { stage: of, tag, .. } => {
                through(stage(of).and_then(|stage| stage.state_door(tag)), bytes)
            }
            BlockKind::Input { .. }
            | BlockKind::TaskOutput { .. }
            | BlockKind::ReceivedBlock { .. }
            | BlockKind::Append { .. } => Block::open_raw(bytes),
        };
        match opened {
            Ok(block) => self.opened(peer, header, block),
            Err(error) => self.net.accuse(peer, &error.to_string()),
        }
    }

    /// A block of this process.
    pub(super) fn block_handed(&mut self, peer: PeerId, header: BlockHeader, block: KeptBlock) {
        match block.get() {
            Ok(block) => self.opened(peer, header, block),
            Err(error) => self.net.accuse(peer, &error.to_string()),
        }
    }

    fn opened(&mut self, peer: PeerId, header: BlockHeader, block: Block) {
        // On the account of the store from here on, also while the rest of it is on its way.
        let keep = |block: Block| self.kernels.blocks.keep(block);
        match header.kind {
            BlockKind::Input { task } if peer == self.master => {
                let ready = self.inputs.arrived(task, header.piece, keep(block));
                ready.into_iter().for_each(|run| self.start(run));
            }
            BlockKind::Segment { id, attempt } => {
                let key = (peer, Key::Task(header.epoch, id.producer, attempt));
                self.arrived(key, header.piece, keep(block));
            }
            BlockKind::State { stage, partition, .. } => {
                let key = (peer, Key::State(header.epoch, stage, partition));
                self.arrived(key, header.piece, keep(block));
            }
            BlockKind::ReceivedBlock { receiver, source, number } => {
                let key = (receiver, source, number);
                let complete = self.copies.arrived((peer, key), 0, keep(block));
                self.copy_complete(peer, key, complete);
            }
            BlockKind::Append { number } => {
                let asks = self.sessions.block(peer, number, block);
                self.session_asks(asks);
            }
            BlockKind::Input { .. } | BlockKind::TaskOutput { .. } => {}
        }
    }

    fn copy_complete(
        &mut self,
        peer: PeerId,
        key: replicas::Key,
        complete: Option<(Entry, Vec<KeptBlock>)>,
    ) {
        if let Some((entry, blocks)) = complete
            && let Some(lines) = blocks.into_iter().next()
        {
            self.copy(peer, key, entry, lines);
        }
    }

    fn arrived(&mut self, key: (PeerId, Key), piece: u32, block: KeptBlock) {
        if let Some(((message, places), blocks)) = self.arrivals.arrived(key, piece, block) {
            self.pass_on(message, &places, blocks);
        }
    }

    /// A message is complete.
    pub(super) fn pass_on(&mut self, message: ToPeer, places: &[Place], blocks: Vec<KeptBlock>) {
        if message.epoch() > self.epoch {
            self.early.push((message, places.to_vec(), blocks));
            return;
        }
        let placed = places.iter().zip(blocks);
        if let ToPeer::State { epoch, stage, partition } = message {
            let parts = placed.filter_map(|(place, block)| match place {
                Place::State(tag) => Some((*tag, block)),
                Place::Segment(..) => None,
            });
            let saved = SavedState::whole(parts.collect());
            if let Err(error) = self.worker.take_over(epoch, stage, partition, saved) {
                let why =
                    format!("the state of {stage}, {partition} cannot be taken over: {error}");
                self.over = Some(Over::Failed(ClusterError::Broken { why }));
            }
            return;
        }
        let segments = placed.filter_map(|(place, block)| match place {
            Place::Segment(tail, partition) => {
                Some(Segment { tail: *tail, partition: *partition, block })
            }
            Place::State(_) => None,
        });
        self.worker.peer_said(message, segments.collect());
    }
}

fn through(door: Option<BlockDecoder>, bytes: Bytes) -> Result<Block, DecodeError> {
    match door {
        Some(door) => door(bytes),
        // Nothing that this plan knows: as good as no block.
        None => Err(DecodeError::Archive),
    }
}
