//! Accepting connections: which processes may connect, and what they may use before they are known.
//!
//! A stranger costs little. Above `retry_above` handshakes it must first prove its address; above
//! `handshakes` it is turned away; before it is known its window is 64 KiB.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, Incoming};
use rustls::pki_types::CertificateDer;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::endpoint_state::{Bulk, EndpointState, QuicPort};
use super::frames::{ReadFailure, expect, say};
use super::lifeline::Awaited;
use super::peer::{self, Links};
use super::trust::{ALPN_BULK, ALPN_CONTROL, ALPN_JOIN, Subject};
use super::{CloseReason, join, lifeline};
use crate::wire::{Attach, Frame, FrameKind, Hello, Refusal, Role, Session, Welcome};

/// Accepts connections on a port, on the port's thread, until the endpoint ends.
pub(super) async fn accept_all(state: &Arc<EndpointState>, port: &QuicPort) {
    while let Some(incoming) = port.quinn.accept().await {
        admit(state, port, incoming);
    }
}

fn admit(state: &Arc<EndpointState>, port: &QuicPort, incoming: Incoming) {
    let counters = &state.counters;
    let busy = counters.handshakes.load(Ordering::Relaxed);
    if busy >= state.limits.retry_above && !incoming.remote_address_validated() {
        counters.retried.fetch_add(1, Ordering::Relaxed);
        // An error means that the address is already proven: the caller is turned away and may try again.
        let _ = incoming.retry();
        return;
    }
    let Ok(permit) = state.gate.clone().try_acquire_owned() else {
        counters.turned_away.fetch_add(1, Ordering::Relaxed);
        incoming.refuse();
        return;
    };
    counters.handshakes.fetch_add(1, Ordering::Relaxed);
    let state = state.clone();
    port.runtime.spawn(async move {
        welcome(&state, incoming, permit).await;
    });
}

/// Counts a handshake until it is dropped.
struct UnderWay<'h> {
    state: &'h EndpointState,
    _permit: OwnedSemaphorePermit,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.state.counters.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn welcome(state: &Arc<EndpointState>, incoming: Incoming, permit: OwnedSemaphorePermit) {
    let under_way = UnderWay { state, _permit: permit };
    let addr = incoming.remote_address();
    let handshake = async { incoming.accept()?.await };
    let connection = match timeout(state.limits.handshake, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            // Report only processes that completed TLS: anyone can send half a handshake.
            if let CloseReason::Refused(refusal) = error.into() {
                state.refused(addr, refusal);
            }
            return;
        }
        Err(_) => return,
    };
    let outcome = match alpn(&connection).as_deref() {
        Some(ALPN_CONTROL) => control(state, &connection, under_way).await,
        Some(ALPN_BULK) => bulk(state, &connection).await,
        Some(ALPN_JOIN) => join::serve(state, &connection).await,
        _ => Err(Refusal::Protocol.into()),
    };
    let Err(broken) = outcome else { return };
    let refusal = match broken {
        HandshakeFailure::Refused(refusal) => refusal,
        HandshakeFailure::Broken(ReadFailure::Frame(error)) => {
            Refusal::Malformed { why: error.to_string() }
        }
        HandshakeFailure::Broken(ReadFailure::Ended | ReadFailure::Cancelled) => {
            Refusal::Malformed { why: "it ends too early".into() }
        }
        // The other side disconnected, or it refused this process and reports that itself.
        HandshakeFailure::Broken(ReadFailure::Lost(CloseReason::Refused(refusal))) => {
            return state.refused(addr, refusal);
        }
        HandshakeFailure::Broken(ReadFailure::Lost(_)) => return,
    };
    let (code, reason) = CloseReason::Refused(refusal.clone()).to_wire();
    connection.close(code, &reason);
    state.refused(addr, refusal);
}

/// Why a handshake was not completed.
pub(super) enum HandshakeFailure {
    /// This process refuses the other.
    Refused(Refusal),
    /// The connection broke.
    Broken(ReadFailure),
}

impl From<Refusal> for HandshakeFailure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ReadFailure> for HandshakeFailure {
    fn from(broken: ReadFailure) -> Self {
        Self::Broken(broken)
    }
}

impl From<quinn::ConnectionError> for HandshakeFailure {
    fn from(error: quinn::ConnectionError) -> Self {
        Self::Broken(ReadFailure::Lost(error.into()))
    }
}

fn alpn(connection: &Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

/// Reads the peer's subject from a certificate that TLS has verified.
pub(super) fn subject(connection: &Connection) -> Result<Subject, Refusal> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let chain = chain.ok_or(Refusal::NoCertificate)?;
    chain.first().and_then(Subject::read).ok_or(Refusal::NotOurs)
}

async fn control(
    state: &Arc<EndpointState>,
    connection: &Connection,
    under_way: UnderWay<'_>,
) -> Result<(), HandshakeFailure> {
    let subject = subject(connection)?;
    let (mut send, recv, hello) = first::<Hello>(state, connection, FrameKind::Hello).await?;
    state.hello.judge(&hello)?;
    if hello.role != subject.role {
        return Err(Refusal::Role { claimed: hello.role, certified: subject.role }.into());
    }
    if subject.job != state.hello.job {
        let (expected, found) = (state.hello.job.clone(), subject.job);
        return Err(Refusal::Job { expected, found }.into());
    }
    let full = Refusal::Full { peers: state.limits.peers };
    let slot = state.room.clone().try_acquire_owned().map_err(|_| full)?;
    let session = Session(super::trust::random_id().map_err(|_| Refusal::AuthorityFailed)?);
    let wait = state.await_bulk(session);
    let bulk = state.bulk.addr.port();
    let awaited = match &state.control.lifelines {
        Some(lifelines) if matches!(subject.role, Role::Worker | Role::Client) => {
            Some(lifelines.await_one().map_err(|_| Refusal::AuthorityFailed)?)
        }
        _ => None,
    };
    let lifeline = awaited.as_ref().map(Awaited::name);
    let welcome = Welcome { hello: state.hello.clone(), session, bulk, lifeline };
    let attached = async {
        say(&mut send, FrameKind::Welcome, &welcome).await?;
        wait.await.map_err(|_| ReadFailure::Ended)
    };
    let attached = timeout(state.limits.handshake, attached).await;
    // The session is used up: no second bulk connection may claim it.
    drop(state.awaited(session));
    let bulk = attached.map_err(|_| Refusal::Timeout)??;
    if self::subject(&bulk.connection)? != subject {
        return Err(Refusal::NotOurs.into());
    }
    let lifeline = awaited.map(lifeline::End::Awaited);
    let links = Links { control: connection.clone(), bulk: bulk.connection, send, recv, lifeline };
    let mut answer = bulk.answer;
    drop(under_way);
    let id = state.next_peer();
    peer::open(state, id, subject, links, slot);
    // Sent after the peer is registered, so that its next frames find it. A failed write means that the bulk
    // connection is broken, which the peer's tasks report.
    let _ = answer.write_all(&Frame::empty(FrameKind::Attached)).await;
    let _ = answer.finish();
    Ok(())
}

async fn bulk(state: &Arc<EndpointState>, connection: &Connection) -> Result<(), HandshakeFailure> {
    // A bulk connection needs a certificate: session ids could be guessed.
    subject(connection)?;
    let (answer, _recv, attach) = first::<Attach>(state, connection, FrameKind::Attach).await?;
    let unknown = || Refusal::Malformed { why: "unknown session".into() };
    let awaited = state.awaited(attach.session).ok_or_else(unknown)?;
    let bulk = Bulk { connection: connection.clone(), answer };
    awaited.send(bulk).map_err(|_| unknown())?;
    Ok(())
}

/// Reads the first frame of a connection, on its only bidirectional QUIC stream.
pub(super) async fn first<T: serde::de::DeserializeOwned>(
    state: &EndpointState,
    connection: &Connection,
    kind: FrameKind,
) -> Result<(quinn::SendStream, quinn::RecvStream, T), HandshakeFailure> {
    let heard = async {
        let (send, mut recv) = connection.accept_bi().await?;
        let value = expect(&mut recv, kind).await?;
        Ok::<_, HandshakeFailure>((send, recv, value))
    };
    timeout(state.limits.handshake, heard).await.map_err(|_| Refusal::Timeout)?
}
