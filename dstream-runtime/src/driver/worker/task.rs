//! One run of a task on some thread, panics included.
//!
//! A panic of a user's function is the failure of a task, not of a thread: what it said and where it
//! happened are taken from the panic itself, and nothing is printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use crate::block::BufferPool;
use crate::exec::stage::RunStage;
use crate::exec::task::{Made, OutputSetting, Panic, State, TaskContext, TaskError};
use crate::id::{Attempt, TaskId};
use crate::source::Input;
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

/// A task and all it needs. It owns its partition's state until it has run.
pub(in crate::driver) struct Work {
    pub(in crate::driver) task: TaskId,
    pub(in crate::driver) attempt: Attempt,
    pub(in crate::driver) time: BatchTime,
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
}

/// Runs a task.
pub(in crate::driver) fn run(kernels: &Kernels, work: Work) -> Ran {
    let start = Instant::now();
    let read_nothing = work.reads_nothing();
    let Work { task, attempt, time, emits, inputs, source, mut state } = work;
    let mut context = TaskContext {
        task,
        time,
        partitions: kernels.partitions,
        emits,
        inputs: &inputs,
        source: source.as_ref(),
        state: &mut state,
        buffers: &kernels.buffers,
        outputs: &kernels.outputs,
        made: Made::default(),
    };
    let stage = &kernels.stages[task.stage.index()];
    let result =
        catch(|| stage.run(&mut context)).unwrap_or_else(|panic| Err(TaskError::Panic(panic)));
    Ran { task, attempt, emits, read_nothing, state, result, took: start.elapsed() }
}

thread_local! {
    /// Whether this thread's panics are being caught, and the last one.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Calls `f`; a panic in it becomes a value.
pub(in crate::driver) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    install();
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(outer);
    result.map_err(|payload| {
        let caught = CAUGHT.take();
        caught.unwrap_or_else(|| Panic { message: message(payload.as_ref()), at: None })
    })
}

/// Puts a hook in front of the one there is, once per process. Panics that nobody catches here go
/// on to that one.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CATCHING.get() {
                return next(info);
            }
            let at = info.location().map(|at| (at.file().to_owned(), at.line()));
            let panic = Panic { message: message(info.payload()), at };
            CAUGHT.with(|caught| *caught.borrow_mut() = Some(panic));
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value_with_its_place() {
        let number = std::hint::black_box(0u64);
        let caught = catch(|| 1 / number).unwrap_err();
        assert!(caught.message.contains("divide by zero"), "{caught}");
        let (file, line) = caught.at.unwrap();
        assert!(file.ends_with("worker/task.rs"), "{file}");
        assert!(line > 100);
        let formatted = catch(|| panic!("key {}", 7)).unwrap_err();
        assert_eq!(formatted.message, "key 7");
        assert_eq!(catch(|| 5), Ok(5));
    }

    #[test]
    fn a_payload_of_another_type_is_a_panic_too() {
        let caught = catch(|| panic::panic_any(5u8)).unwrap_err();
        assert_eq!(caught.message, "a panic without a message");
    }
}
