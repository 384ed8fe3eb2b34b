//! A job, built: stages with their types erased, and what it wants to read and write.
//!
//! Generated code calls a [`Builder`] once per process and stage, in topological order. The types of
//! a stage follow from those of the stages before it, so the whole program is inferred by rustc inside
//! one function, from closures without annotations.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use super::flow::Times;
use super::head::{Marked, SourceHead, Watermark};
use super::stage::{Head, RunStage, Stage};
use super::state::StageName;
use super::tail::{Output, Slot, Tails};
use crate::connectors::Connectors;
use crate::id::{OutputId, SourceId, StageId};
use crate::plan::Plan;
use crate::record::{Format, Record, Schema};
use crate::sink::{BatchFunction, BatchPart, BatchRows, FUNCTION, Outcome};
use crate::source::{self, Check, Decode};

/// Values used again by the next task instead of being made anew.
pub(crate) struct Pool<T>(Mutex<Vec<Box<T>>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T: Default> Pool<T> {
    /// How many are kept: more than the cores of a machine, so that none is dropped in a busy stage.
    const KEPT: usize = 64;

    pub(crate) fn take(&self) -> Box<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, value: Box<T>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT {
            kept.push(value);
        }
    }
}

/// A job's stages and what it wants to read and write.
#[derive(Clone)]
pub struct BuiltJob {
    /// Its plan.
    pub plan: &'static Plan,
    /// One per stage of the plan.
    pub stages: Vec<Arc<dyn RunStage>>,
    /// One per source of the plan.
    pub sources: Vec<SourceSpec>,
    /// One per output of the plan.
    pub outputs: Vec<OutputSpec>,
    /// What opens them.
    pub connectors: &'static Connectors,
}

/// A source as the program declares it.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Where it reads, unless `--source` says otherwise.
    pub url: String,
    /// How its records are written.
    pub format: Format,
    /// The shape of its records.
    pub schema: Schema,
    /// What says of records whether they can be read.
    pub check: Check,
}

/// An output as the program declares it.
#[derive(Debug, Clone)]
pub struct OutputSpec {
    /// Where it writes, unless `--sink` says otherwise.
    pub url: String,
    /// The shape of its records.
    pub schema: Schema,
    /// The function of the program that takes its batches, if the URL is [`FUNCTION`].
    pub function: Option<BatchFunction>,
}

/// Where a program says that a source reads or an output writes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no URL",
    label = "a URL is text",
    note = "write it out, or take it from a parameter: `&params.input`"
)]
pub trait Url {
    /// As text of its own.
    fn text(self) -> String;
}

#[diagnostic::do_not_recommend]
impl<T: Into<String>> Url for T {
    fn text(self) -> String {
        self.into()
    }
}

/// Builds a [`BuiltJob`]. Only generated code calls it.
pub struct Builder {
    plan: &'static Plan,
    stages: Vec<Arc<dyn RunStage>>,
    sources: Vec<SourceSpec>,
    outputs: Vec<OutputSpec>,
    bindings: Bindings,
}

/// Which URLs to use instead of those in the program: `--source NAME=URL`, `--sink NAME=URL`.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// By name of the source.
    pub sources: BTreeMap<String, String>,
    /// By name of the output.
    pub sinks: BTreeMap<String, String>,
}

impl Builder {
    /// Begins a job.
    #[must_use]
    pub fn new(plan: &'static Plan, bindings: Bindings) -> Self {
        Self { plan, stages: Vec::new(), sources: Vec::new(), outputs: Vec::new(), bindings }
    }

    /// Ends it.
    #[must_use]
    pub fn finish(self) -> BuiltJob {
        let Self { plan, stages, sources, outputs, .. } = self;
        BuiltJob { plan, stages, sources, outputs, connectors: Connectors::built_in() }
    }

    /// Declares a source.
    pub fn source<D: Decode>(&mut self, id: SourceId, url: impl Url) -> SourceHead<D> {
        let bound =
            self.plan.sources.get(id.index()).and_then(|s| self.bindings.sources.get(s.name));
        let url = bound.cloned().unwrap_or_else(|| url.text());
        let policy = source::policy(&url);
        let (format, schema, check) = (D::FORMAT, D::Record::SCHEMA, Check::of::<D>());
        self.sources.push(SourceSpec { url, format, schema, check });
        SourceHead { policy, decode: PhantomData }
    }

    /// Adds a stage: what it reads, its kernel, and (inferred from the kernel) where its records go.
    pub fn stage<H, T, K>(&mut self, id: StageId, head: H, kernel: K) -> T::Slots
    where
        H: Head,
        T: Tails,
        K: for<'a> Fn(<H::Record as Record>::View<'a>, &mut T) + Send + Sync + 'static,
    {
        debug_assert_eq!(id.index(), self.stages.len());
        let recipes = Arc::new(T::Recipes::default());
        let slots = T::slots(&recipes);
        let name = self.name(id);
        self.stages.push(Arc::new(Stage::<H, K, T> { name, head, kernel, recipes }));
        slots
    }

    /// Makes the watermark of a stage's inputs, each with its slack in milliseconds.
    #[must_use]
    pub fn watermark<const N: usize>(&self, id: StageId, inputs: [(&Times, i64); N]) -> Watermark {
        let row = self.plan.stages.get(id.index());
        let marked = |(at, (_, slack)): (usize, &(&Times, i64))| {
            let input = row.and_then(|row| row.inputs.get(at));
            let sources = input.map(|input| self.plan.sources_of_input(input));
            let stages = input.map_or(&[][..], |input| input.from);
            let by_split =
                stages.iter().all(|(stage, _)| self.plan.stage(*stage).source().is_some());
            let sources = sources.into_iter().flatten().collect();
            Marked { slack: *slack, sources, by_split }
        };
        let inputs = inputs.iter().enumerate().map(marked);
        Watermark { inputs: inputs.collect() }
    }

    /// What errors call a stage.
    fn name(&self, id: StageId) -> StageName {
        let row = self.plan.stages.get(id.index());
        let stream = row.map_or("?", |row| row.state.as_ref().map_or(row.name, |kept| kept.name));
        StageName { id, stream }
    }

    /// Declares an output.
    pub fn output<R: Record>(&mut self, id: OutputId, slot: Slot<Output<R>>, url: impl Url) {
        let url = url.text();
        self.declare(id, slot, OutputSpec { url, schema: R::SCHEMA, function: None });
    }

    /// Declares an output of records with windows, which are written before them.
    pub fn output_of_windows<R: Record>(
        &mut self,
        id: OutputId,
        slot: Slot<Output<R>>,
        url: impl Url,
    ) {
        slot.show_windows();
        self.output(id, slot, url);
    }

    /// Declares an output to a function.
    pub fn foreach_batch<R, F, O>(&mut self, id: OutputId, slot: Slot<Output<R>>, function: F)
    where
        R: Record,
        F: Fn(&BatchPart, BatchRows<'_, R>) -> O + Send + Sync + 'static,
        O: Outcome,
    {
        let function = Some(BatchFunction::new(function));
        let url = FUNCTION.to_owned();
        self.declare(id, slot, OutputSpec { url, schema: R::SCHEMA, function });
    }

    fn declare<R: Record>(&mut self, id: OutputId, slot: Slot<Output<R>>, mut spec: OutputSpec) {
        slot.bind(id);
        let bound = self.plan.outputs.get(id.index()).and_then(|o| self.bindings.sinks.get(o.name));
        if let Some(url) = bound {
            spec.url.clone_from(url);
        }
        if self.outputs.len() <= id.index() {
            let none = OutputSpec { url: String::new(), schema: R::SCHEMA, function: None };
            self.outputs.resize(id.index() + 1, none);
        }
        self.outputs[id.index()] = spec;
    }
}
