//! What tasks here read from sources: ranges that are read again from where they lie, or data that only
//! the master had and that travels ahead of its task.

use std::collections::BTreeMap;

use crate::client::Offer;
use crate::driver::cluster::arrivals::Arrivals;
use crate::driver::cluster::{ClusterError, JobSetup};
use crate::exec::job::BuiltJob;
use crate::id::{BatchSeq, SourceId, TaskId};
use crate::plan::Plan;
use crate::record::{Format, Schema};
use crate::sched::worker::RunTask;
use crate::source::{self, Carried, Input, OpenOptions, Reread, SourceError};
use crate::store::KeptBlock;

/// Data that only the master had.
enum Load {
    Coming,
    Here(Carried, Vec<KeptBlock>),
    /// By a master of this process.
    Opened(Input),
    Unreadable(SourceError),
}

pub(super) struct Inputs {
    plan: &'static Plan,
    specs: Vec<(String, Format, OpenOptions)>,
    /// Per source, what reads its ranges; why nothing does.
    readers: Vec<Result<Box<dyn Reread>, SourceError>>,
    /// Data that is on its way.
    coming: Arrivals<TaskId, Carried>,
    /// What the master announced.
    carried: BTreeMap<TaskId, Load>,
    /// Tasks that are ready but for that.
    waiting: BTreeMap<TaskId, RunTask>,
}

impl Inputs {
    /// `reads`: whether sources are read here.
    pub(super) fn new(job: &BuiltJob, setup: &JobSetup, reads: bool) -> Self {
        let interval = std::time::Duration::from_millis(setup.interval_ms);
        let spec = |spec: &crate::exec::job::SourceSpec| {
            let header_default = matches!(spec.schema, Schema::Struct { .. });
            let (schema, check) = (Some(spec.schema), Some(spec.check));
            let default = OpenOptions::default();
            let options = OpenOptions { interval, header_default, schema, check, ..default };
            (spec.url.clone(), spec.format, options)
        };
        let specs: Vec<_> = job.sources.iter().map(spec).collect();
        let sources = &job.connectors.sources;
        let read = specs.iter().filter(|_| reads);
        Self {
            plan: job.plan,
            readers: read.map(|(url, format, o)| sources.reread(url, *format, o)).collect(),
            specs,
            coming: Arrivals::default(),
            carried: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Receivers hold no more than this each.
    pub(super) fn receive_within(&mut self, memory: u64) {
        self.specs.iter_mut().for_each(|(.., options)| options.memory = memory);
    }

    /// The sources that clients of the library can append to.
    pub(super) fn offers(&self) -> Result<Vec<Offer>, ClusterError> {
        let mut offers = Vec::new();
        for (row, (url, format, options)) in self.plan.sources.iter().zip(&self.specs) {
            let wrong = |error: SourceError| ClusterError::Setup { why: error.to_string() };
            if source::receive::is_pushed(url).map_err(wrong)? {
                let header = *format == Format::Csv && options.header_default;
                let (stream, source) = (row.name.to_owned(), row.id);
                offers.push(Offer { stream, source, format: *format, header });
            }
        }
        Ok(offers)
    }

    /// Where a source is, how its records are written, and the options for opening it.
    pub(super) fn spec(&self, source: SourceId) -> Option<(&str, Format, &OpenOptions)> {
        self.specs.get(source.index()).map(|(url, format, options)| (&**url, *format, options))
    }

    /// The master says in how many blocks the input of a task travels. Returns the task if it waited for just that.
    pub(super) fn announced(
        &mut self,
        task: TaskId,
        carried: Carried,
        pieces: u32,
    ) -> Option<RunTask> {
        self.carried.insert(task, Load::Coming);
        let complete = self.coming.announced(task, carried, pieces);
        self.complete(task, complete)
    }

    /// Some of it has come; the task if it waited for just that.
    pub(super) fn arrived(
        &mut self,
        task: TaskId,
        piece: u32,
        block: KeptBlock,
    ) -> Option<RunTask> {
        let complete = self.coming.arrived(task, piece, block);
        self.complete(task, complete)
    }

    fn complete(
        &mut self,
        task: TaskId,
        complete: Option<(Carried, Vec<KeptBlock>)>,
    ) -> Option<RunTask> {
        let (carried, blocks) = complete?;
        self.carried.insert(task, Load::Here(carried, blocks));
        self.waiting.remove(&task)
    }

    /// The master of this process has opened what a task reads.
    pub(super) fn opened(&mut self, task: TaskId, input: Input) {
        self.carried.insert(task, Load::Opened(input));
    }

    /// The master cannot read what the task reads.
    pub(super) fn unreadable(&mut self, task: TaskId, why: String) {
        let error = SourceError::Data { what: "on the master".to_owned(), why };
        self.carried.insert(task, Load::Unreadable(error));
    }

    /// A task is ready; it is given back unless its input is still on its way.
    pub(super) fn hold(&mut self, run: RunTask) -> Option<RunTask> {
        match self.carried.get(&run.task) {
            Some(Load::Coming) => {
                self.waiting.insert(run.task, run);
                None
            }
            Some(Load::Here(..) | Load::Opened(_) | Load::Unreadable(_)) | None => Some(run),
        }
    }

    /// The input of a task.
    pub(super) fn open(&self, run: &RunTask) -> Result<Input, SourceError> {
        match self.carried.get(&run.task) {
            Some(Load::Here(carried, blocks)) => {
                let blocks = blocks.iter().map(KeptBlock::get).collect::<Result<_, _>>();
                let blocks = blocks.map_err(|error| SourceError::Data {
                    what: format!("what {} reads", run.task),
                    why: format!("it cannot be read back from its file: {error}"),
                })?;
                return Input::from_carried(carried.clone(), blocks);
            }
            Some(Load::Opened(input)) => return Ok(input.clone()),
            Some(Load::Unreadable(error)) => return Err(error.clone()),
            Some(Load::Coming) | None => {}
        }
        let source = self.plan.stage(run.task.stage).source();
        match source.and_then(|source| self.readers.get(source.index())) {
            Some(Ok(reader)) => reader.input(&run.ranges),
            Some(Err(error)) => Err(error.clone()),
            None => Err(SourceError::Data {
                what: run.task.to_string(),
                why: "reads no source of this job".to_owned(),
            }),
        }
    }

    /// Batches before this one are over.
    pub(super) fn forget(&mut self, oldest: BatchSeq) {
        let over = |task: &TaskId| task.batch < oldest;
        self.carried.retain(|task, _| !over(task));
        self.waiting.retain(|task, _| !over(task));
        self.coming.forget(over);
    }
}
