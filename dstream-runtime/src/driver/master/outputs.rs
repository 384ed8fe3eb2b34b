//! Publishing batches, and telling of them.

use super::Master;
use super::publish::PublishError;
use crate::driver::error::{JobError, Place};
use crate::driver::report::BatchReport;
use crate::id::{BatchSeq, OperatorId, OutputId};
use crate::sched::MasterEvent;

impl Master<'_> {
    pub(super) fn publish(&mut self, seq: BatchSeq) {
        let (plan, lines) = (self.plan, self.settings.preview);
        let ends = std::mem::take(&mut self.ends.dead_sinks);
        let outputs = std::mem::take(&mut self.ends.outputs);
        let publication = self.batch(seq).map(|batch| {
            let reports = batch.reports(lines);
            (reports, batch.publication(plan, &outputs, &ends))
        });
        (self.ends.dead_sinks, self.ends.outputs) = (ends, outputs);
        let Some((reports, publication)) = publication else {
            return;
        };
        self.publishing = reports;
        if let Some(result) = self.ends.publisher.publish(publication) {
            self.published(seq, result);
        }
    }

    pub(in crate::driver) fn published(
        &mut self,
        seq: BatchSeq,
        result: Result<(), (usize, PublishError)>,
    ) {
        let event = match result {
            Ok(()) => {
                self.report(seq);
                MasterEvent::Published { batch: seq }
            }
            Err((sink, error)) => {
                let error = self.refused(seq, sink, error);
                let message = error.to_string();
                self.failed(seq, error);
                MasterEvent::PublishFailed { batch: seq, output: OutputId(sink as u16), message }
            }
        };
        self.handle(event);
    }

    fn refused(&self, seq: BatchSeq, sink: usize, error: PublishError) -> JobError {
        let (name, operator) = match self.plan.outputs.get(sink) {
            Some(row) => (row.name.to_owned(), row.operator),
            None => {
                let source = self.ends.dead_sinks.iter().position(|of| *of == Some(sink));
                let row = source.and_then(|source| self.plan.sources.get(source));
                let operator = row.map_or(OperatorId(u16::MAX), |row| row.operator);
                (format!("{}.dead", row.map_or("", |row| row.name)), operator)
            }
        };
        match error {
            PublishError::Sink(error) => {
                let at = Box::new(Place::operator(self.plan, operator));
                JobError::Output { name, at, time: self.timetable.end(seq), error }
            }
            PublishError::Panic(panic) => {
                JobError::Broken { what: format!("output `{name}`"), panic }
            }
        }
    }

    /// A batch is visible.
    fn report(&mut self, seq: BatchSeq) {
        if self.batches.front().is_none_or(|batch| batch.seq != seq) {
            return;
        }
        let Some(mut batch) = self.batches.pop_front() else {
            return;
        };
        if self.settings.checkpoint.is_some() {
            self.past.insert(seq, std::mem::take(&mut batch.inputs));
        }
        self.last = seq;
        batch.dead.sort_by_key(|(source, partition, _)| (*source, *partition));
        for (source, _, letters) in &batch.dead {
            let name = self.plan.sources[source.index()].name;
            self.observer.on_dead_letters(name, &letters.first);
        }
        let outputs = std::mem::take(&mut self.publishing);
        let delay = self.live.then(|| self.clock.since(batch.time));
        let processing = batch.asked.elapsed();
        self.totals.add((seq, batch.time), processing, &batch.reads, &outputs, delay);
        self.observer.on_batch(&BatchReport {
            batch: seq,
            time: batch.time,
            sources: &batch.reads,
            outputs: &outputs,
            processing,
            delay,
        });
        let interval = self.timetable.interval();
        // Batches that had to wait for the first workers are late for another reason, which is known.
        let since = self.begun.map(|begun| begun.elapsed()).unwrap_or_default();
        let delay = delay.map(|delay| delay.min(since));
        if let Some(delay) = delay.filter(|delay| self.lateness.begins(*delay, interval)) {
            self.observer.on_warning(&format!(
                "batches take longer than their interval of {interval:?}: {seq} was published \
                 {:.1} s after its time, and sources are slowed down\n  \
                 help: use more --cores or a longer --interval",
                delay.as_secs_f64()
            ));
        }
    }
}
