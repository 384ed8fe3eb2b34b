//! A world: a master's host and those of its workers, and what goes wrong with them and between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::master::Master;
use super::worker::Worker;
use super::{Job, Seed, hash};
use crate::net::Limits;
use crate::net::simulation::{
    Authorities, Fault, Host, Kind, Network, Process, Sites, add, befall, in_virtual_time, options,
};

/// When no more goes wrong, a job has so long to end.
const DEADLINE_MS: u64 = 60_000;

/// What a world was like.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) sites: Sites,
    pub(super) trace: u64,
}

fn hosts(number: u64) -> Host {
    2 + (hash(&[number, 12]) % 3) as Host
}

pub(super) fn faults(number: u64) -> Vec<Fault> {
    Fault::all(&mut Seed(hash(&[number, 11]) | 1), hosts(number))
}

/// Runs a world; an error if something does not hold.
pub(super) fn run(number: u64, faults: &[Fault], of: &Authorities) -> Result<Seen, String> {
    in_virtual_time(hash(&[number, 14]), async |network: Arc<Network>| {
        let mut seed = Seed(hash(&[number, 13]) | 1);
        let hosts = hosts(number);
        let workers = 1 + seed.below(u64::from(hosts) - 1) as u32;
        let job = Arc::new(Job::new(number, &mut seed, workers));
        let mut world = World {
            of,
            network,
            job,
            seed,
            number,
            inhabitants: BTreeMap::new(),
            agenda: BTreeMap::new(),
            noted: 0,
            begun: 0,
            calm_at: 0,
        };
        (0..hosts).for_each(|host| world.begin(host));
        let ended = world.run(faults).await;
        ended.map(|()| world.seen()).map_err(|wrong| {
            let story = &world.job.kept().story;
            format!("{wrong}\n{story}")
        })
    })
}

enum Due {
    Fault(Fault),
    Back(Host),
}

struct World<'a> {
    of: &'a Authorities,
    network: Arc<Network>,
    job: Arc<Job>,
    seed: Seed,
    number: u64,
    inhabitants: BTreeMap<Host, (Process, JoinHandle<()>)>,
    agenda: BTreeMap<(u64, u64), Due>,
    noted: u64,
    begun: u64,
    calm_at: u64,
}

impl World<'_> {
    fn note(&mut self, at: u64, due: Due) {
        self.noted += 1;
        self.agenda.insert((at, self.noted), due);
        self.calm_at = self.calm_at.max(at);
    }

    /// A process begins on a host.
    fn begin(&mut self, host: Host) {
        self.begun += 1;
        let salt = hash(&[self.number, self.begun]) & 0xffff_ffff_ffff_0000 | self.begun;
        let options = options(&self.network, self.of.long(), host, Limits::default());
        let (process, events) = Process::start(&self.network, host, salt, options);
        let life = match host {
            0 => {
                let master = Master::new(&self.job, &self.network, &process.net, salt);
                tokio::spawn(master.live(events))
            }
            _ => {
                let worker = Worker::new(&self.job, &self.network, &process.net, host, salt);
                tokio::spawn(worker.live(events))
            }
        };
        self.inhabitants.insert(host, (process, life));
    }

    async fn run(&mut self, faults: &[Fault]) -> Result<(), String> {
        for fault in faults {
            self.note(fault.at, Due::Fault(*fault));
        }
        while let Some(((at, _), due)) = self.agenda.pop_first() {
            sleep_until(self.network.at(at)).await;
            match due {
                Due::Fault(fault) => self.goes_wrong(fault.kind),
                Due::Back(host) => self.begin(host),
            }
            self.look().await?;
        }
        let deadline = self.calm_at + DEADLINE_MS;
        while !self.job.kept().is_over {
            self.look().await?;
            if self.network.now() > deadline {
                return Err("the job does not end".to_owned());
            }
            sleep_until(self.network.at(self.network.now() + 50)).await;
        }
        self.look().await
    }

    fn goes_wrong(&mut self, kind: Kind) {
        let now = self.network.now();
        self.job.kept().story.tell(now, format_args!("{kind:?}"));
        self.calm_at = self.calm_at.max(now + befall(&self.network, &mut self.seed, kind));
        let (Kind::Kill { host, back } | Kind::End { host, back }) = kind else { return };
        let Some((process, life)) = self.inhabitants.remove(&host) else { return };
        life.abort();
        self.job.hit(match host {
            0 => "a master is killed",
            _ => "a worker is killed",
        });
        match kind {
            Kind::Kill { .. } => process.kill(),
            _ => drop(tokio::spawn(process.end())),
        }
        self.note(now + back, Due::Back(host));
    }

    /// Whether somebody has panicked.
    async fn look(&mut self) -> Result<(), String> {
        for (host, (_, life)) in &mut self.inhabitants {
            if life.is_finished()
                && let Err(panic) = life.await
            {
                let said = panic.into_panic();
                let text = said.downcast_ref::<String>().cloned();
                let text = text.or_else(|| said.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                let (at, text) = (self.network.now(), text.unwrap_or_default());
                return Err(format!("{at} ms, host {host}: {text}"));
            }
        }
        Ok(())
    }

    fn seen(&self) -> Seen {
        let kept = self.job.kept();
        let mut sites = self.network.sites();
        add(&mut sites, kept.sites.clone());
        let trace = hash(&[self.network.trace(), kept.trace, self.network.now()]);
        Seen { sites, trace }
    }
}
