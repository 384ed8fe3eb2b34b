//! A second master that waits for the first one to go.
//!
//! It keeps a connection and a lifeline to the master that runs, and takes over once there is no connection and none can
//! be had for a while. The end of the lifeline is a suspicion: the standby calls once more, without waiting for silence.
//! It may be wrong: the other may live, out of its reach. That is what the journal's terms are for: the master that takes
//! over writes a new one, and the other can make nothing durable any more.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use serde::Serialize;

use super::{ClientTarget, ClusterError, MasterPaths, client};
use crate::driver::journal::Journal;
use crate::durable::Durable;
use crate::net::{BindOptions, CloseReason, Delivery, Endpoint, Net, NetError, NetEvent, PeerId};

/// A master that sends no packet for this long is lost. A master that is slow rather than gone loses its job to
/// the standby, and nothing else: the journal fences it.
const SILENCE: Duration = Duration::from_millis(1200);
/// How a master was lost whose lifeline has ended.
const ENDED: &str = "its process has ended";
/// Failed attempts to reach a master before the standby takes over: this host may be slow.
const ATTEMPTS: u32 = 2;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// For how long a standby looks for a master.
struct Patience {
    /// All masters must be out of reach for this long.
    alone: Duration,
    /// How long each of the two steps of an attempt to reach one may take. The call after the end of a lifeline is the first
    /// attempt.
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
    let mut follower = Follower { target, log, sender, events, endpoints: BTreeMap::new() };
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
            if let Some(lost) = follower.follow(addr, patience.attempt)? {
                log(StandbyNews::Lost { master: addr, why: lost.why });
                (patience, has_followed) = (Patience::LOST, true);
                (alone, failed) = (lost.since, 0);
            }
        }
        failed += 1;
        // No other thread sends anything: this only waits.
        let _ = follower.events.recv_timeout(PAUSE);
    }
    // Connections to processes that are gone take a while to close, and a job waits.
    let endpoints = follower.endpoints;
    drop(thread::spawn(move || drop(endpoints)));
    Ok(())
}

/// A process that waits for a master to go.
struct Follower<'f> {
    target: &'f ClientTarget,
    log: &'f dyn Fn(StandbyNews),
    sender: Sender<Delivery>,
    events: Receiver<Delivery>,
    /// By the masters that they call. Each stays for all attempts: its end would take longer than an attempt.
    endpoints: BTreeMap<SocketAddr, Endpoint>,
}

/// A master that was there.
struct Lost {
    why: String,
    /// Since when it may be gone.
    since: Instant,
}

/// A master whose lifeline has ended is called once more.
struct Check {
    peer: PeerId,
    since: Instant,
    /// When it should have answered.
    until: Instant,
}

impl Follower<'_> {
    /// Stays connected to a master as long as that is there; how it was lost, or nothing if it was not there.
    fn follow(
        &mut self,
        addr: SocketAddr,
        attempt: Duration,
    ) -> Result<Option<Lost>, ClusterError> {
        let Some(net) = self.net(addr)? else { return Ok(None) };
        let Some(peer) = self.call(&net, addr, attempt)? else { return Ok(None) };
        (self.log)(StandbyNews::Follows { master: addr });
        self.endpoints.retain(|of, _| *of == addr);
        Ok(Some(self.attend(&net, addr, peer)))
    }

    /// What calls that master. None if this process cannot have a certificate yet.
    fn net(&mut self, addr: SocketAddr) -> Result<Option<Net>, ClusterError> {
        if let Some(endpoint) = self.endpoints.get(&addr) {
            return Ok(Some(endpoint.net().clone()));
        }
        let identity = match client::identity(self.target, addr) {
            Ok(identity) => identity,
            // With a token, the certificate has to come from a master.
            Err(ClusterError::Net(error)) if matches!(*error, NetError::Broken { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut bind = BindOptions::new(identity, self.target.plan).towards(addr);
        (bind.limits.silence, bind.limits.keep_alive) = (SILENCE, SILENCE / 5);
        bind.lifeline = true;
        let sender = self.sender.clone();
        let endpoint = Endpoint::bind(bind, move |delivery| drop(sender.send(delivery)))?;
        let net = endpoint.net().clone();
        self.endpoints.insert(addr, endpoint);
        Ok(Some(net))
    }

    /// Connects to a master, if it is there.
    fn call(
        &self,
        net: &Net,
        addr: SocketAddr,
        attempt: Duration,
    ) -> Result<Option<PeerId>, ClusterError> {
        let (peer, until) = (net.connect(addr), Instant::now() + 2 * attempt);
        while let Ok(delivery) = self.events.recv_deadline(until) {
            if delivery.peer() != Some(peer) {
                continue;
            }
            match delivery.take() {
                NetEvent::Connected { .. } => return Ok(Some(peer)),
                NetEvent::Closed { reason: CloseReason::Refused(refusal), .. } => {
                    return Err(NetError::Refused { addr, refusal }.into());
                }
                NetEvent::Closed { .. } => return Ok(None),
                _ => {}
            }
        }
        net.close(peer);
        Ok(None)
    }

    /// Waits until a master is gone.
    fn attend(&self, net: &Net, addr: SocketAddr, peer: PeerId) -> Lost {
        let mut check: Option<Check> = None;
        loop {
            let delivery = match &check {
                Some(check) => self.events.recv_deadline(check.until).ok(),
                None => self.events.recv().ok(),
            };
            let since = check.as_ref().map_or_else(Instant::now, |check| check.since);
            let called = check.as_ref().map(|check| check.peer);
            match delivery.map(Delivery::take) {
                Some(NetEvent::Closed { peer: of, reason }) if of == peer => {
                    called.into_iter().for_each(|called| net.close(called));
                    return Lost { why: reason.to_string(), since };
                }
                Some(NetEvent::LifelineEnded { peer: of }) if of == peer => {
                    let (peer, since) = (net.connect(addr), Instant::now());
                    let until = since + 2 * Patience::LOST.attempt;
                    check = Some(Check { peer, since, until });
                }
                // It lives: something on the way has ended the lifeline. From here on silence alone counts.
                Some(
                    NetEvent::Connected { peer: of, .. }
                    | NetEvent::Closed { peer: of, reason: CloseReason::Refused(_) },
                ) if Some(of) == called => {
                    net.close(of);
                    check = None;
                }
                Some(NetEvent::Closed { peer: of, .. }) if Some(of) == called => {
                    net.close(peer);
                    return Lost { why: ENDED.to_owned(), since };
                }
                Some(_) => {}
                None => {
                    called.into_iter().chain([peer]).for_each(|peer| net.close(peer));
                    return Lost { why: ENDED.to_owned(), since };
                }
            }
        }
    }
}
