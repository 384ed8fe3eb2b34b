//! A worker's connections to others: of two workers the one with the larger number calls; and what comes over
//! them in two parts, a message and its blocks.

use std::collections::BTreeMap;

use crate::block::{Block, BufferPool, Bytes};
use crate::id::{Attempt, BatchSeq, BlockId, Epoch, Partition, StageId, TailId, TaskId, WorkerId};
use crate::net::simulation::{Host, PORT, address};
use crate::net::{Net, PeerId};
use crate::sched::message::ToPeer;
use crate::wire::{BlockHeader, Cargo};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    Calling(PeerId),
    Up(PeerId),
}

/// The other workers.
pub(super) struct Links {
    id: WorkerId,
    is_introduced: bool,
    known: BTreeMap<WorkerId, (Host, Link)>,
    /// Who has called and said which worker it is, before this one has heard of that.
    callers: BTreeMap<PeerId, WorkerId>,
}

impl Links {
    pub(super) fn new(id: WorkerId) -> Self {
        Self { id, is_introduced: false, known: BTreeMap::new(), callers: BTreeMap::new() }
    }

    /// All workers that are there.
    pub(super) fn learn(&mut self, crew: Vec<(WorkerId, Host)>, net: &Net) {
        self.is_introduced = true;
        let mut gone = std::mem::take(&mut self.known);
        for (worker, host) in crew.into_iter().filter(|(worker, _)| *worker != self.id) {
            let link = gone.remove(&worker).map_or(Link::Down, |(_, link)| link);
            self.known.insert(worker, (host, link));
        }
        gone.into_values().for_each(|(_, link)| close(link, net));
        for (peer, worker) in std::mem::take(&mut self.callers) {
            self.hello(peer, worker);
        }
        self.call(net);
    }

    /// Calls those that this worker has to call.
    pub(super) fn call(&mut self, net: &Net) {
        for (_, (host, link)) in self.known.range_mut(..self.id) {
            if *link == Link::Down {
                *link = Link::Calling(net.connect(address(*host, PORT)));
            }
        }
    }

    /// Somebody is there: whether it is one that was called.
    pub(super) fn connected(&mut self, peer: PeerId) -> bool {
        let called = self.known.values_mut().find(|(_, link)| *link == Link::Calling(peer));
        called.map(|(_, link)| *link = Link::Up(peer)).is_some()
    }

    pub(super) fn hello(&mut self, peer: PeerId, worker: WorkerId) {
        match self.known.get_mut(&worker) {
            Some((_, link)) => *link = Link::Up(peer),
            None => drop(self.callers.insert(peer, worker)),
        }
    }

    /// A connection has ended: that to this worker, if it was up.
    pub(super) fn closed(&mut self, peer: PeerId) -> Option<WorkerId> {
        self.callers.remove(&peer);
        let ended = |link| matches!(link, Link::Up(of) | Link::Calling(of) if of == peer);
        let (worker, (_, link)) = self.known.iter_mut().find(|(_, (_, link))| ended(*link))?;
        let was_up = matches!(link, Link::Up(_));
        *link = Link::Down;
        was_up.then_some(*worker)
    }

    pub(super) fn peer(&self, worker: WorkerId) -> Option<PeerId> {
        match self.known.get(&worker)?.1 {
            Link::Up(peer) => Some(peer),
            Link::Down | Link::Calling(_) => None,
        }
    }

    /// Whether all that were there before this one can be told something.
    pub(super) fn reaches_elders(&self) -> bool {
        let up = |(_, (_, link)): (&WorkerId, &(Host, Link))| matches!(link, Link::Up(_));
        self.is_introduced && self.known.range(..self.id).all(up)
    }

    /// Whether all of these can be told something, those left out that are gone.
    pub(super) fn reaches(&self, workers: &[WorkerId]) -> bool {
        let is_awaited = |worker: &WorkerId| self.known.contains_key(worker);
        workers
            .iter()
            .filter(|worker| is_awaited(worker))
            .all(|worker| self.peer(*worker).is_some())
    }

    /// Lets all of them go.
    pub(super) fn part(self, net: &Net) {
        self.known.into_values().for_each(|(_, link)| close(link, net));
        self.callers.into_keys().for_each(|peer| net.close(peer));
    }
}

fn close(link: Link, net: &Net) {
    if let Link::Up(peer) | Link::Calling(peer) = link {
        net.close(peer);
    }
}

/// A message and how many blocks belong to it; and those of them that are there.
type Waiting = (Option<(ToPeer, u32)>, BTreeMap<u32, u64>);

/// Messages and their blocks, each of which waits for the other.
#[derive(Default)]
pub(super) struct Arrivals(BTreeMap<(PeerId, u64), Waiting>);

impl Arrivals {
    /// The message and what its blocks hold, if they are all there.
    pub(super) fn announced(
        &mut self,
        peer: PeerId,
        number: u64,
        message: ToPeer,
        pieces: u32,
    ) -> Option<(ToPeer, Vec<u64>)> {
        self.0.entry((peer, number)).or_default().0 = Some((message, pieces));
        self.complete((peer, number))
    }

    /// The same, when a block has come.
    pub(super) fn arrived(
        &mut self,
        peer: PeerId,
        header: &BlockHeader,
        bytes: Bytes,
    ) -> Option<(ToPeer, Vec<u64>)> {
        let block = Block::open_raw(bytes).expect("it is what was sent");
        let bytes = block.raw_bytes().expect("it is raw");
        let held = u64::from_le_bytes(bytes[..8].try_into().expect("it holds a number"));
        let key = (peer, header.epoch.0);
        let before = self.0.entry(key).or_default().1.insert(header.piece, held);
        assert_eq!(before, None, "a block comes twice");
        self.complete(key)
    }

    fn complete(&mut self, key: (PeerId, u64)) -> Option<(ToPeer, Vec<u64>)> {
        let (message, blocks) = self.0.get(&key)?;
        if blocks.len() < message.as_ref()?.1 as usize {
            return None;
        }
        let (message, blocks) = self.0.remove(&key)?;
        Some((message?.0, blocks.into_values().collect()))
    }
}

/// What blocks hold, as blocks of that length.
pub(super) fn blocks(number: u64, contents: &[u64], len: usize) -> Vec<(BlockHeader, Block)> {
    let pool = BufferPool::new(0);
    let task = TaskId { batch: BatchSeq(1), stage: StageId(0), partition: Partition(0) };
    let id = BlockId { producer: task, tail: TailId(0), partition: Partition(0) };
    let cargo = Cargo::Segment { id, attempt: Attempt(0) };
    let block = |(piece, content): (u32, &u64)| {
        let mut buffer = pool.take(8 + len);
        buffer.bytes_mut().extend_from_slice(&content.to_le_bytes());
        buffer.bytes_mut().resize(8 + len, piece as u8);
        (BlockHeader { epoch: Epoch(number), cargo, piece }, Block::raw(buffer))
    };
    (0..).zip(contents).map(block).collect()
}
