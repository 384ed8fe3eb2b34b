//! Connecting to a process: control, welcome, bulk, attached.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{ClientConfig, Connection};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::timeout;

use super::accept::subject;
use super::frames::{Broken, expect, say};
use super::hub::{Hub, Port};
use super::lifeline::End;
use super::peer::{self, Links};
use super::trust::{SERVER_NAME, Subject};
use super::{CloseReason, NetEvent, PeerId};
use crate::wire::{Attach, FrameError, FrameKind, Refusal, Welcome};

/// Connects, and tells the driver how that went.
pub(super) async fn connect(hub: Arc<Hub>, id: PeerId, addr: SocketAddr, give_up: Arc<Notify>) {
    let slot = hub.room.clone().try_acquire_owned();
    let full = || CloseReason::Refused(Refusal::Full { peers: hub.limits.peers });
    let outcome = tokio::select! {
        biased;
        // Two connections and two answers: twice the time of the other side's single steps.
        outcome = timeout(hub.limits.handshake * 2, handshake(&hub, addr)) =>
            outcome.unwrap_or(Err(CloseReason::Unreachable)),
        () = give_up.notified() => Err(CloseReason::Local),
    };
    match (outcome, slot) {
        (Ok((subject, links)), Ok(slot)) => peer::open(&hub, id, subject, links, slot),
        (Err(reason), slot) => closed(&hub, id, reason, slot.ok()),
        (Ok((_, links)), Err(_)) => {
            let reason = full();
            let (code, text) = reason.to_wire();
            links.control.close(code, &text);
            links.bulk.close(code, &text);
            closed(&hub, id, reason, None);
        }
    }
}

fn closed(hub: &Hub, id: PeerId, reason: CloseReason, slot: Option<OwnedSemaphorePermit>) {
    hub.remove(id);
    hub.deliver(NetEvent::Closed { peer: id, reason }, slot);
}

async fn handshake(hub: &Arc<Hub>, addr: SocketAddr) -> Result<(Subject, Links), CloseReason> {
    let configs = hub.configs();
    let control = dial(&hub.control, configs.control.client.clone(), addr).await?;
    let subject = subject(&control).map_err(CloseReason::Refused)?;
    let (mut send, mut recv) = control.open_bi().await?;
    say(&mut send, FrameKind::Hello, &hub.hello).await.map_err(lost)?;
    let welcome: Welcome = expect(&mut recv, FrameKind::Welcome).await.map_err(lost)?;
    // It has judged this process by its own hello; the same the other way round, and the role as certified.
    hub.hello.judge(&welcome.hello).map_err(CloseReason::Refused)?;
    if welcome.hello.role != subject.role {
        let (claimed, certified) = (welcome.hello.role, subject.role);
        return Err(CloseReason::Refused(Refusal::Role { claimed, certified }));
    }
    let there = SocketAddr::new(addr.ip(), welcome.bulk);
    let bulk = dial(&hub.bulk, configs.bulk.client.clone(), there);
    // The process is there, so silence of this port has a reason of its own: a firewall, mostly.
    let bulk = match timeout(hub.limits.handshake, bulk).await {
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
    let lifeline = welcome.lifeline.map(End::Told);
    Ok((subject, Links { control, bulk, send, recv, lifeline }))
}

/// Connects, as far as QUIC and TLS go, on the thread of that port.
pub(super) async fn dial(
    from: &Port,
    config: ClientConfig,
    addr: SocketAddr,
) -> Result<Connection, CloseReason> {
    let failed = |error: quinn::ConnectError| CloseReason::Transport(error.to_string());
    let connecting = {
        // quinn's own tasks run on the thread that calls it, or is said to.
        let _inside = from.runtime.enter();
        from.quinn.connect_with(config, addr, SERVER_NAME).map_err(failed)?
    };
    connecting.await.map_err(|error| match error.into() {
        CloseReason::Silent => CloseReason::Unreachable,
        reason => reason,
    })
}

/// What went wrong before the other side was a peer.
pub(super) fn lost(broken: Broken) -> CloseReason {
    match broken {
        Broken::Lost(reason) => reason,
        Broken::Frame(error) => CloseReason::Violation(error.to_string()),
        Broken::Ended | Broken::Cancelled => {
            CloseReason::Violation("the handshake ends too early".into())
        }
    }
}
