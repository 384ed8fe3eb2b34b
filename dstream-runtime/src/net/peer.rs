//! A peer: the tasks that read and write its two connections, and its end.
//!
//! One task per direction of control, one that takes in blocks, perhaps one that sees to its lifeline, and one
//! that waits for the first of them to end. Whatever ends first is the reason of the end; then the others are stopped, and only then the
//! driver is told, so that `Closed` is the last it hears.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::frames::{read_header, read_payload};
use super::hub::{Entry, Hub};
use super::lifeline::End;
use super::options::BULK_WRITERS;
use super::trust::Subject;
use super::{CloseReason, Limits, NetEvent, PeerId, SendError, lifeline, renew, socket, transfer};
use crate::wire::{FRAME_HEADER, Frame, FrameError, FrameKind, Received};

/// Frames are sent together up to this many bytes.
const TOGETHER: usize = 64 << 10;

/// How long the other side may take to answer a goodbye.
const FAREWELL: Duration = Duration::from_millis(800);

/// What a completed handshake leaves.
pub(super) struct Links {
    pub(super) control: Connection,
    pub(super) bulk: Connection,
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    pub(super) lifeline: Option<End>,
}

/// What is to be written.
enum Out {
    Frame(Vec<u8>),
    Goodbye,
}

/// What others hold of a peer.
pub(super) struct Peer {
    pub(super) subject: Subject,
    pub(super) bulk: Connection,
    /// Turns at writing blocks.
    pub(super) turns: Arc<Semaphore>,
    outbox: UnboundedSender<Out>,
    unsent: Arc<AtomicUsize>,
    /// Ends the peer; gone once used.
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
        // If nobody listens any more, the peer has ended already.
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

/// From here on it is a peer: the driver is told, and its tasks run.
pub(super) fn open(
    hub: &Arc<Hub>,
    id: PeerId,
    subject: Subject,
    links: Links,
    slot: OwnedSemaphorePermit,
) {
    let Links { control, bulk, send, recv, lifeline } = links;
    socket::widen_control(&control);
    transfer::widen(&bulk, subject.role, hub.role());
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
    hub.insert(id, Entry::Open(peer.clone()));
    hub.deliver(NetEvent::Connected { peer: id, subject, addr }, None);
    hub.renew.notify_one();
    // Peers are opened on the thread that ends the endpoint: it has taken leave of all others before this.
    if hub.ending.load(Ordering::Relaxed) {
        peer.say_goodbye();
    }

    let mut tasks = JoinSet::new();
    let on = &hub.control.runtime;
    tasks.spawn_on(write(out, send, control.clone(), unsent), on);
    tasks.spawn_on(read(hub.clone(), id, peer.clone(), recv), on);
    if let Some(end) = lifeline {
        tasks.spawn_on(lifeline::attend(hub.clone(), id, addr, end), on);
    }
    let blocks = transfer::receive_all(hub.clone(), id, peer, bulk.clone());
    tasks.spawn_on(blocks, &hub.bulk.runtime);
    let hub = hub.clone();
    hub.control.runtime.clone().spawn(async move {
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
        hub.remove(id);
        hub.deliver(NetEvent::Closed { peer: id, reason }, Some(slot));
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
        // The sender lives as long as the peer, so there is always a next one to wait for.
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
            return super::frames::Broken::from(error).into();
        }
    }
    let _ = send.finish();
    // The peer closes the connection once it has read everything. One that has not must not take the end for a
    // goodbye, which comes after everything else.
    match timeout(FAREWELL, control.closed()).await {
        Ok(_) => CloseReason::Local,
        Err(_) => CloseReason::Silent,
    }
}

async fn read(hub: Arc<Hub>, id: PeerId, peer: Arc<Peer>, mut recv: RecvStream) -> CloseReason {
    let budget = Arc::new(Semaphore::new(hub.limits.untaken_messages));
    loop {
        match read_one(&hub, id, &peer, &mut recv, &budget).await {
            Ok(true) => {}
            Ok(false) => return CloseReason::Bye,
            Err(reason) => return reason,
        }
    }
}

/// Takes in one frame; `false` if it was the last.
async fn read_one(
    hub: &Arc<Hub>,
    id: PeerId,
    peer: &Arc<Peer>,
    recv: &mut RecvStream,
    budget: &Arc<Semaphore>,
) -> Result<bool, CloseReason> {
    let header = read_header(recv).await?;
    match header.kind {
        FrameKind::Message(kind) => {
            let (from, to) = (peer.subject.role, hub.role());
            if !kind.may_go(from, to) {
                let why = format!("a {from} must not send {kind:?} to a {to}");
                return Err(CloseReason::Violation(why));
            }
            // Room first: a peer whose messages nobody takes waits here, and its window fills up.
            let held = room(budget, FRAME_HEADER + header.len).await?;
            let message = Received::new(kind, read_payload(recv, header).await?);
            hub.deliver(NetEvent::Message { peer: id, message }, Some(held));
        }
        FrameKind::Goodbye => {
            read_payload(recv, header).await?;
            return Ok(false);
        }
        FrameKind::Renew => {
            let frame = renew::answer(hub, peer, &read_payload(recv, header).await?)?;
            // A peer that asks and does not read the answers is stopped by the limit.
            let _ = peer.send(frame, &hub.limits);
        }
        FrameKind::Renewed => renew::take(hub, peer, &read_payload(recv, header).await?)?,
        found => return Err(CloseReason::Violation(FrameError::Unexpected { found }.to_string())),
    }
    Ok(true)
}

/// Room for that many bytes, once there is some.
pub(super) async fn room(
    budget: &Arc<Semaphore>,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, CloseReason> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let room = budget.clone().acquire_many_owned(bytes).await;
    // The semaphore is never closed.
    room.map_err(|_| CloseReason::Local)
}
