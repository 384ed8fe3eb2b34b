//! A world: hosts with a process each, a master on the first and workers on the others; sometimes one that
//! joins with a token, and a stranger certified by another authority.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::authorities::{AGE, Authorities, SHORT_LIFE};
use super::faults::{Fault, Kind, LONG_MS, befall};
use super::life::{Life, Shared, WorldPhase};
use super::link::LinkFault;
use super::network::{Network, address};
use super::process::{PLAN, PORT, Process, bind, join, name, role, wall};
use super::words::EndId;
use super::{Host, Sites, add, hash};
use crate::net::trust::{Authority, Grant, Identity};
use crate::net::{JoinOptions, Limits};
use crate::sched::simulation::Seed;
use crate::wire::Role;

/// Time in which everything recovers once faults end: a few handshakes in a row.
const DEADLINE_MS: u64 = 30_000;

const STRANGER: Host = 9;

/// The result of a world.
#[derive(Debug)]
pub(super) struct WorldResult {
    pub(super) sites: Sites,
    pub(super) trace: u64,
}

/// Hosts of a world, without the stranger.
pub(super) fn hosts(number: u64) -> Host {
    2 + (hash(&[number, 2]) % 3) as Host
}

/// Runs something on its own network, in virtual time.
pub(crate) fn in_virtual_time<T>(
    seed: u64,
    something: impl AsyncFnOnce(Arc<Network>) -> Result<T, String>,
) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let network = Network::new(seed);
        let carried = network.clone();
        let carrier = tokio::spawn(async move { carried.carry().await });
        let ended = something(network).await;
        carrier.abort();
        ended
    })
}

/// Runs a world; fails if a check fails.
pub(super) fn run(number: u64, faults: &[Fault], of: &Authorities) -> Result<WorldResult, String> {
    in_virtual_time(hash(&[number, 4]), async |network| {
        let mut world = World::new(number, network, of);
        let ended = world.run(faults).await;
        ended.map(|()| world.seen()).map_err(|wrong| {
            let story = &world.shared.book().story;
            format!("{wrong}\n{story}")
        })
    })
}

/// A process and its behaviour.
struct Inhabitant {
    number: u64,
    process: Process,
    life: JoinHandle<()>,
}

/// A scheduled step.
enum Due {
    Fault(Fault),
    Back(Host),
    /// Connections over a cut link have closed by now.
    Ended(Host, Host, Vec<EndId>),
}

struct World<'a> {
    of: &'a Authorities,
    network: Arc<Network>,
    shared: Arc<Shared>,
    seed: Seed,
    hosts: Host,
    has_short_lives: bool,
    inhabitants: BTreeMap<Host, Inhabitant>,
    agenda: BTreeMap<(u64, u64), Due>,
    noted: u64,
    /// Processes started so far.
    begun: u64,
    /// No faults after this.
    calm_at: u64,
    number: u64,
}

impl<'a> World<'a> {
    fn new(number: u64, network: Arc<Network>, of: &'a Authorities) -> Self {
        let mut seed = Seed(hash(&[number, 3]) | 1);
        let limits = Limits {
            silence: Duration::from_millis(1000),
            keep_alive: Duration::from_millis(250),
            untaken_messages: 96 << 10,
            untaken_blocks: 96 << 10,
            ..Limits::default()
        };
        let has_short_lives = seed.one_in(3);
        Self {
            of,
            shared: Shared::new(network.clone(), limits),
            network,
            seed,
            hosts: hosts(number),
            has_short_lives,
            inhabitants: BTreeMap::new(),
            agenda: BTreeMap::new(),
            noted: 0,
            begun: 0,
            calm_at: 0,
            number,
        }
    }

    fn note(&mut self, at: u64, due: Due) {
        self.noted += 1;
        self.agenda.insert((at, self.noted), due);
        self.calm_at = self.calm_at.max(at);
    }

    fn authority(&self) -> &Arc<Authority> {
        if self.has_short_lives { &self.of.short } else { self.of.long() }
    }

    fn identity(&self, host: Host) -> Identity {
        let age = if self.has_short_lives { AGE } else { Duration::ZERO };
        let since = wall(&self.network)() - age;
        let (authority, role) = match host {
            STRANGER => (&self.of.foreign, Role::Worker),
            _ => (self.authority(), role(host)),
        };
        authority.identity(role, &name(host), since).expect("a certificate")
    }

    /// Starts a process on a host.
    fn begin(&mut self, host: Host, identity: Identity) {
        self.begun += 1;
        let number = self.begun;
        let limits = self.shared.limits.clone();
        let options = bind(&self.network, self.authority(), host, identity, limits);
        let salt = hash(&[self.number, number]) & 0xffff_ffff_ffff_0000 | number;
        let (process, events) = Process::start(&self.network, host, salt, options);
        let is_stranger = host == STRANGER;
        let calls = (0..if is_stranger { self.hosts } else { host }).collect();
        let life = Life::new(&self.shared, &process.net, number, host, calls, is_stranger, salt);
        let life = tokio::spawn(life.live(events));
        self.inhabitants.insert(host, Inhabitant { number, process, life });
    }

    async fn run(&mut self, faults: &[Fault]) -> Result<(), String> {
        let joins = self.seed.one_in(4);
        let there = if joins { self.hosts - 1 } else { self.hosts };
        for host in 0..there {
            self.begin(host, self.identity(host));
        }
        if self.seed.one_in(3) {
            self.begin(STRANGER, self.identity(STRANGER));
        }
        for fault in faults {
            self.note(fault.at, Due::Fault(*fault));
        }
        if joins {
            let host = self.hosts - 1;
            let identity = self.join(host).await?;
            self.begin(host, identity);
        }
        while let Some(((at, _), due)) = self.agenda.pop_first() {
            sleep_until(self.network.at(at)).await;
            self.happens(due)?;
            self.look()?;
        }
        sleep_until(self.network.at(self.calm_at)).await;
        self.settle().await?;
        self.end().await
    }

    /// A host buys its certificate while the first faults occur.
    async fn join(&mut self, host: Host) -> Result<Identity, String> {
        let grant = Grant { role: Role::Worker, uses: 50, life: SHORT_LIFE };
        let wall = wall(&self.network);
        let token = self.authority().token(grant, wall()).map_err(|error| error.to_string())?;
        let master = address(0, PORT);
        let mut options = JoinOptions::new(master, token, "job", PLAN, &name(host));
        (options.wall, options.from) = (wall, address(host, PORT));
        for attempt in 0..50 {
            let salt = hash(&[self.number, 77, attempt]);
            match join(&self.network, host, salt, &options).await {
                Ok(identity) => return Ok(identity),
                Err(_) => self.shared.book().hit("a join fails"),
            }
            while let Some(entry) = self.agenda.first_entry() {
                if entry.key().0 > self.network.now() {
                    break;
                }
                let due = entry.remove();
                self.happens(due)?;
            }
        }
        Err(format!("host {host} cannot join"))
    }

    fn happens(&mut self, due: Due) -> Result<(), String> {
        match due {
            Due::Fault(fault) => self.goes_wrong(fault.kind),
            Due::Back(host) => {
                if let Some(old) = self.inhabitants.remove(&host) {
                    old.life.abort();
                }
                self.begin(host, self.identity(host));
            }
            Due::Ended(one, other, ends) => {
                let book = self.shared.book();
                if let Some(end) = ends.iter().find(|end| book.is_open(**end)) {
                    return Err(format!(
                        "{one} and {other} were cut for long, and {end:?} is open"
                    ));
                }
            }
        }
        Ok(())
    }

    fn goes_wrong(&mut self, kind: Kind) {
        let now = self.network.now();
        self.shared.book().story.tell(now, format_args!("{kind:?}"));
        self.calm_at = self.calm_at.max(now + befall(&self.network, &mut self.seed, kind));
        match kind {
            Kind::Link { one, other, trouble: LinkFault::Cut, ms, .. } if ms >= LONG_MS => {
                let ends = self.shared.book().open_between(one, other);
                self.shared.book().hit(match ends.is_empty() {
                    true => "a long cut without connections",
                    false => "a long cut",
                });
                self.note(now + LONG_MS, Due::Ended(one, other, ends));
            }
            Kind::Kill { host, back } => {
                if let Some(Inhabitant { number, process, life }) = self.inhabitants.remove(&host) {
                    self.shared.book().hit("a process is killed");
                    self.shared.book().died(number);
                    process.kill();
                    life.abort();
                    self.note(now + back, Due::Back(host));
                }
            }
            Kind::End { host, back } => {
                if let Some(Inhabitant { number, process, life }) = self.inhabitants.remove(&host) {
                    self.shared.book().hit("a process ends");
                    self.shared.book().parts(number);
                    self.leave(host, number, process, life);
                    self.note(now + back, Due::Back(host));
                }
            }
            _ => {}
        }
    }

    /// A process says goodbye while others go on; what it receives meanwhile is recorded.
    fn leave(&self, host: Host, number: u64, process: Process, life: JoinHandle<()>) {
        let shared = self.shared.clone();
        shared.book().stops(number);
        tokio::spawn(async move {
            process.end().await;
            // What has arrived is recorded once its driver takes it.
            shared.network.sleep(host).await;
            sleep_until(shared.network.at(shared.network.now() + 1)).await;
            let left = shared.book().left_open(number);
            if !left.is_empty() {
                shared.book().violated(format!("{left:?} are not closed, and their process is"));
            }
            shared.book().died(number);
            life.abort();
        });
    }

    fn look(&self) -> Result<(), String> {
        let wrong = self.shared.book().wrong.clone();
        wrong.map_or(Ok(()), |wrong| Err(format!("{} ms: {wrong}", self.network.now())))
    }

    /// Waits until `holds` succeeds.
    async fn wait(&self, what: &str, holds: impl Fn() -> Result<(), String>) -> Result<(), String> {
        let deadline = self.network.now() + DEADLINE_MS;
        loop {
            self.look()?;
            let Err(why) = holds() else { return Ok(()) };
            if self.network.now() > deadline {
                return Err(format!("{what}: {why}"));
            }
            sleep_until(self.network.at(self.network.now() + 20)).await;
        }
    }

    fn pairs(&self) -> Vec<(Host, Host)> {
        (0..self.hosts).flat_map(|one| (0..one).map(move |other| (one, other))).collect()
    }

    /// All processes are connected and receive each other's messages.
    async fn settle(&self) -> Result<(), String> {
        self.shared.set_phase(WorldPhase::Calm);
        for (one, other) in self.pairs() {
            let between = || self.shared.book().between(one, other);
            self.wait("when all is calm", || {
                between().map(|_| ()).ok_or_else(|| format!("{one} and {other} are not connected"))
            })
            .await?;
            let before = between().unwrap_or_default();
            self.wait("when all is calm", || {
                let now = between().unwrap_or_default();
                match now.iter().zip(before).all(|(now, before)| *now > before) {
                    true => Ok(()),
                    false => Err(format!("{one} and {other} hear {now:?}, and {before:?} before")),
                }
            })
            .await?;
        }
        self.shared.set_phase(WorldPhase::Quiet);
        self.wait("when all is said", || {
            let book = self.shared.book();
            for (one, other) in self.pairs() {
                book.has_arrived(one, other)?;
            }
            match book.waits() {
                Some(process) => Err(format!("process {process} waits for a transfer")),
                None => Ok(()),
            }
        })
        .await?;
        self.wait("when all is said", || {
            for inhabitant in self.inhabitants.values() {
                let stats = inhabitant.process.net.stats();
                let (peers, most) = (stats.peers, 2 * usize::from(self.hosts));
                if stats.handshakes > 4 || peers > most {
                    return Err(format!("{stats:?}"));
                }
            }
            Ok(())
        })
        .await
    }

    /// All processes end, and so do their connections.
    async fn end(&mut self) -> Result<(), String> {
        for (host, Inhabitant { number, process, life }) in std::mem::take(&mut self.inhabitants) {
            self.shared.book().parts(number);
            self.shared.book().stops(number);
            let net = process.net.clone();
            let before = self.network.now();
            process.end().await;
            self.network.sleep(host).await;
            sleep_until(self.network.at(self.network.now() + 1)).await;
            life.abort();
            let took = self.network.now() - before;
            let left = self.shared.book().left_open(number);
            if !left.is_empty() || net.stats().peers > 0 || took > 3000 {
                return Err(format!("process {number} ends in {took} ms with {left:?}"));
            }
            self.shared.book().died(number);
        }
        self.look()
    }

    fn seen(&self) -> WorldResult {
        let book = self.shared.book();
        let mut sites = self.network.sites();
        add(&mut sites, book.sites.clone());
        let trace = hash(&[self.network.trace(), book.trace, self.network.now()]);
        WorldResult { sites, trace }
    }
}
