//! Jobs under test: explicit batches in, what each output published per batch out.
//!
//! A [`Run`] is the whole engine with sources and sinks in memory and a clock that only counts
//! batches: batch n ends n intervals after zero. Nothing waits, so tests are as fast as their tasks.
//!
//! ```ignore
//! let done = Run::new(word_count)
//!     .input("lines", [vec!["a b", "a"], vec![], vec!["b"]])
//!     .partitions(4)
//!     .restart_after(2)
//!     .run()?;
//! assert_eq!(done.sorted::<(String, u64)>("counts", 1)?, [("a".into(), 2), ("b".into(), 1)]);
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use crate::driver::{self, BatchReport, JobError, LocalConfig, Observer, Savepoint, StopHandle};
use crate::exec::job::{Bindings, BuiltJob};
use crate::exec::task::DeadLetter;
use crate::id::BatchSeq;
use crate::job::{Job, NoParams, build};
use crate::record::{AsRecord, Format, Record, Schema, write_csv, write_json, write_text};
use crate::sink::{MemorySink, Part, Published, Sink};
use crate::source::{MemorySource, Source};
use crate::time::{BatchTime, Timetable};

/// Why a run failed, or could not be asked what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The job has no stream of that name.
    #[error("the job has no {what} `{name}`; there are: {known}")]
    Unknown {
        /// `source` or `output`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// What was published is not of the type asked for.
    #[error("output `{output}`, batch {batch}: {line:?} is no {wanted}: {why}")]
    Type {
        /// The output.
        output: String,
        /// The batch.
        batch: u64,
        /// What was published, as JSON.
        line: String,
        /// The record type.
        wanted: String,
        /// What the parser says.
        why: String,
    },
}

/// Batches of one source, to be written in the format it reads.
type Batches = Box<dyn Fn(Format) -> Vec<Vec<u8>>>;

/// A job on explicit input. See the [module](self).
pub struct Run<J: Job> {
    job: J,
    params: Option<J::Params>,
    inputs: BTreeMap<String, Batches>,
    batches: u64,
    partitions: u32,
    threads: u32,
    restarts: BTreeSet<u64>,
}

impl<J: Job> Run<J> {
    /// A run of the job, on 4 partitions and 2 threads.
    #[must_use]
    pub fn new(job: J) -> Self {
        Self {
            job,
            params: None,
            inputs: BTreeMap::new(),
            batches: 0,
            partitions: 4,
            threads: 2,
            restarts: BTreeSet::new(),
        }
    }

    /// The job's parameters; without them it runs with their defaults.
    #[must_use]
    pub fn params(mut self, params: J::Params) -> Self {
        self.params = Some(params);
        self
    }

    /// What a source brings in batch 1, 2, …; empty batches are batches without data.
    #[must_use]
    pub fn input<T, B>(mut self, source: &str, batches: impl IntoIterator<Item = B>) -> Self
    where
        T: AsRecord,
        B: IntoIterator<Item = T>,
    {
        let batches: Vec<Vec<T::Record>> = batches
            .into_iter()
            .map(|batch| batch.into_iter().map(T::into_record).collect())
            .collect();
        let encode = move |format| {
            let encode = |records: &Vec<T::Record>| {
                let mut bytes = Vec::new();
                for record in records {
                    match format {
                        Format::Text => write_text::<T::Record>(record.view(), &mut bytes),
                        Format::Csv => write_csv::<T::Record>(record.view(), &mut bytes),
                        Format::Json => write_json::<T::Record>(record.view(), &mut bytes),
                    }
                    bytes.push(b'\n');
                }
                bytes
            };
            batches.iter().map(encode).collect()
        };
        self.inputs.insert(source.to_owned(), Box::new(encode));
        self
    }

    /// The same as raw bytes, line breaks included: for input that is malformed on purpose.
    #[must_use]
    pub fn raw<B: Into<Vec<u8>>>(
        mut self,
        source: &str,
        batches: impl IntoIterator<Item = B>,
    ) -> Self {
        let batches: Vec<Vec<u8>> = batches.into_iter().map(Into::into).collect();
        self.inputs.insert(source.to_owned(), Box::new(move |_| batches.clone()));
        self
    }

    /// Run at least this many batches: those past the end of the input are empty.
    #[must_use]
    pub fn batches(mut self, batches: u64) -> Self {
        self.batches = batches;
        self
    }

    /// Slices of every dataset.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Threads that run tasks.
    #[must_use]
    pub fn threads(mut self, threads: u32) -> Self {
        self.threads = threads;
        self
    }

    /// Stop after batch n, and go on in a new engine from what was saved. May be called several times.
    #[must_use]
    pub fn restart_after(mut self, batch: u64) -> Self {
        self.restarts.insert(batch);
        self
    }

    /// Runs the job to the end of its input.
    ///
    /// # Errors
    /// When the job fails, or has no source of a name that input was given for.
    pub fn run(self) -> Result<Done, Error> {
        let params = match self.params {
            Some(params) => params,
            None => default_params::<J>(),
        };
        let first = build(self.job, params, Bindings::default());
        let known: Vec<_> = first.plan.sources.iter().map(|s| s.name).collect();
        if let Some(name) = self.inputs.keys().find(|name| !known.contains(&name.as_str())) {
            let (name, known) = (name.clone(), known.join(", "));
            return Err(Error::Unknown { what: "source", name, known });
        }
        let encode = |(name, spec): (&&str, &crate::exec::job::SourceSpec)| {
            self.inputs.get(*name).map_or_else(Vec::new, |batches| batches(spec.format))
        };
        let inputs: Vec<Vec<Vec<u8>>> = known.iter().zip(&first.sources).map(encode).collect();
        let longest = inputs.iter().map(|batches| batches.len() as u64).max().unwrap_or(0);
        let total = longest.max(self.batches);

        let mut done = Done::new(&first);
        let timetable = Timetable::new(0, first.plan.interval_ms);
        let (mut job, mut from, mut savepoint) = (Some(first), 0, None);
        let ends = self.restarts.iter().copied().filter(|n| *n < total).chain([total]);
        for end in ends {
            let part = |batches: &Vec<Vec<u8>>| {
                let mut part: Vec<Vec<u8>> = (from..end)
                    .map(|n| batches.get(n as usize).cloned().unwrap_or_default())
                    .collect();
                part.shrink_to_fit();
                part
            };
            let parts: Vec<_> = inputs.iter().map(part).collect();
            let job = match job.take() {
                Some(job) => job,
                None => done.rebuild(),
            };
            let config = LocalConfig {
                partitions: self.partitions,
                cores: self.threads,
                timetable,
                savepoint: true,
                resume: savepoint.take(),
                ..LocalConfig::default()
            };
            savepoint = done.run_part(job, config, parts)?;
            from = end;
        }
        done.batches = total;
        Ok(done)
    }
}
