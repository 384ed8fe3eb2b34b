//! The other workers, and the connections to them.
//!
//! Of two workers the one with the larger id connects. Who calls says which worker it is, and is
//! believed if its certificate has that worker's name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::driver::cluster::note::Peer;
use crate::guards::{Guard, left_out};
use crate::id::WorkerId;
use crate::net::trust::Subject;
use crate::net::{Net, PeerId};
use crate::wire::Role;

pub(super) struct Peers {
    id: WorkerId,
    /// The master has said who is there.
    introduced: bool,
    known: BTreeMap<WorkerId, Known>,
    /// Who called, by the name in its certificate, and which worker it says it is once it has said so:
    /// it may be heard of later than it calls.
    callers: BTreeMap<PeerId, (String, Option<WorkerId>)>,
    /// When each of those that can be reached was last heard, and when this worker looked for silent ones.
    heard: BTreeMap<PeerId, Instant>,
    looked: Option<Instant>,
    /// When the others were last shown that this worker lives.
    shown: Option<Instant>,
}

/// How often a worker shows the others that it lives.
const SHOWS: Duration = Duration::from_millis(300);

/// A peer that is silent for this long is lost: a little less than the lease that it has with its master, which is
/// to know first if it is gone.
pub(super) const SILENCE: Duration = Duration::from_millis(1500);
/// A worker that has not looked for this long was away itself, and has not listened.
const AWAY: Duration = Duration::from_millis(500);

struct Known {
    peer: Peer,
    link: Link,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Neither side has called.
    Down,
    /// This worker is calling.
    Calling(PeerId),
    Up(PeerId),
}

impl Peers {
    pub(super) fn new(id: WorkerId) -> Self {
        Self {
            id,
            introduced: false,
            known: BTreeMap::new(),
            callers: BTreeMap::new(),
            heard: BTreeMap::new(),
            looked: None,
            shown: None,
        }
    }

    /// All workers there are. Those that are not among them any more are let go, and named.
    pub(super) fn learn(&mut self, crew: Vec<Peer>, net: &Net) -> Vec<WorkerId> {
        self.introduced = true;
        let mut gone = std::mem::take(&mut self.known);
        for peer in crew.into_iter().filter(|peer| peer.worker != self.id) {
            let link = gone.remove(&peer.worker).map_or(Link::Down, |known| known.link);
            self.known.insert(peer.worker, Known { peer, link });
        }
        for known in gone.values() {
            if let Link::Up(peer) | Link::Calling(peer) = known.link {
                net.close(peer);
            }
        }
        let said: Vec<_> =
            self.callers.iter().filter_map(|(peer, (_, w))| Some((*peer, (*w)?))).collect();
        for (peer, worker) in said {
            // A caller that claimed to be another worker is found out now.
            if let Err(wrong) = self.hello(peer, worker) {
                net.accuse(peer, wrong);
            }
        }
        self.reconnect(net);
        gone.into_keys().collect()
    }

    /// Lets all of them go: their numbers and this worker's own are those of a master that is gone.
    pub(super) fn part(&mut self, net: &Net) {
        let known = std::mem::take(&mut self.known).into_values();
        let linked = known.filter_map(|known| match known.link {
            Link::Up(peer) | Link::Calling(peer) => Some(peer),
            Link::Down => None,
        });
        linked
            .chain(std::mem::take(&mut self.callers).into_keys())
            .for_each(|peer| net.close(peer));
    }

    /// A worker has said something.
    pub(super) fn heard(&mut self, peer: PeerId, now: Instant) {
        if let Some(heard) = self.heard.get_mut(&peer) {
            *heard = now;
        }
    }

    /// Whether the others are to be shown that this worker lives.
    pub(super) fn is_to_show(&mut self, now: Instant) -> bool {
        let due = self.shown.is_none_or(|shown| now - shown >= SHOWS);
        if due {
            self.shown = Some(now);
        }
        due
    }

    /// Connected peers that have been silent for too long.
    pub(super) fn silent(&mut self, now: Instant) -> Vec<PeerId> {
        let up = self.known.values().filter_map(|known| match known.link {
            Link::Up(peer) => Some(peer),
            Link::Down | Link::Calling(_) => None,
        });
        let was_away = self.looked.replace(now).is_some_and(|looked| now - looked >= AWAY);
        let before = std::mem::take(&mut self.heard);
        let heard = |peer| match before.get(&peer).filter(|_| !was_away) {
            Some(heard) => (peer, *heard),
            None => (peer, now),
        };
        self.heard = up.map(heard).collect();
        let is_lost = |heard: Instant| now - heard >= SILENCE && !left_out(Guard::SilentIsLost);
        let silent = self.heard.iter().filter(|(_, heard)| is_lost(**heard));
        silent.map(|(peer, _)| *peer).collect()
    }

    /// Calls those that this worker has to call.
    pub(super) fn reconnect(&mut self, net: &Net) {
        for (worker, known) in &mut self.known {
            if known.link == Link::Down && *worker < self.id {
                known.link = Link::Calling(net.connect(known.peer.addr));
            }
        }
    }

    /// A connection has opened. Returns whether this worker made it, so that the other side wants to hear who
    /// calls.
    pub(super) fn connected(&mut self, peer: PeerId, subject: &Subject) -> bool {
        if subject.role != Role::Worker {
            return false;
        }
        let called = self.known.values_mut().find(|known| known.link == Link::Calling(peer));
        match called {
            Some(known) => {
                known.link = Link::Up(peer);
                true
            }
            None => {
                self.callers.insert(peer, (subject.name.clone(), None));
                false
            }
        }
    }

    /// A caller says which worker it is; an error if it is not. One that is not known yet is remembered.
    pub(super) fn hello(&mut self, peer: PeerId, worker: WorkerId) -> Result<(), &'static str> {
        let (name, said) = self.callers.get_mut(&peer).ok_or("it said twice who it is")?;
        let Some(known) = self.known.get_mut(&worker) else {
            *said = Some(worker);
            return Ok(());
        };
        if known.peer.name != *name {
            return Err("its certificate is that of another worker");
        }
        known.link = Link::Up(peer);
        self.callers.remove(&peer);
        Ok(())
    }

    /// A connection has ended; the worker, if it is one that is still needed.
    pub(super) fn closed(&mut self, peer: PeerId) -> Option<WorkerId> {
        self.callers.remove(&peer);
        let of_peer = |link| matches!(link, Link::Up(of) | Link::Calling(of) if of == peer);
        let known = self.known.values_mut().find(|known| of_peer(known.link))?;
        let was_up = matches!(known.link, Link::Up(_));
        known.link = Link::Down;
        was_up.then_some(known.peer.worker)
    }

    /// The connection to a worker.
    pub(super) fn peer(&self, worker: WorkerId) -> Option<PeerId> {
        match self.known.get(&worker)?.link {
            Link::Up(peer) => Some(peer),
            Link::Down | Link::Calling(_) => None,
        }
    }

    /// Which worker a connection is that of.
    pub(super) fn worker(&self, peer: PeerId) -> Option<WorkerId> {
        let known = self.known.values().find(|known| known.link == Link::Up(peer))?;
        Some(known.peer.worker)
    }

    /// Which worker a connection is that of, or says that it is.
    pub(super) fn speaker(&self, peer: PeerId) -> Option<WorkerId> {
        let said = || self.callers.get(&peer).and_then(|(_, said)| *said);
        self.worker(peer).or_else(said)
    }

    /// All that can be reached.
    pub(super) fn there(&self) -> Vec<WorkerId> {
        let up = self.known.iter().filter(|(_, known)| matches!(known.link, Link::Up(_)));
        up.map(|(worker, _)| *worker).collect()
    }

    /// Who keeps copies of what this worker receives: the next one that can be reached and stays, so that
    /// the copies of several are spread. A slow one only if there is no other: clients wait for it.
    pub(super) fn second(&self) -> Option<WorkerId> {
        let after = || self.known.range(self.id..).chain(self.known.range(..self.id));
        let is_fast = |(_, known): &(&WorkerId, &Known)| !known.peer.is_slow;
        after().filter(is_fast).find_map(stays).or_else(|| after().find_map(stays))
    }

    /// All that can be reached and are not about to leave.
    pub(super) fn staying(&self) -> BTreeSet<WorkerId> {
        self.known.iter().filter_map(stays).collect()
    }

    /// Whether a connection is that of a worker that said who it is.
    pub(super) fn is_known(&self, peer: PeerId) -> bool {
        self.known.values().any(|known| known.link == Link::Up(peer))
    }

    /// Whether all workers that were there before this one can be told something.
    pub(super) fn reaches_elders(&self) -> bool {
        let elders = self.known.range(..self.id);
        self.introduced && elders.into_iter().all(|(_, known)| matches!(known.link, Link::Up(_)))
    }

    /// The worker that is being called.
    pub(super) fn called(&self, peer: PeerId) -> Option<&Peer> {
        let known = self.known.values().find(|known| known.link == Link::Calling(peer))?;
        Some(&known.peer)
    }

    /// Whether all workers of a placement can be told something. One that is gone by now is not waited for:
    /// what the master says next is who has its partitions.
    pub(super) fn reaches(&self, placement: &[WorkerId]) -> bool {
        let is_gone = |worker| self.introduced && !self.known.contains_key(&worker);
        let mut last = None;
        placement.iter().all(|worker| {
            // Owners often come in runs.
            let same = last.replace(*worker) == Some(*worker);
            same || *worker == self.id || self.peer(*worker).is_some() || is_gone(*worker)
        })
    }
}

/// A worker that can be reached and is not about to leave.
fn stays((worker, known): (&WorkerId, &Known)) -> Option<WorkerId> {
    let is_up = matches!(known.link, Link::Up(_));
    (is_up && !known.peer.leaves).then_some(*worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: WorkerId = WorkerId(5);

    #[test]
    fn a_peer_that_says_nothing_is_silent_unless_this_worker_was_away() {
        let (mut peers, begun) = (Peers::new(ME), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        peers.known = [known(1, Link::Up(PeerId(1))), known(2, Link::Up(PeerId(2)))].into();
        for ms in (0..=1500).step_by(100) {
            assert_eq!(peers.silent(at(ms)), if ms < 1500 { vec![] } else { vec![PeerId(2)] });
            peers.heard(PeerId(1), at(ms));
        }
        assert_eq!(peers.silent(at(4000)), [], "it was away itself");
        assert_eq!(peers.silent(at(4100)), []);
    }

    fn known(id: u32, link: Link) -> (WorkerId, Known) {
        let (worker, name) = (WorkerId(id), format!("w{id}"));
        let addr = ([127, 0, 0, 1], 1).into();
        (worker, Known { peer: Peer { worker, name, addr, leaves: false, is_slow: false }, link })
    }

    #[test]
    fn a_placement_waits_for_those_that_are_there_and_not_for_those_that_are_gone() {
        let mut peers = Peers::new(ME);
        let placement = [ME, WorkerId(1), WorkerId(1), WorkerId(2), ME].as_slice();
        assert!(!peers.reaches(placement), "the master has not said yet who is there");
        let up = |id| known(id, Link::Up(PeerId(u64::from(id))));
        peers.introduced = true;
        peers.known = [up(1), known(2, Link::Calling(PeerId(7)))].into();
        assert!(!peers.reaches(placement), "worker 2 is there, and not reached yet");
        peers.known = [up(1), known(2, Link::Down)].into();
        assert!(!peers.reaches(placement));
        peers.known = [up(1), up(2)].into();
        assert!(peers.reaches(placement));
        peers.known = [up(1)].into();
        assert!(peers.reaches(placement), "worker 2 is gone");
        peers.known = [known(1, Link::Down)].into();
        assert!(!peers.reaches(placement));
    }
}
