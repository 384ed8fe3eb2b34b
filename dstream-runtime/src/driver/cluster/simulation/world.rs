//! A world: a master's host, workers' hosts, and the faults of and between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::client::Sending;
use super::job::{self, Expected, Job};
use super::process::{Process, RIVAL, Shared, is_master, live, name};
use crate::driver::JobError;
use crate::driver::cluster::MasterPaths;
use crate::net::simulation::{
    Fault, Host, Kind, LinkFault, Network, Sites, add, befall, in_virtual_time,
};
use crate::net::trust::Authority;
use crate::sched::simulation::{Seed, hash};
use crate::sink::Published;
use crate::wire::Role;

/// Batches required once faults end, and longest wait for each of them and for the end.
const MORE: usize = 12;
const DEADLINE_MS: u64 = 60_000;
/// Longest time until an idle master notices that it was replaced.
const NOTICES_MS: u64 = 3000;
/// Time until a departed worker returns.
const BACK_MS: u64 = 700;

/// The result of a world.
#[derive(Debug)]
pub(super) struct WorldResult {
    pub(super) sites: Sites,
    pub(super) trace: u64,
    /// The longest time, in milliseconds, for which a client waited for an acknowledgement.
    pub(super) waited: u64,
    /// When, in milliseconds, the first worker had joined.
    pub(super) joined: Option<u64>,
}

/// One world in this many has a client.
const PUSHED: u64 = 3;

/// Longest fault of a worker that holds a client's lines: with a longer one and the loss of another worker,
/// no holder might be left.
const SHORT_MS: u64 = 1200;

pub(super) fn is_pushed(number: u64) -> bool {
    number.is_multiple_of(PUSHED)
}

/// Hosts of the master and the workers.
pub(super) fn hosts(number: u64) -> Host {
    if is_pushed(number) { 4 } else { 2 + (hash(&[number, 22]) % 3) as Host }
}

pub(super) fn faults(number: u64) -> Vec<Fault> {
    // The client's host comes after the workers'.
    let hosts = hosts(number) + Host::from(is_pushed(number));
    Fault::all(&mut Seed(hash(&[number, 21]) | 1), hosts)
}

/// Runs a world; fails if a check fails.
pub(super) fn run(number: u64, faults: &[Fault]) -> Result<WorldResult, String> {
    let dir = TempDir::new().map_err(|error| error.to_string())?;
    in_virtual_time(hash(&[number, 24]), async |network: Arc<Network>| {
        let mut seed = Seed(hash(&[number, 23]) | 1);
        let hosts = hosts(number);
        let job = Job::new(is_pushed(number), &mut seed);
        let shared = Arc::new(Shared {
            network,
            job,
            partitions: 1 + seed.below(4) as u32,
            workers: match job.is_pushed() {
                true => 3,
                false => 1 + seed.below(u64::from(hosts) - 1) as u32,
            },
            checkpoint: Duration::from_millis(200 + seed.below(1500)),
            state: dir.path().to_owned(),
            published: Published::default(),
            book: Mutex::default(),
        });
        certify(&shared, hosts)?;
        let mut world = World {
            shared: shared.clone(),
            seed,
            number,
            inhabitants: BTreeMap::new(),
            agenda: BTreeMap::new(),
            noted: 0,
            begun: 0,
            calm_at: 0,
            expected: Expected::new(job),
            checked: 0,
            stopping: false,
            has_rival: false,
            has_lost: false,
            client: None,
            waited: 0,
            is_single: faults.len() == 1,
        };
        (0..hosts).for_each(|host| world.begin(host));
        if job.is_pushed() {
            let number = hash(&[number, 26]);
            world.client = Some(Sending::start(&shared, hosts, number));
        }
        let ended = world.run(faults).await;
        let ended = world.leave().await.and(ended);
        let mut sites = shared.network.sites();
        add(&mut sites, shared.book().sites.clone());
        let trace = hash(&[shared.network.trace(), world.checked as u64, shared.network.now()]);
        let (waited, joined) = (world.waited, shared.book().joined);
        ended.map(|()| WorldResult { sites, trace, waited, joined }).map_err(|wrong| {
            let story = &shared.book().story;
            format!("{wrong}\n{story}")
        })
    })
}

/// Prepares the state directory: every process has its certificate already.
fn certify(shared: &Shared, hosts: Host) -> Result<(), String> {
    let paths = MasterPaths::new(&shared.state);
    paths.create().map_err(|error| error.to_string())?;
    let now = crate::net::simulation::wall(&shared.network)();
    let authority = Authority::open(&paths.authority(), shared.job.plan().job, now);
    let authority = authority.map_err(|error| error.to_string())?;
    for host in 1..hosts {
        let identity = authority.identity(Role::Worker, &name(host), now);
        let identity = identity.map_err(|error| error.to_string())?;
        let path = paths.identity(&name(host));
        identity.write(&path).map_err(|error| error.to_string())?;
    }
    Ok(())
}

enum Due {
    Fault(Fault),
    Back(Host),
    /// A second master is started although the first may still run.
    Rival,
    /// An old, idle master must have noticed by now that it was replaced; it checks by a clock that this
    /// world does not wait for.
    Noticed,
}

struct World {
    shared: Arc<Shared>,
    seed: Seed,
    number: u64,
    inhabitants: BTreeMap<Host, (Process, JoinHandle<()>)>,
    agenda: BTreeMap<(u64, u64), Due>,
    noted: u64,
    /// Processes started so far.
    begun: u64,
    /// No faults after this.
    calm_at: u64,
    expected: Expected,
    /// Batches checked so far.
    checked: usize,
    stopping: bool,
    has_rival: bool,
    /// A worker that may hold a client's lines was killed or has left.
    has_lost: bool,
    client: Option<Sending>,
    /// The longest time, in milliseconds, for which that has waited for an acknowledgement.
    waited: u64,
    /// One thing goes wrong in this world: nothing is lost however long that lasts.
    is_single: bool,
}

impl World {
    fn note(&mut self, at: u64, due: Due) {
        self.noted += 1;
        self.agenda.insert((at, self.noted), due);
        self.calm_at = self.calm_at.max(at);
    }

    fn now(&self) -> u64 {
        self.shared.network.now()
    }

    /// Starts a process on a host.
    fn begin(&mut self, host: Host) {
        self.begun += 1;
        let number = hash(&[self.number, self.begun]) & 0xffff_ffff_ffff_0000 | self.begun;
        let process = Process::start(&self.shared, host, number);
        let life = live(process.fiber(), self.shared.network.clone(), host);
        let life = tokio::spawn(life);
        self.inhabitants.insert(host, (process, life));
    }

    async fn run(&mut self, faults: &[Fault]) -> Result<(), String> {
        for fault in faults {
            self.note(fault.at, Due::Fault(*fault));
        }
        self.until_calm().await?;
        let (enough, deadline) = (self.checked + MORE, self.now() + DEADLINE_MS);
        while self.checked < enough {
            self.before(deadline, "the job does not go on")?;
            self.pass(50).await?;
        }
        self.hear_client().await?;
        self.stopping = true;
        self.shared.tell(format_args!("the job is to stop"));
        let masters = self.inhabitants.iter().filter(|(host, _)| is_master(**host));
        masters.for_each(|(_, (master, _))| master.stop());
        let deadline = self.now() + DEADLINE_MS;
        while !self.inhabitants.is_empty() {
            self.before(deadline, "the job does not end")?;
            self.pass(50).await?;
        }
        Ok(())
    }

    /// Waits until everything that the client sent is published.
    async fn hear_client(&mut self) -> Result<(), String> {
        let Some(mut client) = self.client.take() else { return Ok(()) };
        client.stop();
        let deadline = self.now() + DEADLINE_MS;
        let sent = loop {
            match client.ended().await {
                Some(sent) => break sent?,
                None => self.before(deadline, "nothing is acknowledged")?,
            }
            self.pass(50).await?;
        };
        self.shared.hit("what was sent is acknowledged");
        self.waited = client.waited();
        while self.expected.words() != sent {
            self.before(deadline, "an acknowledged line is not published")?;
            self.pass(50).await?;
        }
        Ok(())
    }

    fn before(&self, deadline: u64, what: &str) -> Result<(), String> {
        match self.now() > deadline {
            true => Err(format!("{what}: {} batches after {} ms", self.checked, self.now())),
            false => Ok(()),
        }
    }

    /// Runs until faults end.
    async fn until_calm(&mut self) -> Result<(), String> {
        while self.now() < self.calm_at {
            self.pass(20).await?;
        }
        Ok(())
    }

    /// Lets time pass.
    async fn pass(&mut self, ms: u64) -> Result<(), String> {
        let until = self.now() + ms;
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), due) = entry.remove_entry();
            sleep_until(self.shared.network.at(at)).await;
            match due {
                Due::Fault(fault) => self.goes_wrong(fault.kind)?,
                Due::Back(0) if self.inhabitants.contains_key(&RIVAL) => {}
                Due::Back(_) | Due::Rival | Due::Noticed if self.stopping => {}
                Due::Back(host) => self.begin(host),
                Due::Rival => {
                    self.shared.hit("a second master");
                    self.begin(RIVAL);
                }
                Due::Noticed => {
                    let masters = [0, RIVAL]
                        .map(|host| Some((self.inhabitants.get(&host)?.0.number(), host)));
                    if let [Some(one), Some(other)] = masters
                        && let Some((old, life)) = self.inhabitants.remove(&one.min(other).1)
                    {
                        life.abort();
                        old.kill()?;
                    }
                }
            }
        }
        sleep_until(self.shared.network.at(until)).await;
        self.look().await
    }

    /// Limits faults in worlds with a client, so that some holder of its lines survives.
    fn tame(&mut self, kind: Kind) -> Option<Kind> {
        if self.client.is_none() || self.is_single {
            return Some(kind);
        }
        let short = |ms: u64| ms.min(SHORT_MS);
        Some(match kind {
            Kind::Kill { host: 0, .. } | Kind::End { host: 0, .. } => kind,
            Kind::Kill { host, .. } | Kind::End { host, .. } => {
                let is_worker = self.inhabitants.contains_key(&host);
                if !is_worker || std::mem::replace(&mut self.has_lost, true) {
                    return None;
                }
                kind
            }
            Kind::Link { one, other, ways, trouble, ms } => {
                let ms = if matches!(trouble, LinkFault::Hole(_)) { ms } else { short(ms) };
                Kind::Link { one, other, ways, trouble, ms }
            }
            Kind::Still { host, ms } => Kind::Still { host, ms: short(ms) },
            Kind::Asleep { host, ms } if host > 0 => Kind::Asleep { host, ms: short(ms) },
            kind => kind,
        })
    }

    fn goes_wrong(&mut self, kind: Kind) -> Result<(), String> {
        let now = self.now();
        let Some(kind) = self.tame(kind) else { return Ok(()) };
        self.shared.tell(format_args!("{kind:?}"));
        self.calm_at = self.calm_at.max(now + befall(&self.shared.network, &mut self.seed, kind));
        if let Kind::Asleep { host: 0, ms: ms @ 1000.. } = kind
            && !std::mem::replace(&mut self.has_rival, true)
        {
            let after = 200 + self.seed.below(1000);
            self.note(now + after, Due::Rival);
            self.note(now + ms.max(after) + NOTICES_MS, Due::Noticed);
        }
        let (Kind::Kill { host, back } | Kind::End { host, back }) = kind else { return Ok(()) };
        let is_asked = matches!(kind, Kind::End { .. }) || back % 3 == 0;
        if is_asked && host > 0 {
            // Drained; it returns after it has exited.
            if let Some((process, _)) = self.inhabitants.get(&host) {
                process.stop();
            }
            return Ok(());
        }
        let Some((process, life)) = self.inhabitants.remove(&host) else { return Ok(()) };
        life.abort();
        self.shared.hit(match host {
            0 => "a master is killed",
            _ => "a worker is killed",
        });
        self.note(now + back, Due::Back(host));
        process.kill()
    }

    /// Checks what is published, and handles processes that have ended.
    async fn look(&mut self) -> Result<(), String> {
        let Shared { published, partitions, .. } = &*self.shared;
        let expected = &mut self.expected;
        let more = job::check(published, expected, self.checked, *partitions)?;
        if more > 0 {
            self.checked += more;
            self.shared.hit("published");
        }
        let over = |(host, (_, life)): (&Host, &(Process, JoinHandle<()>))| {
            life.is_finished().then_some(*host)
        };
        let over: Vec<Host> = self.inhabitants.iter().filter_map(over).collect();
        for host in over {
            let Some((process, life)) = self.inhabitants.remove(&host) else { continue };
            // A stuck engine has panicked, and there is nothing to wait for.
            life.await.map_err(|panic| format!("host {host}: {panic}"))?;
            let ended = process.end().await?;
            self.shared.tell(format_args!("host {host} has ended: {ended:?}"));
            match (ended, is_master(host)) {
                (Ok(()), true) if self.stopping => {
                    // Processes without a master retry until they are asked to stop.
                    self.inhabitants.values().for_each(|(other, _)| other.stop());
                    // An idle master notices its replacement later than this world runs.
                    let others = self.inhabitants.extract_if(.., |host, _| is_master(*host));
                    for (_, (other, life)) in others.collect::<Vec<_>>() {
                        life.abort();
                        other.kill()?;
                    }
                }
                (Ok(()), true) => return Err("the job has ended".to_owned()),
                (Err(JobError::Fenced { .. }), true) => {
                    self.shared.hit("a master is fenced");
                    if !self.inhabitants.keys().any(|host| is_master(*host)) {
                        self.note(self.now() + BACK_MS, Due::Back(0));
                    }
                }
                (Err(error), true) => return Err(format!("a master has ended: {error}")),
                // Restart it.
                (_, false) if !self.stopping => self.note(self.now() + BACK_MS, Due::Back(host)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends all processes.
    async fn leave(&mut self) -> Result<(), String> {
        self.client = None;
        for (_, (process, life)) in std::mem::take(&mut self.inhabitants) {
            life.abort();
            process.kill()?;
        }
        Ok(())
    }
}
