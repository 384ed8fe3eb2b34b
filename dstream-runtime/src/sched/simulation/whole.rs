//! A whole cluster in virtual time, from one seed: a master and those that follow it, hosts with workers'
//! processes, links, storage. Whatever goes wrong is in a list that is made first (see [`faults`]).
//!
//! After every event holds what [`outside`](super::outside) and [`reference`](super::reference) demand: what
//! is published is that of a run without faults, once, in order; a batch is cut once; every task that runs
//! has the right state and blocks. What processes keep is bounded. When no more goes wrong, every job ends.

mod faults;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use self::faults::{Fault, Kind, Way};
use super::Seed;
use super::cluster::{Cluster, Job};
use super::network::{Conditions, Place};
use super::outside::Outside;
use super::reference::hash;
use crate::driver::cluster::node::Node;
use crate::plan::Plan;
use crate::sched::Past;
use crate::sched::master::Outcome;

/// No more masters than this in all.
const MASTERS: u32 = 14;
/// After so long without news of its master another one takes over, in milliseconds.
const TAKEOVER_MS: u64 = 500;
/// So long after a loss others have copies of what was lost, in milliseconds.
const LOSS_MS: u64 = 1000;
/// When no more goes wrong, a job has so long to end: virtual time costs nothing, and clocks may be behind.
const DEADLINE_MS: u64 = 60_000;

/// What is to happen, other than messages.
#[derive(Debug, Clone, Copy)]
enum Due {
    Fault(usize),
    /// A host looks for a master.
    Seek(usize),
    /// A host has a process again.
    Back(usize),
    /// A client may send something.
    Push(usize),
    /// Another master begins, if this is still the newest term.
    Next(u32),
}

/// Where something goes wrong, or is made good, and how often that was.
pub(super) type Sites = BTreeMap<&'static str, u64>;

struct Host {
    /// There is a process.
    is_up: bool,
    /// It belongs to the cluster of some master.
    is_member: bool,
    /// What its process has of what clients have pushed, while it has no master.
    node: Option<Node>,
}

/// Somebody who pushes records, and numbers them.
struct Client {
    /// The host that it is connected to, if that is still so.
    at: Option<usize>,
    total: u64,
    sent: u64,
    /// All up to this one are safe, as it was told.
    acked: u64,
    told: BTreeSet<u64>,
    /// When it has last heard that something is safe.
    heard: u64,
}

/// A client that is told nothing for so long goes to another worker.
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
    /// What the last loss has taken is made good by then, as far as clients have pushed it.
    made_good: u64,
    /// A job goes on only with a master.
    is_orphaned: bool,
    /// Clusters whose masters are not the newest any more.
    old: Vec<Cluster>,
    sites: Sites,
    /// Stands for all that has happened.
    trace: u64,
    events: u64,
    over: bool,
}

impl World {
    /// All that goes wrong with a seed.
    fn faults(number: u64) -> Vec<Fault> {
        let mut seed = Seed(hash(&[number, 1]) | 1);
        let hosts = Self::hosts(number);
        faults::faults(&mut seed, hosts)
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
        for (index, client) in self.clients.iter().enumerate() {
            assert_eq!((client.acked, client.sent), (client.total, client.total));
            for number in 1..=client.acked {
                let counts = self.outside.counted.contains(&(index as u128, number));
                assert!(counts, "append {number} of client {index} is lost");
            }
        }
        if !self.current.stopped {
            assert_eq!(self.outside.reached, self.job.totals, "everything is read");
        }
        assert_eq!(self.outside.published.len(), self.outside.cuts.len(), "all is published");
        let (shown, refused) = (self.outside.shown_again, self.outside.refused);
        for (site, count) in [("shown again", shown), ("an old master's entry", refused)] {
            *self.sites.entry(site).or_default() += u64::from(count);
        }
        self.count_current();
    }

    /// What comes first happens.
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
            self.hit("a master hears that it is none any more");
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
            let again = self.current.stopped
                && self.outside.term < MASTERS
                && self.outside.reached != self.job.totals;
            if !again {
                self.over = true;
                return;
            }
            self.hit("a stopped job goes on");
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
        self.hosts[host].is_member = true;
        self.current.set_now(self.now);
        let node = self.hosts[host].node.take();
        self.current.join_on(host, node);
        self.current.act(&mut self.outside);
    }

    /// A client sends what comes next, or again what it does not know to be safe, to whom it can.
    fn push(&mut self, index: usize) {
        let later = self.now + 10 + self.seed.below(90);
        let client = &self.clients[index];
        let is_late = self.now > client.heard + PATIENCE_MS;
        if client.acked == client.total {
            self.stop_if_all_is_sent();
            return self.note(later, Due::Push(index));
        }
        let able = |host: usize| {
            let away = self.conditions.frozen(Place::Machine(host), self.now).is_some();
            self.hosts[host].is_up && !away
        };
        let stays = client.at.filter(|host| able(*host) && !is_late);
        let at = match stays {
            Some(at) => at,
            None => self.seed.below(self.hosts.len() as u64) as usize,
        };
        if stays.is_none() {
            let client = &mut self.clients[index];
            (client.at, client.sent, client.heard) = (Some(at), client.acked, self.now);
            self.hit("a client connects");
        }
        let away = self.conditions.frozen(Place::Machine(at), self.now).is_some();
        if self.hosts[at].is_up && !away && self.clients[index].sent < self.clients[index].total {
            self.append(index, at);
        }
        self.note(later, Due::Push(index));
    }

    fn append(&mut self, index: usize, at: usize) {
        let number = self.clients[index].sent + 1;
        let mut taken = false;
        for cluster in self.old.iter_mut().chain([&mut self.current]) {
            cluster.set_now(self.now);
            taken |= cluster.append_on(&mut self.outside, at, index as u128, number);
        }
        if !taken && let Some(node) = &mut self.hosts[at].node {
            // Its process waits for a master.
            let key = node.append(index as u128, number);
            node.take();
            self.outside.appends.insert(key, (index as u128, number));
            taken = true;
        }
        match taken {
            true => self.clients[index].sent = number,
            false => self.clients[index].at = None,
        }
    }

    fn stop_if_all_is_sent(&mut self) {
        let all = self.clients.iter().all(|client| client.acked == client.total);
        let read = self.outside.reached == self.job.totals;
        if !all || !read || self.current.stopped || self.is_orphaned {
            return;
        }
        self.hit("clients have sent everything");
        self.current.set_now(self.now);
        self.current.stop();
        self.current.act(&mut self.outside);
        if self.current.outcome.is_some() {
            self.ended();
        }
    }

    /// Clients hear what is safe, wherever they are by now.
    fn tell_clients(&mut self) {
        for cluster in self.old.iter_mut().chain([&mut self.current]) {
            for (client, number) in std::mem::take(&mut cluster.safe) {
                let client = &mut self.clients[client as usize];
                client.heard = self.now;
                client.told.insert(number);
                while client.told.remove(&(client.acked + 1)) {
                    client.acked += 1;
                }
                client.sent = client.sent.max(client.acked);
            }
        }
    }

    /// Whether everything that a host has of what clients have pushed is had by another, too, that is there
    /// and that the master knows: only then it may be lost.
    fn is_safe_without(&mut self, host: usize) -> bool {
        if !self.job.pushed {
            return true;
        }
        let mut others = BTreeSet::new();
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            let is_here = self.hosts[other].is_up
                && self.conditions.frozen(Place::Machine(other), self.now).is_none();
            // What one loss takes is made good before the next: nobody is away.
            let Some(worker) = self.current.worker_on(other).filter(|_| is_here) else {
                return false;
            };
            if !self.current.crew.contains(&worker) {
                return false;
            }
            others.extend(self.current.nodes[&worker].held());
        }
        let mut held: Vec<_> = self.hosts[host].node.iter().flat_map(Node::held).collect();
        for cluster in self.old.iter_mut().chain([&mut self.current]) {
            let worker = cluster.worker_on(host);
            let node = worker.and_then(|worker| cluster.nodes.get(&worker));
            held.extend(node.into_iter().flat_map(Node::held));
        }
        held.into_iter().all(|key| others.contains(&key))
    }

    /// Another master takes over, whatever has become of the one before.
    fn next_master(&mut self) {
        if self.outside.term >= MASTERS {
            assert!(!self.is_orphaned, "too many masters");
            return;
        }
        self.hit("another master");
        self.outside.next_term();
        let past = self.past();
        let mut next = Cluster::new(&self.job, &self.outside, &past, self.now, self.seed.0);
        self.seed.below(2);
        next.endure(&self.conditions);
        next.act(&mut self.outside);
        let before = std::mem::replace(&mut self.current, next);
        self.count(&before);
        self.old.push(before);
        self.is_orphaned = false;
        if self.current.outcome.is_some() {
            self.ended();
        }
    }

    /// What a new master begins with: where saved states cannot be read, the ones before.
    fn past(&mut self) -> Past {
        let mut past = self.outside.past();
        let mut fell_back = false;
        loop {
            let damaged = |object: &str| self.outside.damaged.contains(object);
            let Some(saved) = past.saved_states().find(|s| damaged(&s.object)).cloned() else {
                break;
            };
            past.fall_back(saved.stage, saved.partition).expect("there are two");
            fell_back = true;
        }
        if fell_back {
            self.hit("an older state is used");
        }
        let objects: BTreeSet<String> = past.objects().map(str::to_owned).collect();
        for object in &objects {
            assert!(self.outside.storage.contains_key(object), "{object} is needed and gone");
        }
        self.outside.storage.retain(|name, _| name.is_empty() || objects.contains(name));
        if fell_back || self.seed.one_in(3) {
            self.outside.write_snapshot(&past);
        }
        past
    }

    fn goes_wrong(&mut self, kind: Kind) {
        let (now, master) = (self.now, Place::Master(self.current.term));
        let taken: Vec<usize> = kind.takes().into_iter().flatten().collect();
        if self.job.pushed && !taken.is_empty() {
            let early = now < self.made_good;
            if early || taken.into_iter().any(|host| !self.is_safe_without(host)) {
                return self.hit("a second loss, which nobody survives, is left out");
            }
            self.made_good = now + kind.lasts() + LOSS_MS;
        }
        // What is received is waited for when somebody leaves or all of it stops; it is kept for the newest
        // saved states alone, not for those before; and a clock that is set can end all leases at once.
        let other = matches!(
            kind,
            Kind::Drain { .. } | Kind::Stop | Kind::Damage { .. } | Kind::Join | Kind::Jump { .. }
        );
        if self.job.pushed && other {
            return;
        }
        match kind {
            Kind::Kill { host, back } => {
                if !std::mem::replace(&mut self.hosts[host].is_up, false) {
                    return;
                }
                (self.hosts[host].is_member, self.hosts[host].node) = (false, None);
                self.hit("a process is killed");
                for client in self.clients.iter_mut().filter(|client| client.at == Some(host)) {
                    client.at = None;
                }
                let mut was_there = false;
                for cluster in self.old.iter_mut().chain([&mut self.current]) {
                    cluster.set_now(now);
                    was_there |= cluster.kill_on(host);
                }
                if was_there {
                    self.hit("a worker is killed");
                }
                self.note(now + back, Due::Back(host));
            }
            Kind::Freeze { host, ms } => {
                self.hit(if ms < Cluster::lease() { "a short freeze" } else { "a zombie" });
                self.conditions.freeze(Place::Machine(host), now + ms);
            }
            Kind::CrashMaster { next } => {
                if self.is_orphaned || self.outside.term >= MASTERS {
                    return;
                }
                self.hit("a master crashes");
                self.current.set_now(now);
                self.current.crash(&mut self.outside);
                self.is_orphaned = true;
                self.note(now + next, Due::Next(self.outside.term));
            }
            Kind::FreezeMaster { ms } => {
                self.conditions.freeze(master, now + ms);
                if ms > TAKEOVER_MS {
                    self.hit("a master is frozen until there is another");
                    self.note(now + TAKEOVER_MS, Due::Next(self.outside.term));
                } else {
                    self.hit("a master is frozen");
                }
            }
            Kind::Usurp => {
                self.hit("two masters");
                self.next_master();
            }
            Kind::CutMaster { host, way, ms } => {
                self.hit(match way {
                    Way::Both => "a worker without its master",
                    Way::There => "a worker that its master does not hear",
                    Way::Back => "a worker that does not hear its master",
                });
                self.cut(Place::Machine(host), master, way, ms);
            }
            Kind::CutPeers { one, other, way, ms } => {
                if one == other {
                    return;
                }
                self.cut(Place::Machine(one), Place::Machine(other), way, ms);
                if ms < Cluster::lease() {
                    return self.hit("two workers wait for each other");
                }
                self.current.set_now(now);
                if self.current.part(one, other) {
                    self.hit("two workers have lost each other");
                }
            }
            Kind::Slow { host, ms, by } => {
                self.hit("a slow host");
                let here = Place::Machine(host);
                for other in (0..self.hosts.len()).map(Place::Machine).chain([master]) {
                    self.conditions.slow_down(here, other, now + ms, by);
                }
                self.conditions.slow_down(master, here, now + ms, by);
            }
            Kind::Full { ms } => {
                self.hit("full storage");
                self.conditions.full = now + ms;
            }
            Kind::Hang { ms } => {
                self.hit("storage that hangs");
                self.conditions.freeze(Place::Storage, now + ms);
            }
            Kind::SlowStorage { ms } => {
                self.hit("slow storage");
                self.conditions.slow_storage = now + ms;
            }
            Kind::Damage { which } => self.damage(which),
            Kind::Doubling { ms } => {
                self.hit("doubled messages");
                self.conditions.doubling = now + ms;
            }
            Kind::Reordering { ms } => {
                self.hit("messages in another order");
                self.conditions.reordering = now + ms;
            }
            Kind::FailTasks { ms } => {
                self.hit("failing tasks");
                self.conditions.failing = now + ms;
            }
            Kind::Jump { by } => {
                self.hit(if by < 0 { "the clock is set back" } else { "the clock is set forward" });
                self.current.jump(by);
            }
            Kind::Drain { host } => {
                self.current.set_now(now);
                if !self.is_orphaned && self.current.drain_on(host) {
                    self.hit("a worker is drained");
                    self.current.act(&mut self.outside);
                }
            }
            Kind::Join => {
                self.hit("one host more");
                self.add_host();
            }
            Kind::Stop => {
                if !self.is_orphaned {
                    self.hit("the job is stopped");
                    self.current.set_now(now);
                    self.current.stop();
                    self.current.act(&mut self.outside);
                    if self.current.outcome.is_some() {
                        self.ended();
                    }
                }
            }
        }
    }

    fn cut(&mut self, one: Place, other: Place, way: Way, ms: u64) {
        if way != Way::Back {
            self.conditions.cut(one, other, self.now + ms);
        }
        if way != Way::There {
            self.conditions.cut(other, one, self.now + ms);
        }
    }

    /// Of what counts, something cannot be read any more: there is an older one, as long as only one is bad.
    fn damage(&mut self, which: u64) {
        let past = self.outside.past();
        if past.objects().any(|object| self.outside.damaged.contains(object)) {
            return;
        }
        let saved: Vec<_> = past.saved_states().cloned().collect();
        let Some(saved) = saved.get(which as usize % saved.len().max(1)) else { return };
        if past.clone().fall_back(saved.stage, saved.partition).is_ok() {
            self.hit("damage");
            self.outside.damaged.insert(saved.object.clone());
        }
    }

    fn count_current(&mut self) {
        let fresh = Outside::new(self.job.config.first, self.job.plan.sources.len());
        let none = Cluster::new(&self.job, &fresh, &Past::default(), 0, 1);
        let last = std::mem::replace(&mut self.current, none);
        self.count(&last);
        for old in std::mem::take(&mut self.old) {
            self.count(&old);
        }
    }

    fn count(&mut self, cluster: &Cluster) {
        let counts = [
            ("given up by the master", cluster.zombies),
            ("a task runs again", cluster.again),
            ("a state is loaded", cluster.loads),
            ("a task cannot read what was pushed", cluster.unreadable),
            ("a state is not saved", cluster.refused_saves),
            ("a damaged state is loaded", cluster.damaged_loads),
        ];
        for (site, count) in counts {
            *self.sites.entry(site).or_default() += u64::from(count);
        }
    }
}
