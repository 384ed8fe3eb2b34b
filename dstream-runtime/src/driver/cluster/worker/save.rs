//! Bringing states into safety, and back, on a thread of their own: the engine goes on showing that it lives
//! however large they are and however slow the disk is.

use std::sync::Arc;
use std::thread::Scope;

use crossbeam_channel::{Sender, unbounded};

use super::Driver;
use crate::block::BufferPool;
use crate::driver::Event;
use crate::driver::cluster::WorkerNews;
use crate::driver::error::JobError;
use crate::driver::worker::task::Kernels;
use crate::durable::Saves;
use crate::exec::task::{SavedState, TaskError};
use crate::id::{BatchSeq, Epoch, Partition, StageId};
use crate::sched::message::Saved;

enum Job {
    Write(Saved, SavedState),
    Read(Saved, Epoch),
}

/// A thread that writes and reads states, one after another.
pub(super) struct Saver {
    saves: Saves,
    jobs: Sender<Job>,
    /// Numbers names.
    next: u64,
    /// It was said that states cannot be saved.
    failed: bool,
}

impl Saver {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        saves: Saves,
        kernels: &'env Kernels,
        pool: BufferPool,
        events: Sender<Event>,
    ) -> Result<Self, JobError> {
        let (jobs, waiting) = unbounded();
        let own = saves.clone();
        let read = move |saved: &Saved| {
            let stage = &kernels.stages[saved.stage.index()];
            own.read(saved, &pool, |tag| stage.state_door(tag)).map_err(|error| error.to_string())
        };
        let own = saves.clone();
        let serve = move || {
            for job in waiting {
                let event = match job {
                    Job::Write(saved, state) => {
                        let written = own.write(&saved, &state).map_err(|error| error.to_string());
                        Event::Saved(saved, written)
                    }
                    Job::Read(saved, recovery) => {
                        let state = read(&saved);
                        Event::Loaded(saved, recovery, state)
                    }
                };
                if events.send(event).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("dstream-save".to_owned());
        thread.spawn_scoped(scope, serve).map_err(|error| JobError::Thread {
            what: "saved states".to_owned(),
            error: Arc::new(error),
        })?;
        Ok(Self { saves, jobs, next: 0, failed: false })
    }
}

impl Driver<'_> {
    pub(super) fn save(
        &mut self,
        stage: StageId,
        partition: Partition,
        after: BatchSeq,
        state: Result<SavedState, TaskError>,
    ) {
        let mut saved = Saved { stage, partition, after, object: String::new() };
        let (Some(saver), Ok(state)) = (&mut self.saver, state) else {
            return self.worker.saved(saved, false);
        };
        saver.next += 1;
        let (worker, next) = (self.id.0, saver.next);
        saved.object = format!("s{}-p{}-b{}-w{worker}-{next}", stage.0, partition.0, after.0);
        // The thread ends only when this end of the channel is gone.
        let _ = saver.jobs.send(Job::Write(saved, state));
    }

    /// A state is in safety, or not: then it is tried again with the next one.
    pub(super) fn written(&mut self, saved: Saved, written: Result<(), String>) {
        if let (Err(why), Some(saver)) = (&written, &mut self.saver)
            && !std::mem::replace(&mut saver.failed, true)
        {
            let url = saver.saves.url();
            (self.log)(WorkerNews::Warning(format!(
                "states cannot be saved in {url} ({why}): all workers must reach the master's --state, \
                 or the job waits once too much is kept for a recovery"
            )));
        }
        self.worker.saved(saved, written.is_ok());
    }

    pub(super) fn load(&mut self, state: Saved, recovery: Epoch) {
        match &self.saver {
            // The state that the job began with.
            _ if state.object.is_empty() => {
                self.loaded(&state, recovery, Ok(SavedState::default()));
            }
            // The thread ends only when this end of the channel is gone.
            Some(saver) => drop(saver.jobs.send(Job::Read(state, recovery))),
            None => {
                let why = "this worker was not told where saved states are".to_owned();
                self.loaded(&state, recovery, Err(why));
            }
        }
    }

    /// A state was read, or could not be.
    pub(super) fn loaded(
        &mut self,
        state: &Saved,
        recovery: Epoch,
        loaded: Result<SavedState, String>,
    ) {
        if let Err(why) = &loaded {
            (self.log)(WorkerNews::Warning(format!("a saved state cannot be loaded: {why}")));
        }
        self.worker.load(state, recovery, loaded);
    }
}
