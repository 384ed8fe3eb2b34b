//! A peer: the tasks of its two connections, and its end.
//!
//! Each direction of control has a task, as have incoming blocks and perhaps the lifeline; one more waits
//! for the first of them to end. That one's result is the reason of the end. The others are stopped before
//! the driver is told, so that `Closed` is the last event.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::endpoint_state::EndpointState;
use super::frames::{read_header, read_payload};
use super::lifeline::End;
use super::options::BULK_WRITERS;
use super::trust::Subject;
use super::{CloseReason, Limits, NetEvent, PeerId, SendError, lifeline, renew, socket, transfer};
use crate::wire::{FRAME_HEADER, Frame, FrameError, FrameKind, Received};

/// Bytes of frames written together, at most.
const TOGETHER: usize = 64 << 10;

/// Longest wait for the answer to a goodbye.
const FAREWELL: Duration = Duration::from_millis(800);

/// The result of a completed handshake.
pub(super) struct Links {
    pub(super) control: Connection,
    pub(super) bulk: Connection,
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    pub(super) lifeline: Option<End>,
}

/// An item for the writer.
enum Out {
    Frame(Vec<u8>),
    Goodbye,
}

/// The shared handle of a peer.
pub(super) struct Peer {
    pub(super) subject: Subject,
    pub(super) bulk: Connection,
    /// Permits for writing blocks.
    pub(super) turns: Arc<Semaphore>,
    outbox: UnboundedSender<Out>,
    unsent: Arc<AtomicUsize>,
    /// Ends the peer; empty once used.
    stop: Mutex<Option<oneshot::Sender<CloseReason>>>,
}

impl Peer {
    pub(super) fn send(&self, frame: Vec<u8>, limits: &Limits) -> Result<(), SendError> {
        let len = frame.len();
        let unsent = self.unsent.fetch_add(len, Ordering::Relaxed) + len;
        if unsent > limits.unsent_messages {
            self.stop(CloseReason::Slow);
            return Err(SendError::Slow { unsent });
        }
        self.outbox.send(Out::Frame(frame)).map_err(|_| SendError::Gone)
    }

    pub(super) fn say_goodbye(&self) {
        // If the writer is gone, the peer has ended.
        let _ = self.outbox.send(Out::Goodbye);
    }

    pub(super) fn stop(&self, reason: CloseReason) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stop) = stop {
            let _ = stop.send(reason);
        }
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }
}

/// Registers the peer, tells the driver, and starts its tasks.
pub(super) fn open(
    state: &Arc<EndpointState>,
    id: PeerId,
    subject: Subject,
    links: Links,
    slot: OwnedSemaphorePermit,
) {
    let Links { control, bulk, send, recv, lifeline } = links;
    socket::widen_control(&control);
    transfer::widen(&bulk, subject.role, state.role());
    let (outbox, out) = unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let unsent = Arc::new(AtomicUsize::new(0));
    let addr = control.remote_address();
    let peer = Arc::new(Peer {
        subject: subject.clone(),
        bulk: bulk.clone(),
        turns: Arc::new(Semaphore::new(BULK_WRITERS)),
        outbox,
        unsent: unsent.clone(),
        stop: Mutex::new(Some(stop)),
    });
    let is_wanted = state.open(id, peer.clone());
    state.deliver(NetEvent::Connected { peer: id, subject, addr }, None);
    state.renew.notify_one();
    // Peers open on the thread that ends the endpoint, which has closed all earlier ones by now.
    if !is_wanted || state.ending.load(Ordering::Relaxed) {
        peer.say_goodbye();
    }

    let mut tasks = JoinSet::new();
    let on = &state.control.runtime;
    tasks.spawn_on(write(out, send, control.clone(), unsent), on);
    tasks.spawn_on(read(state.clone(), id, peer.clone(), recv), on);
    if let Some(end) = lifeline {
        tasks.spawn_on(lifeline::attend(state.clone(), id, addr, end), on);
    }
    let blocks = transfer::receive_all(state.clone(), id, peer, bulk.clone());
    tasks.spawn_on(blocks, &state.bulk.runtime);
    let state = state.clone();
    state.control.runtime.clone().spawn(async move {
        let reason = tokio::select! {
            biased;
            Some(ended) = tasks.join_next() =>
                ended.unwrap_or_else(|error| CloseReason::Transport(error.to_string())),
            Ok(reason) = stopped => reason,
        };
        let (code, text) = reason.to_wire();
        control.close(code, &text);
        bulk.close(code, &text);
        tasks.shutdown().await;
        state.remove(id);
        state.deliver(NetEvent::Closed { peer: id, reason }, Some(slot));
    });
}

async fn write(
    mut out: UnboundedReceiver<Out>,
    mut send: SendStream,
    control: Connection,
    unsent: Arc<AtomicUsize>,
) -> CloseReason {
    let mut goodbye = false;
    while !goodbye {
        let mut bytes = BytesMut::new();
        // `self` holds a sender, so the channel never closes.
        let mut next = out.recv().await;
        loop {
            match next {
                Some(Out::Frame(frame)) => bytes.extend_from_slice(&frame),
                Some(Out::Goodbye) | None => goodbye = true,
            }
            if goodbye || bytes.len() >= TOGETHER {
                break;
            }
            match out.try_recv() {
                Ok(more) => next = Some(more),
                Err(_) => break,
            }
        }
        let len = bytes.len();
        if goodbye {
            bytes.extend_from_slice(&Frame::empty(FrameKind::Goodbye));
        }
        let written = send.write_chunk(Bytes::from(bytes)).await;
        unsent.fetch_sub(len, Ordering::Relaxed);
        if let Err(error) = written {
            return super::frames::ReadFailure::from(error).into();
        }
    }
    let _ = send.finish();
    // The peer closes the connection once it has read everything. A peer that has not must not mistake the
    // close for a goodbye.
    match timeout(FAREWELL, control.closed()).await {
        Ok(_) => CloseReason::Local,
        Err(_) => CloseReason::Silent,
    }
}

async fn read(
    state: Arc<EndpointState>,
    id: PeerId,
    peer: Arc<Peer>,
    mut recv: RecvStream,
) -> CloseReason {
    let budget = Arc::new(Semaphore::new(state.limits.untaken_messages));
    loop {
        match read_one(&state, id, &peer, &mut recv, &budget).await {
            Ok(true) => {}
            Ok(false) => return CloseReason::Bye,
            Err(reason) => return reason,
        }
    }
}

/// Reads one frame; returns `false` if it was the last.
async fn read_one(
    state: &Arc<EndpointState>,
    id: PeerId,
    peer: &Arc<Peer>,
    recv: &mut RecvStream,
    budget: &Arc<Semaphore>,
) -> Result<bool, CloseReason> {
    let header = read_header(recv).await?;
    match header.kind {
        FrameKind::Message(kind) => {
            let (from, to) = (peer.subject.role, state.role());
            if !kind.may_go(from, to) {
                let why = format!("a {from} must not send {kind:?} to a {to}");
                return Err(CloseReason::Violation(why));
            }
            // Acquire room before the payload: a peer whose messages are not taken waits here, and its
            // window fills up.
            let held = room(budget, FRAME_HEADER + header.len).await?;
            let message = Received::new(kind, read_payload(recv, header).await?);
            state.deliver(NetEvent::Message { peer: id, message }, Some(held));
        }
        FrameKind::Goodbye => {
            read_payload(recv, header).await?;
            return Ok(false);
        }
        FrameKind::Renew => {
            let frame = renew::answer(state, peer, &read_payload(recv, header).await?)?;
            // The limit stops a peer that asks without reading the answers.
            let _ = peer.send(frame, &state.limits);
        }
        FrameKind::Renewed => renew::take(state, peer, &read_payload(recv, header).await?)?,
        found => return Err(CloseReason::Violation(FrameError::Unexpected { found }.to_string())),
    }
    Ok(true)
}

/// Waits for that many bytes of room.
pub(super) async fn room(
    budget: &Arc<Semaphore>,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, CloseReason> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let room = budget.clone().acquire_many_owned(bytes).await;
    // The semaphore is never closed.
    room.map_err(|_| CloseReason::Local)
}
