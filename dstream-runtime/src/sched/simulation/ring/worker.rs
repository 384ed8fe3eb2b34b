//! A worker's process: it calls its master, works for it until one of them is gone, and calls again.

mod tasks;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep_until;

use super::links::{Arrivals, Links};
use super::words::{Aside, Freight, Order, Report};
use super::{BEAT_MS, Job, SILENCE_MS, Seed};
use crate::id::*;
use crate::net::simulation::{Host, Network, PORT, address};
use crate::net::{Delivery, Net, NetEvent, PeerId, Transfer};
use crate::sched::message::*;
use crate::sched::simulation::held::Held;
use crate::sched::simulation::outside::Object;
use crate::sched::*;
use crate::wire::{MessageKind, Received, Role};

/// What happens here, later. What is for a worker that is none any more is forgotten.
enum Local {
    /// The master is called.
    Call,
    Beat(WorkerId),
    Ran(WorkerId, TaskId, Attempt, u64),
    Saved(WorkerId, Saved, u64),
    Loaded(WorkerId, Saved, Epoch),
}

/// What it does for a master.
struct Work {
    id: WorkerId,
    core: WorkerCore,
    links: Links,
    arrivals: Arrivals,
    /// What the master said after a placement that cannot be taken in yet.
    held: VecDeque<ToWorker>,
    /// What the master is told when this worker can take part.
    joining: Option<ToMaster>,
    /// When it was last heard of.
    heard: u64,
    holds: Held,
    saves: u64,
    sent: u64,
    moving: Vec<Transfer>,
}

pub(super) struct Worker {
    job: Arc<Job>,
    network: Arc<Network>,
    net: Net,
    host: Host,
    seed: Seed,
    master: Option<PeerId>,
    work: Option<Work>,
    agenda: BTreeMap<(u64, u64), Local>,
    noted: u64,
}

impl Worker {
    pub(super) fn new(
        job: &Arc<Job>,
        network: &Arc<Network>,
        net: &Net,
        host: Host,
        seed: u64,
    ) -> Self {
        Self {
            job: job.clone(),
            network: network.clone(),
            net: net.clone(),
            host,
            seed: Seed(seed | 1),
            master: None,
            work: None,
            agenda: BTreeMap::new(),
            noted: 0,
        }
    }

    fn note(&mut self, ms: u64, local: Local) {
        self.noted += 1;
        self.agenda.insert((self.network.now() + ms, self.noted), local);
    }

    /// Lives until it is aborted.
    pub(super) async fn live(mut self, mut events: UnboundedReceiver<Delivery>) {
        self.note(0, Local::Call);
        loop {
            self.network.sleep(self.host).await;
            let next = self.agenda.first_key_value().map_or(u64::MAX >> 20, |((at, _), _)| *at);
            tokio::select! {
                biased;
                delivery = events.recv() => {
                    let Some(delivery) = delivery else { return };
                    self.heard(delivery.take());
                }
                () = sleep_until(self.network.at(next)) => {
                    if let Some((_, local)) = self.agenda.pop_first() {
                        self.happens(local);
                    }
                }
            }
            self.turn();
        }
    }

    fn heard(&mut self, event: NetEvent) {
        self.job.tell_of(&event, self.network.now(), self.host);
        match event {
            NetEvent::Connected { peer, subject, .. } if subject.role == Role::Worker => {
                if let Some(work) = &mut self.work
                    && work.links.connected(peer)
                {
                    let _ = self.net.send(peer, &Aside::Hello(work.id));
                }
                self.join();
            }
            NetEvent::Message { peer, message } if Some(peer) == self.master => {
                self.mastered(&message);
            }
            NetEvent::Message { peer, message } => self.told(peer, &message),
            NetEvent::Block { peer, header, bytes, .. } => {
                let work = self.work.as_mut();
                if let Some(whole) = work.and_then(|w| w.arrivals.arrived(peer, &header, bytes)) {
                    self.peer_says(whole);
                }
            }
            NetEvent::Closed { peer, .. } if Some(peer) == self.master => {
                self.master = None;
                self.leave();
                let ms = 20 + self.seed.below(100);
                self.note(ms, Local::Call);
            }
            NetEvent::Closed { peer, .. } => {
                if let Some(other) = self.work.as_mut().and_then(|work| work.links.closed(peer)) {
                    self.job.hit("two workers have lost each other");
                    self.report(&Report::Unreachable(other));
                }
            }
            _ => {}
        }
    }

    fn report(&self, report: &Report) {
        if let Some(master) = self.master {
            // What cannot be sent was for a master that is gone: its `Closed` is on its way.
            let _ = self.net.send(master, report);
        }
    }

    /// Its time with a master is over.
    fn leave(&mut self) {
        if let Some(work) = self.work.take() {
            self.job.hit("a worker has lost its master");
            work.links.part(&self.net);
        }
    }

    fn mastered(&mut self, message: &Received) {
        let now = self.network.now();
        if message.kind() == MessageKind::ToWorker {
            let message = message.read().expect("the master says what it should");
            if let Some(work) = &mut self.work {
                work.heard = now;
                work.held.push_back(message);
            }
            return self.take_in();
        }
        match message.read().expect("the master says what it should") {
            Order::Welcome(id) => self.begin(id, now),
            Order::Crew(crew) => {
                if let Some(work) = &mut self.work {
                    work.links.learn(crew, &self.net);
                }
                self.join();
            }
            Order::Alive => {
                if let Some(work) = &mut self.work {
                    work.heard = now;
                }
            }
            Order::JoinAgain => {
                self.job.hit("a worker is given up");
                self.leave();
            }
        }
    }

    fn begin(&mut self, id: WorkerId, now: u64) {
        assert!(self.work.is_none(), "{id} has a number already");
        let Job { plan, partitions, .. } = *self.job;
        self.work = Some(Work {
            id,
            core: WorkerCore::new(id, plan, partitions, 1, Retention::Released),
            links: Links::new(id),
            arrivals: Arrivals::default(),
            held: VecDeque::new(),
            joining: None,
            heard: now,
            holds: Held::default(),
            saves: 0,
            sent: 0,
            moving: Vec::new(),
        });
        self.report(&Report::Ready);
        self.note(BEAT_MS, Local::Beat(id));
    }

    /// Takes part, if it can reach everybody who was there before.
    fn join(&mut self) {
        let Some(work) = &mut self.work else { return };
        if work.links.reaches_elders()
            && let Some(joining) = work.joining.take()
        {
            self.report(&Report::Said(joining, None));
        }
        self.take_in();
    }

    /// Takes in what the master has said, as far as whoever is named there can be reached.
    fn take_in(&mut self) {
        let Some(work) = &mut self.work else { return };
        while let Some(message) = work.held.front() {
            let reached = match message {
                ToWorker::Place { placement, .. } => work.links.reaches(placement),
                ToWorker::Recover(recover) => {
                    recover.rows.iter().all(|row| work.links.reaches(&row.placement))
                }
                _ => true,
            };
            if !reached {
                return;
            }
            if let Some(message) = work.held.pop_front() {
                work.core.handle(WorkerEvent::Master(message));
            }
        }
    }

    fn told(&mut self, peer: PeerId, message: &Received) {
        let Some(work) = &mut self.work else { return };
        match message.read().expect("others say what they should") {
            Aside::Hello(worker) => {
                work.links.hello(peer, worker);
                self.join();
            }
            Aside::Said(message, Freight::Here(contents)) => self.peer_says((message, contents)),
            Aside::Said(message, Freight::Sent { number, pieces }) => {
                if let Some(whole) = work.arrivals.announced(peer, number, message, pieces) {
                    self.peer_says(whole);
                }
            }
        }
    }

    fn peer_says(&mut self, (message, contents): (ToPeer, Vec<u64>)) {
        let Some(work) = &mut self.work else { return };
        work.holds.take_in(&work.core, &message, &contents);
        work.core.handle(WorkerEvent::Peer(message));
    }

    fn happens(&mut self, local: Local) {
        let now = self.network.now();
        let id = self.work.as_ref().map(|work| work.id);
        match local {
            Local::Call => {
                if self.master.is_none() {
                    self.master = Some(self.net.connect(address(0, PORT)));
                }
            }
            Local::Beat(of) if Some(of) == id => self.beat(now),
            Local::Ran(of, task, attempt, result) if Some(of) == id => {
                self.ran(task, attempt, result);
            }
            Local::Saved(of, saved, value) => {
                // It is there, whether or not anybody can still say so.
                // Here, all of a state is saved each time.
                let name = saved.objects.last().expect("it has a name").clone();
                let object = Object { continues: None, value };
                self.job.kept().outside.storage.insert(name, object);
                if let Some(work) = self.work.as_mut().filter(|work| work.id == of) {
                    work.core.handle(WorkerEvent::Saved(saved));
                }
            }
            Local::Loaded(of, saved, recovery) if Some(of) == id => self.loaded(saved, recovery),
            Local::Beat(_) | Local::Ran(..) | Local::Loaded(..) => {}
        }
    }

    fn beat(&mut self, now: u64) {
        let Some(work) = &mut self.work else { return };
        work.moving.retain(|transfer| !transfer.is_done() && !transfer.has_failed());
        work.links.call(&self.net);
        let (id, silent) = (work.id, now - work.heard);
        if silent > SILENCE_MS {
            self.job.hit("a master is silent");
            let Some(master) = self.master else { return };
            self.leave();
            return self.net.close(master);
        }
        self.report(&Report::Said(ToMaster::Heartbeat, None));
        self.note(BEAT_MS, Local::Beat(id));
    }

    /// Does everything that there is to do without waiting.
    fn turn(&mut self) {
        while let Some(action) = self.work.as_mut().and_then(|work| work.core.poll()) {
            self.asked(action);
        }
    }
}
