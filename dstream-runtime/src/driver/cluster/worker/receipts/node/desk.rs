//! A master as far as receipts are concerned, without threads, sockets and clocks: what it answers to what
//! [nodes](super::Node) say.

use std::time::{Duration, Instant};

use super::*;
use crate::driver::cluster::{Losses, Receivers, Returns};
use crate::sched::MasterCore;
use crate::sched::message::LostRow;
use crate::source::receive::PushSource;
use crate::source::{Cut, Source, SourceError};

/// Receipts on a master.
pub(crate) struct Desk {
    source: PushSource,
    receivers: Receivers,
    losses: Losses,
    begun: Instant,
    is_stopped: bool,
}

impl Desk {
    /// Of a master that goes on with this batch, if there was one before it.
    pub(crate) fn new(position: Option<&[u8]>, goes_on: Option<BatchSeq>, grace: Duration) -> Self {
        let mut source = PushSource::open("tcp://0.0.0.0:1", SOURCE).expect("the URL is good");
        if let Some(position) = position {
            source.resume(position).expect("it was written so");
        }
        goes_on.into_iter().for_each(|next| source.goes_on(next));
        let receivers = Receivers::new(vec![Some(source.clone())]);
        let losses = Losses::new(goes_on.is_some(), grace);
        Self { source, receivers, losses, begun: Instant::now(), is_stopped: false }
    }

    /// A worker says something; `is_there`: who is a member.
    pub(crate) fn heard(
        &mut self,
        by: WorkerId,
        Note(report): Note,
        is_there: impl Fn(WorkerId) -> bool,
    ) -> Vec<Answer> {
        trace(|| format!("the master hears of {by}: {report:?}"));
        let answer = |receipt: &Receipt, how| {
            Answer(Word::Registered((receipt.taker, SOURCE, receipt.number), how))
        };
        match report {
            Report::Received(mut receipt) => {
                receipt.copy = receipt.copy.filter(|copy| is_there(*copy));
                let how = match receipt.taker == by {
                    true => self.source.register(receipt, 1),
                    false => Ok(self.source.reclaim(receipt, 1, by)),
                };
                vec![answer(&receipt, how)]
            }
            Report::Holds(receipts) => {
                let known = |r: &Receipt| self.source.reclaim(*r, 1, by) == Registered::Known;
                let known: Vec<Receipt> = receipts.into_iter().filter(known).collect();
                known.iter().map(|receipt| answer(receipt, Ok(Registered::Known))).collect()
            }
            Report::Copied { taker, number, by } => {
                if is_there(by) {
                    self.source.copied(taker, number, by);
                }
                Vec::new()
            }
            Report::HeldBy(Numbers { taker, from, to, .. }, by) => {
                if is_there(by) {
                    self.source.held_by(taker, from..to, by);
                }
                Vec::new()
            }
            Report::HandedOver(_) => Vec::new(),
            Report::Missing(Nowhere { all, asked }) => {
                self.losses.missing(by, all, asked);
                Vec::new()
            }
        }
    }

    pub(crate) fn opened(&self, worker: WorkerId) {
        self.source.opened(worker);
    }

    pub(crate) fn closed(&self, worker: WorkerId) {
        self.source.closed(worker);
    }

    /// The instant that a time stands for, in milliseconds.
    fn at(&self, now: u64) -> Instant {
        self.begun + Duration::from_millis(now)
    }

    /// A worker on a host is there, and has said what it holds.
    pub(crate) fn ready(&mut self, host: &str, now: u64) {
        self.losses.ready(host, self.at(now));
    }

    pub(crate) fn gone(&mut self, worker: WorkerId, host: &str, returns: Returns, now: u64) {
        trace(|| format!("{worker} is gone, and comes again: {returns:?}"));
        self.losses.gone(worker, host, returns, self.at(now));
        self.receivers.gone(worker);
        self.assign();
    }

    pub(crate) fn placed(&mut self, placement: &[WorkerId], is_there: impl Fn(WorkerId) -> bool) {
        self.receivers.placed(placement, is_there);
        self.assign();
    }

    pub(crate) fn weigh(&self, weights: &[(WorkerId, u32)]) {
        self.receivers.weigh(weights);
    }

    /// Every worker may receive. Here all take in what clients send without being told.
    fn assign(&mut self) {
        if !self.is_stopped {
            self.receivers.assign(self.begun);
        }
    }

    /// Every worker that may come again has had time to.
    pub(crate) fn complete(&self) {
        self.receivers.complete();
    }

    /// When a wait for workers that may come again ends next.
    pub(crate) fn due(&self) -> Option<u64> {
        let due = self.losses.due()?.saturating_duration_since(self.begun);
        Some(due.as_millis() as u64)
    }

    /// What is lost by now.
    pub(crate) fn lost(
        &mut self,
        core: &MasterCore,
        there: &BTreeSet<WorkerId>,
        now: u64,
    ) -> Vec<LostRow> {
        self.losses.pass(self.at(now));
        if !self.losses.is_complete() {
            return Vec::new();
        }
        self.losses.unheld(core, &self.receivers, there)
    }

    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
        self.source.stop();
    }

    /// What everybody hears now that nobody needs what batches before this one have read.
    pub(crate) fn over(&self, before: BatchSeq) -> Vec<Answer> {
        let over = self.source.over(before).into_iter();
        let forget = over.map(|(taker, spans)| Word::Forget(taker, spans));
        forget.chain([Word::Spent(before)]).map(Answer).collect()
    }

    pub(crate) fn cut(&mut self, batch: BatchSeq, partitions: usize) -> Result<Cut, SourceError> {
        self.source.next_batch(batch);
        let cut = self.source.cut(partitions);
        if let Ok(cut) = &cut {
            let ranges: Vec<_> = cut.inputs.iter().map(|input| &input.ranges).collect();
            trace(|| format!("cut: {ranges:?}, the last: {}", cut.ended));
        }
        cut
    }
}
