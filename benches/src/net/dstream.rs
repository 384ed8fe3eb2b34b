//! Blocks and messages over dstream's transport.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, unbounded};
use dstream_runtime::block::{Block, BufferPool, RowsBuilder};
use dstream_runtime::id::{Attempt, BatchSeq, BlockId, Epoch, Partition, StageId, TailId, TaskId};
use dstream_runtime::net::trust::Authority;
use dstream_runtime::net::{BindOptions, Delivery, Endpoint, NetEvent, PeerId, Transfer};
use dstream_runtime::wire::{BlockHeader, BlockKind, Message, MessageKind, Role};
use serde::{Deserialize, Serialize};

use super::{BLOCK, BenchResult, Other, TransferCost, say_and_wait};

/// Blocks in flight.
const AHEAD: usize = 8;

/// Interval of checks on blocks in flight, a fraction of their transfer time: checking more often takes time
/// from the transport, which shares two cores with this thread.
const LOOK: Duration = Duration::from_millis(1);

/// Bytes and number of small blocks.
const SMALL: usize = 4 << 10;
const SMALL_BLOCKS: u64 = 100_000;

/// Returned unchanged; with `blocks`, once that many blocks have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Ping {
    blocks: u64,
    text: [u8; 32],
}

impl Message for Ping {
    const KIND: MessageKind = MessageKind::PeerNote;
}

fn bind(dir: &Path, name: &str) -> BenchResult<(Endpoint, Receiver<Delivery>)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let authority = Authority::open(dir, "bench", now)?;
    let (tell, events) = unbounded();
    let options = BindOptions::new(authority.identity(Role::Worker, name, now)?, 1);
    let endpoint = Endpoint::bind(options, move |delivery| {
        // At the end, the receiver is gone.
        let _ = tell.send(delivery);
    })?;
    for warning in endpoint.warnings() {
        eprintln!("note: {warning}");
    }
    Ok((endpoint, events))
}

fn header(n: u64) -> BlockHeader {
    let partition = Partition(n as u32);
    let producer = TaskId { batch: BatchSeq(n), stage: StageId(0), partition };
    let id = BlockId { producer, tail: TailId(0), partition };
    let kind = BlockKind::Segment { id, attempt: Attempt(0) };
    BlockHeader { epoch: Epoch(1), kind, piece: 0 }
}

/// In the other process: receives blocks, and answers pings.
///
/// # Errors
/// When no port can be opened.
pub fn receive(dir: &Path, open: bool) -> BenchResult<()> {
    let (endpoint, events) = bind(dir, "receiver")?;
    let (net, addr) = (endpoint.net().clone(), endpoint.local_addr());
    std::thread::spawn(move || {
        let (mut blocks, mut waiting): (u64, Option<(PeerId, Ping)>) = (0, None);
        for event in events {
            match event.take() {
                NetEvent::Message { peer, message } => match message.read::<Ping>() {
                    Ok(ping) if ping.blocks > blocks => waiting = Some((peer, ping)),
                    Ok(ping) => drop(net.send(peer, &ping)),
                    Err(error) => net.accuse(peer, &error.to_string()),
                },
                NetEvent::Block { peer, bytes, .. } => {
                    blocks += 1;
                    if open && let Err(error) = Block::open_rows::<u64>(bytes) {
                        net.accuse(peer, &error.to_string());
                    }
                }
                _ => {}
            }
            if let Some((peer, ping)) = waiting.filter(|(_, ping)| ping.blocks <= blocks) {
                waiting = None;
                blocks -= ping.blocks;
                // The peer may have gone.
                let _ = net.send(peer, &ping);
            }
        }
    });
    say_and_wait(&addr.to_string())
}

/// A connection to the other process.
pub struct Pair {
    endpoint: Endpoint,
    events: Receiver<Delivery>,
    peer: PeerId,
    block: Block,
    other: Other,
}

/// The results.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// The median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The maximum.
    pub max: Duration,
}

impl Pair {
    /// Starts the other process and connects to it.
    ///
    /// # Errors
    /// When either fails.
    pub fn start(dir: &Path, open: bool) -> BenchResult<Self> {
        let path = dir.to_str().ok_or("the path is not UTF-8")?;
        let command = if open { "open" } else { "receive" };
        let (endpoint, events) = bind(dir, "sender")?;
        let other = Other::start(&[command, path])?;
        let addr: SocketAddr = other.hello.parse()?;
        let peer = endpoint.net().connect(addr);
        match events.recv()?.take() {
            NetEvent::Connected { .. } => {}
            other => return Err(format!("{other:?}").into()),
        }
        let mut rows = RowsBuilder::<u64>::new(&BufferPool::new(0), BLOCK);
        for n in 0..(BLOCK as u64 / 8 - 64) {
            rows.push(n)?;
        }
        let block = rows.finish().ok_or("an empty block")?;
        Ok(Self { endpoint, events, peer, block, other })
    }

    /// Sends small blocks, `together` per push; returns blocks per second.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn small(&self, together: u32) -> BenchResult<f64> {
        let mut rows = RowsBuilder::<u64>::new(&BufferPool::new(0), SMALL);
        for n in 0..(SMALL as u64 / 8) {
            rows.push(n)?;
        }
        let block = rows.finish().ok_or("an empty block")?;
        let blocks: Vec<_> = (0..together).map(|n| (header(n.into()), block.clone())).collect();
        let pushes = SMALL_BLOCKS / u64::from(together);
        let start = Instant::now();
        self.send_ping(pushes * u64::from(together))?;
        for _ in 0..pushes {
            self.endpoint.net().push_blocks(self.peer, blocks.iter().cloned())?.detach();
        }
        self.answer()?;
        Ok((pushes * u64::from(together)) as f64 / start.elapsed().as_secs_f64())
    }

    /// Sends `bytes` as blocks; returns the cost until the other process has them.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn blocks(&self, bytes: u64) -> BenchResult<TransferCost> {
        let (start, cpu, blocks) =
            (Instant::now(), self.other.cpu()?, bytes.div_ceil(BLOCK as u64));
        self.send_ping(blocks)?;
        let mut under_way: Vec<Transfer> = Vec::new();
        for n in 0..blocks {
            under_way.retain(|transfer| !transfer.is_done());
            while under_way.len() >= AHEAD {
                std::thread::sleep(LOOK);
                under_way.retain(|transfer| !transfer.is_done());
            }
            under_way.push(self.push(n)?);
        }
        self.answer()?;
        under_way.into_iter().for_each(Transfer::detach);
        let (time, cpu) = (start.elapsed(), self.other.cpu()?.saturating_sub(cpu));
        Ok(TransferCost { bytes, time, cpu })
    }

    fn push(&self, n: u64) -> BenchResult<Transfer> {
        Ok(self.endpoint.net().push_block(self.peer, &header(n), &self.block)?)
    }

    fn send_ping(&self, blocks: u64) -> BenchResult<()> {
        Ok(self.endpoint.net().send(self.peer, &Ping { blocks, text: [7; 32] })?)
    }

    fn answer(&self) -> BenchResult<()> {
        match self.events.recv()?.take() {
            NetEvent::Message { .. } => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    /// Makes round trips one after the other; with `loaded`, while blocks fill the link.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn calls(&self, calls: usize, loaded: bool) -> BenchResult<Latency> {
        let mut times = Vec::with_capacity(calls);
        let (mut under_way, mut sent): (Vec<Transfer>, u64) = (Vec::new(), 0);
        for n in 0..calls {
            under_way.retain(|transfer| !transfer.is_done());
            while loaded && under_way.len() < AHEAD {
                under_way.push(self.push(sent)?);
                sent += 1;
            }
            let start = Instant::now();
            self.send_ping(0)?;
            self.answer()?;
            times.push(start.elapsed());
            if n % 8 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        under_way.into_iter().for_each(Transfer::detach);
        if loaded {
            self.send_ping(sent)?;
            self.answer()?;
        }
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        Ok(Latency { p50: at(0.5), p99: at(0.99), max: at(1.0) })
    }
}
