//! What comes over the network, to whom it is for.

use super::Driver;
use crate::block::Block;
use crate::driver::cluster::note::{MasterNote, TaskOutput, WorkerNote, unpack};
use crate::driver::cluster::{ClusterNews, raw};
use crate::driver::worker::Leaving;
use crate::host;
use crate::id::WorkerId;
use crate::net::{NetEvent, PeerId};
use crate::sched::MasterEvent;
use crate::sched::master::Standing;
use crate::sched::membership::BrokenLink;
use crate::sched::message::ToMaster;
use crate::sched::status::MemberStatus;
use crate::source::receive::{ReceivedBlock, Registered};
use crate::store::KeptBlock;
use crate::wire::{BlockKind, MessageKind, Received, Role};

impl Driver<'_> {
    pub(super) fn heard(&mut self, event: NetEvent) {
        match event {
            NetEvent::Connected { peer, subject, addr } => match subject.role {
                Role::Worker => self.comes(peer, &subject.name, addr),
                Role::Client => self.members.client(peer, subject.name),
                Role::Master => {}
            },
            NetEvent::Message { peer, message } => self.said(peer, message),
            NetEvent::Block { peer, header, bytes, .. } => {
                let BlockKind::TaskOutput { task, attempt } = header.kind else { return };
                match Block::open_raw(bytes) {
                    Ok(block) => {
                        let key = (peer, task, attempt);
                        let complete = self.arrivals.arrived(key, header.piece, block);
                        self.done(peer, complete);
                    }
                    Err(error) => self.net.accuse(peer, &error.to_string()),
                }
            }
            // A worker of this process passes what leaves the job with the message.
            NetEvent::Handed { .. } => {}
            NetEvent::Closed { peer, reason } => self.closed(peer, &reason),
            NetEvent::LifelineEnded { peer } => self.lifeline_ended(peer),
            NetEvent::NoLifeline { peer } => self.no_lifeline(peer),
            NetEvent::Refused { addr, refusal } => {
                self.master.tell(&ClusterNews::TurnedAway { addr, why: refusal.to_string() });
            }
            NetEvent::RenewalFailed { why, .. } => {
                self.master.warn(&format!("the master's certificate was not renewed: {why}"));
            }
            NetEvent::AuthorityFailed { why, .. } => {
                self.master.warn(&format!("a certificate could not be issued: {why}"));
            }
            NetEvent::Joined { .. } | NetEvent::Renewed { .. } => {}
        }
    }

    fn said(&mut self, peer: PeerId, message: Received) {
        let Some(worker) = self.members.worker(peer) else {
            return self.asked(peer, message);
        };
        let now = host::now();
        self.members.heard(worker, now);
        self.membership.heard(self.elapsed(), worker);
        let read = match message.kind() {
            MessageKind::ToMaster => message.read().map(|message| {
                let joined = matches!(message, ToMaster::Joined { .. });
                if let ToMaster::Saved(saved) = &message {
                    self.unsaved.saved(saved.stage, saved.partition);
                }
                self.master.worker_said(worker, message, Leaving::default());
                if joined {
                    // A new worker may be able to take over from those that could not hand over so far.
                    std::mem::take(&mut self.kept)
                        .into_iter()
                        .for_each(|worker| self.drain(worker));
                }
            }),
            MessageKind::WorkerNote => message.read().map(|note| self.noted(peer, worker, note)),
            _ => Ok(()),
        };
        if let Err(error) = read {
            self.net.accuse(peer, &error.to_string());
        }
    }

    fn noted(&mut self, peer: PeerId, worker: WorkerId, note: WorkerNote) {
        match note {
            WorkerNote::Ready { addr, cores, memory } => {
                if let Some(news) = self.members.is_ready(worker, addr, cores, memory) {
                    self.master.tell(&news);
                    self.is_there(peer, worker);
                    self.tell_crew();
                    self.say_waiting();
                    if self.is_stopping() && self.receivers.reopened(worker) {
                        self.tell_note(worker, &MasterNote::StopReceiving);
                    }
                }
            }
            WorkerNote::Done { message, output } => match output {
                TaskOutput::Here(bytes) => self.unpack(peer, worker, message, &bytes),
                TaskOutput::Passed(leaving) => self.master.worker_said(worker, message, leaving),
                TaskOutput::Sent(pieces) => {
                    let ToMaster::TaskDone { task, attempt, .. } = &message else {
                        return self.net.accuse(peer, "task output without a task");
                    };
                    let key = (peer, *task, *attempt);
                    let complete = self.arrivals.announced(key, message, pieces);
                    self.done(peer, complete);
                }
            },
            WorkerNote::Receiving { source, url } => self.is_receiving(worker, source, url),
            WorkerNote::CannotReceive { source, why } => {
                self.cannot_receive(worker, source, why);
            }
            WorkerNote::ReceivedAll { source } => {
                self.receivers.closed(source, worker);
                self.assign_receivers();
            }
            WorkerNote::Received { source, mut received_block, records } => {
                let number = received_block.number;
                // One that is gone meanwhile has no copy any more.
                received_block.copy =
                    received_block.copy.filter(|copy| self.members.peer(*copy).is_some());
                let receiver = received_block.receiver;
                let how = match receiver == worker {
                    true => self.receivers.register(source, worker, received_block, records),
                    // Received when there was another master.
                    false => {
                        self.receivers.reclaim(source, worker, received_block, records).map(Ok)
                    }
                };
                match how {
                    Some(how) => {
                        self.send(peer, &MasterNote::Registered { source, receiver, number, how });
                    }
                    None => {
                        self.net.accuse(peer, "a received block for a source without receivers")
                    }
                }
            }
            WorkerNote::Holds { source, blocks } => {
                for (received_block, records) in blocks {
                    let ReceivedBlock { receiver, number, .. } = received_block;
                    let how = self.receivers.reclaim(source, worker, received_block, records);
                    if how == Some(Registered::Known) {
                        let how = Ok(Registered::Known);
                        self.send(peer, &MasterNote::Registered { source, receiver, number, how });
                    }
                }
            }
            WorkerNote::Copied { source, receiver, number, by } => {
                if self.members.peer(by).is_some() {
                    self.receivers.copied(source, receiver, number, by);
                }
            }
            WorkerNote::Missing { all, asked } => self.losses.missing(worker, all, asked),
            WorkerNote::NotSaved { stage, partition, why } => {
                self.unsaved.failed((stage, partition), worker, why, host::now());
            }
            WorkerNote::HeldBy { numbers, by } => {
                if self.members.peer(by).is_some() {
                    self.receivers.held_by(numbers, by);
                }
            }
            WorkerNote::HandedOver { to } => {
                if self.membership.may_exit(worker, &to, |other| self.members.stays(other)) {
                    self.let_go(worker);
                }
            }
            WorkerNote::Leave => self.drain(worker),
            WorkerNote::Unreachable { worker: other, why, silent } => {
                let (from, to) = (self.members.name(worker), self.members.name(other));
                // It may be gone, or on its way: its own connection says more.
                if self.members.stays(other) {
                    self.master.warn(&format!("worker `{from}` has lost worker `{to}`: {why}"));
                    let link = BrokenLink { from: worker, to: other, why, silent };
                    self.membership.link_broken(self.elapsed(), link);
                }
            }
            WorkerNote::TurnedAway { source, clients } => {
                self.receivers.turned_away(source, worker, clients);
            }
            WorkerNote::Load { memory, spilled } => self.members.load(worker, memory, spilled),
            WorkerNote::Pong => self.membership.answered(worker),
        }
    }

    pub(super) fn drain(&mut self, worker: WorkerId) {
        self.master.tell(&ClusterNews::Draining { worker: self.members.name(worker) });
        let takes_part = |member: &MemberStatus| member.worker == worker;
        let is_new = !self.master.core_status().members.iter().any(takes_part);
        self.master.handle(MasterEvent::Drain(worker));
        // The only worker is not let go, and goes on receiving.
        let stays =
            |other: &MemberStatus| other.worker != worker && other.standing != Standing::Draining;
        if self.master.core_status().members.iter().any(stays) {
            self.members.leaves(worker);
            if self.receivers.drains(worker) {
                self.tell_note(worker, &MasterNote::StopReceiving);
            }
            if self.receivers.any() {
                self.tell_crew();
            }
        }
        // It owns nothing, and the core does not know it.
        if is_new && self.members.stays(worker) {
            self.dismiss(worker);
        }
    }

    fn done(&mut self, peer: PeerId, complete: Option<(ToMaster, Vec<KeptBlock>)>) {
        let (Some((message, blocks)), Some(worker)) = (complete, self.members.worker(peer)) else {
            return;
        };
        let blocks = blocks.iter().map(KeptBlock::get).collect::<Result<Vec<_>, _>>();
        match blocks.as_deref().map_err(|error| *error).and_then(raw::whole) {
            Ok(bytes) => self.unpack(peer, worker, message, &bytes),
            Err(error) => self.net.accuse(peer, &error.to_string()),
        }
    }

    fn unpack(&mut self, peer: PeerId, worker: WorkerId, message: ToMaster, bytes: &[u8]) {
        match unpack(bytes) {
            Some(leaving) => self.master.worker_said(worker, message, leaving),
            None => self.net.accuse(peer, "task output that cannot be read"),
        }
    }
}
