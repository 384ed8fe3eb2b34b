//! How a worker comes to its master: a certificate, a connection, and a welcome.
//!
//! A master that does not answer yet may answer soon: a worker tries again until it is stopped. It tries again
//! too where the reason of a refusal may pass, such as a full disk at the master, or clocks that differ: then a token
//! buys another certificate. Any other refusal is an error.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::driver::cluster::note::MasterNote;
use crate::driver::cluster::{ClusterError, JobSetup, WorkerNews, WorkerOptions};
use crate::driver::{Event, Inbox};
use crate::host;
use crate::id::WorkerId;
use crate::net::trust::{Identity, Token};
use crate::net::{self, CloseReason, JoinOptions, Net, NetError, NetEvent, PeerId};
use crate::plan::Plan;
use crate::wire::{MessageKind, Refusal, Role};

/// Between two rounds of trying.
const PAUSE: Duration = Duration::from_millis(200);
/// How often somebody is told that a worker is still trying.
const REMIND: Duration = Duration::from_secs(10);

/// The master's word that a worker belongs to its cluster.
pub(super) struct Welcome {
    pub(super) peer: PeerId,
    pub(super) addr: SocketAddr,
    pub(super) worker: WorkerId,
    pub(super) setup: JobSetup,
    pub(super) heartbeat: Duration,
}

/// What happens while a worker has no master.
pub(super) struct Waiting<'e> {
    pub(super) events: &'e Inbox,
    /// What concerns neither a master nor tasks: it is for whoever takes over the process's receivers.
    pub(super) early: Vec<Event>,
}

impl Waiting<'_> {
    fn put_by(&mut self, event: Event) {
        if matches!(event, Event::Net(_) | Event::Received(..)) {
            self.early.push(event);
        }
    }

    /// Waits for a moment. Whether the worker was stopped.
    fn pause(&mut self) -> bool {
        let until = host::now() + PAUSE;
        while let Some(event) = self.events.next(Some(until)) {
            match event {
                Event::Stop => return true,
                event => self.put_by(event),
            }
        }
        false
    }
}

/// Tries, round after round, until something comes of it or the worker is stopped.
fn tries<T>(
    options: &WorkerOptions,
    log: &dyn Fn(WorkerNews),
    waiting: &mut Waiting<'_>,
    mut attempt: impl FnMut(SocketAddr, &mut Waiting<'_>) -> Result<Option<T>, ClusterError>,
) -> Result<Option<T>, ClusterError> {
    let mut remind = host::now() + REMIND / 5;
    loop {
        for addr in &options.master {
            if let Some(found) = attempt(*addr, waiting)? {
                return Ok(Some(found));
            }
        }
        if host::now() >= remind {
            remind = host::now() + REMIND;
            let masters: Vec<_> = options.master.iter().map(SocketAddr::to_string).collect();
            let text = format!("no master answers at {} yet; trying on", masters.join(", "));
            log(WorkerNews::Warning(text));
        }
        if waiting.pause() {
            return Ok(None);
        }
    }
}

/// The worker's certificate: the one that it has, or one for its token. None if it was stopped.
pub(super) fn identity(
    plan: &Plan,
    options: &WorkerOptions,
    log: &dyn Fn(WorkerNews),
    waiting: &mut Waiting<'_>,
) -> Result<Option<Identity>, ClusterError> {
    let now = net::system_time();
    let token = options.token.as_deref().map(Token::read).transpose()?;
    if let Some(token) = token.as_ref().filter(|token| token.role() != Role::Worker) {
        let refusal = Refusal::TokenRole { allowed: token.role(), asked: Role::Worker };
        return Err(ClusterError::WrongToken { refusal });
    }
    if let Some(identity) = Identity::read(&options.identity, now)?
        && identity.subject().role == Role::Worker
    {
        let other = token.as_ref().is_some_and(|token| token.authority() != identity.authority());
        if !other {
            return Ok(Some(identity));
        }
    }
    let Some(token) = token else {
        return Err(ClusterError::NoToken { identity: options.identity.clone() });
    };
    let mut untimely = Untimely::default();
    let mut refusals = Refusals::default();
    let joined = tries(options, log, waiting, |addr, _| {
        match net::join(&join_options(plan, options, &token, addr)) {
            Ok(identity) => Ok(Some(identity)),
            Err(NetError::Broken { reason, .. }) if is_passing(&reason) => Ok(None),
            Err(error @ NetError::Refused { refusal: Refusal::CertificateTime, .. }) => {
                untimely.say(log, &error);
                Ok(None)
            }
            Err(NetError::Refused { refusal, .. }) if refusal.may_pass() => {
                refusals.say(addr, refusal, log);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    })?;
    let Some(identity) = joined else { return Ok(None) };
    identity.write(&options.identity)?;
    let (name, authority) = (identity.subject().name.clone(), identity.authority().short());
    log(WorkerNews::Certified { name, authority });
    Ok(Some(identity))
}

fn join_options(
    plan: &Plan,
    options: &WorkerOptions,
    token: &Token,
    addr: SocketAddr,
) -> JoinOptions {
    JoinOptions::new(addr, token.clone(), plan.job, plan.hash, &options.name)
}

/// Certificates that are refused because of their time: clocks are wrong, and will be set right.
#[derive(Default)]
struct Untimely {
    /// When it is said again.
    says: Option<Instant>,
    /// When the token may buy the next certificate, and the pause after that: it has so many uses.
    buys: Option<(Instant, Duration)>,
}

impl Untimely {
    /// The first pause after a certificate was bought.
    const FIRST: Duration = Duration::from_secs(2);
    /// The longest.
    const LONGEST: Duration = Duration::from_secs(300);

    fn say(&mut self, log: &dyn Fn(WorkerNews), error: &dyn std::fmt::Display) {
        if self.says.is_none_or(|says| host::now() >= says) {
            self.says = Some(host::now() + REMIND);
            let text =
                format!("{error}: the clocks of this host and of the master differ; trying on");
            log(WorkerNews::Warning(text));
        }
    }

    /// Buys another certificate for the token, if there is one and it is time.
    fn buy(
        &mut self,
        plan: &Plan,
        options: &WorkerOptions,
        log: &dyn Fn(WorkerNews),
        net: &Net,
        addr: SocketAddr,
    ) {
        let (at, pause) = self.buys.unwrap_or((host::now(), Self::FIRST));
        let token = options.token.as_deref().and_then(|path| Token::read(path).ok());
        let Some(token) = token.filter(|_| host::now() >= at) else { return };
        self.buys = Some((host::now() + pause, (pause * 2).min(Self::LONGEST)));
        let bought = net::join(&join_options(plan, options, &token, addr));
        let installed = bought.map_err(ClusterError::from).and_then(|identity| {
            identity.write(&options.identity)?;
            net.install(identity)?;
            Ok(())
        });
        match installed {
            Ok(()) => {
                let identity = net.identity();
                let (name, authority) =
                    (identity.subject().name.clone(), identity.authority().short());
                log(WorkerNews::Certified { name, authority });
            }
            Err(error) => self.say(log, &error),
        }
    }
}

/// Refusals whose reason may pass: each is said once in a row.
#[derive(Default)]
struct Refusals(Option<Refusal>);

impl Refusals {
    fn say(&mut self, addr: SocketAddr, refusal: Refusal, log: &dyn Fn(WorkerNews)) {
        if self.0.as_ref() != Some(&refusal) {
            log(WorkerNews::Warning(format!("the master at {addr} refuses: {refusal}; trying on")));
            self.0 = Some(refusal);
        }
    }
}

/// Whether a connection may come to be if it is tried again.
fn is_passing(reason: &CloseReason) -> bool {
    !matches!(reason, CloseReason::Refused(_) | CloseReason::Violation(_) | CloseReason::Accused(_))
}

/// Connects to a master and waits to be welcomed. None if the worker was stopped.
pub(super) fn welcome(
    plan: &Plan,
    net: &Net,
    options: &WorkerOptions,
    log: &dyn Fn(WorkerNews),
    waiting: &mut Waiting<'_>,
) -> Result<Option<Welcome>, ClusterError> {
    let (mut stopped, mut refusals) = (false, Refusals::default());
    let mut untimely = Untimely::default();
    let welcome = tries(options, log, waiting, |addr, waiting| {
        let peer = net.connect(addr);
        loop {
            let event = match waiting.events.next(None) {
                Some(Event::Net(delivery)) => delivery,
                Some(Event::Stop) | None => {
                    stopped = true;
                    net.close(peer);
                    continue;
                }
                Some(event) => {
                    waiting.put_by(event);
                    continue;
                }
            };
            if event.peer() != Some(peer) {
                waiting.put_by(Event::Net(event));
                continue;
            }
            match event.take() {
                NetEvent::Connected { .. } => {
                    log(WorkerNews::Connected { master: addr, listen: net.local_addr() });
                }
                NetEvent::Message { message, .. } if message.kind() == MessageKind::MasterNote => {
                    match message.read() {
                        Ok(MasterNote::Welcome { worker, setup, heartbeat_ms }) => {
                            let heartbeat = Duration::from_millis(heartbeat_ms.clamp(10, 10_000));
                            let setup = *setup;
                            return Ok(Some(Welcome { peer, addr, worker, setup, heartbeat }));
                        }
                        Ok(MasterNote::Dismiss { why }) => {
                            return Err(ClusterError::Refused { master: addr, why });
                        }
                        // It has been replaced itself.
                        Ok(MasterNote::JoinAgain { .. }) => net.close(peer),
                        Ok(_) => {}
                        Err(error) => net.accuse(peer, &error.to_string()),
                    }
                }
                NetEvent::Closed { reason, .. } => {
                    return match reason {
                        CloseReason::Refused(refusal @ Refusal::CertificateTime) if !stopped => {
                            untimely.say(log, &NetError::Refused { addr, refusal });
                            untimely.buy(plan, options, log, net, addr);
                            Ok(None)
                        }
                        CloseReason::Refused(refusal) if refusal.may_pass() && !stopped => {
                            refusals.say(addr, refusal, log);
                            Ok(None)
                        }
                        CloseReason::Refused(refusal) => {
                            Err(NetError::Refused { addr, refusal }.into())
                        }
                        reason if is_passing(&reason) && !stopped => Ok(None),
                        reason => Err(NetError::Broken { addr, reason }.into()),
                    };
                }
                _ => {}
            }
        }
    });
    match welcome {
        Err(_) if stopped => Ok(None),
        other => other,
    }
}
