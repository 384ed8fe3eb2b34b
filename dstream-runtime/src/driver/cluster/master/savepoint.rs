//! Savepoints, while the job goes on.
//!
//! Decides what a savepoint holds (what the journal says at the time of the question, once all of that is durable),
//! when it is refused, and that what it names stays there until it is copied. A thread of its own copies it.
//! Invariants: one is under way at a time; the process that asked for it hears of it exactly once, also if the job
//! ends meanwhile.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Sender;

use super::Driver;
use crate::driver::cluster::{ClusterNews, Reply, SavepointReport};
use crate::driver::{Event, Inbox};
use crate::durable::savepoint::{self, Name, WrittenSavepoint, place};
use crate::durable::{CheckpointStore, Durable, SavepointError};
use crate::exec::stage::RunStage;
use crate::id::{JournalSeq, SourceId, StageId};
use crate::net::PeerId;
use crate::plan::Plan;
use crate::sched::Past;

/// What is needed to make savepoints.
pub(super) struct Savepoints {
    store: Durable,
    saves: CheckpointStore,
    plan: &'static Plan,
    stages: Vec<Arc<dyn RunStage>>,
    events: Sender<Event>,
    under_way: Option<UnderWay>,
    /// Objects that are not loaded any more, but may have to be copied.
    obsolete: Vec<String>,
    /// How many were begun.
    begun: u64,
}

/// The savepoint that is being made.
struct UnderWay {
    peer: PeerId,
    client: String,
    step: Step,
}

enum Step {
    /// It waits until it is durable what it is made of.
    Waiting { name: Name, past: Box<Past>, until: JournalSeq },
    /// It is being written.
    Writing(Option<JoinHandle<()>>),
}

impl Savepoints {
    pub(super) fn new(
        store: Durable,
        saves: CheckpointStore,
        plan: &'static Plan,
        stages: Vec<Arc<dyn RunStage>>,
        events: Sender<Event>,
    ) -> Self {
        let (under_way, obsolete) = (None, Vec::new());
        Self { store, saves, plan, stages, events, under_way, obsolete, begun: 0 }
    }

    /// The job will not load an object any more.
    pub(super) fn obsolete(&mut self, object: String) {
        match self.under_way {
            Some(_) => self.obsolete.push(object),
            None => self.saves.remove(&object),
        }
    }

    /// The process that asked, once a savepoint is no longer under way.
    fn over(&mut self) -> Option<UnderWay> {
        let over = self.under_way.take();
        self.obsolete.drain(..).for_each(|object| self.saves.remove(&object));
        over
    }

    /// Starts the thread that writes one.
    fn write(&mut self, term: u64, name: Name, past: Past) -> io::Result<JoinHandle<()>> {
        self.begun += 1;
        let attempt = format!("m{term}-{}", self.begun);
        let (store, saves, hash) = (self.store.clone(), self.saves.clone(), self.plan.hash);
        let (stages, events) = (self.stages.clone(), self.events.clone());
        let write = move || {
            let doors = |stage: StageId, tag| stages.get(stage.index())?.state_door(tag);
            let whose = (hash, term, attempt.as_str());
            let written = savepoint::write(&store, &saves, name, whose, past, doors);
            // The send fails if the engine has ended: then the result is not needed.
            drop(events.send(Event::Savepoint(written)));
        };
        std::thread::Builder::new().name("dstream-savepoint".to_owned()).spawn(write)
    }
}

impl Driver<'_> {
    /// A client wants one. The answer, unless it follows later.
    pub(super) fn savepoint(
        &mut self,
        peer: PeerId,
        client: &str,
        name: Option<String>,
    ) -> Option<Reply> {
        match self.ask_savepoint(peer, client, name) {
            Ok(()) => {
                self.write_savepoint();
                None
            }
            Err(why) => Some(Reply::Refused(why)),
        }
    }

    fn ask_savepoint(
        &mut self,
        peer: PeerId,
        client: &str,
        name: Option<String>,
    ) -> Result<(), String> {
        let (Some(savepoints), Some((past, until))) = (&mut self.savepoints, self.master.so_far())
        else {
            return Err(
                "this job saves nothing that a savepoint could be made of\n  help: start its \
                        master with --checkpoint INTERVAL"
                    .to_owned(),
            );
        };
        if let Some(other) = &savepoints.under_way {
            let client = &other.client;
            return Err(format!(
                "a savepoint for {client} is under way; ask again when that is written"
            ));
        }
        if self.receivers.any() {
            // Some of what its batches consist of is in no saved state yet, and nowhere else but there.
            return Err("this job has streams whose records are pushed, and workers hold them in memory \
                        until they are part of a saved state: a savepoint would lack them\n  help: workers \
                        may come and go while the job runs, and its master may be started again \
                        with the same --state"
                .to_owned());
        }
        if past.is_fresh() || past.is_finished() {
            let when = if past.is_fresh() { "has not begun yet" } else { "has come to its end" };
            return Err(format!("the job {when}: there is nothing to begin from"));
        }
        let sources = (0..).map(SourceId).zip(self.plan.sources);
        let mut unknown = sources
            .filter(|(id, _)| past.position(*id).is_none() && !past.has_ended(*id))
            .filter(|_| past.next() > past.first());
        if let Some((_, row)) = unknown.next() {
            return Err(format!(
                "no other process can read the stream `{}` on from where it is: a savepoint would not say \
                 where to go on",
                row.name
            ));
        }
        let name = match name {
            Some(name) => {
                place(&savepoints.store, &name).map_err(|error| error.to_string())?;
                Name::Given(name)
            }
            None => Name::Like(format!("batch-{}", past.published().0)),
        };
        let past = Box::new(past.clone());
        let step = Step::Waiting { name, past, until };
        savepoints.under_way = Some(UnderWay { peer, client: client.to_owned(), step });
        Ok(())
    }

    /// Writes the savepoint that is waited for, if it may be written now.
    pub(super) fn write_savepoint(&mut self) {
        let Some(savepoints) = &mut self.savepoints else { return };
        let Some(UnderWay { step: Step::Waiting { name, past, until }, .. }) =
            &savepoints.under_way
        else {
            return;
        };
        if !self.master.is_durable(*until) {
            return;
        }
        let (name, past) = (name.clone(), Past::clone(past));
        let started = savepoints.write(self.master.term(), name, past);
        match (started, &mut savepoints.under_way) {
            (Ok(thread), Some(under_way)) => under_way.step = Step::Writing(Some(thread)),
            (Ok(_), None) => {}
            (Err(error), _) => {
                let why = format!("cannot start the thread that writes it: {error}");
                self.refuse_savepoint(why);
            }
        }
    }

    /// One is written, or was given up.
    pub(super) fn has_savepoint(&mut self, written: Result<WrittenSavepoint, SavepointError>) {
        let pinned = match written {
            Ok(pinned) => pinned,
            Err(error) => return self.refuse_savepoint(error.to_string()),
        };
        let Some(over) = self.savepoints.as_mut().and_then(Savepoints::over) else { return };
        let WrittenSavepoint { name, url, published, cut, bytes } = pinned;
        let news = ClusterNews::Savepoint { url: url.clone(), published, client: over.client };
        self.master.tell(&news);
        let report = SavepointReport { name, url, published, cut, bytes };
        self.send(over.peer, &Reply::Savepoint(report));
    }

    fn refuse_savepoint(&mut self, why: String) {
        if let Some(over) = self.savepoints.as_mut().and_then(Savepoints::over) {
            self.send(over.peer, &Reply::Refused(why));
        }
    }

    /// The job ends. What is being written is waited for.
    pub(super) fn end_savepoint(&mut self, events: &Inbox) {
        let under_way = self.savepoints.as_mut().and_then(|all| all.under_way.as_mut());
        let Some(UnderWay { step, .. }) = under_way else { return };
        if let Step::Writing(thread) = step
            && let Some(thread) = thread.take()
        {
            // A panic is told by the panic hook, and here by there being no result.
            let _ = thread.join();
            while let Some(event) = events.ready() {
                if let Event::Savepoint(written) = event {
                    return self.has_savepoint(written);
                }
            }
        }
        self.refuse_savepoint("the job has ended meanwhile".to_owned());
    }
}
