//! What comes over the network, to whom it is for.

use super::door::Key;
use super::peers::SILENCE;
use super::{Driver, Over};
use crate::driver::cluster::note::{MasterNote, Peer, PeerNote, WorkerNote};
use crate::driver::cluster::{ClusterError, WorkerNews};
use crate::host;
use crate::id::BatchSeq;
use crate::net::{CloseReason, NetEvent, PeerId};
use crate::sched::message::ToWorker;
use crate::wire::{MessageKind, Received};

impl Driver<'_> {
    pub(super) fn heard(&mut self, event: NetEvent) {
        match event {
            NetEvent::Message { peer, message } if peer == self.master => self.master_said(message),
            NetEvent::Message { peer, message } if message.kind() == MessageKind::ToReceiver => {
                self.client_said(peer, message);
            }
            NetEvent::Message { peer, message } => {
                self.peers.heard(peer, host::now());
                self.peer_said(peer, message);
            }
            NetEvent::Block { peer, header, bytes, .. } => {
                self.peers.heard(peer, host::now());
                self.block_came(peer, header, bytes);
            }
            NetEvent::Handed { peer, header, block } => self.block_handed(peer, header, block),
            NetEvent::Connected { peer, subject, .. } => {
                if self.peers.connected(peer, &subject) {
                    let hello = PeerNote::Hello { worker: self.id };
                    // If it is gone already, its `Closed` follows.
                    let _ = self.net.send(peer, &hello);
                    self.take_held();
                    self.copy_alone();
                    self.meet_all();
                    self.hand_over_replicas();
                    self.join();
                }
            }
            NetEvent::Closed { peer, reason } if peer == self.master => {
                let why = reason.to_string();
                let news = match reason {
                    CloseReason::Bye if self.leaving => Over::Done(WorkerNews::Drained),
                    _ => Over::MasterGone { why },
                };
                self.over.get_or_insert(news);
            }
            NetEvent::Closed { peer, reason } => {
                self.say_alone(peer, &reason);
                self.parted(peer, reason.to_string(), false);
            }
            NetEvent::LifelineEnded { peer } if peer == self.master => {
                self.silence.lifeline_ended(host::now());
            }
            NetEvent::RenewalFailed { why, .. } => {
                let message = format!("the certificate was not renewed: {why}");
                (self.log)(WorkerNews::Warning(message));
            }
            NetEvent::Refused { .. }
            | NetEvent::AuthorityFailed { .. }
            | NetEvent::Joined { .. }
            | NetEvent::Renewed { .. }
            | NetEvent::LifelineEnded { .. }
            | NetEvent::NoLifeline { .. } => {}
        }
    }

    /// The connection to another process has ended, or is taken for ended.
    fn parted(&mut self, peer: PeerId, why: String, silent: bool) {
        self.arrivals.forget(|(of, _)| *of == peer);
        self.copies.forget(|(of, ..)| *of == peer);
        self.transfers.gone(peer);
        self.sessions.gone(peer);
        if let Some(worker) = self.peers.closed(peer) {
            self.lost(worker);
            self.hand_over_replicas();
            self.tell_master(&WorkerNote::Unreachable { worker, why, silent });
        }
    }

    /// Shows other workers that this one lives, and parts with those that do not: where others can go on for them.
    pub(super) fn see_peers(&mut self) {
        if self.saver.is_none() {
            return;
        }
        let now = host::now();
        let shown = if self.peers.is_to_show(now) { self.peers.there() } else { vec![] };
        for peer in shown.into_iter().filter_map(|worker| self.peers.peer(worker)) {
            // If it is gone, its `Closed` is on its way.
            let _ = self.net.send(peer, &PeerNote::Alive);
        }
        for peer in self.peers.silent(now) {
            self.net.close(peer);
            self.parted(peer, format!("it was silent for {} ms", SILENCE.as_millis()), true);
        }
    }

    fn master_said(&mut self, message: Received) {
        self.silence.heard(host::now());
        let read = match message.kind() {
            MessageKind::ToWorker => message.read().map(|message| self.take(message)),
            MessageKind::MasterNote => message.read().map(|note| self.noted(note)),
            _ => Ok(()),
        };
        if let Err(error) = read {
            self.net.accuse(self.master, &error.to_string());
        }
    }

    fn noted(&mut self, note: MasterNote) {
        match note {
            MasterNote::Crew(crew) => {
                for worker in self.peers.learn(crew, &self.net) {
                    self.lost(worker);
                }
                self.take_held();
                self.copy_alone();
                self.meet_all();
                self.hand_over_replicas();
                self.join();
            }
            MasterNote::Input { task, carried, pieces } => {
                let ready = self.inputs.announced(task, carried, pieces);
                ready.into_iter().for_each(|run| self.start(run));
            }
            MasterNote::Opened(inputs) => {
                inputs.into_iter().for_each(|(task, input)| self.inputs.opened(task, input.0));
            }
            MasterNote::Unreadable { task, why } => self.inputs.unreadable(task, why),
            MasterNote::Receive { source, listens } => self.receive(source, listens),
            MasterNote::StopReceiving => self.stop_receiving(),
            MasterNote::Forget { source, receiver, blocks } => {
                let others = self.replicas.forget(receiver, source, blocks);
                self.tell_dropped(others);
                self.go_on_handing_over();
            }
            MasterNote::Lost { source, receiver, blocks } => {
                self.lose_replicas(source, receiver, &blocks);
            }
            MasterNote::Taken { batch, numbers } => {
                self.replicas.taken(batch, numbers);
                self.tell_clients();
            }
            MasterNote::Registered { source, receiver, number, how } => {
                self.registered((receiver, source, number), how);
            }
            MasterNote::Kept { why } => {
                let text = format!(
                    "this worker stays until there is another: {why}\n  help: Ctrl-C again ends it at \
                     once, and the job fails"
                );
                (self.log)(WorkerNews::Warning(text));
            }
            MasterNote::Spent { before } => self.release_replicas(before),
            MasterNote::HandOver => {
                self.hands_over = true;
                self.hand_over_replicas();
            }
            MasterNote::Dismissed => self.over = Some(Over::Done(WorkerNews::Drained)),
            MasterNote::Over => self.over = Some(Over::Done(WorkerNews::Over)),
            MasterNote::JoinAgain { why } => self.over = Some(Over::MasterGone { why }),
            MasterNote::Dismiss { why } => {
                let refused = ClusterError::Refused { master: self.master_addr, why };
                self.over = Some(Over::Failed(refused));
            }
            MasterNote::Ping => self.tell_master(&WorkerNote::Pong),
            MasterNote::Welcome { .. } | MasterNote::Alive => {}
        }
    }

    /// Takes part once it reaches all workers that were there before: a placement with a worker that cannot be told
    /// anything would hold up all others.
    pub(super) fn join(&mut self) {
        if self.peers.reaches_elders()
            && let Some(joined) = self.joining.take()
        {
            self.send_master(&joined);
        }
    }

    /// Says, once, why this worker does not take part yet.
    fn say_alone(&mut self, peer: PeerId, reason: &CloseReason) {
        let called = self.peers.called(peer).filter(|_| self.joining.is_some());
        if let Some(Peer { name, addr, .. }) = called
            && !std::mem::replace(&mut self.alone, true)
        {
            let text = format!(
                "worker `{name}` at {addr} cannot be reached ({reason}); this one takes part as soon as it can"
            );
            (self.log)(WorkerNews::Warning(text));
        }
    }

    fn take(&mut self, message: ToWorker) {
        self.held.push_back(message);
        self.take_held();
    }

    /// Whether all workers that a message names as owners can be reached.
    fn can_take(&self, message: &ToWorker) -> bool {
        match message {
            ToWorker::Place { placement, .. } => self.peers.reaches(placement),
            ToWorker::Recover(recover) => {
                recover.rows.iter().all(|row| self.peers.reaches(&row.placement))
            }
            _ => true,
        }
    }

    /// Takes in what the master said, up to a placement that names workers which cannot be reached yet.
    pub(super) fn take_held(&mut self) {
        let mut placed = false;
        while self.held.front().is_some_and(|message| self.can_take(message))
            && let Some(message) = self.held.pop_front()
        {
            match &message {
                ToWorker::Place { placement, epoch, first, .. } => {
                    placed = true;
                    let mine = placement.iter().filter(|owner| **owner == self.id).count() as u32;
                    self.epoch = *epoch;
                    let (epoch, first) = (*epoch, *first);
                    (self.log)(WorkerNews::Placed { epoch, first, partitions: mine });
                }
                ToWorker::Begin { batch, ranges, oldest, .. } => {
                    self.replicas.begins(*batch, ranges);
                    self.tell_clients();
                    self.release(*oldest);
                }
                ToWorker::Release { oldest, .. } => self.release(*oldest),
                ToWorker::Recover(recover) => {
                    placed = true;
                    // What peers say with this number counts from here on.
                    self.epoch = recover.epoch;
                    for batch in &recover.batches {
                        self.replicas.begins(batch.batch, &batch.ranges);
                    }
                    if let Some(row) = recover.rows.last() {
                        let mine = row.placement.iter().filter(|owner| **owner == self.id).count();
                        let (epoch, first) = (recover.epoch, recover.next);
                        (self.log)(WorkerNews::Placed { epoch, first, partitions: mine as u32 });
                    }
                }
                ToWorker::Cancel { task, .. } => self.transfers.outrun(*task),
                ToWorker::Abandon { from, .. } => {
                    self.transfers.abandon(*from);
                    self.forget_arrivals();
                }
                ToWorker::Again { .. }
                | ToWorker::Speculate { .. }
                | ToWorker::Checkpoint { .. } => {}
            }
            self.worker.master_said(message);
            for (message, places, blocks) in std::mem::take(&mut self.early) {
                self.pass_on(message, &places, blocks);
            }
        }
        if placed {
            self.replicas.placed();
            self.copy_alone();
        }
        self.open_receivers();
    }

    /// Batches before this one are over.
    fn release(&mut self, oldest: BatchSeq) {
        if self.transfers.over(oldest) {
            self.forget_arrivals();
        }
        self.inputs.forget(oldest);
        self.fetches.forget(oldest);
    }

    /// Drops partial arrivals that are not needed any more: their senders have given them up.
    fn forget_arrivals(&mut self) {
        let transfers = &self.transfers;
        self.arrivals.forget(|(_, key)| match key {
            Key::Task(_, task, _) => !transfers.needs(task.batch),
            Key::State(..) | Key::Want(..) => false,
        });
    }
}
