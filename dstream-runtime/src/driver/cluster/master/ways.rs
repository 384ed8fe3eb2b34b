//! Puts sources where an earlier master has stopped, and makes the inputs again that it has cut.
//!
//! Decides what is done about a source that is not any more what was read: that is an error, unless `--skip` says
//! that what cannot be read is given up, or `--accept-source` that another one is meant. What is given up is empty
//! from here on, wherever it is computed again, also by later masters, and is said.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::Block;
use crate::driver::cluster::SourceWays;
use crate::driver::error::JobError;
use crate::driver::master::{AskError, asked, nothing};
use crate::driver::report::Observer;
use crate::id::{BatchSeq, SourceId};
use crate::plan::Plan;
use crate::record::Format;
use crate::sched::Past;
use crate::sink::{Batch, Sink, SinkError};
use crate::source::{Carried, Input, Piece, Range, ReadRange, Source, SourceError};
use crate::time::BatchTime;

/// How many batches are named whose input is given up.
const NAMED: usize = 10;

/// Inputs by batch and source, and which of them are given up: their batches, sources and numbers.
pub(super) type InputsAgain = (BTreeMap<BatchSeq, Vec<Vec<Input>>>, Vec<(BatchSeq, SourceId, u32)>);

/// What is done about sources that are not what they were.
pub(super) struct Ways<'o> {
    pub(super) plan: &'static Plan,
    pub(super) ways: &'o SourceWays,
}

impl Ways<'_> {
    fn skips(&self, source: SourceId) -> bool {
        self.is_in(&self.ways.skip, source)
    }

    fn is_in(&self, names: &[String], source: SourceId) -> bool {
        let name = self.plan.sources[source.index()].name;
        names.iter().any(|given| given == name)
    }

    /// Puts sources where they were.
    pub(super) fn go_on(
        &self,
        past: &Past,
        sources: &mut [Box<dyn Source>],
        observer: &mut dyn Observer,
    ) -> Result<(), JobError> {
        for (id, source) in (0..).map(SourceId).zip(sources) {
            let Some(position) = past.position(id) else { continue };
            source.give_up_unread(self.skips(id) || past.is_skipped(id));
            let resumed = match self.is_in(&self.ways.accept, id) {
                true => asked(|| source.resume_elsewhere(position)),
                false => asked(|| source.resume(position)),
            };
            resumed.map_err(|error| error.of_start(self.plan, id))?;
            // What cannot be read later is another matter than what could not be before.
            source.give_up_unread(self.skips(id));
            let name = self.plan.sources[id.index()].name;
            for warning in source.news().warnings {
                observer.on_warning(&format!("source `{name}`: {warning}"));
            }
        }
        Ok(())
    }

    /// The sources of which what cannot be read is given up.
    pub(super) fn skipped(&self) -> Vec<SourceId> {
        let all = self.plan.sources.iter().map(|row| row.id);
        all.filter(|source| self.skips(*source)).collect()
    }

    /// The inputs of batches that were cut and have to run again, in whole or in part; and which of them are given up
    /// now. Of those that are kept
    /// only in case that a saved state turns out to be damaged, nothing is read: all of them have been checked.
    pub(super) fn inputs_again(
        &self,
        past: &Past,
        sources: &[Box<dyn Source>],
        observer: &mut dyn Observer,
    ) -> Result<InputsAgain, JobError> {
        let oldest = past.oldest();
        let (mut again, mut lost) = (BTreeMap::new(), Vec::new());
        for (seq, batch) in past.batches().filter(|(seq, _)| *seq >= oldest) {
            let mut of_batch = Vec::with_capacity(sources.len());
            for ((id, source), inputs) in (0..).map(SourceId).zip(sources).zip(&batch.inputs) {
                let mut of_source = Vec::with_capacity(inputs.len());
                for (number, ranges) in (0..).zip(inputs) {
                    let input = match ranges.is_empty() {
                        true => Ok(nothing()),
                        false if batch.given_up.contains(&(id, number)) => Ok(given_up(ranges)),
                        false => asked(|| source.input(ranges)),
                    };
                    of_source.push(match input {
                        Err(AskError::Source(error)) if self.skips(id) => {
                            lost.push((seq, id, number));
                            if lost.len() <= NAMED {
                                let time = past.timetable().map(|table| table.end(seq));
                                observer.on_warning(&self.given_up(id, seq, time, ranges, &error));
                            }
                            given_up(ranges)
                        }
                        input => input.map_err(|error| error.of_start(self.plan, id))?,
                    });
                }
                of_batch.push(of_source);
            }
            again.insert(seq, of_batch);
        }
        if let Some(more) = lost.len().checked_sub(NAMED).filter(|more| *more > 0) {
            observer.on_warning(&format!("{more} more inputs are given up for such reasons"));
        }
        Ok((again, lost))
    }

    fn given_up(
        &self,
        source: SourceId,
        batch: BatchSeq,
        time: Option<BatchTime>,
        ranges: &[Range],
        error: &SourceError,
    ) -> String {
        let name = self.plan.sources[source.index()].name;
        let bytes: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let time = time.map(|time| format!(" (of {time})")).unwrap_or_default();
        format!(
            "source `{name}`: {bytes} bytes that were read for {batch}{time} are given up, and are missing in \
             what is computed again from it: {error}"
        )
    }
}

/// Outputs that keep what they have published of batches that are made again without some of their input.
pub(super) fn keep_published(past: Option<&Past>, sinks: Vec<Box<dyn Sink>>) -> Vec<Box<dyn Sink>> {
    let last = past.and_then(|past| Some(past.timetable()?.end(past.fuller()?)));
    match last {
        Some(last) => {
            let keeps = |sink| Box::new(KeepsPublished { sink, last }) as Box<dyn Sink>;
            sinks.into_iter().map(keeps).collect()
        }
        None => sinks,
    }
}

/// An input of which nothing can be read any more.
fn given_up(ranges: &[Range]) -> Input {
    Input { ranges: ranges.to_vec(), data: Arc::new(GivenUp) }
}

struct GivenUp;

impl ReadRange for GivenUp {
    fn read(&self, _: &mut dyn FnMut(Piece<'_>)) -> Result<(), SourceError> {
        Ok(())
    }

    /// Another process must not look for it.
    fn carried(&self) -> Result<Option<(Carried, Vec<Block>)>, SourceError> {
        Ok(Some((Carried::nothing(), Vec::new())))
    }
}

/// An output that may have a batch already, made of more than can be read now. What is visible stays.
struct KeepsPublished {
    sink: Box<dyn Sink>,
    last: BatchTime,
}

impl Sink for KeepsPublished {
    fn format(&self) -> Option<Format> {
        self.sink.format()
    }

    fn publish(&mut self, batch: &Batch) -> Result<(), SinkError> {
        match self.sink.publish(batch) {
            Err(SinkError::Conflict { .. }) if batch.time <= self.last => Ok(()),
            published => published,
        }
    }

    fn place(&self) -> Option<String> {
        self.sink.place()
    }

    fn publishes_empty(&self) -> bool {
        self.sink.publishes_empty()
    }

    fn has_reader(&self) -> bool {
        self.sink.has_reader()
    }

    fn immediate(&self) -> bool {
        self.sink.immediate()
    }
}
