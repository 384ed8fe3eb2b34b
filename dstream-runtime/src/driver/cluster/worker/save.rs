//! Bringing states into safety, and back.

use std::sync::Arc;
use std::thread::Scope;

use crossbeam_channel::{Sender, unbounded};

use super::Driver;
use crate::driver::Event;
use crate::driver::cluster::WorkerNews;
use crate::driver::cluster::saves::Saves;
use crate::driver::error::JobError;
use crate::exec::task::{SavedState, TaskError};
use crate::id::{BatchSeq, Epoch, Partition, StageId};
use crate::sched::message::Saved;

/// A thread that writes states, one after another.
pub(super) struct Saver {
    saves: Saves,
    states: Sender<(Saved, SavedState)>,
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
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        saves: Saves,
        events: Sender<Event>,
    ) -> Result<Self, JobError> {
        let (states, waiting) = unbounded::<(Saved, SavedState)>();
        let own = saves.clone();
        let write = move || {
            for (saved, state) in waiting {
                let written = own.write(&saved, &state).map_err(|error| error.to_string());
                if events.send(Event::Saved(saved, written)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("dstream-save".to_owned());
        thread.spawn_scoped(scope, write).map_err(|error| JobError::Thread {
            what: "saved states".to_owned(),
            error: Arc::new(error),
        })?;
        Ok(Self { saves, states, next: 0, failed: false })
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
        let _ = saver.states.send((saved, state));
    }

    /// A state is in safety, or not: then it is tried again with the next one.
    pub(super) fn written(&mut self, saved: Saved, written: Result<(), String>) {
        if let (Err(why), Some(saver)) = (&written, &mut self.saver)
            && !std::mem::replace(&mut saver.failed, true)
        {
            let dir = saver.saves.dir().display();
            (self.log)(WorkerNews::Warning(format!(
                "states cannot be saved in {dir} ({why}): all workers must reach the master's --state \
                 directory, or the job waits once too much is kept for a recovery"
            )));
        }
        self.worker.saved(saved, written.is_ok());
    }

    pub(super) fn load(&mut self, state: &Saved, recovery: Epoch) {
        let stage = &self.kernels.stages[state.stage.index()];
        let loaded = match &self.saver {
            // The state that the job began with.
            _ if state.object.is_empty() => Ok(SavedState::default()),
            Some(saver) => saver
                .saves
                .read(state, &self.pool, |tag| stage.state_door(tag))
                .map_err(|error| error.to_string()),
            None => Err("this worker was not told where saved states are".to_owned()),
        };
        if let Err(why) = &loaded {
            (self.log)(WorkerNews::Warning(format!("a saved state cannot be loaded: {why}")));
        }
        self.worker.load(state, recovery, loaded);
    }
}
