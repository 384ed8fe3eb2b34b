//! Bringing states into safety, and back, on a thread of their own: the engine goes on showing that it lives
//! however large they are and however slow the disk is.
//!
//! What the core has a state continue is followed up to the point where all that has changed since all of it was
//! written is as much as that: from there on all of it is cheaper to read, so all of it is written again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::Scope;

use crossbeam_channel::Sender;

use super::Driver;
use crate::block::BufferPool;
use crate::driver::Event;
use crate::driver::cluster::WorkerNews;
use crate::driver::cluster::note::WorkerNote;
use crate::driver::error::JobError;
use crate::driver::worker::task::Kernels;
use crate::durable::{ChainLink, CheckpointError, CheckpointStore, DurableError, LoadedChain};
use crate::exec::state::State;
use crate::exec::task::SavedState;
use crate::host::{self, JobSender};
use crate::id::{BatchSeq, Epoch, Partition, StageId};
use crate::sched::message::Saved;

/// How many saves or loads of a state are remembered: the core has it continue the last but one.
const TIPS: usize = 2;

enum Job {
    /// The last object of a state, which continues that one.
    Write(Saved, SavedState, Option<Tip>),
    Read(Saved, Epoch),
}

/// The last object of a saved state, as far as the next one must know it.
#[derive(Debug, Clone)]
pub(in crate::driver) struct Tip {
    object: String,
    link: ChainLink,
    /// Bytes of all of the state, as it was written first.
    whole: u64,
    /// Bytes of what has changed since.
    changes: u64,
}

/// A state that was loaded.
pub(in crate::driver) struct Loaded {
    state: Option<State>,
    /// None for the state that the job began with.
    tip: Option<Tip>,
}

/// A thread that writes and reads states, one after another.
pub(super) struct Saver {
    saves: CheckpointStore,
    jobs: JobSender<Job>,
    /// Of each state here the last ones, oldest first.
    tips: BTreeMap<(StageId, Partition), VecDeque<Tip>>,
    /// Numbers names.
    next: u64,
    /// It was said that states cannot be saved.
    failed: bool,
    /// This process can save nothing any more.
    lost: Option<DurableError>,
}

impl Saver {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        saves: CheckpointStore,
        kernels: &'env Kernels,
        pool: BufferPool,
        events: Sender<Event>,
    ) -> Result<Self, JobError> {
        let (jobs, waiting) = host::channel();
        let own = saves.clone();
        let serve = move || {
            for job in waiting {
                let event = match job {
                    Job::Write(saved, state, before) => {
                        let written = write(&own, &saved, &state, before);
                        Event::Saved(saved, written)
                    }
                    Job::Read(saved, recovery) => {
                        let loaded = read(&own, &saved, kernels, &pool);
                        Event::Loaded(saved, recovery, loaded)
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
        Ok(Self { saves, jobs, tips: BTreeMap::new(), next: 0, failed: false, lost: None })
    }

    /// What is known of an object that a state may continue.
    fn tip(&self, state: (StageId, Partition), object: Option<&String>) -> Option<Tip> {
        let mut tips = self.tips.get(&state)?.iter();
        tips.find(|tip| Some(&tip.object) == object).cloned()
    }

    fn remember(&mut self, state: (StageId, Partition), tip: Tip) {
        let tips = self.tips.entry(state).or_default();
        tips.push_back(tip);
        if tips.len() > TIPS {
            tips.pop_front();
        }
    }
}

fn write(
    saves: &CheckpointStore,
    saved: &Saved,
    state: &SavedState,
    before: Option<Tip>,
) -> Result<Tip, CheckpointError> {
    let link = saves.write(saved, state, before.as_ref().map(|tip| tip.link))?;
    let (object, bytes) = (saved.objects.last().cloned().unwrap_or_default(), state.byte_len());
    Ok(match before {
        Some(tip) => Tip { object, link, changes: tip.changes + bytes, ..tip },
        None => Tip { object, link, whole: bytes, changes: 0 },
    })
}

fn read(
    saves: &CheckpointStore,
    saved: &Saved,
    kernels: &Kernels,
    pool: &BufferPool,
) -> Result<Loaded, String> {
    let stage = &kernels.stages[saved.stage.index()];
    let read = saves.read(saved, pool, |tag| stage.state_door(tag));
    let LoadedChain { chain, link } = read.map_err(|error| error.to_string())?;
    let mut bytes = chain.iter().map(SavedState::byte_len);
    let (whole, changes) = (bytes.next().unwrap_or_default(), bytes.sum());
    let object = saved.objects.last().cloned().unwrap_or_default();
    let state = kernels.load(saved.stage, chain).map_err(|error| error.to_string())?;
    let marked = |mut state| stage.mark(&mut state).map(|()| state);
    let state = state.map(marked).transpose().map_err(|error| error.to_string())?;
    let tip = Some(Tip { object, link, whole, changes });
    Ok(Loaded { state, tip })
}

impl Driver<'_> {
    /// CheckpointStore a state; what has changed in it, if it may continue these objects and that is worth while.
    pub(super) fn save(
        &mut self,
        stage: StageId,
        partition: Partition,
        after: BatchSeq,
        continues: Vec<String>,
    ) {
        let mut saved = Saved { stage, partition, after, objects: Vec::new() };
        let Some(saver) = &mut self.saver else {
            return self.worker.saved(saved, false);
        };
        let tip = saver.tip((stage, partition), continues.last());
        let room = tip.as_ref().map(|tip| tip.whole.saturating_sub(tip.changes));
        let Ok(snapshot) = self.worker.snapshot(stage, partition, room) else {
            return self.worker.saved(saved, false);
        };
        saver.next += 1;
        let (worker, next) = (self.id.0, saver.next);
        let mut name = format!("s{}-p{}-b{}-w{worker}-{next}", stage.0, partition.0, after.0);
        let before = tip.filter(|_| !snapshot.is_whole);
        if before.is_some() {
            // For people who look into the place.
            name = format!("{name}-d{}", continues.len());
            saved.objects = continues;
        }
        saved.objects.push(name);
        // The thread ends only when this end of the channel is gone.
        let _ = saver.jobs.send(Job::Write(saved, snapshot.state, before));
    }

    /// A state is in safety, or not: then it is tried again with the next one.
    pub(super) fn written(&mut self, saved: Saved, written: Result<Tip, CheckpointError>) {
        let Some(saver) = &mut self.saver else { return };
        let is_safe = written.is_ok();
        match written {
            Ok(tip) => saver.remember((saved.stage, saved.partition), tip),
            Err(error) => {
                let why = error.to_string();
                if let CheckpointError::Store(error) = error
                    && error.is_final()
                {
                    // Others can save what this process cannot.
                    saver.lost.get_or_insert(error);
                }
                if !std::mem::replace(&mut saver.failed, true) {
                    let url = saver.saves.url();
                    (self.log)(WorkerNews::Warning(format!(
                        "states cannot be saved in {url} ({why}): all workers must reach the master's --state, \
                         or the job waits once too much is kept for a recovery"
                    )));
                }
                let Saved { stage, partition, .. } = saved;
                self.tell_master(&WorkerNote::NotSaved { stage, partition, why });
            }
        }
        let lost = self.saver.as_ref().is_some_and(|saver| saver.lost.is_some());
        self.worker.saved(saved, is_safe);
        if lost {
            self.leave();
        }
    }

    /// Why this process cannot save states any more, if that is so.
    pub(super) fn lost_saves(&mut self) -> Option<DurableError> {
        self.saver.as_mut()?.lost.take()
    }

    pub(super) fn load(&mut self, state: Saved, recovery: Epoch) {
        match &self.saver {
            // The state that the job began with.
            _ if state.objects.is_empty() => {
                self.loaded(&state, recovery, Ok(Loaded { state: None, tip: None }));
            }
            // The thread ends only when this end of the channel is gone.
            Some(saver) => drop(saver.jobs.send(Job::Read(state, recovery))),
            None => {
                let why = "this worker was not told where saved states are".to_owned();
                self.loaded(&state, recovery, Err(why));
            }
        }
    }

    /// A state was loaded, or could not be.
    pub(super) fn loaded(&mut self, of: &Saved, recovery: Epoch, loaded: Result<Loaded, String>) {
        let loaded = loaded.map(|Loaded { state, tip }| {
            if let (Some(saver), Some(tip)) = (&mut self.saver, tip) {
                saver.remember((of.stage, of.partition), tip);
            }
            state
        });
        if let Err(why) = &loaded {
            (self.log)(WorkerNews::Warning(format!("a saved state cannot be loaded: {why}")));
        }
        self.worker.load(of, recovery, loaded);
    }
}
