//! Who is connected: workers by id and connection, clients by connection.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::driver::cluster::ClusterNews;
use crate::driver::cluster::note::Peer;
use crate::id::{Epoch, WorkerId};
use crate::net::PeerId;

/// How many lost workers are remembered by name, for the messages about what failed with them.
const REMEMBERED: usize = 16;

/// A worker that has said something so long after another one came by its name is there. More than what it had
/// said before can be on its way.
const IS_THERE: Duration = Duration::from_millis(250);
/// Who is to try again does so before this.
const FORGOTTEN: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Members {
    workers: BTreeMap<WorkerId, Member>,
    by_peer: BTreeMap<PeerId, WorkerId>,
    clients: BTreeMap<PeerId, String>,
    gone: VecDeque<(WorkerId, String)>,
    next: WorkerId,
    epoch: Epoch,
    placement: Vec<WorkerId>,
}

pub(super) struct Member {
    pub(super) peer: PeerId,
    pub(super) name: String,
    /// Where its connection comes from, and then where others reach it.
    pub(super) addr: SocketAddr,
    /// It has built the job.
    pub(super) ready: bool,
    pub(super) cores: u32,
    pub(super) memory_limit: u64,
    pub(super) memory: u64,
    pub(super) spilled: u64,
    /// It is to leave.
    leaves: bool,
    is_slow: bool,
    /// It was told that it may go.
    let_go: bool,
    heard: Instant,
    /// When a process first and last came by its name.
    doubted: Option<(Instant, Instant)>,
}

/// Whether there is a worker of some name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Free,
    /// It is connected. Whether it lives will be seen: who comes now may be the same process, which has
    /// noticed earlier that the connection has ended.
    Connected,
    /// It lives.
    There,
    /// It was not heard for so long while another one came by its name that it must be gone.
    Silent(PeerId),
}

impl Member {
    /// When it has said something for the last time.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }
}

impl Members {
    /// Of a master of that term.
    pub(super) fn new(term: u64) -> Self {
        Self { next: WorkerId::first_of(term), ..Self::default() }
    }

    /// A process comes by that name. A worker may be silent for the `lease`.
    pub(super) fn comes(&mut self, name: &str, now: Instant, lease: Duration) -> Named {
        let Some(member) = self.workers.values_mut().find(|member| member.name == name) else {
            return Named::Free;
        };
        // Who came long ago does not come any more: that was about something else.
        let asked = member.doubted.filter(|(_, last)| now - *last < FORGOTTEN);
        let (since, _) = *member.doubted.insert((asked.map_or(now, |(since, _)| since), now));
        match member.heard {
            heard if since + IS_THERE < heard => Named::There,
            // One that has not said that it is ready yet has no lease.
            heard if now - since.max(heard) > lease => Named::Silent(member.peer),
            _ => Named::Connected,
        }
    }

    /// A worker has said something.
    pub(super) fn heard(&mut self, worker: WorkerId, now: Instant) {
        if let Some(member) = self.workers.get_mut(&worker) {
            member.heard = now;
        }
    }

    pub(super) fn add(
        &mut self,
        peer: PeerId,
        name: String,
        addr: SocketAddr,
        now: Instant,
    ) -> WorkerId {
        let worker = self.next;
        self.next.0 += 1;
        let member = Member {
            peer,
            name,
            addr,
            ready: false,
            cores: 0,
            memory_limit: 0,
            memory: 0,
            spilled: 0,
            leaves: false,
            is_slow: false,
            let_go: false,
            heard: now,
            doubted: None,
        };
        self.workers.insert(worker, member);
        self.by_peer.insert(peer, worker);
        worker
    }

    pub(super) fn client(&mut self, peer: PeerId, name: String) {
        self.clients.insert(peer, name);
    }

    /// The name of a client.
    pub(super) fn client_name(&self, peer: PeerId) -> Option<&str> {
        self.clients.get(&peer).map(String::as_str)
    }

    /// A worker can be reached at `addr`; where that says any address, at the one it called from.
    pub(super) fn is_ready(
        &mut self,
        worker: WorkerId,
        mut addr: SocketAddr,
        cores: u32,
        memory: u64,
    ) -> Option<ClusterNews> {
        let member = self.workers.get_mut(&worker)?;
        if addr.ip().is_unspecified() {
            addr.set_ip(member.addr.ip());
        }
        member.addr = addr;
        (member.ready, member.cores, member.memory_limit) = (true, cores, memory);
        Some(ClusterNews::Joined { worker: member.name.clone(), addr, cores, memory })
    }

    pub(super) fn load(&mut self, worker: WorkerId, memory: u64, spilled: u64) {
        if let Some(member) = self.workers.get_mut(&worker) {
            (member.memory, member.spilled) = (memory, spilled);
        }
    }

    /// A new placement; how many workers own something and how many partitions have moved, the first time
    /// it is heard of.
    pub(super) fn placed(&mut self, epoch: Epoch, placement: &[WorkerId]) -> Option<(u32, u32)> {
        if epoch <= self.epoch {
            return None;
        }
        let moved = self.placement.iter().zip(placement).filter(|(a, b)| a != b).count() as u32;
        let mut owners = placement.to_vec();
        owners.sort_unstable();
        owners.dedup();
        (self.epoch, self.placement) = (epoch, placement.to_vec());
        Some((owners.len() as u32, moved))
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn worker(&self, peer: PeerId) -> Option<WorkerId> {
        self.by_peer.get(&peer).copied()
    }

    /// The worker of that name.
    pub(super) fn named(&self, name: &str) -> Option<WorkerId> {
        self.workers.iter().find(|(_, member)| member.name == name).map(|(worker, _)| *worker)
    }

    pub(super) fn peer(&self, worker: WorkerId) -> Option<PeerId> {
        self.workers.get(&worker).map(|member| member.peer)
    }

    /// Where others reach a worker.
    pub(super) fn addr(&self, worker: WorkerId) -> Option<SocketAddr> {
        self.workers.get(&worker).filter(|member| member.ready).map(|member| member.addr)
    }

    /// For people.
    pub(super) fn name(&self, worker: WorkerId) -> String {
        let here = self.workers.get(&worker).map(|member| &member.name);
        let gone = || self.gone.iter().find(|(of, _)| *of == worker).map(|(_, name)| name);
        here.or_else(gone).map_or_else(|| worker.to_string(), String::clone)
    }

    /// How many workers have built the job.
    pub(super) fn ready(&self) -> u32 {
        self.workers.values().filter(|member| member.ready).count() as u32
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Member)> {
        self.workers.iter().map(|(worker, member)| (*worker, member))
    }

    pub(super) fn crew(&self) -> Vec<Peer> {
        let ready = self.iter().filter(|(_, member)| member.ready);
        ready
            .map(|(worker, member)| Peer {
                worker,
                name: member.name.clone(),
                addr: member.addr,
                leaves: member.leaves,
                is_slow: member.is_slow,
            })
            .collect()
    }

    pub(super) fn ready_peers(&self) -> impl Iterator<Item = PeerId> {
        self.workers.values().filter(|member| member.ready).map(|member| member.peer)
    }

    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.by_peer.keys().copied().collect()
    }

    /// A worker is to leave.
    pub(super) fn leaves(&mut self, worker: WorkerId) {
        if let Some(member) = self.workers.get_mut(&worker) {
            member.leaves = true;
        }
    }

    /// A worker is slow, or is not any more. Whether that is news.
    pub(super) fn is_slow(&mut self, worker: WorkerId, is_slow: bool) -> bool {
        let member = self.workers.get_mut(&worker);
        member.is_some_and(|member| std::mem::replace(&mut member.is_slow, is_slow) != is_slow)
    }

    /// A worker may go.
    pub(super) fn let_go(&mut self, worker: WorkerId) {
        if let Some(member) = self.workers.get_mut(&worker) {
            member.let_go = true;
        }
    }

    /// Whether a worker is there, and is to stay.
    pub(super) fn stays(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|member| !member.let_go)
    }

    /// A connection has ended: which worker that was, its name, and whether it was told to go.
    pub(super) fn remove(&mut self, peer: PeerId) -> Option<(WorkerId, String, bool)> {
        self.clients.remove(&peer);
        let worker = self.by_peer.remove(&peer)?;
        let member = self.workers.remove(&worker)?;
        if self.gone.len() == REMEMBERED {
            self.gone.pop_front();
        }
        self.gone.push_back((worker, member.name.clone()));
        Some((worker, member.name, member.let_go))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_by_the_name_of_another_is_that_one_unless_it_is_heard_again() {
        let (mut members, begun) = (Members::new(1), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        let lease = Duration::from_secs(3);
        assert_eq!(members.comes("a", at(0), lease), Named::Free);
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let worker = members.add(PeerId(1), "a".to_owned(), addr, at(0));
        assert_eq!(members.comes("a", at(1000), lease), Named::Connected);
        // What it had said before it lost its connection.
        members.heard(worker, at(1100));
        assert_eq!(members.comes("a", at(1300), lease), Named::Connected);
        assert_eq!(members.comes("b", at(1300), lease), Named::Free);
        members.remove(PeerId(1));
        assert_eq!(members.comes("a", at(1400), lease), Named::Free);
        let worker = members.add(PeerId(2), "a".to_owned(), addr, at(1400));
        assert_eq!(members.comes("a", at(1500), lease), Named::Connected);
        (16..=18).for_each(|n| members.heard(worker, at(n * 100)));
        assert_eq!(members.comes("a", at(1800), lease), Named::There);
        members.heard(worker, at(9000));
        assert_eq!(
            members.comes("a", at(9000), lease),
            Named::Connected,
            "it is another one that comes"
        );
    }

    #[test]
    fn a_worker_that_says_nothing_loses_its_name_to_one_that_asks_long_enough() {
        let (mut members, begun) = (Members::new(1), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        let (addr, lease) = (SocketAddr::from(([127, 0, 0, 1], 1)), Duration::from_secs(2));
        members.add(PeerId(1), "a".to_owned(), addr, at(0));
        let asks = (1..).map(|n| n * 500);
        let given = asks.map(|ms| (ms, members.comes("a", at(ms), lease)));
        let first = given.into_iter().find(|(_, named)| *named != Named::Connected);
        assert_eq!(first, Some((3000, Named::Silent(PeerId(1)))));
    }
}
