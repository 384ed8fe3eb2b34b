//! How a simulated cluster handles pushed records, as the drivers do.

use super::cluster::Cluster;
use super::message::Message;
use super::network::Timed;
use super::outside::Outside;
use crate::driver::cluster::Returns;
use crate::driver::cluster::node::{Asks, Desk, Node};
use crate::id::*;
use crate::sched::MasterEvent;
use crate::sched::message::{HolderChange, Loss, ToWorker};

impl Cluster {
    /// Carries out a node's actions.
    pub(super) fn see_to_node(&mut self, worker: WorkerId) {
        let is_admitted = self.processes.get(&worker).is_some_and(|process| process.is_admitted);
        let Some(node) = self.nodes.get_mut(&worker).filter(|_| is_admitted) else { return };
        for asks in node.take() {
            match asks {
                Asks::Peer(to, told) => self.network.push(Message::Told(worker, to, told)),
                Asks::Master(note) => self.network.push(Message::Note(worker, note)),
                Asks::Safe(client, number) => self.safe.push((client, number)),
                Asks::Start(run) => self.start(worker, &run),
            }
        }
        if self.nodes.get_mut(&worker).is_some_and(Node::has_received_all) {
            self.network.push(Message::ReceivedAll(worker));
        }
    }

    /// A worker may receive; it is stopped if the job is stopping.
    pub(super) fn opens(&mut self, worker: WorkerId) {
        let Some(desk) = &self.desk else { return };
        desk.opened(worker);
        self.receiving.insert(worker);
        if self.stopped {
            self.network.push(Message::StopReceiving(worker));
        }
    }

    /// A worker has received everything.
    pub(super) fn closes(&mut self, worker: WorkerId) {
        if let Some(desk) = self.desk.as_mut().filter(|_| !self.closed.contains(&worker)) {
            desk.closed(worker);
            self.receiving.remove(&worker);
        }
    }

    pub(super) fn node(&mut self, worker: WorkerId, then: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(&worker) {
            then(node);
            self.see_to_node(worker);
        }
    }

    /// Sends the list of connected workers to all.
    pub(super) fn tell_crew(&mut self) {
        if self.desk.is_none() {
            return;
        }
        let crew: Vec<WorkerId> = self.crew.iter().copied().collect();
        for to in &crew {
            self.network.push(Message::Crew(*to, crew.clone(), self.leaving.clone()));
        }
    }

    /// Follows the master driver's handling of a message to a worker.
    pub(super) fn heed(&mut self, message: &ToWorker) {
        let Some(desk) = &mut self.desk else { return };
        let placement = match message {
            ToWorker::Place { placement, .. } => Some(placement),
            ToWorker::Recover(recover) => recover.rows.last().map(|row| &row.placement),
            _ => None,
        };
        if let Some(placement) = placement {
            let crew = &self.crew;
            desk.placed(placement, |worker| crew.contains(&worker));
            if !std::mem::replace(&mut self.is_placed, true) {
                self.begin_grace();
            }
        }
    }

    /// Tells all workers which received blocks are no longer needed.
    pub(super) fn say_spent(&mut self) {
        let before = self.master.spent();
        let Some(desk) = self.desk.as_ref().filter(|_| before > self.spent) else { return };
        self.spent = before;
        for answer in desk.over(before) {
            for to in &self.crew {
                self.network.push(Message::Answer(*to, answer.clone()));
            }
        }
    }

    /// Starts the grace period of absent workers.
    pub(super) fn begin_grace(&mut self) {
        self.graces += 1;
        self.network.push(Message::Grace(self.graces));
    }

    /// A worker's process has connected, and is admitted once the journal names it.
    pub(super) fn comes(&mut self, worker: WorkerId) {
        let (name, _) = self.host_and_time(worker);
        if let Some(desk) = &mut self.desk {
            desk.comes(&name);
            let comes = MasterEvent::Comes { worker, name, inside: false };
            self.master.handle(self.now, comes);
        }
    }

    /// A worker's process is welcome: it says what it holds, and joins. A `kept` node has waited for a master.
    pub(super) fn admitted(&mut self, outside: &Outside, worker: WorkerId) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        process.is_admitted = true;
        let machine = self.network.timed().and_then(|timed| timed.machines.get(&worker).copied());
        match self.nodes.get_mut(&worker) {
            Some(node) => node.rejoined(worker),
            None => drop(self.nodes.insert(worker, Node::new(worker))),
        }
        if machine.is_some() && outside.port == machine {
            self.network.push(Message::Listens(worker, true));
        }
        self.see_to_node(worker);
    }

    /// Later masters are to know of these.
    fn note_holders(&mut self, changes: impl IntoIterator<Item = HolderChange>) {
        for change in changes {
            self.master.handle(self.now, MasterEvent::Holder(change));
        }
    }

    /// A worker has joined and reported what it holds.
    pub(super) fn is_ready(&mut self, worker: WorkerId) {
        let (host, now) = self.host_and_time(worker);
        if let Some(desk) = &mut self.desk {
            desk.ready(&host, now);
            for answer in desk.dropped() {
                self.network.push(Message::Answer(worker, answer));
            }
        }
    }

    /// A worker is lost or has left.
    pub(super) fn is_gone(&mut self, worker: WorkerId, returns: Returns) {
        let (host, now) = self.host_and_time(worker);
        if let Some(desk) = &mut self.desk {
            let has_gone = desk.gone(worker, &host, returns, now);
            self.begin_grace();
            self.note_holders(has_gone);
        }
    }

    /// A worker's host name and the time of an unadjusted clock.
    fn host_and_time(&mut self, worker: WorkerId) -> (String, u64) {
        let Some(timed) = self.network.timed() else { return (worker.to_string(), 0) };
        let host = timed.machines.get(&worker).map_or(0, |host| host + 1);
        (host.to_string(), timed.now)
    }

    /// Has workers told to listen at the source's address, where one of them alone can, and when that is next.
    pub(super) fn see_to_listeners(&mut self) {
        let now = self.network.timed().map_or(0, |timed| timed.now);
        let Some(desk) = &mut self.desk else { return };
        desk.set_now(now);
        if !self.job.one_port {
            desk.untold();
            return;
        }
        if let Some(due) = desk.opens().filter(|due| self.opens.insert(*due)) {
            self.network.push(Message::Open(due));
        }
        for (worker, listens) in desk.untold() {
            self.network.push(Message::Receive(worker, listens));
        }
    }

    /// A worker's process is told to listen at the source's address, or not to.
    pub(super) fn listen(&mut self, outside: &mut Outside, worker: WorkerId, listens: bool) {
        let host = self.network.timed().and_then(|timed| timed.machines.get(&worker).copied());
        let Some(host) = host.filter(|_| self.processes.contains_key(&worker)) else { return };
        if !listens {
            outside.port.take_if(|at| *at == host);
            return;
        }
        let is_free = *outside.port.get_or_insert(host) == host;
        self.taken_ports += u32::from(!is_free);
        self.network.push(Message::Listens(worker, is_free));
    }

    /// A worker has said whether it listens.
    pub(super) fn has_listened(&mut self, worker: WorkerId, listens: bool) {
        let Some(desk) = self.desk.as_mut().filter(|_| !self.closed.contains(&worker)) else {
            return;
        };
        if listens { desk.listens(worker) } else { desk.cannot_listen(worker) }
    }

    /// Whether a worker listens at the source's address, if that is looked at, and the master knows.
    pub(super) fn has_listener(&mut self, outside: &Outside) -> bool {
        if !self.job.one_port {
            return true;
        }
        let listener = self.desk.as_ref().and_then(Desk::listener);
        let host = |timed: &Timed| timed.machines.get(&listener?).copied();
        let host = self.network.timed().and_then(|timed| host(timed));
        host.is_some() && outside.port == host
    }

    /// Ends the job, if something is lost for good, or has it go on without.
    pub(super) fn judge_losses(&mut self) {
        let now = self.network.timed().map_or(0, |timed| timed.now);
        let Some(desk) = self.desk.as_mut().filter(|_| self.outcome.is_none() && !self.is_headless)
        else {
            return;
        };
        let heard = |worker: &WorkerId| (*worker, self.heard.get(worker).copied().unwrap_or(0));
        let heard = self.crew.iter().map(heard).collect();
        let (rows, is_all) = desk.lost(&self.master, &heard, now);
        if let Some(due) = desk.due().filter(|due| !self.judged.contains(due)) {
            self.judged.insert(due);
            self.network.push(Message::Losses(due));
        }
        if rows.is_empty() {
            self.accepts_loss &= !desk.is_settled();
        }
        let settles = desk.is_complete() && (rows.is_empty() || is_all);
        let settled = if settles { desk.settle() } else { Vec::new() };
        if !is_all {
            return self.note_holders(settled);
        }
        let how = match (self.accepts_loss, desk.is_certain()) {
            (true, _) => Loss::Accepted,
            (false, true) => Loss::Certain,
            (false, false) => Loss::Overdue,
        };
        if how == Loss::Accepted {
            for answer in desk.go_on_without(&rows) {
                for to in &self.crew {
                    self.network.push(Message::Answer(*to, answer.clone()));
                }
            }
        }
        self.note_holders(settled);
        self.master.handle(self.now, MasterEvent::Lost { rows, how });
    }

    /// Whether the job waits for input that no connected worker holds.
    pub(super) fn waits_in_vain(&mut self) -> bool {
        let now = self.network.timed().map_or(0, |timed| timed.now);
        let Some(desk) = self.desk.as_mut().filter(|_| self.outcome.is_none()) else {
            return false;
        };
        let there = self.crew.iter().map(|worker| (*worker, now)).collect();
        !desk.lost(&self.master, &there, now).0.is_empty()
    }

    /// Follows a worker driver's handling of a message of its master.
    pub(super) fn take_in(&mut self, to: WorkerId, message: &ToWorker) {
        self.node(to, |node| match message {
            ToWorker::Begin { batch, ranges, oldest, .. } => {
                node.begins(*batch, ranges);
                node.release(*oldest);
            }
            ToWorker::Release { oldest, .. } => node.release(*oldest),
            ToWorker::Recover(recover) => {
                for batch in &recover.batches {
                    node.begins(batch.batch, &batch.ranges);
                }
            }
            _ => {}
        });
    }

    /// A client appends to the worker of a host, if there is one.
    pub(super) fn append_on(
        &mut self,
        outside: &mut Outside,
        machine: usize,
        client: u128,
        number: u64,
    ) -> bool {
        let Some(worker) = self.worker_on(machine) else { return false };
        let Some(node) = self.nodes.get_mut(&worker) else { return false };
        let Some(key) = node.append(client, number) else { return false };
        outside.appends.insert(key, (client, number));
        self.see_to_node(worker);
        true
    }
}
