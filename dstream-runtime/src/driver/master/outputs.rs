//! Publishing batches, and telling of them, and of outputs that refuse them.

use std::time::Instant;

use super::Master;
use super::ends::place;
use super::publish::{Closed, PublishError, Refused};
use crate::driver::cluster::RefusedStatus;
use crate::driver::error::{JobError, Place};
use crate::driver::report::BatchReport;
use crate::host;
use crate::id::{BatchSeq, OutputId};
use crate::sched::MasterEvent;
use crate::sink::{Origin, SinkError};

/// An output that has refused the batch that is being published, and is tried again.
pub(super) struct Refusing {
    output: String,
    batch: BatchSeq,
    since: Instant,
    tries: u32,
    why: String,
}

impl Refusing {
    pub(super) fn status(&self) -> RefusedStatus {
        RefusedStatus {
            output: self.output.clone(),
            batch: self.batch,
            for_ms: host::since(self.since).as_millis() as u64,
            tries: self.tries,
            why: self.why.clone(),
        }
    }
}

impl Master<'_> {
    pub(super) fn publish(&mut self, seq: BatchSeq, ended: Option<BatchSeq>) {
        let (plan, lines) = (self.plan, self.settings.preview);
        let ends = std::mem::take(&mut self.ends.dead_sinks);
        let outputs = std::mem::take(&mut self.ends.outputs);
        let publication = self.batch(seq).map(|batch| {
            if let Some(ended) = ended {
                batch.ended(plan, ended);
            }
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

    pub(in crate::driver) fn published(&mut self, seq: BatchSeq, result: Result<Closed, Refused>) {
        let refusing = self.refusing.take();
        let event = match result {
            Ok(closed) => {
                self.without(seq, closed);
                if let Some(Refusing { output, batch, since, .. }) = refusing {
                    let seconds = host::since(since).as_secs_f64();
                    self.warn(&format!(
                        "output `{output}` has taken {batch} now, {seconds:.1} s after it was first refused"
                    ));
                }
                self.report(seq);
                MasterEvent::Published { batch: seq }
            }
            Err(refused) => {
                let output = OutputId(refused.sink as u16);
                let error = self.not_published(seq, refused);
                let message = error.to_string();
                self.failed(seq, error);
                MasterEvent::PublishFailed { batch: seq, output, message }
            }
        };
        self.handle(event);
    }

    /// These outputs were closed by their readers, and the job goes on without them: said once of each.
    fn without(&mut self, seq: BatchSeq, closed: Closed) {
        let new: Vec<usize> = closed.difference(self.totals.closed()).copied().collect();
        for sink in new {
            let (output, at) = self.output(sink);
            let time = self.core.timetable().end(seq);
            self.observer.on_warning(&format!(
                "output `{output}` ({at}) was closed by its reader: from batch {time} on it gets nothing more, and the \
                 job goes on with its other outputs"
            ));
        }
        let made = self.publishing.iter_mut().enumerate();
        made.filter(|(index, _)| closed.contains(index)).for_each(|(_, made)| made.records = 0);
        self.totals.close(closed);
    }

    /// An output has refused a batch and will be given it again: said once.
    pub(in crate::driver) fn refused(&mut self, batch: BatchSeq, refused: Refused) {
        let Refused { sink, error, tries } = refused;
        let PublishError::Sink(error) = error else { return };
        let (output, _) = self.output(sink);
        let why = error.to_string();
        let since = match self.refusing.take() {
            Some(before) if before.output == output && before.batch == batch => before.since,
            _ => {
                self.warn(&format!("output `{output}` refuses {batch}: {why}; it is tried again"));
                host::now()
            }
        };
        self.refusing = Some(Refusing { output, batch, since, tries, why });
    }

    /// The name of a sink's output, and where the program defines it.
    fn output(&self, sink: usize) -> (String, Place) {
        place(self.plan, &self.ends.dead_sinks, sink)
    }

    fn not_published(&self, seq: BatchSeq, refused: Refused) -> JobError {
        let Refused { sink, error, tries } = refused;
        let (name, at) = self.output(sink);
        let (time, at) = (self.core.timetable().end(seq), Box::new(at));
        match error {
            PublishError::Sink(SinkError::Conflict { why, origin: Origin::Same, .. }) => {
                JobError::Determinism { name, at, time, why }
            }
            PublishError::Sink(error) => JobError::Output { name, at, time, tries, error },
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
            self.totals.set_aside(*source, &letters.first);
            let name = self.plan.sources[source.index()].name;
            self.observer.on_dead_letters(name, &letters.first);
        }
        let outputs = std::mem::take(&mut self.publishing);
        let delay = self.live.then(|| self.clock.since(batch.time));
        let processing = host::since(batch.asked);
        self.totals.add((seq, batch.time), processing, &batch.reads, &outputs, delay);
        self.totals.late(batch.late);
        self.observer.on_batch(&BatchReport {
            batch: seq,
            time: batch.time,
            late: batch.late,
            sources: &batch.reads,
            outputs: &outputs,
            processing,
            delay,
        });
        let interval = self.core.timetable().interval();
        // Batches that had to wait for the first workers are late for another reason, which is known.
        let since = self.begun.map(host::since).unwrap_or_default();
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
