//! A whole cluster in virtual time, from one seed: successive masters, hosts with workers' processes, links,
//! storage. All faults are in a list made in advance (see [`faults`]).
//!
//! After every event the invariants of [`outside`](super::outside) and [`reference`](super::reference) hold:
//! output equals that of a run without faults, once and in order; a batch is cut once; every task has the
//! right state and blocks. Retained data is bounded. Once faults end, every job ends.

mod absence;
mod clients;
mod faults;
mod happens;
mod leaving;
mod masters;
mod mutations;
mod runs;
mod together;

use std::collections::{BTreeMap, BTreeSet};

use self::faults::{Fault, Kind, Way};
use super::Seed;
use super::cluster::Cluster;
use super::cluster::acts::is_of_loss;
use super::job::Job;
use super::network::{Conditions, Place};
use super::outside::Outside;
use super::reference::hash;
use crate::driver::cluster::node::Node;
use crate::plan::Plan;
use crate::sched::Past;
use crate::sched::master::Outcome;

/// Masters of a world, at most.
const MASTERS: u32 = 14;
/// Time without a master after which another takes over, in milliseconds.
const TAKEOVER_MS: u64 = 500;
/// Time after a loss until copies are restored, in milliseconds.
const LOSS_MS: u64 = 1000;
/// Longest time until a silent worker, or one that does not hear its master, is lost, in milliseconds.
const LONGEST_MS: u64 = 2000;
/// Time for a job to end once faults end: generous, since virtual time is free and clocks may be behind.
const DEADLINE_MS: u64 = 60_000;

/// A scheduled event other than a message.
#[derive(Debug, Clone, Copy)]
enum Due {
    Fault(usize),
    /// A host looks for a master.
    Seek(usize),
    /// A host gets a process again.
    Back(usize),
    /// A client may send.
    Push(usize),
    /// Another master starts if this is still the newest term.
    Next(u32),
}

/// Sites of faults and recoveries, and how often each was reached.
pub(super) type Sites = BTreeMap<&'static str, u64>;

struct Host {
    /// It has a process.
    is_up: bool,
    /// Its process belongs to a master's cluster.
    is_member: bool,
    /// Its process's pushed records while it has no master.
    node: Option<Node>,
}

/// A client that pushes numbered records.
struct Client {
    /// The host that it is connected to.
    at: Option<usize>,
    total: u64,
    sent: u64,
    /// The highest acknowledged number.
    acked: u64,
    told: BTreeSet<u64>,
    /// When it last got an acknowledgement.
    heard: u64,
}

/// Time without acknowledgement after which a client moves to another worker.
const PATIENCE_MS: u64 = 1200;

struct World {
    now: u64,
    seed: Seed,
    job: Job,
    outside: Outside,
    faults: Vec<Fault>,
    conditions: Conditions,
    hosts: Vec<Host>,
    clients: Vec<Client>,
    agenda: BTreeMap<(u64, u64), Due>,
    noted: u64,
    current: Cluster,
    /// By then the copies lost last are restored.
    made_good: u64,
    /// When all worker processes ended together.
    deserted: u64,
    /// All holders of some pushed record may be gone.
    bereft: bool,
    /// The job has ended because of that.
    lost: bool,
    /// The next master is told to go on without.
    accepts: bool,
    /// A job goes on only with a master.
    is_orphaned: bool,
    /// Clusters of replaced masters.
    old: Vec<Cluster>,
    sites: Sites,
    /// Hash of all events.
    trace: u64,
    events: u64,
    over: bool,
}

impl World {
    /// The faults of a seed.
    fn faults(number: u64) -> Vec<Fault> {
        let mut seed = Seed(hash(&[number, 1]) | 1);
        let hosts = Self::hosts(number);
        let mut faults = faults::faults(&mut seed, hosts);
        // Appended last, so that existing faults keep their numbers.
        faults.extend(leaving::leaving(&mut Seed(hash(&[number, 4]) | 1), hosts));
        faults.extend(together::together(&mut Seed(hash(&[number, 5]) | 1), hosts));
        faults.extend(absence::absence(&mut Seed(hash(&[number, 6]) | 1)));
        faults
    }

    fn hosts(number: u64) -> usize {
        2 + (hash(&[number, 2]) % 3) as usize
    }

    fn new(plan: &'static Plan, number: u64, faults: Vec<Fault>) -> Self {
        let mut seed = Seed(hash(&[number, 3]) | 1);
        let hosts = Self::hosts(number);
        let job = Job::in_time(plan, number, &mut seed, hosts as u32);
        let mut outside = Outside::new(job.config.first, plan.sources.len());
        outside.next_term();
        let current = Cluster::new(&job, &outside, &Past::default(), 0, seed.0);
        let mut world = Self {
            now: 0,
            seed,
            job,
            outside,
            conditions: Conditions::default(),
            hosts: Vec::new(),
            clients: Vec::new(),
            agenda: BTreeMap::new(),
            noted: 0,
            current,
            made_good: 0,
            deserted: u64::MAX / 2,
            bereft: false,
            lost: false,
            accepts: false,
            is_orphaned: false,
            old: Vec::new(),
            sites: Sites::new(),
            trace: 0,
            events: 0,
            over: false,
            faults,
        };
        (0..hosts).for_each(|_| world.add_host());
        for client in 0..if world.job.pushed { 2 } else { 0 } {
            let total = world.seed.below(25);
            let (told, heard) = (BTreeSet::new(), 0);
            world.clients.push(Client { at: None, total, sent: 0, acked: 0, told, heard });
            world.note(40, Due::Push(client));
        }
        for (index, fault) in world.faults.clone().iter().enumerate() {
            world.note(fault.at, Due::Fault(index));
        }
        world.current.act(&mut world.outside);
        world
    }

    fn add_host(&mut self) {
        let host = self.hosts.len();
        self.hosts.push(Host { is_up: true, is_member: false, node: None });
        let soon = self.now + 1 + self.seed.below(30);
        self.note(soon, Due::Seek(host));
    }

    fn note(&mut self, at: u64, due: Due) {
        self.noted += 1;
        self.agenda.insert((at, self.noted), due);
    }

    fn hit(&mut self, site: &'static str) {
        *self.sites.entry(site).or_default() += 1;
    }

    fn run(&mut self) {
        while !self.over {
            self.step();
            self.events += 1;
            assert!(
                self.now < faults::LAST_MS + DEADLINE_MS,
                "the job does not end: {:#?}",
                self.current.master.status(self.current.now)
            );
        }
        if self.lost {
            return self.count_current();
        }
        for (index, client) in self.clients.iter().enumerate() {
            assert_eq!((client.acked, client.sent), (client.total, client.total));
            for number in 1..=client.acked {
                let append = (index as u128, number);
                let is_accounted_for = self.outside.counted.contains(&append)
                    || self.outside.dropped.contains(&append);
                assert!(is_accounted_for, "append {number} of client {index} is lost");
            }
        }
        if !self.current.stopped {
            assert_eq!(self.outside.reached, self.job.totals, "everything is read");
        }
        assert_eq!(self.outside.published.len(), self.outside.cuts.len(), "all is published");
        let (shown, refused) = (self.outside.shown_again, self.outside.refused);
        let stepped = self.outside.steps_over;
        for (site, count) in [
            ("shown again", shown),
            ("an old master's entry", refused),
            ("time is stepped over", stepped),
        ] {
            *self.sites.entry(site).or_default() += u64::from(count);
        }
        self.count_current();
    }

    /// The next event happens.
    fn step(&mut self) {
        let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let current = self.current.next_at();
        let old = self.old.iter_mut().enumerate();
        let old = old.filter_map(|(index, cluster)| Some((cluster.next_at()?, index))).min();
        let first = [agenda, current, old.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(first) = first else {
            panic!("nothing happens: {:#?}", self.current.master.status(self.current.now))
        };
        self.now = self.now.max(first);
        if agenda == Some(first) {
            if let Some((_, due)) = self.agenda.pop_first() {
                self.trace = hash(&[self.trace, first]);
                self.happens(due);
            }
            return;
        }
        let mark = match old.filter(|(at, _)| *at == first) {
            Some((_, index)) => {
                let mark = self.old[index].arrive(&mut self.outside);
                self.look_at_old(index);
                mark
            }
            None => self.current.arrive(&mut self.outside),
        };
        self.trace = hash(&[self.trace, mark]);
        self.free_hosts();
        self.tell_clients();
        if self.current.outcome.is_some() && !self.is_orphaned {
            self.ended();
        }
        if self.events.is_multiple_of(64) {
            self.current.check_bounds(&self.outside);
        }
    }

    /// Hosts whose worker has left its master look for another.
    fn free_hosts(&mut self) {
        let departed = std::mem::take(&mut self.current.departed);
        let old = self.old.iter_mut().flat_map(|old| std::mem::take(&mut old.departed));
        for (host, node) in departed.into_iter().chain(old).collect::<Vec<_>>() {
            (self.hosts[host].is_member, self.hosts[host].node) = (false, node);
            let soon = self.now + 10 + self.seed.below(100);
            self.hit("a worker joins again");
            self.note(soon, Due::Seek(host));
        }
    }

    fn look_at_old(&mut self, index: usize) {
        let old = &mut self.old[index];
        if old.outcome.is_some() && !old.is_headless {
            old.is_headless = true;
            old.farewell();
            self.hit("a master learns that it is replaced");
        }
        let departed = !self.old[index].departed.is_empty();
        if !self.old[index].is_inhabited() && self.old[index].is_headless && !departed {
            self.old.remove(index);
        }
    }

    /// The newest master has ended by itself.
    fn ended(&mut self) {
        if self.current.outcome == Some(Outcome::Done) {
            assert_eq!(self.outside.published.len(), self.outside.cuts.len(), "all is published");
            let all_sent = self.clients.iter().all(|client| client.acked == client.total);
            let is_complete = all_sent && self.outside.reached == self.job.totals;
            if is_complete || !self.current.stopped || self.outside.term >= MASTERS {
                self.over = true;
                return;
            }
            self.hit("a stopped job goes on");
            // Worker processes end with their job.
            self.current.nodes.clear();
            self.outside.port = None;
        } else if self.current.outcome.as_ref().is_some_and(is_of_loss) {
            assert!(self.bereft, "nothing can have been lost: {:?}", self.current.outcome);
            self.hit("what was pushed is lost, and the job says so");
            let has_accepted = !self.outside.dropped.is_empty();
            if !self.job.accepts || has_accepted || self.outside.term >= MASTERS {
                (self.over, self.lost) = (true, true);
                return;
            }
            self.hit("a job is to go on without what is lost");
            self.current.close_journal(&mut self.outside);
            self.accepts = true;
        } else {
            self.hit("a saved state is found damaged");
        }
        self.is_orphaned = true;
        self.current.is_headless = true;
        self.current.farewell();
        let soon = self.now + self.seed.below(300);
        self.note(soon, Due::Next(self.outside.term));
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::Fault(index) => {
                let fault = self.faults[index];
                self.goes_wrong(fault.kind);
                for cluster in self.old.iter_mut().chain([&mut self.current]) {
                    cluster.endure(&self.conditions);
                }
            }
            Due::Push(client) => self.push(client),
            Due::Seek(host) => self.seek(host),
            Due::Back(host) => {
                if self.now > self.deserted + Cluster::grace() + LONGEST_MS {
                    assert!(!self.current.waits_in_vain(), "it waits for input that cannot arrive");
                }
                self.hosts[host].is_up = true;
                self.seek(host);
            }
            Due::Next(term) => {
                if term == self.outside.term {
                    self.next_master();
                }
            }
        }
    }

    /// A host without a master looks for one.
    fn seek(&mut self, host: usize) {
        if !self.hosts[host].is_up || self.hosts[host].is_member {
            return;
        }
        let (here, master) = (Place::Machine(host), Place::Master(self.current.term));
        let is_away =
            [here, master].iter().any(|at| self.conditions.frozen(*at, self.now).is_some());
        let is_cut = self.conditions.is_cut(here, master, self.now).is_some()
            || self.conditions.is_cut(master, here, self.now).is_some();
        if self.is_orphaned || is_away || is_cut {
            let later = self.now + 30 + self.seed.below(60);
            return self.note(later, Due::Seek(host));
        }
        if self.current.is_connected(host) {
            self.hit("a worker is turned away before its old connection has ended");
            let later = self.now + 200;
            return self.note(later, Due::Seek(host));
        }
        self.hosts[host].is_member = true;
        self.current.set_now(self.now);
        let node = self.hosts[host].node.take();
        self.current.join_on(host, node);
        self.current.act(&mut self.outside);
    }
}
