//! Sums over the batches of a job.

use std::time::Duration;

use crate::driver::cluster::PublishedStatus;
use crate::driver::latency::Histogram;
use crate::driver::report::{OutputCount, OutputReport, SourceCount, SourceReport, Summary};
use crate::id::{BatchSeq, SourceId};
use crate::plan::Plan;
use crate::source::News;
use crate::time::BatchTime;

#[derive(Default)]
pub(super) struct Totals {
    batches: u64,
    sources: Vec<SourceReport>,
    outputs: Vec<u64>,
    delays: Histogram,
    published: Option<PublishedStatus>,
}

impl Totals {
    pub(super) fn new(plan: &Plan) -> Self {
        let sources = vec![SourceReport::default(); plan.sources.len()];
        Self { sources, outputs: vec![0; plan.outputs.len()], ..Self::default() }
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

    pub(super) fn summary(self, plan: &Plan, elapsed: Duration) -> Summary {
        let records = self.sources.iter().map(|read| read.records).sum();
        let sources = plan.sources.iter().zip(&self.sources).map(|(row, read)| SourceCount {
            name: row.name.to_owned(),
            records: read.records,
            bytes: read.bytes,
            dead_letters: read.dead_letters,
            unreadable_files: read.unreadable_files,
            lost_bytes: read.lost_bytes,
        });
        let outputs = plan.outputs.iter().zip(&self.outputs);
        let elapsed = elapsed.as_secs_f64();
        Summary {
            batches: self.batches,
            records,
            bytes: self.sources.iter().map(|read| read.bytes).sum(),
            sources: sources.collect(),
            outputs: outputs
                .map(|(row, records)| OutputCount { name: row.name.to_owned(), records: *records })
                .collect(),
            elapsed,
            records_per_second: if elapsed > 0.0 { records as f64 / elapsed } else { 0.0 },
            speculations: None,
            latency: self.delays.latency(),
            savepoint: None,
        }
    }
}
