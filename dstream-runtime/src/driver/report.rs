//! What a running job tells, and what is left of it at the end.

use std::time::Duration;

use serde::Serialize;

use super::cluster::ClusterNews;
use super::latency::Latency;
use crate::exec::task::DeadLetter;
use crate::id::BatchSeq;
use crate::time::BatchTime;

/// Sees what a job does. Called on the engine's thread, in batch order: it should return soon.
pub trait Observer {
    /// A batch is visible at all outputs.
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        let _ = report;
    }

    /// Records of a source were set aside. These are the first of each task; the batch's report
    /// has the number of all.
    fn on_dead_letters(&mut self, source: &str, letters: &[DeadLetter]) {
        let _ = (source, letters);
    }

    /// Something happened in the cluster that the job runs on.
    fn on_cluster(&mut self, news: &ClusterNews) {
        let _ = news;
    }

    /// The job has failed; what it did until then. Called once, before its error is returned.
    fn on_failed(&mut self, summary: &Summary) {
        let _ = summary;
    }

    /// Something needs attention, and the job goes on.
    fn on_warning(&mut self, message: &str) {
        let _ = message;
    }
}

/// Sees nothing.
impl Observer for () {}

/// What became of a batch.
#[derive(Debug)]
pub struct BatchReport<'a> {
    /// Its number.
    pub batch: BatchSeq,
    /// The end of its interval.
    pub time: BatchTime,
    /// What was read, per source of the plan.
    pub sources: &'a [SourceReport],
    /// What was made, per output of the plan.
    pub outputs: &'a [OutputReport],
    /// Records that came when all windows which span them had closed, over all operators.
    pub late: u64,
    /// From asking the sources to being visible.
    pub processing: Duration,
    /// For a batch that was due at a time: how long after that it was visible.
    pub delay: Option<Duration>,
}

/// What a batch read from a source: `records + dead_letters` is what was found in the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceReport {
    /// Records that the program processed.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Records that were set aside: they could not be read, or a function panicked for them.
    pub dead_letters: u64,
    /// Files that cannot be read now.
    pub unreadable_files: u64,
    /// Bytes that are gone and had not been read: of files that were truncated or removed.
    pub lost_bytes: u64,
}

/// What a batch made for an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputReport {
    /// Records.
    pub records: u64,
    /// The first of them as lines of text.
    pub preview: Vec<String>,
}

/// What a job did, in the batches that this process published.
///
/// Each record that was found in the input of these batches was either processed, once, or set aside:
/// `read = records + dead_letters`, of each source and of all. A record of text is a line, one of CSV a row that is
/// not the header, one of JSON a value; empty lines are records of text only.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Batches published.
    pub batches: u64,
    /// The end of the last of them.
    #[serde(skip)]
    pub last: Option<BatchTime>,
    /// Whether it came to the end of its input: it was not told to stop, and does not go on elsewhere.
    #[serde(skip)]
    pub complete: bool,
    /// The first of them: those before it were published by an earlier process of the job.
    pub first_batch: u64,
    /// Records found in the input.
    pub read: u64,
    /// Records processed.
    pub records: u64,
    /// Records set aside.
    pub dead_letters: u64,
    /// Records that event-time windows left out, since those which span them had closed: they are processed ones,
    /// counted once per operator.
    pub late: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Per source.
    pub sources: Vec<SourceCount>,
    /// Per output.
    pub outputs: Vec<OutputCount>,
    /// Seconds from start to end.
    pub elapsed: f64,
    /// Records processed per second.
    pub records_per_second: f64,
    /// How many late tasks were run on another worker too, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speculations: Option<Speculations>,
    /// For a live job: how long after their time batches were visible.
    pub latency: Option<Latency>,
}

/// Second runs of late tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Speculations {
    /// How many there were.
    pub runs: u64,
    /// How many came before the first ones.
    pub won: u64,
}

impl Summary {
    /// A source that brought records of which none could be processed: as a rule its format is another one. Of a live
    /// job, in which a source may just have begun, only where no source brought anything else. A process that went on
    /// with the job of another one does not know what that has processed.
    #[must_use]
    pub fn unprocessed(&self) -> Option<&SourceCount> {
        let in_vain = |source: &&SourceCount| {
            let judged = source.bounded || self.records == 0;
            judged && source.records == 0 && source.dead_letters > 0
        };
        self.sources.iter().find(in_vain).filter(|_| self.first_batch == 1)
    }
}

/// What a job read from a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceCount {
    /// The name of its stream.
    pub name: String,
    /// Records found in the input.
    pub read: u64,
    /// Records processed.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Records set aside: they could not be parsed, or a function panicked for them.
    pub dead_letters: u64,
    /// Files that cannot be read now.
    pub unreadable_files: u64,
    /// Bytes that are gone and had not been read: of files that were truncated or removed.
    pub lost_bytes: u64,
    /// The first of them.
    #[serde(skip)]
    pub first_dead: Option<DeadLetter>,
    /// Whether it ends by itself.
    #[serde(skip)]
    pub bounded: bool,
}

/// What a job published at an output, that of dead letters included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputCount {
    /// The output's name.
    pub name: String,
    /// Records published.
    pub records: u64,
    /// Whether its reader closed it before the job ended: it got nothing from then on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}
