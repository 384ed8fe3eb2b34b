//! A master as far as received blocks are concerned, without threads, sockets and clocks: how it answers
//! [nodes](super::Node).

use std::time::{Duration, Instant};

use super::*;
use crate::driver::cluster::{Earlier, Listens, Losses, Receivers, Returns};
use crate::sched::message::{HolderChange, LostRow};
use crate::sched::{MasterCore, Past};
use crate::source::receive::PushSource;
use crate::source::{Cut, Source, SourceError};

/// Received blocks on a master.
pub(crate) struct Desk {
    source: PushSource,
    receivers: Receivers,
    losses: Losses,
    begun: Instant,
    now: Instant,
    is_stopped: bool,
    /// Who is to listen at the source's address, or is not to, and has not been told.
    untold: Vec<(WorkerId, bool)>,
}

impl Desk {
    /// Of a master that goes on with this batch, if there was one before it.
    pub(crate) fn new(
        position: Option<&[u8]>,
        goes_on: Option<BatchSeq>,
        past: &Past,
        grace: Duration,
    ) -> Self {
        let mut source = PushSource::open("tcp://0.0.0.0:1", SOURCE).expect("the URL is good");
        if let Some(position) = position {
            source.resume(position).expect("it was written so");
        }
        goes_on.into_iter().for_each(|next| source.goes_on(next));
        let receivers = Receivers::new(vec![Some(source.clone())]);
        let earlier = match goes_on {
            Some(_) => Earlier::of(Some(past).filter(|past| past.is_under_way())),
            None => Earlier::none(),
        };
        let losses = Losses::new(earlier, grace);
        let (begun, untold) = (Instant::now(), Vec::new());
        Self { source, receivers, losses, begun, now: begun, is_stopped: false, untold }
    }

    /// It is that late, in milliseconds.
    pub(crate) fn set_now(&mut self, now: u64) {
        self.now = self.at(now);
    }

    /// What the journal says about losses.
    pub(crate) fn remember(&mut self, past: &Past, now: u64) {
        self.losses.drop(past.dropped());
        past.dropped().iter().for_each(|row| self.source.give_up(row.receiver, &row.blocks));
        for row in past.overdue() {
            self.source.expect(row.receiver, &row.blocks, row.records_each(), row.first);
        }
        if !past.overdue().is_empty() {
            self.losses.were_overdue(self.at(now));
        }
    }

    /// A worker says something; `is_there`: who is a member.
    pub(crate) fn heard(
        &mut self,
        by: WorkerId,
        Note(report): Note,
        is_there: impl Fn(WorkerId) -> bool,
    ) -> Vec<Answer> {
        trace(|| format!("the master hears of {by}: {report:?}"));
        let answer = |received_block: &ReceivedBlock, how| {
            Answer(Word::Registered((received_block.receiver, SOURCE, received_block.number), how))
        };
        match report {
            Report::Received(mut received_block) => {
                received_block.copy = received_block.copy.filter(|copy| is_there(*copy));
                let how = match received_block.receiver == by {
                    true => self.source.register(received_block, 1),
                    false => Ok(self.source.reclaim(received_block, 1, by)),
                };
                vec![answer(&received_block, how)]
            }
            Report::Holds(blocks) => {
                let known = |r: &ReceivedBlock| self.source.reclaim(*r, 1, by) == Registered::Known;
                let known: Vec<ReceivedBlock> = blocks.into_iter().filter(known).collect();
                known
                    .iter()
                    .map(|received_block| answer(received_block, Ok(Registered::Known)))
                    .collect()
            }
            Report::Copied { receiver, number, by } => {
                if is_there(by) {
                    self.source.copied(receiver, number, by);
                }
                Vec::new()
            }
            Report::HeldBy(BlockRange { receiver, from, to, .. }, by) => {
                if is_there(by) {
                    self.source.held_by(receiver, from..to, by);
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

    pub(crate) fn closed(&mut self, worker: WorkerId) {
        self.receivers.closed(SOURCE, worker);
        self.assign();
    }

    /// The instant that a time stands for, in milliseconds.
    fn at(&self, now: u64) -> Instant {
        self.begun + Duration::from_millis(now)
    }

    /// A worker on a host is there, and has said what it holds.
    pub(crate) fn ready(&mut self, host: &str, now: u64) {
        self.losses.ready(host, self.at(now));
    }

    /// A worker on a host is about to join.
    pub(crate) fn comes(&mut self, host: &str) {
        self.losses.comes(host);
    }

    /// What later masters are to know is returned.
    pub(crate) fn gone(
        &mut self,
        worker: WorkerId,
        host: &str,
        returns: Returns,
        now: u64,
    ) -> Option<HolderChange> {
        trace(|| format!("{worker} is gone, and comes again: {returns:?}"));
        let has_gone = self.losses.gone(worker, host, returns, self.at(now));
        self.receivers.gone(worker);
        self.assign();
        has_gone
    }

    /// What later masters are to know now that nothing is missed, or the job stops for it or goes on without.
    pub(crate) fn settle(&mut self) -> Vec<HolderChange> {
        self.losses.settle()
    }

    pub(crate) fn placed(&mut self, placement: &[WorkerId], is_there: impl Fn(WorkerId) -> bool) {
        if let Some(may_listen) = self.losses.goes_on().filter(|_| !self.receivers.is_placed()) {
            self.receivers.goes_on(may_listen, self.now);
        }
        self.receivers.placed(placement, is_there);
        self.assign();
    }

    pub(crate) fn weigh(&self, weights: &[(WorkerId, u32)]) {
        self.receivers.weigh(weights);
    }

    /// Every worker may receive. Here all take in what clients send without being told.
    fn assign(&mut self) {
        if !self.is_stopped {
            let assigned = self.receivers.assign(self.now).into_iter();
            self.untold.extend(assigned.map(|(_, worker, listens)| (worker, listens)));
        }
    }

    /// A worker is about to leave.
    pub(crate) fn drains(&mut self, worker: WorkerId) {
        self.receivers.drains(worker);
    }

    /// When workers are to be told next to listen; it is done if it is time.
    pub(crate) fn opens(&mut self) -> Option<u64> {
        if self.is_stopped {
            return None;
        }
        if self.receivers.due().is_some_and(|due| due <= self.now) {
            self.assign();
        }
        let due = self.receivers.due()?.saturating_duration_since(self.begun);
        Some(due.as_millis() as u64)
    }

    /// Who is to be told to listen at the source's address, or not to.
    pub(crate) fn untold(&mut self) -> Vec<(WorkerId, bool)> {
        std::mem::take(&mut self.untold)
    }

    /// A worker listens at the source's address.
    pub(crate) fn listens(&mut self, worker: WorkerId) {
        match self.receivers.opened(SOURCE, worker, "tcp://0.0.0.0:1".to_owned()) {
            Listens::Stays => {}
            Listens::InsteadOf(other) => self.untold.push((other, false)),
            Listens::IsTooMany => self.untold.push((worker, false)),
        }
    }

    /// A worker cannot.
    pub(crate) fn cannot_listen(&mut self, worker: WorkerId) {
        let why = "its port is taken".to_owned();
        let (_, gives_up) = self.receivers.cannot_listen(SOURCE, worker, why, self.now);
        assert!(!gives_up, "the address is given up, though some worker has it");
        self.assign();
    }

    /// Who listens at the source's address, as the master has heard.
    pub(crate) fn listener(&self) -> Option<WorkerId> {
        self.receivers.seen().find(|seen| seen.why.is_none()).map(|seen| seen.worker)
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

    /// What is lost by now, and whether that is all of it; `heard`: who is there, and when each was heard last.
    pub(crate) fn lost(
        &mut self,
        core: &MasterCore,
        heard: &BTreeMap<WorkerId, u64>,
        now: u64,
    ) -> (Vec<LostRow>, bool) {
        self.losses.pass(self.at(now));
        if self.losses.all_came() {
            self.receivers.all_came();
        }
        if !self.losses.is_complete() {
            return (Vec::new(), false);
        }
        let there = heard.keys().copied().collect();
        let rows = self.losses.unheld(core, &self.receivers, &there);
        let (begun, now) = (self.begun, self.at(now));
        let heard = heard.values().map(|heard| begun + Duration::from_millis(*heard));
        let is_all = self.losses.is_all_known(!rows.is_empty(), heard, now);
        (rows, is_all)
    }

    /// Whether no worker is waited for.
    pub(crate) fn is_complete(&self) -> bool {
        self.losses.is_complete()
    }

    /// Whether nothing is lost, or may be found to be, that was received before this master began.
    pub(crate) fn is_settled(&self) -> bool {
        self.losses.is_complete() && self.receivers.is_placed()
    }

    /// Whether what is lost is lost for good.
    pub(crate) fn is_certain(&self) -> bool {
        self.losses.is_certain()
    }

    /// The job goes on without these rows. Returns what all workers are told.
    pub(crate) fn go_on_without(&mut self, rows: &[LostRow]) -> Vec<Answer> {
        self.losses.drop(rows);
        let told = |row: &LostRow| {
            self.receivers.give_up(row.source, row.receiver, &row.blocks);
            Answer(Word::Lost(row.receiver, row.blocks.clone()))
        };
        rows.iter().map(told).collect()
    }

    /// What a worker hears that has joined: what the job goes on without.
    pub(crate) fn dropped(&self) -> Vec<Answer> {
        let told =
            |(_, receiver, blocks): (_, _, &RangeSet)| Answer(Word::Lost(receiver, blocks.clone()));
        self.losses.dropped().map(told).collect()
    }

    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
        self.source.stop();
    }

    /// What every worker hears now that what batches before this one have read is not needed any more.
    pub(crate) fn over(&self, before: BatchSeq) -> Vec<Answer> {
        let over = self.source.over(before).into_iter();
        let forget = over.map(|(receiver, spans)| Word::Forget(receiver, spans));
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
