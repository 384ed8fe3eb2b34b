//! What becomes of the job when what clients were told is safe is held by no worker any more.

use std::collections::BTreeSet;

use super::Driver;
use crate::driver::cluster::note::MasterNote;
use crate::driver::cluster::{ClusterError, ClusterNews, GRACE};
use crate::host;
use crate::id::{BatchSeq, WorkerId};
use crate::net::PeerId;
use crate::plan::Plan;
use crate::sched::MasterEvent;
use crate::sched::message::{HolderChange, Loss, LostRow};
use crate::time::BatchTime;

/// What is done about losses.
pub(super) struct LossSettings {
    /// The job goes on without what was lost before this master began.
    pub(super) accept: bool,
    /// The first batch that this master cuts: once it is published, nothing is missed that was lost before.
    pub(super) first: BatchSeq,
    /// It was said that workers are waited for.
    pub(super) said: bool,
}

impl Driver<'_> {
    /// A worker is there, and has said what it holds.
    pub(super) fn is_there(&mut self, peer: PeerId, worker: WorkerId) {
        let name = self.members.name(worker);
        self.losses.ready(&name, host::now());
        for (source, receiver, blocks) in self.losses.dropped() {
            let blocks = blocks.clone();
            self.send(peer, &MasterNote::Lost { source, receiver, blocks });
        }
    }

    /// Ends the job, or has it go on, if something is lost.
    pub(super) fn judge_losses(&mut self) {
        if !self.receivers.any() {
            return;
        }
        self.losses.pass(host::now());
        if self.losses.all_came() {
            self.receivers.all_came();
        }
        let is_complete = self.losses.is_complete();
        let there: BTreeSet<WorkerId> =
            self.members.crew().into_iter().map(|member| member.worker).collect();
        let rows = self.losses.unheld(self.master.core(), &self.receivers, &there);
        let heard = self.members.iter().filter(|(_, member)| member.ready);
        let heard = heard.map(|(_, member)| member.heard());
        let is_all = self.losses.is_all_known(!rows.is_empty(), heard, host::now());
        if is_complete && (rows.is_empty() || is_all) {
            let settled = self.losses.settle();
            self.note_holders(settled);
        }
        if rows.is_empty() {
            self.loss.said = false;
            // Tasks that read what is lost have said so by then: what is lost from here on was there with this master.
            self.loss.accept &= self.master.last_published() < self.loss.first;
            return;
        }
        match is_complete {
            // Until the first placement, workers may have to come that hold it.
            false if there.is_empty() || self.receivers.is_placed() => self.say_awaited(&rows),
            false => {}
            // Another worker may have ended at the same time, with more.
            true if !is_all => {}
            true if self.loss.accept => self.go_on_without(rows),
            true => {
                let how = if self.losses.is_certain() { Loss::Certain } else { Loss::Overdue };
                self.master.handle(MasterEvent::Lost { rows, how });
            }
        }
    }

    /// Later masters are to know of these.
    pub(super) fn note_holders(&mut self, changes: impl IntoIterator<Item = HolderChange>) {
        if self.receivers.any() {
            for change in changes {
                self.master.handle(MasterEvent::Holder(change));
            }
        }
    }

    fn say_awaited(&mut self, rows: &[LostRow]) {
        if std::mem::replace(&mut self.loss.said, true) {
            return;
        }
        let left = self.losses.ends().map(|ends| ends.saturating_duration_since(host::now()));
        let seconds = left.unwrap_or(GRACE).as_secs_f64().ceil() as u64;
        let workers = self.losses.awaited().map(str::to_owned).collect();
        self.master.tell(&ClusterNews::Awaiting { what: said(self.plan, rows), workers, seconds });
    }

    fn go_on_without(&mut self, rows: Vec<LostRow>) {
        self.master.warn(&dropped(self.plan, &rows));
        self.losses.drop(&rows);
        for row in &rows {
            self.receivers.give_up(row.source, row.receiver, &row.blocks);
            let (source, receiver, blocks) = (row.source, row.receiver, row.blocks.clone());
            let note = MasterNote::Lost { source, receiver, blocks };
            self.members.ready_peers().for_each(|peer| self.send(peer, &note));
        }
        self.master.handle(MasterEvent::Lost { rows, how: Loss::Accepted });
    }
}

/// The end of a job that has lost these.
pub(in crate::driver) fn lost(plan: &Plan, rows: &[LostRow]) -> ClusterError {
    ClusterError::Lost { what: said(plan, rows) }
}

/// What is said of those that a job goes on without.
pub(super) fn dropped(plan: &Plan, rows: &[LostRow]) -> String {
    format!("--accept-loss: the job goes on without acknowledged records: {}", said(plan, rows))
}

/// What is lost, by stream.
fn said(plan: &Plan, rows: &[LostRow]) -> String {
    let of_stream = plan.sources.iter().filter_map(|source| {
        let mut rows = rows.iter().filter(|row| row.source == source.id).peekable();
        rows.peek()?;
        let (mut records, mut blocks, mut exact) = (0, 0, true);
        let (mut first, mut last, mut since) = (u64::MAX, 0, u64::MAX);
        for row in rows {
            records += row.records;
            blocks += row.blocks.count();
            exact &= row.exact;
            (first, last) = (first.min(row.first.0), last.max(row.last.0));
            since = since.min(row.since_ms);
        }
        let most = if exact { "" } else { "at most " };
        let batches = match first == last {
            true => format!("of batch {first}"),
            false => format!("of batches {first} to {last}"),
        };
        Some(format!(
            "{most}{records} records of `{}` in {blocks} blocks, received since {}, {batches}",
            source.name,
            BatchTime(since)
        ))
    });
    of_stream.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SourceId;
    use crate::sched::testplan::word_count;
    use crate::source::receive::RangeSet;

    fn row(
        receiver: u32,
        numbers: &[u64],
        records: u64,
        exact: bool,
        batches: (u64, u64),
    ) -> LostRow {
        let mut blocks = RangeSet::default();
        numbers.iter().for_each(|number| assert!(blocks.insert(*number)));
        let (source, receiver) = (SourceId(0), WorkerId(receiver));
        let (first, last) = (BatchSeq(batches.0), BatchSeq(batches.1));
        LostRow { source, receiver, blocks, records, exact, first, last, since_ms: 1000 * first.0 }
    }

    #[test]
    fn what_is_lost_is_said_by_stream() {
        let plan = word_count();
        let rows = [row(1, &[3, 4, 9], 12, true, (7, 9)), row(2, &[1], 3, true, (8, 8))];
        let name = plan.sources[0].name;
        let text = lost(plan, &rows).to_string();
        let what =
            format!("15 records of `{name}` in 4 blocks, received since {}", BatchTime(7000));
        assert!(text.contains(&what) && text.contains("of batches 7 to 9"), "{text}");
        assert!(text.contains("--accept-loss"), "{text}");
        let text = dropped(plan, &[row(2, &[1], 3, false, (8, 8))]);
        assert!(text.contains("at most 3 records") && text.ends_with("of batch 8"), "{text}");
    }
}
