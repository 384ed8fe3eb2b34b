//! Receivers that run here, and the way of what they receive.

use super::Driver;
use super::receipts::Dropped;
use crate::block::Block;
use crate::driver::Event;
use crate::driver::cluster::WorkerNews;
use crate::driver::cluster::note::{INLINE, PeerNote, WorkerNote};
use crate::id::{Epoch, SourceId, WorkerId};
use crate::net::PeerId;
use crate::source::Carried;
use crate::source::receive::{Delivery, Receiver};
use crate::wire::{BlockHeader, Cargo};

impl Driver<'_> {
    /// The master wants a receiver of a source here.
    pub(super) fn receive(&mut self, source: SourceId) {
        let Some((url, format, options)) = self.inputs.spec(source) else { return };
        let sender = self.sender.clone();
        // Nobody hears it once the engine has ended.
        let deliver = move |delivery| drop(sender.send(Event::Received(source, delivery)));
        let opened = Receiver::open(url, format, options, Box::new(deliver));
        let note = match opened {
            Ok(receiver) => {
                let addr = receiver.local_addr();
                let stream = self.plan.sources[source.index()].name.to_owned();
                let scheme = url.split("://").next().unwrap_or_default();
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let path = rest.find('/').map_or("", |at| &rest[at..]);
                let url = format!("{scheme}://{addr}{path}");
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
        self.receivers.values().for_each(Receiver::stop);
    }

    /// A receiver has something.
    pub(super) fn received(&mut self, source: SourceId, delivery: Delivery) {
        match delivery {
            Delivery::Received(received) => {
                let copy = self.colleagues.second();
                let new = self.receipts.received(source, received, copy, &self.kernels.blocks);
                let report = new.report(source, self.id, copy);
                if let Some(copy) = copy {
                    self.send_copy(copy, source, new.number, new.what, new.lines);
                }
                self.tell_master(&report);
            }
            Delivery::Ended => {
                self.receivers.remove(&source);
                self.tell_master(&WorkerNote::ReceivedAll { source });
            }
        }
    }

    pub(super) fn send_copy(
        &mut self,
        to: WorkerId,
        source: SourceId,
        number: u64,
        what: Carried,
        lines: Block,
    ) {
        let Some(peer) = self.colleagues.peer(to) else { return };
        let here = if lines.byte_len() <= INLINE { lines.body().to_vec() } else { Vec::new() };
        let is_here = !here.is_empty();
        let note = PeerNote::Copy { source, number, what, here, is_here };
        // If it is gone, its `Closed` is on its way, and another gets the copy.
        if self.net.send(peer, &note).is_err() || is_here {
            return;
        }
        let header =
            BlockHeader { epoch: Epoch(0), cargo: Cargo::Receipt { source, number }, piece: 0 };
        if let Ok(transfer) = self.net.push_blocks(peer, &[(header, lines)]) {
            transfer.detach();
        }
    }

    /// Another worker wants this one to have a copy.
    pub(super) fn copy(
        &mut self,
        peer: PeerId,
        source: SourceId,
        number: u64,
        what: Carried,
        lines: Block,
    ) {
        let Some(taker) = self.colleagues.worker(peer) else { return };
        self.receipts.keep((taker, source, number), what, lines, &self.kernels.blocks);
        // If it is gone, nobody waits for this.
        let _ = self.net.send(peer, &PeerNote::Copied { source, number });
    }

    /// Tells whoever has the other copies that nobody will read these any more.
    pub(super) fn tell_dropped(&mut self, dropped: impl IntoIterator<Item = (WorkerId, Dropped)>) {
        for (to, dropped) in dropped {
            if let Some(peer) = self.colleagues.peer(to) {
                // One that is gone has dropped everything.
                let _ = self.net.send(peer, &PeerNote::Drop(dropped));
            }
        }
    }
}
