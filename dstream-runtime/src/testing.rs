//! Jobs under test: explicit batches in, the published records of each output per batch out.
//!
//! A [`Run`] is the whole engine with sources and sinks in memory and a clock that counts batches: batch n
//! ends n intervals after zero. Nothing waits, so tests are as fast as their tasks. Blocks between stages
//! are decoded as if another process had sent them.
//!
//! ```ignore
//! let done = Run::new(word_count)
//!     .input("lines", [vec!["a b", "a"], vec![], vec!["b"]])
//!     .partitions(4)
//!     .restart_after(2)
//!     .run()?;
//! assert_eq!(done.sorted::<(String, u64)>("counts", 1)?, [("a".into(), 2), ("b".into(), 1)]);
//! ```

mod travel;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use clap::{Args, FromArgMatches};

use crate::driver::local::{Kept, run_kept};
use crate::driver::{BatchReport, JobError, LocalConfig, Observer, StopHandle};
use crate::durable::Durable;
use crate::exec::job::{Bindings, BuiltJob, SourceSpec};
use crate::exec::task::DeadLetter;
use crate::id::BatchSeq;
use crate::job::{Job, build};
use crate::plan::Plan;
use crate::record::{AsRecord, Floats, Format, Record, write_csv, write_json, write_text};
use crate::sink::{MemorySink, Part, Published, Sink};
use crate::source::{MemorySource, Source};
use crate::store::StoreOptions;
use crate::time::Timetable;

/// Why a run or a query of its results failed.
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
        /// The known names.
        known: String,
    },
    /// A parameter has no default, and no parameters were given.
    #[error("the job's parameters have no defaults; give them with `.params(…)`: {0}")]
    Params(String),
    /// The published records are not of the type asked for.
    #[error("output `{output}`, batch {batch}: {line:?} is no {wanted}: {why}")]
    Type {
        /// The output.
        output: String,
        /// The batch.
        batch: u64,
        /// The published record, as JSON.
        line: String,
        /// The record type.
        wanted: String,
        /// The parser's error.
        why: String,
    },
}

/// Batches of a source, written in its format.
type Batches = Box<dyn Fn(Format) -> Vec<Vec<u8>>>;

/// A job on explicit input. See the [module](self).
pub struct Run<J: Job> {
    job: J,
    params: Option<J::Params>,
    inputs: BTreeMap<String, Batches>,
    batches: u64,
    partitions: u32,
    threads: u32,
    memory: u64,
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
            memory: StoreOptions::MEMORY,
            restarts: BTreeSet::new(),
        }
    }

    /// The job's parameters; defaults otherwise.
    #[must_use]
    pub fn params(mut self, params: J::Params) -> Self {
        self.params = Some(params);
        self
    }

    /// The records of a source in batch 1, 2, …; empty batches bring no data.
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
                        Format::Json => {
                            // Strings are always valid.
                            let view = record.view();
                            let _ = write_json::<T::Record>(view, Floats::Strings, &mut bytes);
                        }
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

    /// The same as raw bytes with line breaks: for malformed input.
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

    /// Runs at least this many batches; those past the end of the input are empty.
    #[must_use]
    pub fn batches(mut self, batches: u64) -> Self {
        self.batches = batches;
        self
    }

    /// Partitions per dataset.
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

    /// Bytes of blocks in memory; the rest spills to files.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Ends the engine after batch n and continues in a new one, from the journal and the saved states. Can be called
    /// several times.
    #[must_use]
    pub fn restart_after(mut self, batch: u64) -> Self {
        self.restarts.insert(batch);
        self
    }

    /// Runs the job to the end of its input.
    ///
    /// # Errors
    /// When the job fails, or has no source of a name given to `input`.
    pub fn run(self) -> Result<Done, Error> {
        let params = match self.params {
            Some(params) => params,
            None => default_params::<J>()?,
        };
        let job = travel::travelling(build(self.job, params, Bindings::default()));
        let names: Vec<_> = job.plan.sources.iter().map(|s| s.name).collect();
        if let Some(name) = self.inputs.keys().find(|name| !names.contains(&name.as_str())) {
            return Err(unknown("source", name, &names));
        }
        let encode = |(name, spec): (&&str, &SourceSpec)| {
            self.inputs.get(*name).map_or_else(Vec::new, |batches| batches(spec.format))
        };
        let inputs: Vec<Vec<Vec<u8>>> = names.iter().zip(&job.sources).map(encode).collect();
        let longest = inputs.iter().map(|batches| batches.len() as u64).max().unwrap_or(0);
        let total = longest.max(self.batches);

        let padded = |batches: Vec<Vec<u8>>| -> Vec<Arc<Vec<u8>>> {
            let empty = std::iter::repeat_with(Vec::new);
            batches.into_iter().chain(empty).take(total as usize).map(Arc::new).collect()
        };
        let inputs: Vec<_> = inputs.into_iter().map(padded).collect();

        let mut done = Done::new(job.plan, total);
        let store = Durable::volatile();
        let restarts: Vec<u64> = self.restarts.range(1..total.max(1)).copied().collect();
        let every = Duration::from_millis(job.plan.interval_ms);
        let kept = |until| Kept { store: store.clone(), every, until };
        let ends = restarts.iter().map(|end| Some(BatchSeq(*end))).chain([None]);
        for until in ends {
            let config = LocalConfig {
                partitions: self.partitions,
                cores: self.threads as usize,
                memory: self.memory,
                ..LocalConfig::default()
            };
            // A job that nothing goes on from keeps nothing.
            let kept = (!restarts.is_empty()).then(|| kept(until));
            done.run_part(&job, config, kept, &inputs)?;
        }
        Ok(done)
    }
}

/// The default parameters of the command line.
fn default_params<J: Job>() -> Result<J::Params, Error> {
    let command = J::Params::augment_args(clap::Command::new("test"));
    let matches = command.try_get_matches_from(["test"]);
    matches
        .and_then(|matches| J::Params::from_arg_matches(&matches))
        .map_err(|error| Error::Params(error.to_string()))
}

fn unknown(what: &'static str, name: &str, known: &[&str]) -> Error {
    Error::Unknown { what, name: name.to_owned(), known: known.join(", ") }
}

/// The results of a run.
pub struct Done {
    plan: &'static Plan,
    timetable: Timetable,
    batches: u64,
    published: Published,
    seen: Seen,
}

/// Dead letters by source, and how many records were late.
#[derive(Default)]
struct Seen {
    letters: BTreeMap<String, Vec<DeadLetter>>,
    late: u64,
}

impl Observer for Seen {
    fn on_batch(&mut self, report: &BatchReport<'_>) {
        self.late += report.late;
    }

    fn on_dead_letters(&mut self, source: &str, letters: &[DeadLetter]) {
        self.letters.entry(source.to_owned()).or_default().extend_from_slice(letters);
    }
}

impl Done {
    fn new(plan: &'static Plan, batches: u64) -> Self {
        Self {
            plan,
            timetable: Timetable::new(0, plan.interval_ms),
            batches,
            published: Published::default(),
            seen: Seen::default(),
        }
    }

    /// Runs some batches in their own engine, which goes on from what is kept.
    fn run_part(
        &mut self,
        job: &BuiltJob,
        config: LocalConfig,
        kept: Option<Kept>,
        inputs: &[Vec<Arc<Vec<u8>>>],
    ) -> Result<(), Error> {
        let sources = inputs.iter().zip(&job.sources).map(|(batches, spec)| {
            Box::new(MemorySource::shared(batches).format(spec.format).ends(true))
                as Box<dyn Source>
        });
        let sinks = self.plan.outputs.iter().map(|output| {
            let published = Arc::clone(&self.published);
            Box::new(MemorySink::new(output.name, Format::Json, published)) as Box<dyn Sink>
        });
        let (sources, sinks) = (sources.collect(), sinks.collect());
        let stop = StopHandle::new();
        run_kept(job, config, kept, sources, sinks, &mut self.seen, &stop)?;
        Ok(())
    }

    /// The job's plan.
    #[must_use]
    pub fn plan(&self) -> &'static Plan {
        self.plan
    }

    /// How many records came when all event-time windows which span them had closed, over all operators.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.seen.late
    }

    /// The number of batches run.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// The lines of JSON that an output published in batch n, in order of partitions; empty if it published
    /// nothing.
    ///
    /// # Errors
    /// When the job has no such output.
    pub fn lines(&self, output: &str, batch: u64) -> Result<Vec<String>, Error> {
        let names: Vec<_> = self.plan.outputs.iter().map(|o| o.name).collect();
        if !names.contains(&output) {
            return Err(unknown("output", output, &names));
        }
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (output.to_owned(), self.timetable.end(BatchSeq(batch)));
        let parts = published.get(&key).map_or(&[][..], Vec::as_slice);
        let text = |part: &Part| String::from_utf8_lossy(&part.bytes).into_owned();
        Ok(parts.iter().flat_map(|part| lines(&text(part))).collect())
    }

    /// The records that an output published in batch n, in order of partitions.
    ///
    /// # Errors
    /// When the job has no such output, or its records are of another type.
    pub fn records<R: Record>(&self, output: &str, batch: u64) -> Result<Vec<R>, Error> {
        let parse = |line: &String| {
            let read = || serde_json::from_str::<R::Draft<'_>>(line);
            let draft = Floats::Strings.reading(read);
            draft.map(|draft| R::own(R::view_draft(&draft))).map_err(|why| Error::Type {
                output: output.to_owned(),
                batch,
                line: line.clone(),
                wanted: R::SCHEMA.to_string(),
                why: why.to_string(),
            })
        };
        self.lines(output, batch)?.iter().map(parse).collect()
    }

    /// The same, sorted: independent of partitions.
    ///
    /// # Errors
    /// When the job has no such output, or its records are of another type.
    pub fn sorted<R: Record>(&self, output: &str, batch: u64) -> Result<Vec<R>, Error> {
        let mut records = self.records::<R>(output, batch)?;
        records.sort_by(|a, b| R::compare(a.view(), b.view()));
        Ok(records)
    }

    /// The dead letters of a source.
    ///
    /// # Errors
    /// When the job has no such source.
    pub fn dead_letters(&self, source: &str) -> Result<&[DeadLetter], Error> {
        let names: Vec<_> = self.plan.sources.iter().map(|s| s.name).collect();
        if !names.contains(&source) {
            return Err(unknown("source", source, &names));
        }
        Ok(self.seen.letters.get(source).map_or(&[], Vec::as_slice))
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
