//! How a simulated cluster handles pushed records, as the drivers do.

use super::cluster::Cluster;
use super::message::Message;
use super::outside::Outside;
use crate::driver::cluster::Returns;
use crate::driver::cluster::node::{Asks, Node};
use crate::id::*;
use crate::sched::MasterEvent;
use crate::sched::master::Loss;
use crate::sched::message::ToWorker;

impl Cluster {
    /// Carries out a node's actions.
    pub(super) fn see_to_node(&mut self, worker: WorkerId) {
        let Some(node) = self.nodes.get_mut(&worker) else { return };
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
        if let Some(desk) = self.desk.as_ref().filter(|_| !self.closed.contains(&worker)) {
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

    /// A worker has joined and reported what it holds.
    pub(super) fn is_ready(&mut self, worker: WorkerId) {
        let (host, now) = self.host_and_time(worker);
        if let Some(desk) = &mut self.desk {
            desk.ready(&host, now);
        }
    }

    /// A worker is lost or has left.
    pub(super) fn is_gone(&mut self, worker: WorkerId, returns: Returns) {
        let (host, now) = self.host_and_time(worker);
        if let Some(desk) = &mut self.desk {
            desk.gone(worker, &host, returns, now);
            self.begin_grace();
        }
    }

    /// A worker's host name and the time of an unadjusted clock.
    fn host_and_time(&mut self, worker: WorkerId) -> (String, u64) {
        let Some(timed) = self.network.timed() else { return (worker.to_string(), 0) };
        let host = timed.machines.get(&worker).map_or(0, |host| host + 1);
        (host.to_string(), timed.now)
    }

    /// Ends the job if input is lost for good.
    pub(super) fn judge_losses(&mut self) {
        let now = self.network.timed().map_or(0, |timed| timed.now);
        let Some(desk) = self.desk.as_mut().filter(|_| self.outcome.is_none() && !self.is_headless)
        else {
            return;
        };
        let rows = desk.lost(&self.master, &self.crew, now);
        if let Some(due) = desk.due().filter(|due| !self.judged.contains(due)) {
            self.judged.insert(due);
            self.network.push(Message::Losses(due));
        }
        if !rows.is_empty() {
            self.master.handle(self.now, MasterEvent::Lost { rows, how: Loss::Certain });
        }
    }

    /// Whether the job waits for input that no connected worker holds.
    pub(super) fn waits_in_vain(&mut self) -> bool {
        let now = self.network.timed().map_or(0, |timed| timed.now);
        let Some(desk) = self.desk.as_mut().filter(|_| self.outcome.is_none()) else {
            return false;
        };
        !desk.lost(&self.master, &self.crew, now).is_empty()
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
