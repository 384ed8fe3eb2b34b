//! The driver of a master's process.
//!
//! One engine thread owns the master half, the members and everything that waits for something. It runs
//! no task: what workers made arrives with their reports, and is published.

mod absence;
mod admit;
mod answer;
mod hear;
mod leaving;
mod losses;
mod lost;
mod members;
mod places;
mod receivers;
mod reopen;
mod savepoint;
mod say;
mod status;
mod unsaved;
mod ways;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};

use self::absence::Absence;
pub(crate) use self::losses::{Earlier, Losses, Returns};
use self::lost::LossSettings;
pub(in crate::driver) use self::lost::lost;
use self::members::Members;
pub(crate) use self::receivers::{Listens, Receivers};
use self::reopen::{Reopened, reopen};
use self::savepoint::Savepoints;
use self::unsaved::Unsaved;
use self::ways::keep_published;
use super::arrivals::Arrivals;
use super::note::MasterNote;
use super::transfers::Transfers;
use super::{ClusterError, ClusterNews, GRACE, JobSetup, MasterFile, MasterOptions, MasterPaths};
use crate::driver::error::JobError;
use crate::driver::master::{
    Asks, Before, Ends, Master, Opened, Settings, check, dead_sinks, output_settings,
};
use crate::driver::report::{Observer, Summary};
use crate::driver::stop::StopHandle;
use crate::driver::{AT_ONCE, Event, Inbox};
use crate::durable::CheckpointStore;
use crate::exec::job::BuiltJob;
use crate::host;
use crate::id::{Attempt, BatchSeq, Epoch, SourceId, TaskId, WorkerId};
use crate::net::trust::{Authority, Grant, Subject, Token};
use crate::net::{BindOptions, CloseReason, Delivery, Endpoint, Net, PeerId, system_time};
use crate::plan::Plan;
use crate::sched::membership::Membership;
use crate::sched::message::ToMaster;
use crate::sched::{MasterEvent, Past};
use crate::sink::Sink;
use crate::source::Source;
use crate::wire::Role;

/// How often workers show that they live.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// How often a master shows that it lives, if another could take over from it.
pub(super) const ALIVE: Duration = Duration::from_millis(400);

/// From this slowness on, as a multiple of the others' time in thousandths, a worker receives only what no other can, and
/// keeps no copies for others.
const TAKES_ROLES: u32 = 2000;

/// How long the tokens that a master makes at its start are good, and how often: workers and clients keep
/// the certificates that they buy.
const TOKEN_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
const TOKEN_USES: u32 = 10_000;

/// See [`serve_master`](super::serve_master).
pub(in crate::driver) fn serve(
    job: BuiltJob,
    mut options: MasterOptions,
    mut sources: Vec<Box<dyn Source>>,
    mut sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    stop: &StopHandle,
    ready: &mut dyn FnMut(SocketAddr),
) -> Result<Summary, JobError> {
    let plan = job.plan;
    check(&job, sources.len(), sinks.len())?;
    let outputs = output_settings(&job, &sinks, options.setup.preview);
    let dead = std::mem::take(&mut options.dead_letters);
    let dead_sinks = dead_sinks(plan, dead, &mut sinks)?;
    options.setup.outputs.clone_from(&outputs);
    options.setup.partitions = options.setup.partitions.max(1);

    // A worker that is taken for lost by mistake costs little where others can go on for it.
    if options.checkpoint.is_some() {
        options.lease = options.lease.min(MasterOptions::SHORT_LEASE);
    }
    let (sender, events) = unbounded();
    let events = Inbox::new(events);
    // None if no other process reaches it.
    let paths = options.reach.within().is_none().then(|| MasterPaths::new(&options.state));
    // Before anything is taken over: where this one cannot listen another master may, and it goes on.
    let endpoint = open_endpoint(plan, &options, paths.as_ref(), sender.clone())?;
    for warning in endpoint.warnings() {
        observer.on_warning(&warning.to_string());
    }
    let mut losses = Losses::new(Earlier::none(), GRACE);
    let live = sources.iter().any(|source| !source.bounded());
    let before = Before::of(plan, live, &sinks, &dead_sinks)?;
    let opened = match options.checkpoint {
        Some(_) => {
            let events = sender.clone();
            Some(reopen(&job, &options, &before, &mut sources, events, observer)?)
        }
        None => None,
    };
    let (saves, written, savepoints) = match opened {
        Some(Reopened { saves, store, ingest_log, written, earlier, dropped, was_overdue }) => {
            options.setup.ingest_log = ingest_log;
            losses = Losses::new(earlier, GRACE);
            losses.drop(&dropped);
            if was_overdue {
                losses.were_overdue(host::now());
            }
            let savepoints =
                Savepoints::new(store, saves.clone(), plan, job.stages.clone(), sender.clone());
            (Some(saves), Some(written), Some(savepoints))
        }
        None => (None, None, None),
    };
    if written.as_ref().and_then(|written| written.journal.past()).is_none() {
        before.check_anew(written.is_some())?;
    }
    let past = written.as_ref().and_then(|written| written.journal.past());
    let sinks = keep_published(past, sinks);
    let term = written.as_ref().map_or(0, |written| written.journal.term());
    options.setup.saves = saves.as_ref().map(CheckpointStore::url);
    let pid = std::process::id();
    if let Some(paths) = &paths {
        paths.announce(&MasterFile {
            job: plan.job.to_owned(),
            plan: format!("{:016x}", plan.hash),
            listen: endpoint.local_addr(),
            pid,
        })?;
    }
    ready(endpoint.local_addr());

    let interval = Duration::from_millis(options.setup.interval_ms.max(1));
    let settings = Settings {
        batch_bytes: options.batch_bytes,
        partitions: options.setup.partitions,
        in_flight: options.in_flight,
        attempts: options.attempts,
        workers: options.workers.max(1),
        lease: Some(options.lease).filter(|_| paths.is_some()),
        checkpoint: options.checkpoint,
        speculate: options.speculate,
        interval: Some(interval),
        preview: options.setup.preview,
        completes_stop: options.standby,
        until: options.until,
    };
    let past = written.as_ref().and_then(|written| written.journal.past());
    let completes_stop = options.standby && past.is_some_and(Past::is_stopping);
    let next = past.map_or(BatchSeq(1), Past::next);
    let urls = answer::Urls::of(&job);
    let result = std::thread::scope(|scope| {
        // It is closed before the scope waits for its threads: an output may be stuck, and a worker must not join a
        // master that has ended.
        let endpoint = endpoint;
        let patience = options.patience;
        let opened = Opened { sources, sinks, outputs, dead_sinks, patience };
        let ends = Ends::start(scope, plan, settings.partitions, opened, &sender)?;
        let stop_now = stop.connect(sender.clone());
        let driver = Driver {
            plan,
            master: Master::new(plan, settings, ends, observer, written)?,
            net: endpoint.net().clone(),
            members: Members::new(term),
            receivers: Receivers::new(std::mem::take(&mut options.pushed)),
            saves,
            savepoints,
            membership: Membership::new(options.checkpoint.is_some(), options.lease),
            lacks_lifelines: false,
            lease: options.lease,
            alive: options.checkpoint.map(|_| host::now()),
            absence: Absence::default(),
            unsaved: Unsaved::default(),
            kept: BTreeSet::new(),
            fatal: None,
            arrivals: Arrivals::default(),
            transfers: Transfers::default(),
            setup: options.setup,
            want: options.workers.max(1),
            urls,
            started: host::now(),
            course: Course::Runs,
            is_alone: paths.is_none(),
            leaves_job: options.leaves_job,
            grace: None,
            losses,
            loss: LossSettings { accept: options.accept_loss, first: next, said: false },
        };
        driver.run(&events, stop_now || completes_stop)
    });
    stop.disconnect();
    if let Some(paths) = &paths {
        paths.withdraw(plan.job, pid);
    }
    result
}

/// Where workers and clients reach the master.
fn open_endpoint(
    plan: &Plan,
    options: &MasterOptions,
    paths: Option<&MasterPaths>,
    events: Sender<Event>,
) -> Result<Endpoint, ClusterError> {
    // The engine ends before its endpoint does: what is delivered after that is dropped.
    let deliver = move |delivery: Delivery| drop(events.send(Event::Net(delivery)));
    let (role, name) = (Role::Master, "master");
    let near = options.reach.near();
    let Some(paths) = paths else {
        let network = near.cloned().unwrap_or_default();
        let subject = Subject { role, job: plan.job.to_owned(), name: name.to_owned() };
        return Ok(Endpoint::within(&network, subject, deliver));
    };
    let authority = Arc::new(open_authority(plan, paths)?);
    let identity = authority.identity(role, name, system_time())?;
    let mut bind = BindOptions::new(identity, plan.hash).with_authority(authority);
    (bind.addr, bind.public) = (options.listen, options.public);
    (bind.bulk_port, bind.network) = (options.bulk_port, near.cloned());
    Ok(Endpoint::bind(bind, deliver)?)
}

/// The authority of the state directory, with a token for workers and one for clients beside it.
fn open_authority(plan: &Plan, paths: &MasterPaths) -> Result<Authority, ClusterError> {
    paths.create()?;
    let now = system_time();
    let authority = Authority::open(&paths.authority(), plan.job, now)?;
    for (path, role) in [(paths.worker_token(), Role::Worker), (paths.client_token(), Role::Client)]
    {
        let is_good = |token: &Token| token.authority() == authority.fingerprint();
        if path.exists() && Token::read(&path).is_ok_and(|token| is_good(&token)) {
            continue;
        }
        let grant = Grant { role, uses: TOKEN_USES, life: TOKEN_LIFE };
        authority.token(grant, now)?.write(&path)?;
    }
    Ok(authority)
}

struct Driver<'e> {
    plan: &'static Plan,
    master: Master<'e>,
    net: Net,
    members: Members,
    /// Reports of workers whose task output travels beside them.
    arrivals: Arrivals<(PeerId, TaskId, Attempt), ToMaster>,
    /// What tasks read, on its way to workers.
    transfers: Transfers,
    setup: JobSetup,
    /// How many workers the first batch waits for.
    want: u32,
    urls: answer::Urls,
    started: Instant,
    /// Where workers bring states into safety.
    saves: Option<CheckpointStore>,
    /// What is needed to make savepoints, where there is a journal.
    savepoints: Option<Savepoints>,
    receivers: Receivers,
    /// Suspected and draining workers, and broken links.
    membership: Membership,
    /// It was said that there is a worker without a lifeline.
    lacks_lifelines: bool,
    lease: Duration,
    /// When workers are to be told that it lives.
    alive: Option<Instant>,
    /// How long workers have been missing.
    absence: Absence,
    /// States that could not be saved.
    unsaved: Unsaved,
    /// Workers that are to go, and cannot as long as there is no other.
    kept: BTreeSet<WorkerId>,
    /// Why the job cannot go on, for a reason that is not its core's.
    fatal: Option<ClusterError>,
    course: Course,
    /// Whether its worker is in this process, and no other can come.
    is_alone: bool,
    /// Whether a signal ends this master only, and leaves the job to the next one.
    leaves_job: bool,
    /// Until then workers that were there with another master, or are gone, may come with what no batch has.
    grace: Option<Instant>,
    losses: Losses,
    loss: LossSettings,
}

/// What is to become of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Course {
    Runs,
    /// It processes what was received, and ends.
    Stops,
    /// It ends at once.
    Ends,
    /// It is left to the next master.
    Left,
}

impl Driver<'_> {
    fn run(mut self, events: &Inbox, stop: bool) -> Result<Summary, JobError> {
        if stop {
            self.stop();
        }
        self.say_waiting();
        loop {
            self.turn();
            if let Some(outcome) = self.master.take_outcome() {
                self.end_savepoint(events);
                self.dismiss_all(&self.farewell(&outcome));
                let outcome = self.with_name(outcome);
                return self.master.end(outcome);
            }
            if let Some(error) = self.fatal.take() {
                self.end_savepoint(events);
                self.dismiss_all(&MasterNote::Over);
                self.master.breaks();
                return Err(error.into());
            }
            match self.course {
                Course::Runs if self.master.is_left() => {
                    self.take_course(Course::Left);
                    continue;
                }
                Course::Runs | Course::Stops => {}
                Course::Ends => {
                    self.end_savepoint(events);
                    self.dismiss_all(&MasterNote::Over);
                    let unsaved = self.ends_unsaved();
                    let done = self.master.break_off(true);
                    if unsaved.is_some() {
                        self.master.breaks();
                    }
                    return unsaved.map_or(Ok(done), |error| Err(error.into()));
                }
                Course::Left => {
                    self.end_savepoint(events);
                    let why = "its master leaves, and the next one goes on with the job";
                    self.dismiss_all(&MasterNote::JoinAgain { why: why.to_owned() });
                    return Ok(self.master.break_off(false));
                }
            }
            let timer = self.master.timer();
            let judged = self.membership.links_due().map(|due| self.started + due);
            let doubted = self.membership.suspects_due().map(|due| self.started + due);
            let tells = self.unsaved.tells_at();
            let (graced, lost) = (self.grace, self.losses.due());
            let opens = self.receivers.due().filter(|_| !self.is_stopping());
            let missing = self.absence.next();
            let until = [timer, judged, doubted, self.alive, graced, lost, tells, opens, missing];
            let until = until.into_iter().flatten().min();
            match events.next(until) {
                Some(event) => self.happened(event),
                None if until == timer => self.master.tick(),
                None if until == judged => self.judge_broken_link(),
                None if until == self.grace => self.end_grace(),
                None if until == opens => self.assign_receivers(),
                None => {}
            }
            self.show_life();
            // Whatever else has happened meanwhile is acted upon at once.
            for event in std::iter::from_fn(|| events.ready()).take(AT_ONCE) {
                self.happened(event);
            }
            self.evict_lost();
            self.judge_losses();
        }
    }

    /// Workers hear from time to time that their master lives, where another could take over from it.
    fn show_life(&mut self) {
        let now = host::now();
        if let Some(alive) = self.alive.as_mut().filter(|alive| **alive <= now) {
            *alive = now + ALIVE;
            for peer in self.members.peers() {
                self.send(peer, &MasterNote::Alive);
            }
        }
    }

    /// Every worker that may come again has had time to.
    fn end_grace(&mut self) {
        self.grace = None;
        self.receivers.complete();
    }

    fn turn(&mut self) {
        while let Some(asks) = self.master.poll() {
            match asks {
                Asks::Tell(worker, message) => self.tell(worker, &message),
                Asks::Admit(worker) => self.admit(worker),
                Asks::Dismiss(worker) => self.dismiss(worker),
                Asks::Evict(worker, why) => self.evict(worker, why, Returns::Maybe),
                Asks::Refuse(worker, why) => self.refuse(worker, &why),
                Asks::Slow(worker, factor, partitions, share) => {
                    self.slow(worker, factor, partitions, share);
                }
                Asks::Weights(weights) => self.receivers.weigh(&weights),
                Asks::Obsolete(object) => {
                    if let Some(savepoints) = &mut self.savepoints {
                        savepoints.obsolete(object);
                    }
                }
            }
        }
        self.see_off();
        self.watch_end();
        self.watch_absence();
        self.say_spent();
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Cut { batch, source, answer } => self.master.cut(batch, source, answer),
            Event::Published { batch, result } => self.master.published(batch, result),
            Event::Refused { batch, refused } => self.master.refused(batch, refused),
            Event::Journal(news) => {
                self.master.written(news);
                self.write_savepoint();
            }
            Event::Savepoint(written) => self.has_savepoint(written),
            Event::Ended { worker, why } => {
                if self.is_alone {
                    let why = format!("the job's own worker has failed: {why}");
                    self.fatal.get_or_insert(ClusterError::Broken { why });
                }
                let peer = self.members.named(&worker).and_then(|id| self.members.peer(id));
                if let Some(peer) = peer {
                    self.net.close(peer);
                    self.gone(peer, &why, Returns::Never);
                }
            }
            Event::Stop if self.leaves_job => self.take_course(Course::Left),
            Event::Stop => self.stop(),
            Event::Net(delivery) => self.heard(delivery.take()),
            // A master runs no task and receives nothing.
            Event::Ran(_)
            | Event::Received(..)
            | Event::Saved(..)
            | Event::Loaded(..)
            | Event::Ingest(_) => {}
        }
    }

    fn stop(&mut self) {
        // Before there are workers, nothing is taken in: there is nothing to wait for them with. A worker in this
        // process is about to come.
        self.take_course(match self.master.core_status().epoch {
            Epoch(0) if !self.is_alone => Course::Ends,
            _ => Course::Stops,
        });
        for worker in self.receivers.all() {
            self.tell_note(worker, &MasterNote::StopReceiving);
        }
        self.master.handle(MasterEvent::Stop);
    }

    /// The last word counts where it goes further.
    fn take_course(&mut self, course: Course) {
        self.course = self.course.max(course);
    }

    /// Whether the job is to end.
    fn is_stopping(&self) -> bool {
        matches!(self.course, Course::Stops | Course::Ends)
    }

    fn say_waiting(&mut self) {
        let have = self.members.ready();
        if have < self.want {
            self.master.tell(&ClusterNews::Waiting { have, want: self.want });
        }
    }

    fn stream(&self, source: SourceId) -> String {
        self.plan.sources.get(source.index()).map_or("", |row| row.name).to_owned()
    }

    /// Sees to it that every pushed source has its receiver.
    fn assign_receivers(&mut self) {
        if self.is_stopping() {
            return;
        }
        for (source, worker, listens) in self.receivers.assign(host::now()) {
            self.tell_note(worker, &MasterNote::Receive { source, listens });
        }
    }

    fn is_receiving(&mut self, worker: WorkerId, source: SourceId, url: String) {
        let (stream, name) = (self.stream(source), self.members.name(worker));
        let (closes, listens) = match self.receivers.opened(source, worker, url.clone()) {
            Listens::Stays => (None, true),
            Listens::InsteadOf(other) => (Some(other), true),
            Listens::IsTooMany => (Some(worker), false),
        };
        if let Some(closes) = closes {
            self.tell_note(closes, &MasterNote::Receive { source, listens: false });
        }
        if listens {
            self.master.tell(&ClusterNews::Receiving { stream, worker: name, url });
        }
    }

    /// A worker cannot listen at a source's address: others try, and so does it later.
    fn cannot_receive(&mut self, worker: WorkerId, source: SourceId, why: String) {
        let (stream, name) = (self.stream(source), self.members.name(worker));
        let (is_news, gives_up) =
            self.receivers.cannot_listen(source, worker, why.clone(), host::now());
        if gives_up {
            let worker = name;
            self.fatal.get_or_insert(ClusterError::Receiver { stream, worker, why });
            return;
        }
        if is_news {
            self.master.warn(&format!(
                "worker `{name}` cannot receive records of `{stream}` ({why}); other workers are tried, and it \
                 is again later"
            ));
        }
        self.assign_receivers();
    }

    /// Tells every worker which workers there are.
    fn tell_crew(&self) {
        let crew = self.members.crew();
        for peer in self.members.ready_peers() {
            self.send(peer, &MasterNote::Crew(crew.clone()));
        }
    }

    fn slow(&mut self, worker: WorkerId, factor: u32, partitions: u32, share: u32) {
        let is_slow = factor >= TAKES_ROLES;
        if self.members.is_slow(worker, is_slow) {
            self.receivers.is_slow(worker, is_slow);
            self.tell_crew();
            self.assign_receivers();
        }
        let (worker, of) = (self.members.name(worker), self.setup.partitions);
        let times = f64::from(factor) / 1000.0;
        self.master.tell(&match factor {
            0..=1000 => ClusterNews::FastAgain { worker, partitions, of },
            _ => ClusterNews::Slow { worker, times, partitions, of, share },
        });
    }

    fn closed(&mut self, peer: PeerId, reason: &CloseReason) {
        self.arrivals.forget(|(of, ..)| *of == peer);
        self.gone(peer, &reason.to_string(), Returns::Maybe);
    }

    fn gone(&mut self, peer: PeerId, why: &str, returns: Returns) {
        self.transfers.gone(peer);
        let Some((worker, name, was_let_go)) = self.members.remove(peer) else {
            return;
        };
        let returns = match returns {
            _ if was_let_go => Returns::Never,
            // It is started again under its name, and its log has what it held.
            Returns::Never if self.setup.ingest_log.is_some() => Returns::Maybe,
            returns => returns,
        };
        let has_gone = self.losses.gone(worker, &name, returns, host::now());
        self.note_holders(has_gone);
        if !was_let_go {
            self.master.tell(&ClusterNews::Left { worker: name, why: why.to_owned() });
        }
        self.master.handle(MasterEvent::Left(worker, why.to_owned()));
        self.membership.gone(worker);
        self.unsaved.gone(worker);
        self.kept.remove(&worker);
        self.receivers.gone(worker);
        if self.receivers.any() {
            // Its process may come again, with what it holds.
            self.grace = Some(host::now() + GRACE);
        }
        self.tell_crew();
        self.assign_receivers();
    }
}
