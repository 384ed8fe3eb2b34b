//! Sums over the batches of a job.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::driver::cluster::PublishedStatus;
use crate::driver::latency::Histogram;
use crate::driver::report::{OutputCount, OutputReport, SourceCount, SourceReport, Summary};
use crate::exec::task::DeadLetter;
use crate::id::{BatchSeq, SourceId};
use crate::plan::Plan;
use crate::source::News;
use crate::time::BatchTime;

#[derive(Default)]
pub(super) struct Totals {
    batches: u64,
    /// The first batch that is counted.
    first: BatchSeq,
    sources: Vec<SourceReport>,
    /// Per source.
    dead: Vec<Dead>,
    outputs: Vec<u64>,
    /// The sinks that were closed by their readers.
    closed: BTreeSet<usize>,
    delays: Histogram,
    published: Option<PublishedStatus>,
    late: u64,
}

/// The dead letters of a source.
#[derive(Clone, Default)]
struct Dead {
    first: Option<DeadLetter>,
    /// How many went to its output, if it has one.
    published: Option<u64>,
    sink: Option<usize>,
    bounded: bool,
}

impl Totals {
    /// Counts from a batch on. `live` and `dead_sinks` have an entry per source.
    pub(super) fn new(
        plan: &Plan,
        first: BatchSeq,
        live: &[bool],
        dead_sinks: &[Option<usize>],
    ) -> Self {
        let dead = |(live, sink): (&bool, &Option<usize>)| Dead {
            first: None,
            published: sink.map(|_| 0),
            sink: *sink,
            bounded: !live,
        };
        let mut dead: Vec<_> = live.iter().zip(dead_sinks).map(dead).collect();
        dead.resize_with(plan.sources.len(), Dead::default);
        let sources = vec![SourceReport::default(); plan.sources.len()];
        Self { first, sources, dead, outputs: vec![0; plan.outputs.len()], ..Self::default() }
    }

    /// Dead letters of a batch: the first of one of its tasks.
    pub(super) fn set_aside(&mut self, source: SourceId, letters: &[DeadLetter]) {
        let Some(dead) = self.dead.get_mut(source.index()) else { return };
        dead.first = dead.first.take().or_else(|| letters.first().cloned());
        if dead.sink.is_none_or(|sink| !self.closed.contains(&sink)) {
            dead.published = dead.published.map(|published| published + letters.len() as u64);
        }
    }

    /// These sinks were closed by their readers: all so far.
    pub(super) fn close(&mut self, closed: BTreeSet<usize>) {
        self.closed = closed;
    }

    /// The sinks that were closed by their readers.
    pub(super) fn closed(&self) -> &BTreeSet<usize> {
        &self.closed
    }

    /// Per source.
    pub(super) fn sources(&self) -> &[SourceReport] {
        &self.sources
    }

    /// Records per output.
    pub(super) fn outputs(&self) -> &[u64] {
        &self.outputs
    }

    /// The last batch.
    pub(super) fn published(&self) -> Option<PublishedStatus> {
        self.published
    }

    /// Counts what a source has met.
    pub(super) fn news(&mut self, source: SourceId, news: &News) {
        if let Some(total) = self.sources.get_mut(source.index()) {
            total.unreadable_files = news.unreadable;
            total.lost_bytes += news.lost;
        }
    }

    /// Counts late records of a batch.
    pub(super) fn late(&mut self, records: u64) {
        self.late += records;
    }

    /// How many records were late.
    pub(super) fn all_late(&self) -> u64 {
        self.late
    }

    pub(super) fn add(
        &mut self,
        batch: (BatchSeq, BatchTime),
        processing: Duration,
        sources: &[SourceReport],
        outputs: &[OutputReport],
        delay: Option<Duration>,
    ) {
        self.batches += 1;
        self.published = Some(PublishedStatus {
            batch: batch.0,
            time: batch.1,
            processing_ms: processing.as_secs_f64() * 1e3,
            delay_ms: delay.map(|delay| delay.as_secs_f64() * 1e3),
        });
        for (total, read) in self.sources.iter_mut().zip(sources) {
            total.records += read.records;
            total.bytes += read.bytes;
            total.dead_letters += read.dead_letters;
        }
        self.outputs.iter_mut().zip(outputs).for_each(|(total, made)| *total += made.records);
        if let Some(delay) = delay {
            self.delays.add(delay);
        }
    }

    pub(super) fn summary(&self, plan: &Plan, elapsed: Duration) -> Summary {
        let sum = |count: fn(&SourceReport) -> u64| self.sources.iter().map(count).sum::<u64>();
        let records = sum(|read| read.records);
        let rows = plan.sources.iter().zip(&self.sources).zip(&self.dead);
        let sources = rows.map(|((row, read), dead)| SourceCount {
            name: row.name.to_owned(),
            read: read.records + read.dead_letters,
            records: read.records,
            bytes: read.bytes,
            dead_letters: read.dead_letters,
            unreadable_files: read.unreadable_files,
            lost_bytes: read.lost_bytes,
            first_dead: dead.first.clone(),
            bounded: dead.bounded,
        });
        let closed = |sink: Option<usize>| sink.is_some_and(|sink| self.closed.contains(&sink));
        let outputs = plan.outputs.iter().zip(&self.outputs).enumerate();
        let outputs = outputs.map(|(index, (row, records))| OutputCount {
            name: row.name.to_owned(),
            records: *records,
            closed: closed(Some(index)),
        });
        let dead = plan.sources.iter().zip(&self.dead).filter_map(|(row, dead)| {
            let (name, closed) = (format!("{}.dead", row.name), closed(dead.sink));
            Some(OutputCount { name, records: dead.published?, closed })
        });
        let elapsed = elapsed.as_secs_f64();
        Summary {
            batches: self.batches,
            last: self.published.map(|published| published.time),
            complete: false,
            first_batch: self.first.0,
            read: sum(|read| read.records + read.dead_letters),
            records,
            dead_letters: sum(|read| read.dead_letters),
            late: self.late,
            bytes: sum(|read| read.bytes),
            sources: sources.collect(),
            outputs: outputs.chain(dead).collect(),
            elapsed,
            records_per_second: if elapsed > 0.0 { records as f64 / elapsed } else { 0.0 },
            speculations: None,
            latency: self.delays.latency(),
        }
    }
}
