//! Blocks on the bulk connection: a quic_stream each, `BlockHeader` frame, then the block as it is.
//!
//! The receiver makes room only for a length that a valid header of a block names, only within the
//! budget of the peer, and copies each byte once, from the packet to its place in an aligned buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use quinn::{Connection, RecvStream, VarInt};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinSet, yield_now};

use super::error::CANCELLED;
use super::frames::{Broken, expect, fill};
use super::hub::Hub;
use super::options::{BULK_STREAMS, BULK_WINDOW};
use super::peer::{Peer, room};
use super::{CloseReason, NetEvent, PeerId, SendError};
use crate::block::{Block, Buffer, HEADER_LEN, Preamble};
use crate::wire::{BlockHeader, FrameKind, Role, encode};

/// Who may push blocks to whom: workers to the owners of partitions, clients to receivers.
pub(super) fn may_push(from: Role, to: Role) -> bool {
    matches!((from, to), (Role::Worker | Role::Client, Role::Worker))
}

/// The windows of a bulk connection whose peer may push blocks.
pub(super) fn widen(bulk: &Connection) {
    bulk.set_receive_window(VarInt::from_u32(BULK_WINDOW));
    bulk.set_max_concurrent_uni_streams(VarInt::from_u32(BULK_STREAMS));
}

const UNDER_WAY: u8 = 0;
const DONE: u8 = 1;
const FAILED: u8 = 2;

struct Progress {
    cancel: Notify,
    state: AtomicU8,
}

/// A block on its way. Dropped, it is cancelled, unless it is through or was detached.
#[must_use = "a transfer that is dropped is cancelled"]
pub struct Transfer {
    progress: Arc<Progress>,
    detached: bool,
}

impl Transfer {
    /// Nobody needs the block there any more.
    pub fn cancel(self) {}

    /// Lets it go on by itself.
    pub fn detach(mut self) {
        self.detached = true;
    }

    /// Whether the peer's host has all of it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.progress.state.load(Ordering::Relaxed) == DONE
    }

    /// Whether it will never get there: the peer is gone, or does not want it.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.progress.state.load(Ordering::Relaxed) == FAILED
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if !self.detached {
            self.progress.cancel.notify_one();
        }
    }
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.progress.state.load(Ordering::Relaxed) {
            DONE => "done",
            FAILED => "failed",
            _ => "under way",
        };
        write!(f, "Transfer({state})")
    }
}

/// A block that quinn sends from.
struct Body(Block);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.body()
    }
}

/// Starts to send a block. Its checksum is computed here, on the caller's thread.
pub(super) fn push(
    runtime: &Handle,
    peer: &Arc<Peer>,
    header: &BlockHeader,
    block: &Block,
) -> Result<Transfer, SendError> {
    let mut head = encode(FrameKind::Block, header)?;
    head.extend_from_slice(block.header());
    let parts = [Bytes::from(head), Bytes::from_owner(Body(block.clone()))];
    let progress = Arc::new(Progress { cancel: Notify::new(), state: AtomicU8::new(UNDER_WAY) });
    let (bulk, shared) = (peer.bulk.clone(), progress.clone());
    runtime.spawn(async move {
        let sent = send(&bulk, parts, &shared.cancel).await;
        shared.state.store(if sent.is_ok() { DONE } else { FAILED }, Ordering::Relaxed);
    });
    Ok(Transfer { progress, detached: false })
}

async fn send(bulk: &Connection, mut parts: [Bytes; 2], cancel: &Notify) -> Result<(), Broken> {
    let mut stream = tokio::select! {
        // A cancelled block that has not begun never opens a quic_stream.
        biased;
        () = cancel.notified() => return Err(Broken::Cancelled),
        stream = bulk.open_uni() => stream.map_err(|error| Broken::Lost(error.into()))?,
    };
    let whole = async {
        stream.write_all_chunks(&mut parts).await?;
        let _ = stream.finish();
        match stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(Broken::Cancelled),
        }
    };
    let sent = tokio::select! {
        sent = whole => sent,
        () = cancel.notified() => Err(Broken::Cancelled),
    };
    if sent.is_err() {
        // If it is finished or stopped already, there is nothing left to give up.
        let _ = stream.reset(CANCELLED);
    }
    sent
}

/// Takes in blocks for as long as the connection lives.
pub(super) async fn receive_all(
    hub: Arc<Hub>,
    id: PeerId,
    peer: Arc<Peer>,
    bulk: Connection,
) -> CloseReason {
    let budget = Arc::new(Semaphore::new(hub.limits.untaken_blocks));
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            stream = bulk.accept_uni() => match stream {
                Ok(stream) => {
                    let receive = receive(hub.clone(), id, stream, budget.clone());
                    under_way.spawn_on(receive, &hub.runtime);
                }
                Err(error) => return error.into(),
            },
            Some(received) = under_way.join_next() => match received {
                Ok(Err(reason)) => return reason,
                Ok(Ok(())) => {}
                Err(error) => peer.stop(CloseReason::Transport(error.to_string())),
            },
        }
    }
}

/// Takes in one block, unless its sender gives it up.
async fn receive(
    hub: Arc<Hub>,
    id: PeerId,
    mut stream: RecvStream,
    budget: Arc<Semaphore>,
) -> Result<(), CloseReason> {
    match receive_block(&hub, id, &mut stream, &budget).await {
        Ok(()) | Err(Broken::Cancelled) => Ok(()),
        Err(Broken::Frame(error)) => Err(CloseReason::Violation(error.to_string())),
        Err(Broken::Ended) => Err(CloseReason::Violation("a block ends too early".into())),
        Err(Broken::Lost(reason)) => Err(reason),
    }
}

async fn receive_block(
    hub: &Hub,
    id: PeerId,
    stream: &mut RecvStream,
    budget: &Arc<Semaphore>,
) -> Result<(), Broken> {
    let header: BlockHeader = expect(stream, FrameKind::Block).await?;
    let mut head = [0; HEADER_LEN];
    fill(stream, &mut head).await?;
    let violation = |why: String| Broken::Lost(CloseReason::Violation(why));
    let preamble = Preamble::read(&head).map_err(|error| violation(error.to_string()))?;
    let len = HEADER_LEN + preamble.body_len;
    let held = room(budget, len).await.map_err(Broken::Lost)?;
    let mut buffer = hub.pool.take(roomy(len));
    buffer.bytes_mut().extend_from_slice(&head);
    receive_body(stream, &mut buffer, preamble.body_len).await?;
    let event = NetEvent::Block { peer: id, header, preamble, bytes: buffer.into() };
    hub.deliver(event, Some(held));
    Ok(())
}

/// What to ask the pool for. Pooled buffers are found again by powers of two, and fresh memory costs
/// more than the network (a page fault per 4 KiB); what a large buffer has too much is never touched.
fn roomy(len: usize) -> usize {
    const LARGE: usize = 1 << 20;
    if len < LARGE { len } else { len.next_power_of_two() }
}

/// After that many bytes of a block it is the turn of whatever else the thread has to do: messages.
const TURN: usize = 128 << 10;

/// Appends exactly `len` bytes.
async fn receive_body(
    stream: &mut RecvStream,
    buffer: &mut Buffer,
    len: usize,
) -> Result<(), Broken> {
    let mut left = len;
    let mut turn = 0;
    // One byte more than is due shows a quic_stream that does not end where it should.
    while let Some(chunk) = stream.read_chunk(left + 1, true).await? {
        left = left.checked_sub(chunk.bytes.len()).ok_or_else(|| {
            Broken::Lost(CloseReason::Violation("a block is longer than it says".into()))
        })?;
        buffer.bytes_mut().extend_from_slice(&chunk.bytes);
        turn += chunk.bytes.len();
        if turn >= TURN {
            turn = 0;
            yield_now().await;
        }
    }
    if left > 0 { Err(Broken::Ended) } else { Ok(()) }
}
