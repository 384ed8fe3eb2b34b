//! Renewal: at two thirds of its life a certificate is exchanged for the next, by itself.
//!
//! Who has the authority certifies itself; everybody else asks a master that it is connected to, with
//! the certificate in use as its proof. Connections that are open stay open; new ones use the new certificate.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::hub::{Configs, Hub};
use super::peer::Peer;
use super::trust::{Authority, Identity, KeyPair, TrustError};
use super::{CloseReason, NetEvent};
use crate::wire::{FrameKind, Issued, Refusal, Renew, Renewed, Role, decode, encode};

/// The clock is looked at again at least this often: hosts sleep, and their clocks are set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(5);

/// Renews for as long as the endpoint lives.
pub(super) async fn renew_always(hub: &Arc<Hub>) {
    loop {
        let identity = hub.configs().identity.clone();
        let left = identity.renew_at().saturating_sub(hub.wall.now());
        if !left.is_zero() {
            // Whatever wakes it, it only looks at the clock.
            let _ = timeout(left.min(LOOK_AGAIN), hub.renew.notified()).await;
            continue;
        }
        if let Err(error) = attempt(hub, &identity) {
            let (why, until) = (error.to_string(), identity.valid_until());
            hub.notice(NetEvent::RenewalFailed { why, until });
        }
        let _ = timeout(PAUSE, hub.renew.notified()).await;
    }
}

/// Certifies itself, or asks for it.
fn attempt(hub: &Arc<Hub>, identity: &Identity) -> Result<(), TrustError> {
    if let Some(authority) = &hub.authority {
        let subject = identity.subject();
        let next = authority.identity(subject.role, &subject.name, hub.wall.now())?;
        return install(hub, next);
    }
    let Some(master) = hub.master() else {
        let why = "no master is connected".to_owned();
        return Err(TrustError::Certificate { what: "renewed", why });
    };
    let unusable = |why: &dyn std::fmt::Display| TrustError::Certificate {
        what: "renewed",
        why: why.to_string(),
    };
    // Asked again, it asks for the same key: whichever answer comes first fits.
    let key = match hub.asked().clone() {
        Some(key) => key,
        None => KeyPair::generate()?,
    };
    let renew = Renew { key: key.public()? };
    *hub.asked() = Some(key);
    let ask = encode(FrameKind::Renew, &renew).map_err(|why| unusable(&why))?;
    master.send(ask, &hub.limits).map_err(|why| unusable(&why))
}

/// From here on the process shows this identity.
pub(super) fn install(hub: &Hub, identity: Identity) -> Result<(), TrustError> {
    let until = identity.valid_until();
    let configs = Configs::new(identity, &hub.wall, &hub.limits)?;
    hub.install(configs);
    hub.notice(NetEvent::Renewed { until });
    Ok(())
}

/// Answers a peer that asks for its next certificate, with a frame.
pub(super) fn answer(hub: &Hub, peer: &Peer, payload: &[u8]) -> Result<Vec<u8>, CloseReason> {
    let violation = |error: crate::wire::FrameError| CloseReason::Violation(error.to_string());
    let renew: Renew = decode(FrameKind::Renew, payload).map_err(violation)?;
    let issue = |authority: &Arc<Authority>| {
        let subject = &peer.subject;
        let issued = authority.issue(subject.role, &subject.name, renew.key, hub.wall.now());
        issued.map_err(|why| hub.authority_failed(&why))
    };
    let result = hub.authority.as_ref().ok_or(Refusal::NoAuthority).and_then(issue);
    encode(FrameKind::Renewed, &Renewed { result }).map_err(violation)
}

/// Takes a certificate that was asked for.
pub(super) fn take(hub: &Hub, peer: &Peer, payload: &[u8]) -> Result<(), CloseReason> {
    let violation = |error: crate::wire::FrameError| CloseReason::Violation(error.to_string());
    let renewed: Renewed = decode(FrameKind::Renewed, payload).map_err(violation)?;
    if peer.subject.role != Role::Master {
        let why = "it sends a certificate, and is no master";
        return Err(CloseReason::Violation(why.into()));
    }
    // Asked twice, answered twice: the first answer was taken.
    let Some(key) = hub.asked().take() else { return Ok(()) };
    let identity = hub.configs().identity.clone();
    let next = match renewed.result {
        Ok(issued) => identity_with(&identity, key, issued, hub.wall.now()),
        Err(refusal) => Err(TrustError::Certificate { what: "renewed", why: refusal.to_string() }),
    };
    if let Err(error) = next.and_then(|next| install(hub, next)) {
        let (why, until) = (error.to_string(), identity.valid_until());
        hub.notice(NetEvent::RenewalFailed { why, until });
    }
    Ok(())
}

/// The next identity, if it is valid and that of the same process.
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
