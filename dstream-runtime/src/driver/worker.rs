//! What a worker does in whatever process: its core, the blocks and state of its partitions, and the
//! tasks that run on them.
//!
//! The half of a driver that knows nothing of batches as a whole, of other processes and of time. Its
//! owner hands it events, polls it until it asks for nothing more, and carries out what it asks for.

mod executor;
mod light;
mod stop;
mod store;
pub(super) mod task;
mod tasks;

#[cfg(test)]
pub(super) use self::tasks::failure;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::Scope;

use crossbeam_channel::Sender;

pub(super) use self::executor::Queue;
use self::light::Light;
use self::stop::Stops;
use self::store::Store;
use self::task::{Kernels, Ran, Work};
use super::Event;
use super::error::JobError;
use crate::exec::state::State;
use crate::exec::task::{DeadLetters, SavedState, TaskError};
use crate::host::Host;
use crate::id::{
    BatchSeq, Epoch, OutputId, Partition, SourceId, StageId, TailId, TaskId, WorkerId,
};
use crate::plan::Plan;
use crate::sched::message::{Saved, ToMaster, ToPeer, ToWorker};
use crate::sched::worker::RunTask;
use crate::sched::{Retention, WorkerAction, WorkerCore, WorkerEvent};
use crate::sink::Part;
use crate::store::{KeptBlock, Pressure};

/// What a worker asks of its owner.
pub(super) enum Asks {
    /// A task that reads a source is ready: [`Worker::start`] it with its input.
    Read(RunTask),
    /// Tell the master; with what a task that is done made for the outside.
    Report(ToMaster, Leaving),
    /// Tell another worker, with the blocks that the message names.
    Tell(WorkerId, ToPeer, Vec<Segment>),
    /// Give another worker the state of a partition: [`Worker::give_up`] has it.
    Move { to: WorkerId, epoch: Epoch, stage: StageId, partition: Partition },
    /// Bring a state into safety, as [`Worker::snapshot`] has it now: [`Worker::saved`], or not, answers.
    Save { stage: StageId, partition: Partition, after: BatchSeq, continues: Vec<String> },
    /// Load a state: [`Worker::load`], or not, answers.
    Load { state: Saved, recovery: Epoch },
}

/// A state as it is, or what has changed in it since the last mark but one.
pub(super) struct Snapshot {
    pub(super) state: SavedState,
    pub(super) is_whole: bool,
}

/// A block for a partition of another worker.
pub(super) struct Segment {
    pub(super) tail: TailId,
    pub(super) partition: Partition,
    pub(super) block: KeptBlock,
}

/// What leaves the job with a task that is done.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaving {
    /// Parts of outputs, and their first records as lines of text.
    pub(super) parts: Vec<(OutputId, Part, Vec<u8>)>,
    /// What of its source could not be read.
    pub(super) dead: Option<(SourceId, DeadLetters)>,
}

/// The partitions of one worker.
pub(super) struct Worker<'e> {
    plan: &'static Plan,
    kernels: &'e Kernels,
    queue: &'e Queue,
    core: WorkerCore,
    store: Store<KeptBlock>,
    /// Ready tasks that go to executors, and those that run here.
    heavy: Vec<Work>,
    light: Light,
    /// Tasks that wait until there is room for what they read.
    held: VecDeque<RunTask>,
    /// What leaves with tasks that the core was told of and has not reported yet, in that order.
    leaving: VecDeque<(TaskId, Leaving)>,
    /// Whether tasks that only read may run on another worker too.
    runs_twice: bool,
    stops: Stops,
}

impl<'e> Worker<'e> {
    /// A worker whose first batch will be `first`.
    pub(super) fn new(
        id: WorkerId,
        plan: &'static Plan,
        kernels: &'e Kernels,
        queue: &'e Queue,
        slots: u32,
        retention: Retention,
        first: BatchSeq,
    ) -> Self {
        Self {
            plan,
            kernels,
            queue,
            core: WorkerCore::new(id, plan, kernels.partitions, slots, retention),
            store: Store::new(plan.stages.len(), kernels.partitions, first),
            heavy: Vec::new(),
            light: Light::new(plan.stages.len()),
            held: VecDeque::new(),
            leaving: VecDeque::new(),
            runs_twice: retention == Retention::Released,
            stops: Stops::default(),
        }
    }

    /// The master said something.
    pub(super) fn master_said(&mut self, message: ToWorker) {
        self.core.handle(WorkerEvent::Master(message));
    }

    /// Another worker said something, and the blocks that it named are here.
    pub(super) fn peer_said(&mut self, message: ToPeer, segments: Vec<Segment>) {
        if let ToPeer::Produced { task, .. } = &message {
            self.receive(*task, segments);
        }
        self.core.handle(WorkerEvent::Peer(message));
    }

    /// The state of a partition has come.
    ///
    /// # Errors
    /// When it is not of this stage's types.
    pub(super) fn take_over(
        &mut self,
        epoch: Epoch,
        stage: StageId,
        partition: Partition,
        saved: SavedState,
    ) -> Result<(), TaskError> {
        if !self.core.expects_state(epoch, stage, partition) {
            return Ok(());
        }
        self.restore(stage, partition, saved)?;
        self.core.handle(WorkerEvent::Peer(ToPeer::State { epoch, stage, partition }));
        Ok(())
    }

    /// Puts in place what the job begins with as the state of a partition.
    ///
    /// # Errors
    /// When it is not of this stage's types.
    pub(super) fn restore(
        &mut self,
        stage: StageId,
        partition: Partition,
        saved: SavedState,
    ) -> Result<(), TaskError> {
        *self.store.state(stage, partition) = self.kernels.load(stage, vec![saved])?;
        Ok(())
    }

    /// The state of a partition that another worker takes over.
    ///
    /// # Errors
    /// When it does not fit into blocks.
    pub(super) fn give_up(
        &mut self,
        stage: StageId,
        partition: Partition,
    ) -> Result<SavedState, TaskError> {
        match self.store.state(stage, partition).take() {
            Some(state) => self.kernels.stages[stage.index()].save(&state),
            None => Ok(SavedState::default()),
        }
    }

    /// The state of a partition, which is marked by this; or what has changed in it, if `room` says how many bytes
    /// that may have.
    ///
    /// # Errors
    /// When it does not fit into blocks.
    pub(super) fn snapshot(
        &mut self,
        stage: StageId,
        partition: Partition,
        room: Option<u64>,
    ) -> Result<Snapshot, TaskError> {
        let Some(state) = self.store.state(stage, partition) else {
            return Ok(Snapshot { state: SavedState::default(), is_whole: true });
        };
        let stage = &self.kernels.stages[stage.index()];
        let changes = match room {
            Some(room) => {
                stage.changes(state).map(|changes| changes.filter(|c| c.byte_len() <= room))
            }
            None => Ok(None),
        };
        let snapshot = match changes {
            Ok(Some(state)) => Ok(Snapshot { state, is_whole: false }),
            Ok(None) => stage.save(state).map(|state| Snapshot { state, is_whole: true }),
            Err(error) => Err(error),
        };
        // Whatever becomes of it: the core counts this one.
        let marked = stage.mark(state);
        snapshot.and_then(|snapshot| marked.map(|()| snapshot))
    }

    /// A state is in safety, or could not be brought there.
    pub(super) fn saved(&mut self, saved: Saved, safe: bool) {
        let Saved { stage, partition, after, .. } = saved;
        self.core.handle(match safe {
            true => WorkerEvent::Saved(saved),
            false => WorkerEvent::NotSaved { stage, partition, after },
        });
    }

    /// Puts a state that was loaded in place.
    pub(super) fn load(
        &mut self,
        of: &Saved,
        recovery: Epoch,
        state: Result<Option<State>, String>,
    ) {
        let (stage, partition) = (of.stage, of.partition);
        if !self.core.expects_load(recovery, stage, partition) {
            return;
        }
        self.core.handle(match state {
            Ok(state) => {
                *self.store.state(stage, partition) = state;
                WorkerEvent::Loaded { stage, partition, recovery }
            }
            Err(why) => WorkerEvent::NotLoaded { stage, partition, recovery, why },
        });
    }

    /// A task has run on an executor.
    pub(super) fn ran(&mut self, ran: Ran) {
        self.light.learn(&ran);
        self.keep(ran);
    }

    pub(super) fn begin_turn(&mut self) {
        self.light.begin_turn();
    }

    /// The next thing that the owner must do; what can be done here is done on the way.
    pub(super) fn poll(&mut self) -> Option<Asks> {
        if !self.held.is_empty()
            && let Some(run) =
                self.held.pop_front_if(|run| has_room(self.kernels, &self.store, run))
        {
            return Some(Asks::Read(run));
        }
        loop {
            match self.core.poll()? {
                WorkerAction::Run(run) => {
                    if self.reads_source(run.task) {
                        if self.held.is_empty() && has_room(self.kernels, &self.store, &run) {
                            return Some(Asks::Read(run));
                        }
                        self.held.push_back(run);
                        continue;
                    }
                    self.start(run, None);
                }
                WorkerAction::Cancel { task, attempt } => self.cancel(task, attempt),
                WorkerAction::Report(message) => {
                    let done = match &message {
                        ToMaster::TaskDone { task, .. } => Some(*task),
                        _ => None,
                    };
                    return Some(Asks::Report(message, self.leaving_with(done)));
                }
                WorkerAction::Tell(to, message) => {
                    let segments = self.segments(&message);
                    return Some(Asks::Tell(to, message, segments));
                }
                WorkerAction::SendState { to, epoch, stage, partition } => {
                    return Some(Asks::Move { to, epoch, stage, partition });
                }
                WorkerAction::Save { stage, partition, after, continues } => {
                    return Some(Asks::Save { stage, partition, after, continues });
                }
                WorkerAction::Load { state, recovery } => {
                    return Some(Asks::Load { state, recovery });
                }
                WorkerAction::Discard { stage, partition } => {
                    *self.store.state(stage, partition) = None;
                }
                WorkerAction::Drop { batch, stage } => self.store.drop_stage(batch, stage),
                WorkerAction::Forget { oldest } => self.store.forget(oldest),
            }
        }
    }

    /// Whether tasks wait for room: then the worker is to be polled now and again, whatever happens.
    pub(super) fn waits_for_room(&self) -> bool {
        !self.held.is_empty()
    }

    /// What leaves with a task that is reported now. Tasks that the core did not want to hear of are
    /// not reported: what would have left with them is dropped.
    fn leaving_with(&mut self, done: Option<TaskId>) -> Leaving {
        let Some(done) = done else { return Leaving::default() };
        while let Some((task, leaving)) = self.leaving.pop_front() {
            if task == done {
                return leaving;
            }
        }
        Leaving::default()
    }

    /// Runs one task here, if there is one that may; executors get theirs first, since they can work
    /// while this thread does. Called when there is nothing more to poll; false if there was nothing to
    /// run, and all that remained has gone to executors.
    pub(super) fn run_light(&mut self) -> bool {
        self.queue.push(&mut self.heavy);
        match self.light.next() {
            Some(work) => {
                let ran = task::run(self.kernels, work);
                self.ran(ran);
                true
            }
            None => {
                self.light.rest(&mut self.heavy);
                self.queue.push(&mut self.heavy);
                false
            }
        }
    }
}

/// Whether a task may read its input: not while memory is full and the disk is too, unless it is of the
/// oldest batch, with whose end memory becomes free.
fn has_room(kernels: &Kernels, store: &Store<KeptBlock>, run: &RunTask) -> bool {
    run.task.batch <= store.oldest() || !matches!(kernels.blocks.pressure(), Pressure::Stuck(_))
}

/// Starts the threads that run tasks; they end when the queue is closed, or the receiver of their results is
/// dropped.
///
/// # Errors
/// When there is no thread to be had.
pub(super) fn start_executors<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    cores: usize,
    queue: &'env Queue,
    kernels: &'env Kernels,
    events: &Sender<Event>,
) -> Result<(), JobError> {
    for core in 0..cores.max(1) {
        let (events, host) = (events.clone(), Host::here());
        let serve = move || {
            host.within(|| {
                while let Some(work) = queue.take() {
                    kernels.blocks.make_room();
                    let sent = events.send(Event::Ran(task::run(kernels, work)));
                    queue.done();
                    if sent.is_err() {
                        return;
                    }
                }
            });
        };
        let thread = std::thread::Builder::new().name(format!("dstream-exec-{core}"));
        thread.spawn_scoped(scope, serve).map_err(|error| JobError::Thread {
            what: format!("executor {core}"),
            error: Arc::new(error),
        })?;
    }
    Ok(())
}
