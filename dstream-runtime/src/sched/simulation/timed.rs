//! A simulated cluster in simulated time: workers are processes on hosts, with heartbeats, leases and
//! connections that close. It follows what the drivers do.

use std::time::Duration;

use super::cluster::{Cluster, GRACE_MS, LEASE_MS};
use super::message::{Message, mark};
use super::network::Conditions;
use super::outside::Outside;
use super::process::Process;
use super::reference::hash;
use crate::driver::cluster::Returns;
use crate::driver::cluster::node::{Answer, Node};
use crate::id::*;
use crate::sched::master::Standing;
use crate::sched::membership::{BrokenLink, Verdict};
use crate::sched::message::{EngineTime, ToMaster, ToWorker};
use crate::sched::worker::MAX_OBJECTS;
use crate::sched::*;

/// Silence after which a worker takes its master for lost.
const SILENCE_MS: u64 = 450;
/// Events within this many milliseconds are handled together by a busy master.
const AT_ONCE_MS: u64 = 5;

impl Cluster {
    /// A worker's process on a host joins.
    pub(super) fn join_on(&mut self, machine: usize, node: Option<Node>) {
        let id = self.next_id();
        let Some(timed) = self.network.timed() else { return };
        timed.machines.insert(id, machine);
        timed.push(Message::Beat(id));
        let heard = timed.now;
        let partitions = self.reference.partitions;
        let core = WorkerCore::new(id, self.reference.plan, partitions, 1, Retention::Released);
        let mut process = Process::new(core);
        process.heard = heard;
        process.is_admitted = self.desk.is_none();
        self.processes.insert(id, process);
        self.nodes.extend(node.map(|node| (id, node)));
        self.comes(id);
    }

    /// The worker of a host.
    pub(super) fn worker_on(&mut self, machine: usize) -> Option<WorkerId> {
        let timed = self.network.timed()?;
        let here = timed.machines.iter().rev().filter(|(_, on)| **on == machine);
        let here: Vec<WorkerId> = here.map(|(worker, _)| *worker).collect();
        here.into_iter().find(|worker| self.processes.contains_key(worker))
    }

    /// Whether the master considers the worker of a host connected.
    pub(super) fn is_connected(&mut self, machine: usize) -> bool {
        let Some(timed) = self.network.timed() else { return false };
        let machines = &timed.machines;
        self.crew.iter().any(|worker| machines.get(worker) == Some(&machine))
    }

    /// The worker of a host that its master has welcomed.
    fn admitted_on(&mut self, machine: usize) -> Option<WorkerId> {
        self.worker_on(machine).filter(|worker| self.processes[worker].is_admitted)
    }

    /// A process has ended, or has left its master.
    fn depart(&mut self, worker: WorkerId) {
        if self.processes.remove(&worker).is_none() {
            return;
        }
        let machine = self.network.timed().and_then(|t| t.machines.get(&worker).copied());
        let node = self.nodes.remove(&worker);
        self.departed.extend(machine.map(|machine| (machine, node)));
    }

    /// Drained workers that have stopped receiving hand over their blocks.
    pub(super) fn see_off(&mut self) {
        for worker in self.membership.hand_over(|worker| self.receiving.contains(&worker)) {
            self.network.push(Message::Answer(worker, Answer::hand_over()));
        }
    }

    /// A drained worker exits.
    pub(super) fn let_go(&mut self, worker: WorkerId) {
        self.leaving.remove(&worker);
        self.closed.insert(worker);
        // Its messages end with its connections.
        self.network.retain(|message| match message {
            Message::ToPeer(from, ..) | Message::Told(from, ..) | Message::Note(from, _) => {
                *from != worker
            }
            _ => true,
        });
        self.nodes.remove(&worker);
        if self.crew.remove(&worker) && self.desk.is_some() {
            self.is_gone(worker, Returns::Never);
            self.tell_crew();
        }
        self.depart(worker);
    }

    /// The master disconnects a worker.
    pub(super) fn give_up(&mut self, worker: WorkerId) {
        if self.closed.insert(worker) {
            self.receiving.remove(&worker);
            self.leaving.remove(&worker);
            self.membership.gone(worker);
            if let Some(process) = self.processes.get_mut(&worker) {
                process.zombie = true;
                self.zombies += 1;
            }
            self.network.push(Message::JoinAgain(worker));
            if self.crew.remove(&worker) {
                let returns = match self.ended_processes.contains(&worker) {
                    true => Returns::Never,
                    false => Returns::Maybe,
                };
                self.is_gone(worker, returns);
                self.tell_crew();
            }
        }
    }

    /// Kills the process of a host; a prefix of what it sent arrives.
    pub(super) fn kill_on(&mut self, machine: usize) -> bool {
        let Some(worker) = self.worker_on(machine) else { return false };
        self.processes.remove(&worker);
        self.nodes.remove(&worker);
        self.losses += 1;
        let mut arrives = self.seed.below(4);
        self.network.retain(|message| match message {
            Message::ToPeer(from, ..)
            | Message::ToMaster(from, ..)
            | Message::Told(from, ..)
            | Message::Note(from, _)
                if *from == worker =>
            {
                arrives = arrives.saturating_sub(1);
                arrives > 0
            }
            Message::Ran(on, ..) | Message::Beat(on) | Message::Saved(on, ..) => *on != worker,
            _ => true,
        });
        // A drained worker has no lease that could expire.
        if self.seed.one_in(2) || self.membership.is_drained(worker) {
            // Otherwise its silence reveals it.
            self.ended_processes.insert(worker);
            self.network.push(Message::Left(worker));
        }
        true
    }

    /// Breaks the connection between the workers of two hosts.
    pub(super) fn part(&mut self, one: usize, other: usize) -> bool {
        let (Some(one), Some(other)) = (self.admitted_on(one), self.admitted_on(other)) else {
            return false;
        };
        for (from, to) in [(one, other), (other, one)] {
            self.parted.insert((from, to));
            self.network.push(Message::BrokenLink(from, to));
        }
        true
    }

    /// The master has ended: its workers may learn of it.
    pub(super) fn farewell(&mut self) {
        for worker in self.processes.keys().copied().collect::<Vec<_>>() {
            self.network.push(Message::JoinAgain(worker));
        }
    }

    /// The next event happens; its encoding enters the trace.
    pub(super) fn arrive(&mut self, outside: &mut Outside) -> u64 {
        let Some(timed) = self.network.timed() else { return 0 };
        let Some(message) = timed.pop() else { return 1 };
        let now = timed.now;
        self.failing = if timed.conditions.failing > now { 4 } else { 0 };
        let mark = hash(&[now, u64::from(self.term), mark(&message)]);
        let mastered = self.is_headless || self.outcome.is_some();
        if let Message::ToMaster(from, ..) | Message::Note(from, _) = &message {
            self.heard.insert(*from, now);
        }
        match message {
            Message::Beat(worker) => self.beat(worker, now),
            Message::Alive(worker) => self.hear(worker, now),
            Message::Welcome(worker) => {
                self.hear(worker, now);
                self.admitted(outside, worker);
            }
            Message::JoinAgain(worker) => self.depart(worker),
            Message::BrokenLink(from, to) => {
                if self.processes.contains_key(&from) {
                    self.node(from, |node| node.unreachable(to));
                    self.network.push(Message::Unreachable(from, to));
                }
            }
            Message::ToPeer(from, to, ..) | Message::Told(from, to, _)
                if self.parted.contains(&(from, to)) => {}
            Message::StopReceiving(to) => {
                self.listen(outside, to, false);
                self.node(to, Node::stop_receiving);
            }
            Message::Receive(to, listens) => self.listen(outside, to, listens),
            Message::Told(from, to, told) => self.node(to, |node| node.heard(from, told)),
            Message::Answer(to, answer) => self.node(to, |node| node.answered(answer)),
            Message::Crew(to, crew, leaving) => {
                let apart = |other: &WorkerId| !self.parted.contains(&(to, *other));
                let there: Vec<WorkerId> = crew.into_iter().filter(apart).collect();
                self.node(to, |node| node.learn(there, leaving));
            }
            message @ (Message::ToPeer(..)
            | Message::Ran(..)
            | Message::Saved(..)
            | Message::Loaded(..)) => self.deliver(outside, message),
            message @ Message::ToWorker(to, _) => {
                self.hear(to, now);
                let Message::ToWorker(_, said) = &message else { return mark };
                self.take_in(to, said);
                let placed = matches!(said, ToWorker::Place { .. } | ToWorker::Recover(_));
                self.deliver(outside, message);
                if placed {
                    self.node(to, Node::placed);
                }
            }
            _ if mastered => {}
            Message::Look if self.term == outside.term => self.network.push(Message::Look),
            Message::Look => self.network.push(Message::Fenced),
            Message::Note(from, note) => {
                if let Some(to) = note.handed_over().filter(|_| !self.closed.contains(&from))
                    && self.membership.may_exit(from, to, |other| self.crew.contains(&other))
                {
                    self.let_go(from);
                } else if let Some(desk) =
                    self.desk.as_mut().filter(|_| !self.closed.contains(&from))
                {
                    for answer in desk.heard(from, note, |other| self.crew.contains(&other)) {
                        self.network.push(Message::Answer(from, answer));
                    }
                }
            }
            Message::Grace(number) => {
                if let Some(desk) = self.desk.as_ref().filter(|_| number == self.graces) {
                    desk.complete();
                }
            }
            // It is looked at after whatever happens.
            Message::Losses(_) | Message::Open(_) => {}
            Message::Listens(from, listens) => self.has_listened(from, listens),
            Message::ReceivedAll(from) => self.closes(from),
            Message::Unreachable(from, to) => {
                let link = BrokenLink { from, to, why: String::new(), silent: false };
                self.membership.link_broken(Duration::from_millis(now), link);
                self.network.push(Message::Judge(from, to));
            }
            Message::Judge(..) => self.judge_link(outside, now),
            Message::Left(worker) => {
                self.give_up(worker);
                self.deliver(outside, Message::Left(worker));
            }
            Message::ToMaster(from, heartbeat @ ToMaster::Heartbeat { .. }, part) => {
                if !self.closed.contains(&from) {
                    self.network.push(Message::Alive(from));
                }
                self.deliver(outside, Message::ToMaster(from, heartbeat, part));
            }
            Message::ToMaster(from, ToMaster::Joined { slots }, part) => {
                if self.membership.is_drained(from) {
                    return mark;
                }
                let is_there = self.processes.contains_key(&from);
                if is_there && !self.closed.contains(&from) && self.crew.insert(from) {
                    self.is_ready(from);
                    self.opens(from);
                    self.tell_crew();
                }
                self.deliver(outside, Message::ToMaster(from, ToMaster::Joined { slots }, part));
            }
            message => self.deliver(outside, message),
        }
        if self.is_busy() && !mark.is_multiple_of(4) {
            self.workers_act();
            return mark;
        }
        self.act(outside);
        mark
    }

    /// A broken link between workers is due.
    fn judge_link(&mut self, outside: &mut Outside, now: u64) {
        let is_there = |worker| !self.closed.contains(&worker);
        let verdict = self.membership.judge_link(Duration::from_millis(now), is_there);
        if let Some(Verdict::Evict { worker, .. }) = verdict {
            self.give_up(worker);
            self.deliver(outside, Message::Left(worker));
        }
    }

    /// Whether more events happen before the master acts.
    pub(super) fn is_busy(&mut self) -> bool {
        let Some(timed) = self.network.timed() else { return false };
        let soon = timed.next().is_some_and(|next| next <= timed.now + AT_ONCE_MS);
        soon && timed.conditions.busy > timed.now
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
        self.node(worker, Node::say_missing);
        let heartbeat = ToMaster::Heartbeat { engine: EngineTime::default() };
        self.network.push(Message::ToMaster(worker, heartbeat, None));
        self.network.push(Message::Beat(worker));
    }

    /// When the next event happens.
    pub(super) fn next_at(&mut self) -> Option<u64> {
        self.network.timed()?.next()
    }

    /// Sets the time, independent of the master's clock.
    pub(super) fn set_now(&mut self, now: u64) {
        if let Some(timed) = self.network.timed() {
            timed.now = now;
            self.now = timed.clock();
        }
    }

    /// Applies these conditions.
    pub(super) fn endure(&mut self, conditions: &Conditions) {
        if let Some(timed) = self.network.timed() {
            timed.conditions = conditions.clone();
        }
    }

    /// Sets the master's clock.
    pub(super) fn jump(&mut self, by: i64) {
        if let Some(timed) = self.network.timed() {
            timed.skew += by;
        }
    }

    /// Drains the worker of a host.
    pub(super) fn drain_on(&mut self, machine: usize) -> bool {
        let worker = self.admitted_on(machine).filter(|worker| !self.closed.contains(worker));
        if let Some(worker) = worker {
            self.master.handle(self.now, MasterEvent::Drain(worker));
            let members = self.master.status(self.now).members;
            let mut others = members.iter().filter(|member| member.worker != worker);
            // The only worker is not released and goes on receiving.
            if others.any(|other| other.standing != Standing::Draining) {
                self.leaving.insert(worker);
                self.desk.iter_mut().for_each(|desk| desk.drains(worker));
                if self.receiving.contains(&worker) {
                    self.network.push(Message::StopReceiving(worker));
                }
                self.tell_crew();
            }
        }
        worker.is_some()
    }

    /// Asserts that retained data is bounded.
    pub(super) fn check_bounds(&self, outside: &Outside) {
        let states = self.reference.states_there();
        let objects = outside.storage.len();
        let lost = (self.losses + self.zombies + self.refused_saves + 2) as usize;
        // Two bases, two saves in progress that continue them, and saves of workers that were lost before
        // reporting them.
        let most = states * (2 * MAX_OBJECTS + 2 + 2 * lost);
        assert!(objects <= most, "{objects} objects for {states} states");
    }

    /// Whether events may still happen here.
    pub(super) fn is_inhabited(&self) -> bool {
        !self.processes.is_empty()
    }

    /// The grace period of absent workers.
    pub(super) fn grace() -> u64 {
        GRACE_MS
    }

    /// The lease.
    pub(super) fn lease() -> u64 {
        LEASE_MS
    }
}
