//! Renewal: at two thirds of its life, a certificate is exchanged for the next.
//!
//! A process with the authority certifies itself; any other asks a connected master, with its current
//! certificate as proof. Open connections stay open; new ones use the new certificate.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::endpoint_state::{Configs, EndpointState};
use super::peer::Peer;
use super::trust::{Authority, Identity, KeyPair, TrustError};
use super::{CloseReason, NetEvent};
use crate::wire::{FrameKind, Issued, Refusal, Renew, Renewed, Role, decode, encode};

/// Longest pause between two looks at the clock: hosts sleep, and clocks are set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(5);

/// Renews the certificate as long as the endpoint lives.
pub(super) async fn renew_always(state: &Arc<EndpointState>) {
    loop {
        let identity = state.configs().identity.clone();
        let left = identity.renew_at().saturating_sub(state.wall.now());
        if !left.is_zero() {
            // Every wake-up only rechecks the clock.
            let _ = timeout(left.min(LOOK_AGAIN), state.renew.notified()).await;
            continue;
        }
        if let Err(error) = attempt(state, &identity) {
            let (why, until) = (error.to_string(), identity.valid_until());
            state.notice(NetEvent::RenewalFailed { why, until });
        }
        let _ = timeout(PAUSE, state.renew.notified()).await;
    }
}

/// Certifies itself, or asks a master.
fn attempt(state: &Arc<EndpointState>, identity: &Identity) -> Result<(), TrustError> {
    // That of a master in this process, which is reached without a connection to ask on.
    let near = state.memory.as_ref().and_then(|memory| memory.authority());
    if let Some(authority) = state.authority.clone().or(near) {
        let subject = identity.subject();
        let next = authority.identity(subject.role, &subject.name, state.wall.now())?;
        return install(state, next);
    }
    let Some(master) = state.master() else {
        let why = "no master is connected".to_owned();
        return Err(TrustError::Certificate { what: "renewed", why });
    };
    let unusable = |why: &dyn std::fmt::Display| TrustError::Certificate {
        what: "renewed",
        why: why.to_string(),
    };
    // A repeated request asks for the same key, so either answer fits.
    let key = match state.asked().clone() {
        Some(key) => key,
        None => KeyPair::generate()?,
    };
    let renew = Renew { key: key.public()? };
    *state.asked() = Some(key);
    let ask = encode(FrameKind::Renew, &renew).map_err(|why| unusable(&why))?;
    master.send(ask, &state.limits).map_err(|why| unusable(&why))
}

/// Uses this identity from now on.
pub(super) fn install(state: &EndpointState, identity: Identity) -> Result<(), TrustError> {
    let until = identity.valid_until();
    let configs = Configs::new(identity, &state.wall, &state.limits)?;
    state.install(configs);
    state.notice(NetEvent::Renewed { until });
    Ok(())
}

/// Answers a peer's request for its next certificate.
pub(super) fn answer(
    state: &EndpointState,
    peer: &Peer,
    payload: &[u8],
) -> Result<Vec<u8>, CloseReason> {
    let violation = |error: crate::wire::FrameError| CloseReason::Violation(error.to_string());
    let renew: Renew = decode(FrameKind::Renew, payload).map_err(violation)?;
    let issue = |authority: &Arc<Authority>| {
        let subject = &peer.subject;
        let issued = authority.issue(subject.role, &subject.name, renew.key, state.wall.now());
        issued.map_err(|why| state.authority_failed(&why))
    };
    let result = state.authority.as_ref().ok_or(Refusal::NoAuthority).and_then(issue);
    encode(FrameKind::Renewed, &Renewed { result }).map_err(violation)
}

/// Takes a requested certificate.
pub(super) fn take(state: &EndpointState, peer: &Peer, payload: &[u8]) -> Result<(), CloseReason> {
    let violation = |error: crate::wire::FrameError| CloseReason::Violation(error.to_string());
    let renewed: Renewed = decode(FrameKind::Renewed, payload).map_err(violation)?;
    if peer.subject.role != Role::Master {
        let why = "it sends a certificate, and is no master";
        return Err(CloseReason::Violation(why.into()));
    }
    // A second answer to a repeated request: the first one was taken.
    let Some(key) = state.asked().take() else { return Ok(()) };
    let identity = state.configs().identity.clone();
    let next = match renewed.result {
        Ok(issued) => identity_with(&identity, key, issued, state.wall.now()),
        Err(refusal) => Err(TrustError::Certificate { what: "renewed", why: refusal.to_string() }),
    };
    if let Err(error) = next.and_then(|next| install(state, next)) {
        let (why, until) = (error.to_string(), identity.valid_until());
        state.notice(NetEvent::RenewalFailed { why, until });
    }
    Ok(())
}

/// Returns the next identity if it is valid and of the same process.
fn identity_with(
    old: &Identity,
    key: KeyPair,
    issued: Issued,
    now: Duration,
) -> Result<Identity, TrustError> {
    let next = Identity::new(key, issued, old.trusted().clone(), now)?;
    next.check(now)?;
    if next.subject() != old.subject() {
        let why = "it is for another process".to_owned();
        return Err(TrustError::Certificate { what: "used", why });
    }
    Ok(next)
}
