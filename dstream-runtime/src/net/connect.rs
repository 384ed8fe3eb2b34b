//! Connecting to a process: control, welcome, bulk, attached.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{ClientConfig, Connection};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::timeout;

use super::accept::subject;
use super::endpoint_state::{EndpointState, QuicPort};
use super::frames::{ReadFailure, expect, say};
use super::lifeline::End;
use super::peer::{self, Links};
use super::trust::{SERVER_NAME, Subject};
use super::{CloseReason, NetEvent, PeerId};
use crate::wire::{Attach, FrameError, FrameKind, Refusal, Welcome};

/// Connects, and reports the outcome to the driver.
pub(super) async fn connect(
    state: Arc<EndpointState>,
    id: PeerId,
    addr: SocketAddr,
    give_up: Arc<Notify>,
) {
    let slot = state.room.clone().try_acquire_owned();
    let full = || CloseReason::Refused(Refusal::Full { peers: state.limits.peers });
    let outcome = tokio::select! {
        biased;
        // Two connections with one answer each: twice the time of a single handshake.
        outcome = timeout(state.limits.handshake * 2, handshake(&state, id, addr)) =>
            outcome.unwrap_or(Err(CloseReason::Unreachable)),
        () = give_up.notified() => Err(CloseReason::Local),
    };
    match (outcome, slot) {
        (Ok((subject, links)), Ok(slot)) => peer::open(&state, id, subject, links, slot),
        (Err(reason), slot) => closed(&state, id, reason, slot.ok()),
        (Ok((_, links)), Err(_)) => {
            let reason = full();
            let (code, text) = reason.to_wire();
            links.control.close(code, &text);
            links.bulk.close(code, &text);
            closed(&state, id, reason, None);
        }
    }
}

fn closed(
    state: &EndpointState,
    id: PeerId,
    reason: CloseReason,
    slot: Option<OwnedSemaphorePermit>,
) {
    state.remove(id);
    state.deliver(NetEvent::Closed { peer: id, reason }, slot);
}

pub(super) async fn handshake(
    state: &Arc<EndpointState>,
    id: PeerId,
    addr: SocketAddr,
) -> Result<(Subject, Links), CloseReason> {
    let configs = state.configs();
    let control = dial(&state.control, configs.control.client.clone(), addr).await?;
    // From here on the other process may grant the call: only its driver may end it.
    if !state.answered(id) {
        return Err(CloseReason::Local);
    }
    let subject = subject(&control).map_err(CloseReason::Refused)?;
    let (mut send, mut recv) = control.open_bi().await?;
    say(&mut send, FrameKind::Hello, &state.hello).await.map_err(lost)?;
    let welcome: Welcome = expect(&mut recv, FrameKind::Welcome).await.map_err(lost)?;
    // The peer has checked this process's hello; check the peer's hello and its certified role.
    state.hello.judge(&welcome.hello).map_err(CloseReason::Refused)?;
    if welcome.hello.role != subject.role {
        let (claimed, certified) = (welcome.hello.role, subject.role);
        return Err(CloseReason::Refused(Refusal::Role { claimed, certified }));
    }
    let there = SocketAddr::new(addr.ip(), welcome.bulk);
    let bulk = dial(&state.bulk, configs.bulk.client.clone(), there);
    // Control works, so a silent bulk port has its own cause, usually a firewall.
    let bulk = match timeout(state.limits.handshake, bulk).await {
        Err(_) | Ok(Err(CloseReason::Unreachable)) => {
            return Err(CloseReason::NoBulk { addr: there });
        }
        Ok(dialled) => dialled?,
    };
    if super::accept::subject(&bulk).as_ref() != Ok(&subject) {
        return Err(CloseReason::Refused(Refusal::NotOurs));
    }
    let (mut ask, mut answer) = bulk.open_bi().await?;
    say(&mut ask, FrameKind::Attach, &Attach { session: welcome.session }).await.map_err(lost)?;
    let header = super::frames::read_header(&mut answer).await.map_err(lost)?;
    if header.kind != FrameKind::Attached {
        return Err(lost(FrameError::Unexpected { found: header.kind }.into()));
    }
    let lifeline = welcome.lifeline.filter(|_| state.holds_lifeline).map(End::Told);
    Ok((subject, Links { control, bulk, send, recv, lifeline }))
}

/// Connects through QUIC and TLS, on the thread of the port.
pub(super) async fn dial(
    from: &QuicPort,
    config: ClientConfig,
    addr: SocketAddr,
) -> Result<Connection, CloseReason> {
    let failed = |error: quinn::ConnectError| CloseReason::Transport(error.to_string());
    let connecting = {
        // quinn spawns its tasks on the current runtime.
        let _inside = from.runtime.enter();
        from.quinn.connect_with(config, addr, SERVER_NAME).map_err(failed)?
    };
    connecting.await.map_err(|error| match error.into() {
        CloseReason::Silent => CloseReason::Unreachable,
        reason => reason,
    })
}

/// Converts a failure before the peer was established.
pub(super) fn lost(broken: ReadFailure) -> CloseReason {
    match broken {
        ReadFailure::Lost(reason) => reason,
        ReadFailure::Frame(error) => CloseReason::Violation(error.to_string()),
        ReadFailure::Ended | ReadFailure::Cancelled => {
            CloseReason::Violation("the handshake ends too early".into())
        }
    }
}
