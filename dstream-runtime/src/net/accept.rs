//! Being connected to: who may come in, and how far.
//!
//! A stranger costs little: beyond a few handshakes under way it must first show that it can be reached
//! at its address, beyond some more it is turned away, and what it may send before it is known fits into
//! a window of 64 KiB.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, Incoming};
use rustls::pki_types::CertificateDer;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::frames::{Broken, expect, say};
use super::hub::{Bulk, Hub, Port};
use super::lifeline::Awaited;
use super::peer::{self, Links};
use super::trust::{ALPN_BULK, ALPN_CONTROL, ALPN_JOIN, Subject};
use super::{CloseReason, join, lifeline};
use crate::wire::{Attach, Frame, FrameKind, Hello, Refusal, Role, Session, Welcome};

/// Takes in whoever connects to that port, for as long as the endpoint lives. Runs on the thread of the port.
pub(super) async fn accept_all(hub: &Arc<Hub>, port: &Port) {
    while let Some(incoming) = port.quinn.accept().await {
        admit(hub, port, incoming);
    }
}

fn admit(hub: &Arc<Hub>, port: &Port, incoming: Incoming) {
    let counters = &hub.counters;
    let busy = counters.handshakes.load(Ordering::Relaxed);
    if busy >= hub.limits.retry_above && !incoming.remote_address_validated() {
        counters.retried.fetch_add(1, Ordering::Relaxed);
        // An error means that it has shown its address meanwhile; then it is turned away, and asks again.
        let _ = incoming.retry();
        return;
    }
    let Ok(permit) = hub.gate.clone().try_acquire_owned() else {
        counters.turned_away.fetch_add(1, Ordering::Relaxed);
        incoming.refuse();
        return;
    };
    counters.handshakes.fetch_add(1, Ordering::Relaxed);
    let hub = hub.clone();
    port.runtime.spawn(async move {
        welcome(&hub, incoming, permit).await;
    });
}

/// A handshake under way: counted until dropped.
struct UnderWay<'h> {
    hub: &'h Hub,
    _permit: OwnedSemaphorePermit,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.hub.counters.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn welcome(hub: &Arc<Hub>, incoming: Incoming, permit: OwnedSemaphorePermit) {
    let under_way = UnderWay { hub, _permit: permit };
    let addr = incoming.remote_address();
    let handshake = async { incoming.accept()?.await };
    let connection = match timeout(hub.limits.handshake, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            // Only a process that got as far as TLS is worth a word: anybody can send half a handshake.
            if let CloseReason::Refused(refusal) = error.into() {
                hub.refused(addr, refusal);
            }
            return;
        }
        Err(_) => return,
    };
    let outcome = match alpn(&connection).as_deref() {
        Some(ALPN_CONTROL) => control(hub, &connection, under_way).await,
        Some(ALPN_BULK) => bulk(hub, &connection).await,
        Some(ALPN_JOIN) => join::serve(hub, &connection).await,
        _ => Err(Refusal::Protocol.into()),
    };
    let Err(broken) = outcome else { return };
    let refusal = match broken {
        Failed::Refused(refusal) => refusal,
        Failed::Broken(Broken::Frame(error)) => Refusal::Malformed { why: error.to_string() },
        Failed::Broken(Broken::Ended | Broken::Cancelled) => {
            Refusal::Malformed { why: "it ends too early".into() }
        }
        // The other side has gone, or it is this side that was refused: that is known there.
        Failed::Broken(Broken::Lost(CloseReason::Refused(refusal))) => {
            return hub.refused(addr, refusal);
        }
        Failed::Broken(Broken::Lost(_)) => return,
    };
    let (code, reason) = CloseReason::Refused(refusal.clone()).to_wire();
    connection.close(code, &reason);
    hub.refused(addr, refusal);
}

/// Why a handshake was not completed.
pub(super) enum Failed {
    /// This side does not want it.
    Refused(Refusal),
    /// It cannot go on.
    Broken(Broken),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<quinn::ConnectionError> for Failed {
    fn from(error: quinn::ConnectionError) -> Self {
        Self::Broken(Broken::Lost(error.into()))
    }
}

fn alpn(connection: &Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

/// Who is at the other end, from a certificate that TLS has judged.
pub(super) fn subject(connection: &Connection) -> Result<Subject, Refusal> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let chain = chain.ok_or(Refusal::NoCertificate)?;
    chain.first().and_then(Subject::read).ok_or(Refusal::NotOurs)
}

async fn control(
    hub: &Arc<Hub>,
    connection: &Connection,
    under_way: UnderWay<'_>,
) -> Result<(), Failed> {
    let subject = subject(connection)?;
    let (mut send, recv, hello) = first::<Hello>(hub, connection, FrameKind::Hello).await?;
    hub.hello.judge(&hello)?;
    if hello.role != subject.role {
        return Err(Refusal::Role { claimed: hello.role, certified: subject.role }.into());
    }
    if subject.job != hub.hello.job {
        let (expected, found) = (hub.hello.job.clone(), subject.job);
        return Err(Refusal::Job { expected, found }.into());
    }
    let full = Refusal::Full { peers: hub.limits.peers };
    let slot = hub.room.clone().try_acquire_owned().map_err(|_| full)?;
    let session = Session(super::trust::random_id().map_err(|_| Refusal::AuthorityFailed)?);
    let wait = hub.await_bulk(session);
    let bulk = hub.bulk.addr.port();
    let awaited = match &hub.control.lifelines {
        Some(lifelines) if subject.role == Role::Worker => {
            Some(lifelines.await_one().map_err(|_| Refusal::AuthorityFailed)?)
        }
        _ => None,
    };
    let lifeline = awaited.as_ref().map(Awaited::name);
    let welcome = Welcome { hello: hub.hello.clone(), session, bulk, lifeline };
    let attached = async {
        say(&mut send, FrameKind::Welcome, &welcome).await?;
        wait.await.map_err(|_| Broken::Ended)
    };
    let attached = timeout(hub.limits.handshake, attached).await;
    // Whoever has found it there sends; nobody else may come.
    drop(hub.awaited(session));
    let bulk = attached.map_err(|_| Refusal::Timeout)??;
    if self::subject(&bulk.connection)? != subject {
        return Err(Refusal::NotOurs.into());
    }
    let lifeline = awaited.map(lifeline::End::Awaited);
    let links = Links { control: connection.clone(), bulk: bulk.connection, send, recv, lifeline };
    let mut answer = bulk.answer;
    drop(under_way);
    let id = hub.next_peer();
    peer::open(hub, id, subject, links, slot);
    // Said after the peer exists here: what it sends from now on finds it. If it cannot be said, the bulk
    // connection is broken, which the peer's own tasks find as well.
    let _ = answer.write_all(&Frame::empty(FrameKind::Attached)).await;
    let _ = answer.finish();
    Ok(())
}

async fn bulk(hub: &Arc<Hub>, connection: &Connection) -> Result<(), Failed> {
    // No certificate, no session: whoever has none cannot have been told of one, but might guess.
    subject(connection)?;
    let (answer, _recv, attach) = first::<Attach>(hub, connection, FrameKind::Attach).await?;
    let unknown = || Refusal::Malformed { why: "nobody waits for this session".into() };
    let awaited = hub.awaited(attach.session).ok_or_else(unknown)?;
    let bulk = Bulk { connection: connection.clone(), answer };
    awaited.send(bulk).map_err(|_| unknown())?;
    Ok(())
}

/// The first frame of a connection, on its only quic_stream in both directions.
pub(super) async fn first<T: serde::de::DeserializeOwned>(
    hub: &Hub,
    connection: &Connection,
    kind: FrameKind,
) -> Result<(quinn::SendStream, quinn::RecvStream, T), Failed> {
    let heard = async {
        let (send, mut recv) = connection.accept_bi().await?;
        let value = expect(&mut recv, kind).await?;
        Ok::<_, Failed>((send, recv, value))
    };
    timeout(hub.limits.handshake, heard).await.map_err(|_| Refusal::Timeout)?
}
