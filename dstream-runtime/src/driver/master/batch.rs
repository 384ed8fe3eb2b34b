//! What is known of a batch in flight beyond the core's decisions: inputs, parts, counts.

use std::sync::Arc;
use std::time::Instant;

use super::dead;
use super::print;
use super::publish::Publication;
use crate::driver::report::{OutputReport, SourceReport};
use crate::driver::worker::Leaving;
use crate::exec::task::{DeadLetters, OutputSetting};
use crate::host;
use crate::id::{BatchSeq, Partition, SourceId, TaskId};
use crate::plan::Plan;
use crate::sink::{Batch, Part};
use crate::source::{Input, Range};
use crate::time::BatchTime;

/// A batch from its cut to its publication.
pub(super) struct InFlight {
    pub(super) seq: BatchSeq,
    pub(super) time: BatchTime,
    /// When the sources were asked.
    pub(super) asked: Instant,
    /// Per source.
    pub(super) inputs: Vec<Vec<Input>>,
    /// Per source.
    pub(super) reads: Vec<SourceReport>,
    /// Late records.
    pub(super) late: u64,
    /// Per output.
    pub(super) outputs: Vec<Made>,
    /// What could not be read.
    pub(super) dead: Vec<(SourceId, Partition, DeadLetters)>,
}

/// What was made for an output.
#[derive(Default)]
pub(super) struct Made {
    pub(super) parts: Vec<Part>,
    pub(super) previews: Vec<(Partition, Vec<u8>)>,
    /// Nothing is made for it any more.
    is_complete: bool,
}

impl InFlight {
    pub(super) fn new(plan: &Plan, seq: BatchSeq, time: BatchTime) -> Self {
        Self {
            seq,
            time,
            asked: host::now(),
            inputs: vec![Vec::new(); plan.sources.len()],
            reads: vec![SourceReport::default(); plan.sources.len()],
            late: 0,
            outputs: plan.outputs.iter().map(|_| Made::default()).collect(),
            dead: Vec::new(),
        }
    }

    /// Takes what left the job with a task that is done.
    pub(super) fn take(&mut self, task: TaskId, leaving: Leaving) {
        for (output, part, preview) in leaving.parts {
            let Some(made) = self.outputs.get_mut(output.index()) else {
                continue;
            };
            if !preview.is_empty() {
                made.previews.push((task.partition, preview));
            }
            if part.records > 0 {
                made.parts.push(part);
            }
        }
        if let Some((source, dead)) = leaving.dead {
            self.dead.push((source, task.partition, dead));
        }
    }

    /// All sources have ended with an earlier batch: leaves out the outputs that were complete before this one.
    pub(super) fn ended(&mut self, plan: &'static Plan, ended: BatchSeq) {
        for (row, made) in plan.outputs.iter().zip(&mut self.outputs) {
            if self.seq > ended.max(plan.completes(row.stage, ended)) {
                *made = Made { is_complete: true, ..Made::default() };
            }
        }
    }

    /// What was made, in numbers and first lines. To be called before [`InFlight::publication`].
    pub(super) fn reports(&mut self, lines: u32) -> Vec<OutputReport> {
        let report = |made: &mut Made| {
            made.previews.sort_by_key(|(partition, _)| *partition);
            let texts = made.previews.iter().map(|(_, text)| String::from_utf8_lossy(text));
            let preview =
                texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
            OutputReport {
                records: made.parts.iter().map(|part| part.records).sum(),
                preview: preview.take(lines as usize).collect(),
            }
        };
        self.outputs.iter_mut().map(report).collect()
    }

    /// What the sinks are given: only outputs whose stage emits in this batch, and dead letters
    /// where there are some. `dead_sinks` has per source the sink of its dead letters.
    pub(super) fn publication(
        &mut self,
        plan: &'static Plan,
        outputs: &[OutputSetting],
        dead_sinks: &[Option<usize>],
    ) -> Publication {
        let inputs = self.lineage(plan);
        let batch =
            |parts| Batch { time: self.time, parts, inputs: inputs.clone(), plan: plan.hash };
        let mut batches = Vec::with_capacity(plan.outputs.len());
        for (index, (row, made)) in plan.outputs.iter().zip(&mut self.outputs).enumerate() {
            if made.is_complete || !plan.stage(row.stage).emits_in(self.seq) {
                continue;
            }
            let mut parts = std::mem::take(&mut made.parts);
            parts.sort_by_key(|part| part.partition);
            if let Some(limit) = outputs[index].limit {
                parts = print::first(parts, limit, outputs[index].format);
            }
            batches.push((index, batch(parts)));
        }
        for (source, sink) in dead_sinks.iter().enumerate() {
            let letters = self.dead.iter().filter(|(of, ..)| of.index() == source);
            let parts: Vec<Part> =
                letters.map(|(_, partition, dead)| dead::part(*partition, &dead.first)).collect();
            if let (Some(sink), false) = (sink, parts.is_empty()) {
                batches.push((*sink, batch(parts)));
            }
        }
        Publication { seq: self.seq, batches }
    }

    fn lineage(&self, plan: &Plan) -> Arc<[(String, Range)]> {
        let named = |(source, inputs): (usize, &Vec<Input>)| {
            let name = plan.sources[source].name;
            let ranges = inputs.iter().flat_map(|input| &input.ranges);
            ranges.map(|range| (name.to_owned(), range.clone())).collect::<Vec<_>>()
        };
        self.inputs.iter().enumerate().flat_map(named).collect()
    }
}
