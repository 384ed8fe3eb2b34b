//! Clients that push: what they send, where, and what they are told.

use super::*;

impl World {
    /// A client sends its next or its unacknowledged appends to a reachable worker.
    pub(super) fn push(&mut self, index: usize) {
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

    pub(super) fn append(&mut self, index: usize, at: usize) {
        let number = self.clients[index].sent + 1;
        let mut taken = false;
        for cluster in self.old.iter_mut().chain([&mut self.current]) {
            cluster.set_now(self.now);
            taken |= cluster.append_on(&mut self.outside, at, index as u128, number);
        }
        if !taken && let Some(node) = &mut self.hosts[at].node {
            // Its process waits for a master.
            if let Some(key) = node.append(index as u128, number) {
                node.take();
                self.outside.appends.insert(key, (index as u128, number));
                taken = true;
            }
        }
        match taken {
            true => self.clients[index].sent = number,
            false => self.clients[index].at = None,
        }
    }

    pub(super) fn stop_if_all_is_sent(&mut self) {
        let all = self.clients.iter().all(|client| client.acked == client.total);
        let read = self.outside.reached == self.job.totals;
        let has_listener = self.current.has_listener(&self.outside);
        if !all || !read || self.current.stopped || self.is_orphaned || !has_listener {
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

    /// Delivers acknowledgements to clients, wherever they are connected.
    pub(super) fn tell_clients(&mut self) {
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

    /// Whether all pushed records of these hosts have another connected holder known to the master: only
    /// then may the hosts be lost.
    pub(super) fn is_safe_without(&mut self, hosts: &[usize]) -> bool {
        if !self.job.pushed {
            return true;
        }
        let mut others = BTreeSet::new();
        for other in (0..self.hosts.len()).filter(|other| !hosts.contains(other)) {
            let is_here = self.hosts[other].is_up
                && self.conditions.frozen(Place::Machine(other), self.now).is_none();
            // Copies lost once are restored before the next loss: no host is absent.
            let Some(worker) = self.current.worker_on(other).filter(|_| is_here) else {
                return false;
            };
            if !self.current.crew.contains(&worker) {
                return false;
            }
            let Some(node) = self.current.nodes.get(&worker) else { return false };
            // A worker that has handed over may exit at any moment.
            if !node.has_handed_over() {
                others.extend(node.held());
            }
        }
        let mut held = Vec::new();
        for host in hosts {
            held.extend(self.hosts[*host].node.iter().flat_map(Node::promised));
            for cluster in self.old.iter_mut().chain([&mut self.current]) {
                let worker = cluster.worker_on(*host);
                let node = worker.and_then(|worker| cluster.nodes.get(&worker));
                held.extend(node.into_iter().flat_map(Node::promised));
            }
        }
        held.into_iter().all(|key| others.contains(&key))
    }
}
