//! Blocks on the bulk connection. Blocks pushed together share a QUIC stream: for each, a `BlockHeader`
//! frame and then the block.
//!
//! The sender holds a block through its store and reads it only when its turn to be written comes, so a slow
//! peer costs no memory beyond the store's bound. A cancelled push resets the QUIC stream, and the receiver
//! drops the partial block.
//!
//! The receiver allocates only for a valid preamble and within the peer's budget, and copies each byte once,
//! from the packet into an aligned buffer.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinSet, spawn_blocking, yield_now};

use super::endpoint_state::EndpointState;
use super::error::CANCELLED;
use super::frames::{ReadFailure, expect, fill};
use super::options::{BULK_STREAMS, BULK_WINDOW, CLIENT_STREAMS, CLIENT_WINDOW, STREAM_WINDOW};
use super::peer::{Peer, room};
use super::{CloseReason, Limits, NetEvent, PeerId, SendError};
use crate::block::{Block, Buffer, DecodeError, HEADER_LEN, MAX_BODY, Preamble};
use crate::store::KeptBlock;
use crate::wire::{BlockHeader, BlockKind, FrameKind, Role, encode};

/// Widens the windows of a bulk connection whose peer may push blocks.
pub(super) fn widen(bulk: &Connection, from: Role, to: Role) {
    let (window, streams) = match from {
        _ if !BlockKind::any_may_go(from, to) => return,
        Role::Client => (CLIENT_WINDOW, CLIENT_STREAMS),
        Role::Master | Role::Worker => (BULK_WINDOW, BULK_STREAMS),
    };
    bulk.set_receive_window(VarInt::from_u32(window));
    bulk.set_max_concurrent_uni_streams(VarInt::from_u32(streams));
}

/// Returns the longest block of a peer and its budget of undelivered bytes.
fn bounds(from: Role, limits: &Limits) -> (usize, usize) {
    match from {
        Role::Client => (limits.client_block, 2 * (limits.client_block + HEADER_LEN)),
        Role::Master | Role::Worker => (MAX_BODY, limits.untaken_blocks),
    }
}

const UNDER_WAY: u8 = 0;
const DONE: u8 = 1;
const FAILED: u8 = 2;

struct Progress {
    cancel: Notify,
    state: AtomicU8,
    /// Why a block could not be read from its spill file.
    unreadable: OnceLock<DecodeError>,
}

/// Blocks in flight. Dropping it cancels them, unless they are delivered or detached.
#[must_use = "a transfer that is dropped is cancelled"]
pub struct Transfer {
    progress: Arc<Progress>,
    detached: bool,
}

impl Transfer {
    /// Of blocks that have been delivered.
    pub(super) fn done() -> Self {
        let (cancel, state) = (Notify::new(), AtomicU8::new(DONE));
        let progress = Progress { cancel, state, unreadable: OnceLock::new() };
        Self { progress: Arc::new(progress), detached: true }
    }

    /// Cancels the blocks that are not delivered yet.
    pub fn cancel(self) {}

    /// Continues without this handle.
    pub fn detach(mut self) {
        self.detached = true;
    }

    /// Returns whether the peer has received all of them.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.progress.state.load(Ordering::Relaxed) == DONE
    }

    /// Returns whether they can no longer all arrive: the peer is gone or refuses them, or one is
    /// [unreadable](Self::unreadable).
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.progress.state.load(Ordering::Acquire) == FAILED
    }

    /// Why one of them could not be read from its spill file, if so.
    #[must_use]
    pub fn unreadable(&self) -> Option<&DecodeError> {
        self.progress.unreadable.get()
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

/// A block as a source of bytes for quinn.
struct Body(Block);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.body()
    }
}

/// Bodies up to this length are copied, so that small blocks share packets.
const SMALL: usize = 8 << 10;

/// Longest run of such copies, in bytes.
const TOGETHER: usize = 256 << 10;

/// A block to be written, and its header.
struct Due {
    frame: Vec<u8>,
    block: KeptBlock,
}

/// Starts sending blocks. Computes their checksums on the caller's thread.
pub(super) fn push(
    runtime: &Handle,
    peer: &Arc<Peer>,
    blocks: Vec<(BlockHeader, KeptBlock)>,
) -> Result<Transfer, SendError> {
    let mut due = Vec::with_capacity(blocks.len());
    for (header, block) in blocks {
        let frame = encode(FrameKind::Block, &header)?;
        if let Some(block) = block.in_memory() {
            let _ = block.header();
        }
        due.push(Due { frame, block });
    }
    let state = AtomicU8::new(if due.is_empty() { DONE } else { UNDER_WAY });
    let progress = Progress { cancel: Notify::new(), state, unreadable: OnceLock::new() };
    let progress = Arc::new(progress);
    if !due.is_empty() {
        let (bulk, turns, shared) = (peer.bulk.clone(), peer.turns.clone(), progress.clone());
        runtime.spawn(async move {
            let sent = send(&bulk, &turns, due, &shared).await;
            shared.state.store(if sent.is_ok() { DONE } else { FAILED }, Ordering::Release);
        });
    }
    Ok(Transfer { progress, detached: false })
}

async fn send(
    bulk: &Connection,
    turns: &Semaphore,
    due: Vec<Due>,
    progress: &Progress,
) -> Result<(), ReadFailure> {
    let cancel = &progress.cancel;
    let open = async {
        // The semaphore is never closed.
        let turn = turns.acquire().await.map_err(|_| ReadFailure::Cancelled)?;
        let stream = bulk.open_uni().await.map_err(|error| ReadFailure::Lost(error.into()))?;
        Ok::<_, ReadFailure>((turn, stream))
    };
    let (turn, mut stream) = tokio::select! {
        // A push cancelled before its turn never opens a QUIC stream.
        biased;
        () = cancel.notified() => return Err(ReadFailure::Cancelled),
        open = open => open?,
    };
    let whole = async {
        write(&mut stream, due, progress).await?;
        let _ = stream.finish();
        drop(turn);
        match stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(ReadFailure::Cancelled),
        }
    };
    let sent = tokio::select! {
        biased;
        sent = whole => sent,
        () = cancel.notified() => Err(ReadFailure::Cancelled),
    };
    if sent.is_err() {
        // A finished or stopped QUIC stream cannot be reset.
        let _ = stream.reset(CANCELLED);
    }
    sent
}

/// Writes blocks in order, dropping each once it is written.
async fn write(
    stream: &mut SendStream,
    due: Vec<Due>,
    progress: &Progress,
) -> Result<(), ReadFailure> {
    let mut together = Vec::new();
    for Due { frame, block } in due {
        let block = read(block, progress).await?;
        together.extend_from_slice(&frame);
        together.extend_from_slice(block.header());
        if block.body().len() <= SMALL {
            together.extend_from_slice(block.body());
            if together.len() < TOGETHER {
                continue;
            }
            stream.write_chunk(Bytes::from(std::mem::take(&mut together))).await?;
        } else {
            let head = Bytes::from(std::mem::take(&mut together));
            stream.write_all_chunks(&mut [head, Bytes::from_owner(Body(block))]).await?;
        }
    }
    if !together.is_empty() {
        stream.write_chunk(Bytes::from(together)).await?;
    }
    Ok(())
}

/// Returns the block, reading a spilled one on a blocking thread so that the disk delays no other.
async fn read(block: KeptBlock, progress: &Progress) -> Result<Block, ReadFailure> {
    if let Some(block) = block.in_memory() {
        return Ok(block);
    }
    // The task ends without a result only when the process ends.
    let read = spawn_blocking(move || block.get()).await.map_err(|_| ReadFailure::Cancelled)?;
    read.map_err(|error| {
        let _ = progress.unreadable.set(error);
        ReadFailure::Cancelled
    })
}

/// Receives blocks as long as the connection lives.
pub(super) async fn receive_all(
    state: Arc<EndpointState>,
    id: PeerId,
    peer: Arc<Peer>,
    bulk: Connection,
) -> CloseReason {
    let (longest, untaken) = bounds(peer.subject.role, &state.limits);
    let from = Arc::new(Inlet {
        id,
        role: peer.subject.role,
        longest,
        budget: Arc::new(Semaphore::new(untaken)),
        state,
    });
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(received) = under_way.join_next() => match received {
                Ok(Err(reason)) => return reason,
                Ok(Ok(())) => {}
                Err(error) => peer.stop(CloseReason::Transport(error.to_string())),
            },
            stream = bulk.accept_uni() => match stream {
                Ok(stream) => {
                    under_way.spawn_on(receive(from.clone(), stream), &from.state.bulk.runtime);
                }
                Err(error) => return error.into(),
            },
        }
    }
}

/// The limits and the destination of a peer's blocks.
struct Inlet {
    id: PeerId,
    role: Role,
    longest: usize,
    budget: Arc<Semaphore>,
    state: Arc<EndpointState>,
}

/// Receives the blocks of one QUIC stream until it ends or is cancelled.
async fn receive(from: Arc<Inlet>, mut stream: RecvStream) -> Result<(), CloseReason> {
    let mut blocks = 0u64;
    loop {
        match receive_block(&from, &mut stream).await {
            Ok(()) => blocks += 1,
            // The QUIC stream may end after a block, not before the first.
            Err(ReadFailure::Ended) if blocks > 0 => return Ok(()),
            Err(ReadFailure::Cancelled) => return Ok(()),
            Err(ReadFailure::Frame(error)) => {
                return Err(CloseReason::Violation(error.to_string()));
            }
            Err(ReadFailure::Ended) => return Err(too_early()),
            Err(ReadFailure::Lost(reason)) => return Err(reason),
        }
    }
}

fn too_early() -> CloseReason {
    CloseReason::Violation("a block ends too early".into())
}

/// Receives the next block; [`ReadFailure::Ended`] if there is none.
async fn receive_block(from: &Inlet, stream: &mut RecvStream) -> Result<(), ReadFailure> {
    let violation = |why: String| ReadFailure::Lost(CloseReason::Violation(why));
    let header: BlockHeader = expect(stream, FrameKind::Block).await?;
    let (state, kind) = (&*from.state, header.kind);
    if !kind.may_go(from.role, state.role()) {
        let (role, what, to) = (from.role, kind.name(), state.role());
        return Err(violation(format!("a {role} must not push {what} to a {to}")));
    }
    let mut head = [0; HEADER_LEN];
    fill(stream, &mut head).await.map_err(ended_inside)?;
    let preamble = Preamble::read(&head).map_err(|error| violation(error.to_string()))?;
    if preamble.body_len > from.longest {
        let (len, longest) = (preamble.body_len, from.longest);
        return Err(violation(format!("a block of {len} bytes; it may have {longest}")));
    }
    let len = HEADER_LEN + preamble.body_len;
    // Acquire room before the body: a peer whose blocks are not taken waits here, and its windows fill up.
    let held = room(&from.budget, len).await.map_err(ReadFailure::Lost)?;
    let mut buffer = state.pool.take(len);
    buffer.bytes_mut().extend_from_slice(&head);
    receive_body(stream, &mut buffer, preamble.body_len).await?;
    let event = NetEvent::Block { peer: from.id, header, preamble, bytes: buffer.into() };
    state.deliver(event, Some(held));
    Ok(())
}

fn ended_inside(broken: ReadFailure) -> ReadFailure {
    match broken {
        ReadFailure::Ended => ReadFailure::Lost(too_early()),
        broken => broken,
    }
}

/// Bytes of a block after which the task yields, so that messages get their turn.
const TURN: usize = 1 << 20;

/// Chunks read at a time: each read costs a lock and a check of the windows.
const PIECES: usize = 16;

/// Appends exactly `len` bytes.
async fn receive_body(
    stream: &mut RecvStream,
    buffer: &mut Buffer,
    len: usize,
) -> Result<(), ReadFailure> {
    let mut left = len;
    let mut turn = 0;
    let mut pieces = [const { Bytes::new() }; PIECES];
    while left > 0 {
        // Everything up to the window belongs to this block.
        let count = if left >= STREAM_WINDOW as usize {
            stream.read_chunks(&mut pieces).await?
        } else {
            let chunk = stream.read_chunk(left, true).await?;
            chunk.map(|chunk| pieces[0] = chunk.bytes).map(|()| 1)
        };
        for piece in &mut pieces[..count.ok_or_else(|| ReadFailure::Lost(too_early()))?] {
            let bytes = std::mem::take(piece);
            left = left.saturating_sub(bytes.len());
            buffer.bytes_mut().extend_from_slice(&bytes);
            turn += bytes.len();
        }
        if turn >= TURN {
            turn = 0;
            yield_now().await;
        }
    }
    Ok(())
}
