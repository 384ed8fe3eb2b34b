//! Blocks on the bulk connection: what is pushed together is one quic_stream, of a `BlockHeader` frame
//! and the block as it is, for each.
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
use super::options::{BULK_STREAMS, BULK_WINDOW, CLIENT_STREAMS, CLIENT_WINDOW, STREAM_WINDOW};
use super::peer::{Peer, room};
use super::{CloseReason, Limits, NetEvent, PeerId, SendError};
use crate::block::{Block, Buffer, HEADER_LEN, MAX_BODY, Preamble};
use crate::wire::{BlockHeader, Cargo, FrameKind, Role, encode};

/// Gives a bulk connection the windows that a peer needs which may push blocks.
pub(super) fn widen(bulk: &Connection, from: Role, to: Role) {
    let (window, streams) = match from {
        _ if !Cargo::any_may_go(from, to) => return,
        Role::Client => (CLIENT_WINDOW, CLIENT_STREAMS),
        Role::Master | Role::Worker => (BULK_WINDOW, BULK_STREAMS),
    };
    bulk.set_receive_window(VarInt::from_u32(window));
    bulk.set_max_concurrent_uni_streams(VarInt::from_u32(streams));
}

/// How long a block of a peer may be, and how much of it may wait to be taken.
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
}

/// Blocks on their way. Dropped, they are cancelled, unless they are through or were detached.
#[must_use = "a transfer that is dropped is cancelled"]
pub struct Transfer {
    progress: Arc<Progress>,
    detached: bool,
}

impl Transfer {
    /// Nobody needs the blocks there any more.
    pub fn cancel(self) {}

    /// Lets them go on by themselves.
    pub fn detach(mut self) {
        self.detached = true;
    }

    /// Whether the peer has taken in all of them.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.progress.state.load(Ordering::Relaxed) == DONE
    }

    /// Whether they will never all get there: the peer is gone, or does not want them.
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

/// Bodies up to this length are copied, so that small blocks fill packets together.
const SMALL: usize = 8 << 10;

/// Starts to send blocks. Their checksums are computed here, on the caller's thread.
pub(super) fn push(
    runtime: &Handle,
    peer: &Arc<Peer>,
    blocks: &[(BlockHeader, Block)],
) -> Result<Transfer, SendError> {
    let mut parts = Vec::new();
    let mut together = Vec::new();
    for (header, block) in blocks {
        together.extend_from_slice(&encode(FrameKind::Block, header)?);
        together.extend_from_slice(block.header());
        if block.body().len() <= SMALL {
            together.extend_from_slice(block.body());
        } else {
            parts.push(Bytes::from(std::mem::take(&mut together)));
            parts.push(Bytes::from_owner(Body(block.clone())));
        }
    }
    if !together.is_empty() {
        parts.push(Bytes::from(together));
    }
    let state = AtomicU8::new(if parts.is_empty() { DONE } else { UNDER_WAY });
    let progress = Arc::new(Progress { cancel: Notify::new(), state });
    if !parts.is_empty() {
        let (bulk, turns, shared) = (peer.bulk.clone(), peer.turns.clone(), progress.clone());
        runtime.spawn(async move {
            let sent = send(&bulk, &turns, &mut parts, &shared.cancel).await;
            shared.state.store(if sent.is_ok() { DONE } else { FAILED }, Ordering::Relaxed);
        });
    }
    Ok(Transfer { progress, detached: false })
}

async fn send(
    bulk: &Connection,
    turns: &Semaphore,
    parts: &mut [Bytes],
    cancel: &Notify,
) -> Result<(), Broken> {
    let open = async {
        // The semaphore is never closed.
        let turn = turns.acquire().await.map_err(|_| Broken::Cancelled)?;
        let stream = bulk.open_uni().await.map_err(|error| Broken::Lost(error.into()))?;
        Ok::<_, Broken>((turn, stream))
    };
    let (turn, mut stream) = tokio::select! {
        // What is cancelled before it has begun never opens a quic_stream.
        biased;
        () = cancel.notified() => return Err(Broken::Cancelled),
        open = open => open?,
    };
    let whole = async {
        stream.write_all_chunks(parts).await?;
        let _ = stream.finish();
        drop(turn);
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
    let (longest, untaken) = bounds(peer.subject.role, &hub.limits);
    let from = Arc::new(Inlet {
        id,
        role: peer.subject.role,
        longest,
        budget: Arc::new(Semaphore::new(untaken)),
        hub,
    });
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            stream = bulk.accept_uni() => match stream {
                Ok(stream) => {
                    under_way.spawn_on(receive(from.clone(), stream), &from.hub.bulk.runtime);
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

/// What a peer's blocks come in through.
struct Inlet {
    id: PeerId,
    role: Role,
    longest: usize,
    budget: Arc<Semaphore>,
    hub: Arc<Hub>,
}

/// Takes in the blocks of one quic_stream, unless its sender gives it up.
async fn receive(from: Arc<Inlet>, mut stream: RecvStream) -> Result<(), CloseReason> {
    let mut blocks = 0u64;
    loop {
        match receive_block(&from, &mut stream).await {
            Ok(()) => blocks += 1,
            // It may end after a block, not before the first.
            Err(Broken::Ended) if blocks > 0 => return Ok(()),
            Err(Broken::Cancelled) => return Ok(()),
            Err(Broken::Frame(error)) => return Err(CloseReason::Violation(error.to_string())),
            Err(Broken::Ended) => return Err(too_early()),
            Err(Broken::Lost(reason)) => return Err(reason),
        }
    }
}

fn too_early() -> CloseReason {
    CloseReason::Violation("a block ends too early".into())
}

/// Takes in the next block; [`Broken::Ended`] if there is none.
async fn receive_block(from: &Inlet, stream: &mut RecvStream) -> Result<(), Broken> {
    let violation = |why: String| Broken::Lost(CloseReason::Violation(why));
    let header: BlockHeader = expect(stream, FrameKind::Block).await?;
    let (hub, cargo) = (&*from.hub, header.cargo);
    if !cargo.may_go(from.role, hub.role()) {
        let (role, what, to) = (from.role, cargo.name(), hub.role());
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
    // Room first: who sends what nobody takes waits here, and its windows fill up.
    let held = room(&from.budget, len).await.map_err(Broken::Lost)?;
    let mut buffer = hub.pool.take(len);
    buffer.bytes_mut().extend_from_slice(&head);
    receive_body(stream, &mut buffer, preamble.body_len).await?;
    let event = NetEvent::Block { peer: from.id, header, preamble, bytes: buffer.into() };
    hub.deliver(event, Some(held));
    Ok(())
}

fn ended_inside(broken: Broken) -> Broken {
    match broken {
        Broken::Ended => Broken::Lost(too_early()),
        broken => broken,
    }
}

/// After that many bytes of a block it is the turn of whatever else the thread has to do: messages.
const TURN: usize = 1 << 20;

/// Pieces of a block that are taken at a time: each time costs a lock and a look at the windows.
const PIECES: usize = 16;

/// Appends exactly `len` bytes.
async fn receive_body(
    stream: &mut RecvStream,
    buffer: &mut Buffer,
    len: usize,
) -> Result<(), Broken> {
    let mut left = len;
    let mut turn = 0;
    let mut pieces = [const { Bytes::new() }; PIECES];
    while left > 0 {
        // What has arrived is within the quic_stream's window: none of it belongs to the next block.
        let count = if left >= STREAM_WINDOW as usize {
            stream.read_chunks(&mut pieces).await?
        } else {
            let chunk = stream.read_chunk(left, true).await?;
            chunk.map(|chunk| pieces[0] = chunk.bytes).map(|()| 1)
        };
        for piece in &mut pieces[..count.ok_or_else(|| Broken::Lost(too_early()))?] {
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
