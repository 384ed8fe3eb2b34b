//! Handing over what clients have sent, before this worker leaves: carries out what
//! [`replicas::handover`](super::replicas::handover) decides.

use super::Driver;
use super::replicas::handover::{HandedOver, Step};
use super::replicas::{BlockRange, Key};
use crate::driver::cluster::note::{PeerNote, WorkerNote};
use crate::id::WorkerId;
use crate::net::PeerId;

impl Driver<'_> {
    /// Others may be reached, or not any more, or be about to leave themselves: hands over to those who stay, if
    /// this worker is to.
    pub(super) fn hand_over_replicas(&mut self) {
        if self.hands_over {
            let steps = self.replicas.hand_over(self.peers.staying());
            self.hand(steps);
        }
    }

    /// Lines have come, or are needed no more.
    pub(super) fn go_on_handing_over(&mut self) {
        let steps = self.replicas.go_on_handing_over();
        self.hand(steps);
    }

    /// A worker has a copy of something.
    pub(super) fn handed_to(&mut self, by: WorkerId, key: Key) {
        let steps = self.replicas.handed_to(by, key);
        self.hand(steps);
    }

    /// See [`PeerNote::Held`].
    pub(super) fn held_by(&mut self, peer: PeerId, round: u64, all: &[BlockRange]) {
        if let Some(by) = self.peers.worker(peer) {
            let steps = self.replicas.held_by(by, round, all);
            self.hand(steps);
        }
    }

    /// See [`PeerNote::Hold`].
    pub(super) fn say_what_is_held(&self, peer: PeerId, round: u64, all: &[BlockRange]) {
        let all = self.replicas.of_these(all);
        // If it is gone, the answer is not needed.
        let _ = self.net.send(peer, &PeerNote::Held { round, all });
    }

    /// See [`PeerNote::Instead`].
    pub(super) fn instead(&mut self, peer: PeerId, numbers: BlockRange, by: WorkerId) {
        // A worker that cannot be reached is no other holder: when the sender has gone, another one becomes a
        // holder.
        if self.peers.peer(by).is_some()
            && let Some(leaver) = self.peers.speaker(peer)
        {
            for (key, settled) in self.replicas.instead(numbers, leaver, by) {
                self.settle(key, settled);
            }
            self.report_received();
        }
    }

    fn hand(&mut self, mut steps: Vec<Step>) {
        while !steps.is_empty() {
            for step in std::mem::take(&mut steps) {
                match step {
                    Step::Ask(to, round, all) => self.tell(to, &PeerNote::Hold { round, all }),
                    Step::Copy(to, key) => match self.replicas.copy_of(key) {
                        Some((entry, lines)) => self.send_copy(to, key, entry, lines),
                        None => steps.extend(self.replicas.cannot_hand_over(key)),
                    },
                    Step::Over(over) => self.has_handed_over(over),
                }
            }
        }
    }

    fn has_handed_over(&mut self, over: HandedOver) {
        for (to, numbers, by) in over.instead {
            self.tell(to, &PeerNote::Instead { numbers, by });
        }
        for (by, numbers) in over.holders {
            self.tell_master(&WorkerNote::HeldBy { numbers, by });
        }
        self.tell_master(&WorkerNote::HandedOver { to: over.to });
    }

    fn tell(&self, to: WorkerId, note: &PeerNote) {
        // If it is gone, the end of its connection reports that.
        if let Some(peer) = self.peers.peer(to) {
            let _ = self.net.send(peer, note);
        }
    }
}
