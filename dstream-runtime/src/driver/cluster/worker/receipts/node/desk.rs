//! A master as far as receipts are concerned, without threads, sockets and clocks: what it answers to what
//! [nodes](super::Node) say.

use super::*;
use crate::source::receive::PushSource;
use crate::source::{Cut, Source, SourceError};

/// Receipts on a master.
pub(crate) struct Desk {
    source: PushSource,
}

impl Desk {
    /// Of a master that goes on with this batch, if there was one before it.
    pub(crate) fn new(position: Option<&[u8]>, goes_on: Option<BatchSeq>) -> Self {
        let mut source = PushSource::open("tcp://0.0.0.0:1", SOURCE).expect("the URL is good");
        if let Some(position) = position {
            source.resume(position).expect("it was written so");
        }
        goes_on.into_iter().for_each(|next| source.goes_on(next));
        Self { source }
    }

    /// A worker says something; `is_there`: who is a member.
    pub(crate) fn heard(
        &self,
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
                    true => self.source.register(receipt),
                    false => Ok(self.source.reclaim(receipt, by)),
                };
                vec![answer(&receipt, how)]
            }
            Report::Holds(receipts) => {
                let known = |r: &Receipt| self.source.reclaim(*r, by) == Registered::Known;
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
        }
    }

    pub(crate) fn opened(&self, worker: WorkerId) {
        self.source.opened(worker);
    }

    pub(crate) fn closed(&self, worker: WorkerId) {
        self.source.closed(worker);
    }

    pub(crate) fn gone(&self, worker: WorkerId) {
        trace(|| format!("{worker} is gone"));
        self.source.gone(worker);
    }

    pub(crate) fn placed(&self, placement: &[WorkerId]) {
        self.source.placed(placement);
    }

    pub(crate) fn complete(&self) {
        self.source.complete();
    }

    pub(crate) fn stop(&mut self) {
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
