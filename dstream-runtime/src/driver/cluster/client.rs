//! Asking a master: one question, one answer, one connection. A port that no process has is an error at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};

use super::{Access, ClientTarget, ClusterError, MasterPaths, Question, Reply};
use crate::net::trust::{Authority, Identity, Token};
use crate::net::{
    self, BindOptions, CloseReason, Endpoint, JoinOptions, NetError, NetEvent, Presence,
};
use crate::wire::{MessageKind, Refusal, Role};

/// How often is looked whether the port is refused.
const LOOK: Duration = Duration::from_millis(20);

/// How long an answer of the host may take before a client joins, which waits longer.
const HOST: Duration = Duration::from_millis(100);

/// See [`ask`](super::ask).
pub(super) fn ask(target: &ClientTarget, question: &Question) -> Result<Reply, ClusterError> {
    let mut failed = None;
    for addr in &target.masters {
        match ask_one(target, *addr, question) {
            Ok(reply) => return Ok(reply),
            // One that refuses is there; others may be the master's old addresses.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or_else(|| ClusterError::Broken { why: "no master to ask".to_owned() }))
}

fn ask_one(
    target: &ClientTarget,
    addr: SocketAddr,
    question: &Question,
) -> Result<Reply, ClusterError> {
    let mut presence = Presence::ask(addr);
    if let Access::Token { identity, .. } = &target.access
        && !identity.exists()
        && is_refused_within(HOST, &mut presence)
    {
        return Err(NetError::NotThere { addr }.into());
    }
    let identity = identity(target, addr)?;
    // On this host the answer is there by now, and there is no endpoint yet that takes its time to close.
    if presence.as_mut().is_some_and(Presence::is_refused) {
        return Err(NetError::NotThere { addr }.into());
    }
    let bind = BindOptions::new(identity, target.plan).towards(addr);
    let (sender, events) = unbounded();
    let endpoint = Endpoint::bind(bind, move |delivery| drop(sender.send(delivery)))?;
    let peer = endpoint.net().connect(addr);
    let until = Instant::now() + target.patience;
    exchange(&endpoint, peer, addr, question, (&events, presence), until)
}

fn is_refused_within(time: Duration, presence: &mut Option<Presence>) -> bool {
    let until = Instant::now() + time;
    let mut refused = || presence.as_mut().is_some_and(Presence::is_refused);
    while Instant::now() < until {
        if refused() {
            return true;
        }
        std::thread::park_timeout(LOOK);
    }
    false
}

fn exchange(
    endpoint: &Endpoint,
    peer: net::PeerId,
    addr: SocketAddr,
    question: &Question,
    (events, mut presence): (&Receiver<net::Delivery>, Option<Presence>),
    until: Instant,
) -> Result<Reply, ClusterError> {
    let broken = |reason| ClusterError::from(NetError::Broken { addr, reason });
    loop {
        let look = if presence.is_some() { until.min(Instant::now() + LOOK) } else { until };
        let delivery = match events.recv_deadline(look) {
            Ok(delivery) => delivery,
            Err(RecvTimeoutError::Timeout)
                if presence.as_mut().is_some_and(Presence::is_refused) =>
            {
                return Err(NetError::NotThere { addr }.into());
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() < until => continue,
            Err(_) => return Err(broken(CloseReason::Silent)),
        };
        match delivery.take() {
            NetEvent::Connected { peer: of, .. } if of == peer => {
                presence = None;
                let sent = endpoint.net().send(peer, question);
                sent.map_err(|_| broken(CloseReason::Unreachable))?;
            }
            NetEvent::Message { peer: of, message } if of == peer => {
                if message.kind() != MessageKind::Answer {
                    continue;
                }
                let unreadable = |error: crate::wire::FrameError| {
                    broken(CloseReason::Violation(error.to_string()))
                };
                return match message.read().map_err(unreadable)? {
                    Reply::Refused(why) => Err(ClusterError::Refused { master: addr, why }),
                    reply => Ok(reply),
                };
            }
            NetEvent::Closed { peer: of, reason } if of == peer => {
                return Err(match reason {
                    CloseReason::Refused(refusal) => NetError::Refused { addr, refusal }.into(),
                    reason => broken(reason),
                });
            }
            _ => {}
        }
    }
}

/// The client's certificate.
pub(crate) fn identity(target: &ClientTarget, addr: SocketAddr) -> Result<Identity, ClusterError> {
    let now = net::system_time();
    match &target.access {
        Access::Authority { state } => {
            let authority =
                Authority::open(&MasterPaths::new(state).authority(), &target.job, now)?;
            Ok(authority.identity(Role::Client, &target.name, now)?)
        }
        Access::Token { token, identity } => {
            let token = Token::read(token)?;
            if token.role() != Role::Client {
                let refusal = Refusal::TokenRole { allowed: token.role(), asked: Role::Client };
                return Err(ClusterError::WrongToken { refusal });
            }
            if let Some(known) = Identity::read(identity, now)?
                && known.authority() == token.authority()
                && known.subject().role == Role::Client
            {
                return Ok(known);
            }
            let join = JoinOptions::new(addr, token, &target.job, target.plan, &target.name);
            let joined = net::join(&join)?;
            joined.write(identity)?;
            Ok(joined)
        }
    }
}
