//! A second master that waits for the first one to go.
//!
//! It keeps a connection to the master that runs, and takes over once there is none and none can be had
//! for a while. It may be wrong: the other may live, out of its reach. That is what the journal's terms
//! are for: who takes over writes a new one, and the other can make nothing durable any more.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use serde::Serialize;

use super::{ClientTarget, ClusterError, MasterPaths, client};
use crate::driver::journal::Journal;
use crate::durable::Durable;
use crate::net::{BindOptions, CloseReason, Delivery, Endpoint, NetError, NetEvent};

/// A master that sends no packet for this long is lost. A master that is slow rather than gone loses its job to
/// the standby, and nothing else: the journal fences it.
const SILENCE: Duration = Duration::from_millis(1200);
/// Failed attempts to reach a master before the standby takes over: this host may be slow.
const ATTEMPTS: u32 = 2;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// For how long a standby looks for a master.
struct Patience {
    /// All masters must be out of reach for this long.
    alone: Duration,
    /// How long each of the two steps of an attempt to reach one may take.
    attempt: Duration,
}

impl Patience {
    /// Of a standby that has just started and knows where a master was. Its host is busy with the start, and a running
    /// master must not lose its job to it.
    const AT_FIRST: Self =
        Self { alone: Duration::from_secs(3), attempt: Duration::from_millis(700) };
    /// Of one that has lost a master.
    const LOST: Self =
        Self { alone: Duration::from_millis(700), attempt: Duration::from_millis(150) };

    /// Whether there is time for all attempts.
    const fn is_sound(&self) -> bool {
        let attempt = 2 * self.attempt.as_millis() + PAUSE.as_millis();
        ATTEMPTS as u128 * attempt <= self.alone.as_millis()
    }
}

// With the time to open the journal, and for workers to join, the aim is a batch within 3 s; `docs/operation.md` has
// the measured time.
const _: () = assert!(SILENCE.as_millis() + Patience::LOST.alone.as_millis() <= 2_000);
const _: () = assert!(Patience::LOST.is_sound() && Patience::AT_FIRST.is_sound());

/// What a standby tells while it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StandbyNews {
    /// It has found a running master.
    Follows {
        /// Where.
        master: SocketAddr,
    },
    /// It has lost that.
    Lost {
        /// Where it was.
        master: SocketAddr,
        /// How the connection ended.
        why: String,
    },
    /// There is no master any more: it is this process's turn.
    TakesOver,
    /// There is no master any more, and no job: it was stopped, or has come to its end.
    JobOver,
}

/// Whether the journal in a store says that the job was stopped, or has come to its end: no master takes it
/// over then. Where there is no journal yet, it has not begun.
///
/// # Errors
/// When the journal cannot be read.
pub fn is_over(store: &str, plan: u64) -> Result<bool, ClusterError> {
    let store = Durable::open(store)?;
    let past = Journal::said(&store, plan).map_err(|error| ClusterError::Journal(error.into()))?;
    Ok(past.is_finished() || past.is_stopped())
}

/// Waits until there is no master of a job any more. `state` is the state directory, where a master says
/// where it is; `target` names further addresses, and what lets this process in.
/// Says nothing about the job: see [`is_over`].
///
/// # Errors
/// When a master is there and refuses this process.
pub fn stand_by(
    target: &ClientTarget,
    state: &MasterPaths,
    log: &dyn Fn(StandbyNews),
) -> Result<(), ClusterError> {
    let (sender, events) = unbounded();
    let (mut patience, mut has_followed) = (Patience::LOST, false);
    let (mut alone, mut failed) = (Instant::now(), 0);
    while alone.elapsed() < patience.alone || failed < ATTEMPTS {
        // A master that took over meanwhile says in the same file where it is.
        let found = state.find(&target.job).map(|file| file.reachable());
        let mut masters: Vec<SocketAddr> = found.iter().copied().collect();
        let named = target.masters.iter().filter(|addr| found.as_ref().ok() != Some(*addr));
        masters.extend(named);
        if !has_followed && !masters.is_empty() {
            patience = Patience::AT_FIRST;
        }
        for addr in masters {
            let attempt = patience.attempt;
            if let Some(why) = follow(target, addr, attempt, &sender, &events, log)? {
                log(StandbyNews::Lost { master: addr, why });
                (patience, has_followed) = (Patience::LOST, true);
                (alone, failed) = (Instant::now(), 0);
            }
        }
        failed += 1;
        // No other thread sends anything: this only waits.
        let _ = events.recv_timeout(PAUSE);
    }
    Ok(())
}

/// Stays connected to a master as long as that is there; how it was lost, or nothing if it was not there.
fn follow(
    target: &ClientTarget,
    addr: SocketAddr,
    attempt: Duration,
    sender: &Sender<Delivery>,
    events: &Receiver<Delivery>,
    log: &dyn Fn(StandbyNews),
) -> Result<Option<String>, ClusterError> {
    let identity = match client::identity(target, addr) {
        Ok(identity) => identity,
        // With a token, the certificate has to come from a master.
        Err(ClusterError::Net(error)) if matches!(*error, NetError::Broken { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bind = BindOptions::new(identity, target.plan).towards(addr);
    (bind.limits.silence, bind.limits.keep_alive) = (SILENCE, SILENCE / 5);
    bind.limits.handshake = attempt;
    let sender = sender.clone();
    let endpoint = Endpoint::bind(bind, move |delivery| drop(sender.send(delivery)))?;
    let peer = endpoint.net().connect(addr);
    let mut was_there = false;
    for delivery in events {
        if delivery.peer() != Some(peer) {
            continue;
        }
        match delivery.take() {
            NetEvent::Connected { .. } => {
                was_there = true;
                log(StandbyNews::Follows { master: addr });
            }
            NetEvent::Closed { reason: CloseReason::Refused(refusal), .. } => {
                return Err(NetError::Refused { addr, refusal }.into());
            }
            NetEvent::Closed { reason, .. } => {
                return Ok(was_there.then(|| reason.to_string()));
            }
            _ => {}
        }
    }
    Ok(None)
}
