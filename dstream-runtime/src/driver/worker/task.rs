//! One run of a task on some thread, panics included.
//!
//! A task that panics and may set records aside looks for them in the same run: each record is given to its
//! functions alone, and what panics again is left out. Nothing of what was made on the way counts.

use std::sync::Arc;
use std::time::Duration;

use crate::block::BufferPool;
pub(in crate::driver) use crate::exec::catch::catch;
use crate::exec::poison::Poisoned;
use crate::exec::stage::RunStage;
use crate::exec::state::State;
use crate::exec::tail::ReadingSplit;
use crate::exec::task::{Made, OutputSetting, SavedState, TaskContext, TaskError};
use crate::host;
use crate::id::{Attempt, StageId, TaskId};
use crate::source::{Input, Reach};
use crate::store::{BlockStore, KeptBlock};
use crate::time::BatchTime;

/// What is the same for all tasks of a job.
pub(in crate::driver) struct Kernels {
    pub(in crate::driver) stages: Vec<Arc<dyn RunStage>>,
    pub(in crate::driver) outputs: Vec<OutputSetting>,
    /// Where blocks get their buffers.
    pub(in crate::driver) buffers: BufferPool,
    /// Where blocks are kept.
    pub(in crate::driver) blocks: BlockStore,
    pub(in crate::driver) partitions: u32,
}

impl Kernels {
    /// The state that was saved, all of it and then what had changed each time; none if nothing was.
    ///
    /// # Errors
    /// When it is not of this stage's types, or a function of the stage panics.
    pub(in crate::driver) fn load(
        &self,
        stage: StageId,
        mut chain: Vec<SavedState>,
    ) -> Result<Option<State>, TaskError> {
        for (_, block) in chain.iter_mut().flat_map(|saved| &mut saved.parts) {
            *block = self.blocks.keep(block.clone());
        }
        caught(|| self.stages[stage.index()].load(&chain))
    }
}

/// A task and all it needs. It owns its partition's state until it has run.
pub(in crate::driver) struct Work {
    pub(in crate::driver) task: TaskId,
    pub(in crate::driver) attempt: Attempt,
    pub(in crate::driver) time: BatchTime,
    pub(in crate::driver) reach: Arc<[Reach]>,
    pub(in crate::driver) emits: bool,
    pub(in crate::driver) inputs: Vec<Vec<KeptBlock>>,
    pub(in crate::driver) source: Option<Input>,
    pub(in crate::driver) state: Option<State>,
}

impl Work {
    /// Whether it reads nothing but its state.
    pub(in crate::driver) fn reads_nothing(&self) -> bool {
        let ranges = self.source.as_ref().map_or(&[][..], |source| &source.ranges);
        ranges.is_empty() && self.inputs.iter().all(Vec::is_empty)
    }
}

/// A task that has run, or has failed and left the state as it was.
pub(in crate::driver) struct Ran {
    pub(in crate::driver) task: TaskId,
    pub(in crate::driver) attempt: Attempt,
    pub(in crate::driver) emits: bool,
    pub(in crate::driver) read_nothing: bool,
    pub(in crate::driver) state: Option<State>,
    pub(in crate::driver) result: Result<Made, TaskError>,
    pub(in crate::driver) took: Duration,
    /// For how long of that it had a processor.
    pub(in crate::driver) busy: Duration,
}

/// Runs a task.
pub(in crate::driver) fn run(kernels: &Kernels, work: Work) -> Ran {
    let (start, busy) = (host::now(), host::busy());
    let read_nothing = work.reads_nothing();
    let Work { task, attempt, time, reach, emits, inputs, source, mut state } = work;
    let mut context = TaskContext {
        task,
        time,
        partitions: kernels.partitions,
        emits,
        inputs: &inputs,
        source: source.as_ref(),
        reading: ReadingSplit::default(),
        reach: &reach,
        buffers: &kernels.buffers,
        outputs: &kernels.outputs,
        poisoned: Poisoned::default(),
        made: Made::default(),
    };
    let stage = kernels.stages[task.stage.index()].as_ref();
    let mut result = caught(|| stage.run(&mut context, &mut state));
    if let Err(TaskError::Panic(panic)) = &result {
        match caught(|| stage.sift(&context)) {
            // The source stops for such a record, or no record panics alone: the task failed as a whole.
            Ok(poisoned) if poisoned.is_empty() => {
                result = Err(TaskError::Panic(poisoned.explain(panic.clone())));
            }
            Ok(poisoned) => {
                context.poisoned = poisoned;
                context.made = Made::default();
                result = caught(|| stage.run(&mut context, &mut state));
            }
            Err(error) => result = Err(error),
        }
    }
    let took = host::since(start);
    let busy = host::busy().saturating_sub(busy).min(took);
    Ran { task, attempt, emits, read_nothing, state, result, took, busy }
}

fn caught<T>(f: impl FnOnce() -> Result<T, TaskError>) -> Result<T, TaskError> {
    catch(f).unwrap_or_else(|panic| Err(TaskError::Panic(panic)))
}
