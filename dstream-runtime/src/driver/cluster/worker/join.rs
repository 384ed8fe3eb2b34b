//! How a worker comes to its master: a certificate, a connection, and a welcome.
//!
//! A master that does not answer yet may answer soon: a worker tries again until it is stopped. It calls all addresses
//! at once, and again soon: of two masters one may be frozen, and the other about to listen. It tries again too where the reason of a refusal may pass, such as a full disk at the master, or clocks that differ: then a token
//! buys another certificate. Any other refusal is an error.

use std::collections::{BTreeMap, BTreeSet};
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

/// From the begin of one round of trying to that of the next, at the least.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a master may take to answer the first calls. A packet to a port where nothing listens yet is sent again after a
/// second only, so that another call is faster. A master that has answered is waited for, as long as a handshake may take: it
/// may have given this worker a place already, and would take the next call for that of another process.
const CALL: Duration = Duration::from_millis(300);
/// How often it is reported that a worker is still trying.
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
    /// What concerns neither a master nor tasks: it is for the driver that takes over the process's receivers.
    pub(super) early: Vec<Event>,
}

impl Waiting<'_> {
    fn put_by(&mut self, event: Event) {
        if matches!(event, Event::Net(_) | Event::Received(..)) {
            self.early.push(event);
        }
    }

    /// Waits until then. Whether the worker was stopped.
    fn pause(&mut self, until: Instant) -> bool {
        while let Some(event) = self.events.next(Some(until)) {
            match event {
                Event::Stop => return true,
                event => self.put_by(event),
            }
        }
        false
    }
}

/// What has come of a round of trying.
enum Tried<T> {
    Found(T),
    NotYet,
    /// The worker was stopped, or the job has ended.
    Stopped,
}

/// Tries, round after round, until something comes of it or the worker is stopped. A round is told for how long it
/// has been tried.
fn tries<T>(
    options: &WorkerOptions,
    log: &dyn Fn(WorkerNews),
    waiting: &mut Waiting<'_>,
    mut round: impl FnMut(Duration, &mut Waiting<'_>) -> Result<Tried<T>, ClusterError>,
) -> Result<Option<T>, ClusterError> {
    let begun = host::now();
    let mut remind = begun + REMIND / 5;
    loop {
        let now = host::now();
        match round(now - begun, waiting)? {
            Tried::Found(found) => return Ok(Some(found)),
            Tried::NotYet => {}
            Tried::Stopped => return Ok(None),
        }
        if host::now() >= remind {
            remind = host::now() + REMIND;
            let masters: Vec<_> = options.master.iter().map(SocketAddr::to_string).collect();
            let text = format!("no master answers at {} yet; trying on", masters.join(", "));
            log(WorkerNews::Warning(text));
        }
        if waiting.pause(now + PAUSE) {
            return Ok(None);
        }
    }
}

/// How long a call may take, by how long a master has been looked for: longer and longer, so that a slow host comes
/// through.
fn patience(looked: Duration) -> Duration {
    (looked / 4).max(CALL)
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
    let joined = tries(options, log, waiting, |_, _| {
        for addr in &options.master {
            match net::join(&join_options(plan, options, &token, *addr)) {
                Ok(identity) => return Ok(Tried::Found(identity)),
                Err(NetError::Broken { reason, .. }) if is_passing(&reason) => {}
                Err(error @ NetError::Refused { refusal: Refusal::CertificateTime, .. }) => {
                    untimely.say(log, &error);
                }
                Err(NetError::Refused { refusal, .. }) if refusal.may_pass() => {
                    refusals.say(*addr, refusal, log);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Tried::NotYet)
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
    /// When the token may buy the next certificate, and the pause after that: its uses are limited.
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
                if let Some(identity) = net.identity() {
                    let (name, authority) =
                        (identity.subject().name.clone(), identity.authority().short());
                    log(WorkerNews::Certified { name, authority });
                }
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
    let (refusals, untimely) = (Refusals::default(), Untimely::default());
    let (calls, ended) = (BTreeMap::new(), BTreeSet::new());
    let mut caller = Caller { plan, net, options, log, calls, ended, refusals, untimely };
    tries(options, log, waiting, |looked, waiting| {
        let welcome = caller.call(patience(looked), waiting);
        caller.hang_up();
        welcome
    })
}

/// One that calls masters.
struct Caller<'c> {
    plan: &'c Plan,
    net: &'c Net,
    options: &'c WorkerOptions,
    log: &'c dyn Fn(WorkerNews),
    calls: BTreeMap<PeerId, SocketAddr>,
    /// Calls that were ended here, as long as something may be heard of them.
    ended: BTreeSet<PeerId>,
    refusals: Refusals,
    untimely: Untimely,
}

impl Caller<'_> {
    /// Calls all masters, and waits for the first welcome. Those that have not answered in time are called again as long as
    /// one that has answered is waited for.
    fn call(
        &mut self,
        patience: Duration,
        waiting: &mut Waiting<'_>,
    ) -> Result<Tried<Welcome>, ClusterError> {
        self.call_all();
        let mut until = host::now() + patience;
        while !self.calls.is_empty() {
            let event = match waiting.events.next(Some(until)) {
                Some(Event::Net(delivery)) => delivery,
                Some(Event::Stop) => return Ok(Tried::Stopped),
                Some(event) => {
                    waiting.put_by(event);
                    continue;
                }
                None if host::now() >= until => {
                    self.give_up();
                    if !self.calls.is_empty() {
                        self.call_all();
                        until = host::now() + patience;
                    }
                    continue;
                }
                // There will never be an event again.
                None => return Ok(Tried::Stopped),
            };
            match event.peer() {
                Some(peer) if self.calls.contains_key(&peer) => {
                    match self.heard(peer, event.take())? {
                        Tried::NotYet => {}
                        tried => return Ok(tried),
                    }
                }
                Some(peer) if self.ended.contains(&peer) => {
                    if let NetEvent::Closed { .. } = event.take() {
                        self.ended.remove(&peer);
                    }
                }
                _ => waiting.put_by(Event::Net(event)),
            }
        }
        Ok(Tried::NotYet)
    }

    /// Calls each master that is not being called.
    fn call_all(&mut self) {
        for addr in &self.options.master {
            if !self.calls.values().any(|called| called == addr) {
                self.calls.insert(self.net.connect(*addr), *addr);
            }
        }
    }

    /// What a master says to a call.
    fn heard(&mut self, peer: PeerId, event: NetEvent) -> Result<Tried<Welcome>, ClusterError> {
        let Some(&addr) = self.calls.get(&peer) else { return Ok(Tried::NotYet) };
        match event {
            NetEvent::Connected { .. } => {
                (self.log)(WorkerNews::Connected { master: addr, listen: self.net.local_addr() });
            }
            NetEvent::Message { message, .. } if message.kind() == MessageKind::MasterNote => {
                match message.read() {
                    Ok(MasterNote::Welcome { worker, setup, heartbeat_ms }) => {
                        self.calls.remove(&peer);
                        let heartbeat = Duration::from_millis(heartbeat_ms.clamp(10, 10_000));
                        let setup = *setup;
                        let welcome = Welcome { peer, addr, worker, setup, heartbeat };
                        return Ok(Tried::Found(welcome));
                    }
                    // The job has ended before it could be welcomed.
                    Ok(MasterNote::Over) => return Ok(Tried::Stopped),
                    Ok(MasterNote::Dismiss { why }) => {
                        return Err(ClusterError::Refused { master: addr, why });
                    }
                    // It has been replaced itself.
                    Ok(MasterNote::JoinAgain { .. }) => self.net.close(peer),
                    Ok(_) => {}
                    Err(error) => self.net.accuse(peer, &error.to_string()),
                }
            }
            NetEvent::Closed { reason, .. } => {
                self.calls.remove(&peer);
                self.failed(addr, reason)?;
            }
            _ => {}
        }
        Ok(Tried::NotYet)
    }

    /// A call has failed: an error if another one would fail in the same way.
    fn failed(&mut self, addr: SocketAddr, reason: CloseReason) -> Result<(), ClusterError> {
        match reason {
            CloseReason::Refused(refusal @ Refusal::CertificateTime) => {
                self.untimely.say(self.log, &NetError::Refused { addr, refusal });
                self.untimely.buy(self.plan, self.options, self.log, self.net, addr);
            }
            CloseReason::Refused(refusal) if refusal.may_pass() => {
                self.refusals.say(addr, refusal, self.log);
            }
            CloseReason::Refused(refusal) => return Err(NetError::Refused { addr, refusal }.into()),
            reason if is_passing(&reason) => {}
            reason => return Err(NetError::Broken { addr, reason }.into()),
        }
        Ok(())
    }

    /// Ends the calls that no master has answered. What is still heard of them has no effect.
    fn give_up(&mut self) {
        let unanswered = self.calls.extract_if(.., |peer, _| self.net.give_up(*peer));
        self.ended.extend(unanswered.map(|(peer, _)| peer));
    }

    /// Ends all calls.
    fn hang_up(&mut self) {
        for (peer, _) in std::mem::take(&mut self.calls) {
            self.net.close(peer);
            self.ended.insert(peer);
        }
    }
}
