//! Receivers that run here, and the way of what they receive.

use std::net::SocketAddr;

use super::ingest::IngestEvent;
use super::replicas::{Appended, BlockRange, Entry, Key, Settled};
use super::{Driver, Over};
use crate::block::Block;
use crate::client::SessionEffect;
use crate::driver::Event;
use crate::driver::cluster::WorkerNews;
use crate::driver::cluster::note::{INLINE, PeerNote, WorkerNote};
use crate::id::{Epoch, SourceId, WorkerId};
use crate::net::PeerId;
use crate::source::receive::{Delivery, Receiver, Refusal, Registered};
use crate::wire::{BlockHeader, BlockKind, Received};

impl Driver<'_> {
    /// The master wants what is pushed for a source to be taken in here: what clients of the library send,
    /// and, if it `listens`, what comes to the source's own address.
    pub(super) fn receive(&mut self, source: SourceId, listens: bool) {
        self.receiving.insert(source);
        self.to_open.retain(|open| *open != source);
        match self.receivers.get(&source) {
            None if listens => self.to_open.push(source),
            // Another worker listens.
            Some(receiver) if !listens => receiver.stop(),
            _ => {}
        }
        self.open_receivers();
    }

    /// Tells a new master of the receivers that are open.
    pub(super) fn announce_receivers(&mut self) {
        let mut notes = Vec::new();
        for (source, receiver) in &self.receivers {
            if let Some((url, ..)) = self.inputs.spec(*source) {
                let url = listening_url(url, receiver.local_addr());
                notes.push(WorkerNote::Receiving { source: *source, url });
            }
        }
        notes.iter().for_each(|note| self.tell_master(note));
    }

    /// Opens what is to be opened once the placement holds here: before, the other workers may not be reached yet,
    /// and no other worker would hold what is received.
    pub(super) fn open_receivers(&mut self) {
        if self.held.is_empty() {
            std::mem::take(&mut self.to_open).into_iter().for_each(|source| self.open(source));
        }
    }

    fn open(&mut self, source: SourceId) {
        let Some((url, format, options)) = self.inputs.spec(source) else { return };
        let sender = self.sender.clone();
        // The send fails once the engine has ended.
        let deliver = move |delivery| drop(sender.send(Event::Received(source, delivery)));
        let note = match Receiver::open(url, format, options, Box::new(deliver)) {
            Ok(receiver) => {
                let url = listening_url(url, receiver.local_addr());
                let stream = self.plan.sources[source.index()].name.to_owned();
                (self.log)(WorkerNews::Receiving { stream, url: url.clone() });
                self.receivers.insert(source, receiver);
                WorkerNote::Receiving { source, url }
            }
            Err(error) => WorkerNote::CannotReceive { source, why: error.to_string() },
        };
        self.tell_master(&note);
    }

    /// The master wants no more to be received here.
    pub(super) fn stop_receiving(&mut self) {
        self.received_all = true;
        self.to_open.clear();
        // It may have received for any, and the master waits for the last word on each.
        self.receiving.extend(self.plan.sources.iter().map(|row| row.id));
        self.receivers.values().for_each(Receiver::stop);
        let asks = self.sessions.leave();
        self.session_asks(asks);
        self.say_received_all();
    }

    /// Tells the master of the sources for which everything has been received.
    fn say_received_all(&mut self) {
        if !self.received_all {
            return;
        }
        let all = |source: &SourceId| {
            !self.receivers.contains_key(source)
                && !self.replicas.is_pending(*source)
                && self.sessions.unacknowledged_of(*source) == 0
        };
        let over: Vec<SourceId> = self.receiving.iter().copied().filter(all).collect();
        for source in over {
            self.receiving.remove(&source);
            self.tell_master(&WorkerNote::ReceivedAll { source });
        }
    }

    /// Tells the master of clients for whom receivers had no place.
    pub(super) fn say_turned_away(&mut self) {
        let clients =
            |(source, receiver): (&SourceId, &Receiver)| (*source, receiver.take_turned_away());
        let all: Vec<_> = self.receivers.iter().map(clients).filter(|(_, n)| *n > 0).collect();
        for (source, clients) in all {
            self.tell_master(&WorkerNote::TurnedAway { source, clients });
        }
    }

    /// A receiver has something.
    pub(super) fn received(&mut self, source: SourceId, delivery: Delivery) {
        match delivery {
            Delivery::Received(received) => {
                let copy = self.peers.second();
                let lines = received.lines.clone();
                let key = self.replicas.received(source, received, copy, &self.kernels.blocks);
                self.take_in(key, lines, copy);
            }
            Delivery::Warning(why) => {
                let stream = self.plan.sources[source.index()].name;
                (self.log)(WorkerNews::Warning(format!("source `{stream}`: {why}")));
            }
            Delivery::Ended => {
                self.receivers.remove(&source);
                self.say_received_all();
            }
        }
    }

    /// Has something copied, and registered after that.
    fn take_in(&mut self, key: Key, lines: Block, copy: Option<WorkerId>) {
        match copy.zip(self.replicas.entry(key)) {
            Some((copy, entry)) => self.send_copy(copy, key, entry, lines),
            None => self.report_received(),
        }
    }

    /// Tells the master of what a second worker holds by now.
    pub(super) fn report_received(&mut self) {
        for report in self.replicas.reports() {
            self.tell_master(&report);
        }
    }

    /// The ingest log has blocks, or cannot take them.
    pub(super) fn ingested(&mut self, event: IngestEvent) {
        match event {
            IngestEvent::Stored(object, keys) => {
                for (key, settled) in self.replicas.stored(object, &keys) {
                    self.settle(key, settled);
                }
                self.report_received();
            }
            IngestEvent::Retrying(error) => {
                if self.replicas.log_retries() {
                    let text = format!(
                        "received records cannot be stored, so their clients wait: {error}\n  \
                         help: it is tried again every second"
                    );
                    (self.log)(WorkerNews::Warning(text));
                }
            }
            IngestEvent::Failed(error) => self.over = Some(Over::Failed(error.into())),
        }
    }

    /// A received block is not pending any more.
    pub(super) fn settle(&mut self, key: Key, settled: Settled) {
        self.tell_dropped(settled.copy.map(|copy| (copy, BlockRange::one(key))));
        self.tell_safe(settled.append);
    }

    /// Less is waiting to be part of a batch: clients may be told, and send more.
    pub(super) fn tell_clients(&mut self) {
        while let Some(append) = self.replicas.tell() {
            self.is_safe(append);
        }
        self.say_received_all();
    }

    /// Has what no other worker holds copied to one that can be reached. If there is none, no copy is waited for.
    pub(super) fn copy_alone(&mut self) {
        let Some(other) = self.peers.second() else { return self.settle_alone() };
        for key in self.replicas.alone(other) {
            self.copy_again(other, key);
        }
    }

    fn settle_alone(&mut self) {
        for key in self.replicas.uncopied() {
            let settled = self.replicas.copied(key, None);
            self.settle(key, settled);
        }
        self.report_received();
    }

    /// Another worker is gone: what it held gets another holder, and what tasks here wanted of it is asked for
    /// elsewhere.
    pub(super) fn lost(&mut self, worker: WorkerId) {
        let other = self.peers.second();
        for key in self.replicas.orphaned(worker, other) {
            match other {
                Some(other) => self.copy_again(other, key),
                None => {
                    let settled = self.replicas.copied(key, None);
                    self.settle(key, settled);
                }
            }
        }
        self.report_received();
        self.met.remove(&worker);
        self.not_at_lost(worker);
    }

    fn copy_again(&mut self, to: WorkerId, key: Key) {
        // What cannot be read back is found by the task that has to read it.
        if let Some((entry, lines)) = self.replicas.copy_of(key) {
            self.send_copy(to, key, entry, lines);
        }
    }

    /// A worker has its copy of something.
    pub(super) fn copied(&mut self, peer: PeerId, key: Key) {
        let Some(by) = self.peers.worker(peer) else { return };
        let (receiver, source, number) = key;
        if self.replicas.is_news(key, by) {
            self.tell_master(&WorkerNote::Copied { receiver, source, number, by });
        }
        let settled = self.replicas.copied(key, Some(by));
        self.settle(key, settled);
        self.report_received();
        self.handed_to(by, key);
    }

    /// What became of a received block, as the master says.
    pub(super) fn registered(&mut self, key: Key, how: Result<Registered, Refusal>) {
        match how {
            Ok(how) => {
                let settled = self.replicas.registered(key, how);
                self.settle(key, settled);
            }
            Err(why) => {
                let mut settled = self.replicas.refused(key, &why);
                if let Some(Appended { peer, client, number }) = settled.append.take() {
                    let asks = self.sessions.refused(peer, client, number, &why.to_string());
                    self.session_asks(asks);
                }
                self.settle(key, settled);
            }
        }
    }

    /// A client of the library says something.
    pub(super) fn client_said(&mut self, peer: PeerId, message: Received) {
        match message.read() {
            Ok(message) => {
                let asks = self.sessions.said(peer, message, &self.pool);
                self.session_asks(asks);
            }
            Err(error) => self.net.accuse(peer, &error.to_string()),
        }
    }

    /// Does what sessions ask for.
    pub(super) fn session_asks(&mut self, asks: Vec<SessionEffect>) {
        for asks in asks {
            match asks {
                // One that is gone has a `Closed` on its way.
                SessionEffect::Tell(peer, message) => drop(self.net.send(peer, &message)),
                SessionEffect::Take(append) => {
                    let (lines, copy) = (append.lines.clone(), self.peers.second());
                    let key = self.replicas.appended(append, copy, &self.kernels.blocks);
                    self.take_in(key, lines, copy);
                }
                SessionEffect::Accuse(peer, why) => self.net.accuse(peer, &why),
            }
        }
    }

    pub(super) fn send_copy(&self, to: WorkerId, key: Key, entry: Entry, lines: Block) {
        if let Some(peer) = self.peers.peer(to) {
            self.send_copy_to(peer, key, entry, lines);
        }
    }

    pub(super) fn send_copy_to(&self, peer: PeerId, key: Key, entry: Entry, lines: Block) {
        let (receiver, source, number) = key;
        let here = (lines.byte_len() <= INLINE).then(|| lines.body().to_vec());
        let is_here = here.is_some();
        let note = PeerNote::Copy { receiver, source, number, entry, here };
        // If it is gone, its `Closed` is on its way, and another gets the copy.
        if self.net.send(peer, &note).is_err() || is_here {
            return;
        }
        let kind = BlockKind::ReceivedBlock { receiver, source, number };
        let header = BlockHeader { epoch: Epoch(0), kind, piece: 0 };
        if let Ok(transfer) = self.net.push_blocks(peer, [(header, lines)]) {
            transfer.detach();
        }
    }

    /// Tells clients what is safe, and the master if that was all there was to wait for.
    pub(super) fn tell_safe(&mut self, safe: impl IntoIterator<Item = Appended>) {
        safe.into_iter().for_each(|append| self.is_safe(append));
        self.say_received_all();
    }

    /// Tells a client of the library that something is safe.
    fn is_safe(&mut self, Appended { peer, client, number }: Appended) {
        let asks = self.sessions.safe(peer, client, number);
        self.session_asks(asks);
    }
}

/// The URL of a receiver, with the address at which it really listens.
fn listening_url(url: &str, addr: SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("tcp", ""));
    let rest = rest.split('?').next().unwrap_or_default();
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    format!("{scheme}://{addr}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_told_by_where_it_really_listens() {
        let addr = "10.0.0.7:9000".parse().unwrap();
        let url = |url| listening_url(url, addr);
        assert_eq!(url("tcp://0.0.0.0:0?buffer=1MiB"), "tcp://10.0.0.7:9000");
        assert_eq!(url("http://0.0.0.0:0/views?max_body=1MiB"), "http://10.0.0.7:9000/views");
    }
}
