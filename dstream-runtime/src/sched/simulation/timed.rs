//! A simulated cluster whose time is simulated, too: workers are processes on hosts, with heartbeats and
//! leases, and connections that end. What drivers do about that is done here as they do it.

use super::cluster::{Cluster, LEASE_MS, Message};
use super::network::Conditions;
use super::outside::Outside;
use super::process::Process;
use super::reference::hash;
use crate::id::*;
use crate::sched::message::ToMaster;
use crate::sched::*;

/// A worker that has heard nothing of its master for so long takes it for gone.
const SILENCE_MS: u64 = 450;

impl Cluster {
    /// A worker's process on a host joins.
    pub(super) fn join_on(&mut self, machine: usize) {
        let id = self.next_id();
        let Some(timed) = self.network.timed() else { return };
        timed.machines.insert(id, machine);
        timed.push(Message::Beat(id));
        let heard = timed.now;
        let partitions = self.reference.partitions;
        let core = WorkerCore::new(id, self.reference.plan, partitions, 1, Retention::Released);
        let mut process = Process::new(core);
        process.heard = heard;
        self.processes.insert(id, process);
    }

    /// The worker that a host has here.
    pub(super) fn worker_on(&mut self, machine: usize) -> Option<WorkerId> {
        let timed = self.network.timed()?;
        let here = timed.machines.iter().rev().filter(|(_, on)| **on == machine);
        let here: Vec<WorkerId> = here.map(|(worker, _)| *worker).collect();
        here.into_iter().find(|worker| self.processes.contains_key(worker))
    }

    /// A process has ended, or left its master.
    fn depart(&mut self, worker: WorkerId) {
        if self.processes.remove(&worker).is_none() {
            return;
        }
        let machine = self.network.timed().and_then(|t| t.machines.get(&worker).copied());
        self.departed.extend(machine);
    }

    /// A worker that was drained goes.
    pub(super) fn let_go(&mut self, worker: WorkerId) {
        self.closed.insert(worker);
        self.depart(worker);
    }

    /// The master has given a worker up, and closes the connection.
    pub(super) fn give_up(&mut self, worker: WorkerId) {
        if self.closed.insert(worker) {
            if let Some(process) = self.processes.get_mut(&worker) {
                process.zombie = true;
                self.zombies += 1;
            }
            self.network.push(Message::JoinAgain(worker));
        }
    }

    /// The process on a host ends at once; a beginning of what it has sent arrives.
    pub(super) fn kill_on(&mut self, machine: usize) -> bool {
        let Some(worker) = self.worker_on(machine) else { return false };
        self.processes.remove(&worker);
        self.losses += 1;
        let mut arrives = self.seed.below(4);
        self.network.retain(|message| match message {
            Message::ToPeer(from, ..) | Message::ToMaster(from, ..) if *from == worker => {
                arrives = arrives.saturating_sub(1);
                arrives > 0
            }
            Message::Ran(on, ..) | Message::Beat(on) | Message::Saved(on, ..) => *on != worker,
            _ => true,
        });
        if self.seed.one_in(2) {
            // Otherwise nobody says so, and it is found out.
            self.network.push(Message::Left(worker));
        }
        true
    }

    /// The connection between the workers on two hosts ends.
    pub(super) fn part(&mut self, one: usize, other: usize) -> bool {
        let (Some(one), Some(other)) = (self.worker_on(one), self.worker_on(other)) else {
            return false;
        };
        for (from, to) in [(one, other), (other, one)] {
            self.parted.insert((from, to));
            self.network.push(Message::Parted(from, to));
        }
        true
    }

    /// The master has ended: workers hear it, if they do.
    pub(super) fn farewell(&mut self) {
        for worker in self.processes.keys().copied().collect::<Vec<_>>() {
            self.network.push(Message::JoinAgain(worker));
        }
    }

    /// The next thing happens. What it is goes into a number that stands for all that has happened.
    pub(super) fn arrive(&mut self, outside: &mut Outside) -> u64 {
        let Some(timed) = self.network.timed() else { return 0 };
        let Some(message) = timed.pop() else { return 1 };
        let now = timed.now;
        self.failing = if timed.conditions.failing > now { 4 } else { 0 };
        let mark = hash(&[now, u64::from(self.term), mark(&message)]);
        let mastered = self.is_headless || self.outcome.is_some();
        match message {
            Message::Beat(worker) => self.beat(worker, now),
            Message::Alive(worker) => self.hear(worker, now),
            Message::JoinAgain(worker) => self.depart(worker),
            Message::Parted(from, to) => {
                if self.processes.contains_key(&from) {
                    self.network.push(Message::Unreachable(from, to));
                }
            }
            Message::ToPeer(from, to, ..) if self.parted.contains(&(from, to)) => {}
            message @ (Message::ToPeer(..) | Message::Ran(..) | Message::Saved(..)
            | Message::Loaded(..)) => self.deliver(outside, message),
            message @ Message::ToWorker(to, _) => {
                self.hear(to, now);
                self.deliver(outside, message);
            }
            _ if mastered => {}
            Message::Look if self.term == outside.term => self.network.push(Message::Look),
            Message::Look => self.network.push(Message::Fenced),
            Message::Unreachable(from, to) => self.network.push(Message::Judge(from, to)),
            Message::Judge(from, to) => {
                if !self.closed.contains(&from) && !self.closed.contains(&to) {
                    self.give_up(from);
                    self.deliver(outside, Message::Left(from));
                }
            }
            Message::Left(worker) => {
                self.give_up(worker);
                self.deliver(outside, Message::Left(worker));
            }
            Message::ToMaster(from, ToMaster::Heartbeat, part) => {
                if !self.closed.contains(&from) {
                    self.network.push(Message::Alive(from));
                }
                self.deliver(outside, Message::ToMaster(from, ToMaster::Heartbeat, part));
            }
            message => self.deliver(outside, message),
        }
        self.act(outside);
        mark
    }

    fn hear(&mut self, worker: WorkerId, now: u64) {
        if let Some(process) = self.processes.get_mut(&worker) {
            process.heard = now;
        }
    }

    fn beat(&mut self, worker: WorkerId, now: u64) {
        let Some(process) = self.processes.get(&worker) else { return };
        if now.saturating_sub(process.heard) > SILENCE_MS {
            self.network.push(Message::Left(worker));
            return self.depart(worker);
        }
        self.network.push(Message::ToMaster(worker, ToMaster::Heartbeat, None));
        self.network.push(Message::Beat(worker));
    }

    /// When the next thing happens.
    pub(super) fn next_at(&mut self) -> Option<u64> {
        self.network.timed()?.next()
    }

    /// It is that late, whatever the master's clock says.
    pub(super) fn set_now(&mut self, now: u64) {
        if let Some(timed) = self.network.timed() {
            timed.now = now;
            self.now = timed.clock();
        }
    }

    /// From now on these things are wrong.
    pub(super) fn endure(&mut self, conditions: &Conditions) {
        if let Some(timed) = self.network.timed() {
            timed.conditions = conditions.clone();
        }
    }

    /// The master's clock is set.
    pub(super) fn jump(&mut self, by: i64) {
        if let Some(timed) = self.network.timed() {
            timed.skew += by;
        }
    }

    /// The worker on a host is asked to leave.
    pub(super) fn drain_on(&mut self, machine: usize) -> bool {
        let worker = self.worker_on(machine).filter(|worker| !self.closed.contains(worker));
        if let Some(worker) = worker {
            self.master.handle(self.now, MasterEvent::Drain(worker));
        }
        worker.is_some()
    }

    /// Whatever happens, little is kept.
    pub(super) fn check_bounds(&self, outside: &Outside) {
        let states = self.reference.states_there();
        let objects = outside.storage.len();
        let lost = (self.losses + self.zombies + 2) as usize;
        // Two bases, two rounds under way, and what was saved by those who could not say so.
        assert!(objects <= 1 + states * (4 + 2 * lost), "{objects} objects for {states} states");
    }

    /// Whether there is anything that may still happen here.
    pub(super) fn is_inhabited(&self) -> bool {
        !self.processes.is_empty()
    }

    /// The lease, for whoever waits that one is over.
    pub(super) fn lease() -> u64 {
        LEASE_MS
    }
}

/// What a message is, as a number.
fn mark(message: &Message) -> u64 {
    let numbers: [u64; 3] = match message {
        Message::ToMaster(from, said, part) => {
            let said = match said {
                ToMaster::TaskDone { task, .. } => 10 + task.batch.0,
                ToMaster::Saved(saved) => 1000 + saved.after.0,
                ToMaster::Placed { epoch } => 2000 + epoch.0,
                _ => 3,
            };
            [1, u64::from(from.0) << 32 | said, part.unwrap_or(0)]
        }
        Message::ToPeer(from, to, said, contents) => {
            [2, u64::from(from.0) << 32 | u64::from(to.0), hash(contents) ^ said.epoch().0]
        }
        Message::ToWorker(to, said) => [3, u64::from(to.0), said.epoch().0],
        Message::Put(seq) => [4, seq.0, 0],
        Message::Synced(seq) => [5, seq.0, 0],
        Message::Fenced => [6, 0, 0],
        Message::Show(batch, parts) => [7, batch.0, parts.len() as u64],
        Message::Published(batch) => [8, batch.0, 0],
        Message::Cut(batch, source) => [9, batch.0, u64::from(source.0)],
        Message::Ran(on, task, attempt, result) => {
            [10, u64::from(on.0), hash(&[task.batch.0, u64::from(attempt.0), *result])]
        }
        Message::Saved(on, saved, state) => [11, u64::from(on.0), state ^ saved.after.0],
        Message::Loaded(on, saved, _) => [12, u64::from(on.0), saved.after.0],
        Message::Left(worker) => [13, u64::from(worker.0), 0],
        Message::Tick(at) => [14, *at, 0],
        Message::Beat(worker) => [15, u64::from(worker.0), 0],
        Message::Alive(worker) => [16, u64::from(worker.0), 0],
        Message::JoinAgain(worker) => [17, u64::from(worker.0), 0],
        Message::Parted(a, b) => [18, u64::from(a.0), u64::from(b.0)],
        Message::Unreachable(a, b) => [19, u64::from(a.0), u64::from(b.0)],
        Message::Look => [21, 0, 0],
        Message::Judge(a, b) => [20, u64::from(a.0), u64::from(b.0)],
    };
    hash(&numbers)
}
