//! The driver of a worker's process.
//!
//! One engine thread owns the worker half, the connections' state and everything that waits for
//! something; executor threads run tasks; the network's thread delivers what comes. Messages of the
//! master are taken in order, and a placement only once every worker that it names can be reached, so
//! that nothing which the core wants to send has to wait for a connection.

mod copies;
mod door;
mod handover;
mod hear;
mod ingest;
mod inputs;
mod join;
mod peers;
mod receiving;
mod replicas;
mod save;
mod say;
mod silence;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};

use self::door::Key;
pub(in crate::driver) use self::ingest::IngestEvent;
use self::ingest::IngestLog;
pub(crate) use self::ingest::logs;
pub(super) use self::ingest::mark;
use self::inputs::Inputs;
use self::join::{Waiting, Welcome};
use self::peers::Peers;
use self::replicas::fetches::{Nowhere, PendingFetches};
#[cfg(test)]
pub(crate) use self::replicas::node;
pub(super) use self::replicas::{BlockRange, Entry};
use self::replicas::{Key as BlockKey, ReplicaLog};
use self::save::Saver;
pub(in crate::driver) use self::save::{Loaded, Tip};
use self::silence::MasterSilence;
use super::arrivals::Arrivals;
use super::note::{Place, WorkerNote};
use super::transfers::Transfers;
use super::{ClusterError, JobSetup, WorkerNews, WorkerOptions};
use crate::block::BufferPool;
use crate::client::{SessionLimits, Sessions};
use crate::driver::error::JobError;
use crate::driver::stop::StopHandle;
use crate::driver::worker::task::Kernels;
use crate::driver::worker::{Queue, Worker, start_executors};
use crate::driver::{AT_ONCE, Budget, CloseOnDrop, Event, Inbox};
use crate::durable::{CheckpointStore, Durable};
use crate::exec::job::BuiltJob;
use crate::host::{self, Turns};
use crate::id::{BatchSeq, Epoch, SourceId, WorkerId};
use crate::net::trust::Subject;
use crate::net::{BindOptions, Delivery, Endpoint, Net, PeerId, Transfer};
use crate::plan::Plan;
use crate::sched::Retention;
use crate::sched::message::{EngineTime, ToMaster, ToPeer, ToWorker};
use crate::source::receive;
use crate::store::{BlockStore, KeptBlock, Pressure, StoreOptions, StoreStats};
use crate::wire::Role;

/// How long a worker that may go waits for what it has sent to arrive.
const FAREWELL: Duration = Duration::from_secs(10);

/// How often a worker that waits for room looks whether there is some.
const LOOK: Duration = Duration::from_millis(50);

/// See [`serve_worker`](super::serve_worker).
pub(in crate::driver) fn serve(
    plan: &'static Plan,
    build: &dyn Fn(&JobSetup) -> Result<BuiltJob, String>,
    options: &WorkerOptions,
    log: &dyn Fn(WorkerNews),
    stop: &StopHandle,
) -> Result<(), JobError> {
    let (sender, events) = unbounded();
    let events = Inbox::new(events);
    if stop.connect(sender.clone()) {
        return Ok(());
    }
    let mut waiting = Waiting { events: &events, early: Vec::new() };
    let delivered = sender.clone();
    // The engine ends before its endpoint does: what is delivered after that is dropped.
    let deliver = move |delivery: Delivery| drop(delivered.send(Event::Net(delivery)));
    let budget = Budget::new(options.memory);
    let pool = BufferPool::new(budget.arriving());
    let endpoint = if let Some(network) = options.reach.within() {
        let (job, name) = (plan.job.to_owned(), options.name.clone());
        Endpoint::within(network, Subject { role: Role::Worker, job, name }, deliver)
    } else {
        let Some(identity) = join::identity(plan, options, log, &mut waiting)? else {
            return Ok(());
        };
        let mut bind = BindOptions::new(identity, plan.hash);
        (bind.addr, bind.public) = (options.listen, options.public);
        (bind.bulk_port, bind.network) = (options.bulk_port, options.reach.near().cloned());
        bind.pool = pool.clone();
        bind.limits.untaken_blocks = budget.untaken(bind.limits.untaken_blocks);
        Endpoint::bind(bind, deliver).map_err(ClusterError::from)?
    };
    for warning in endpoint.warnings() {
        log(WorkerNews::Warning(warning.to_string()));
    }
    let blocks = BlockStore::new(StoreOptions::new(budget.blocks(), &options.spill));
    let net = endpoint.net();
    let process = Process { plan, build, options, log, pool, blocks, net, sender, events };
    let mut kept = None;
    let result = loop {
        let mut waiting = Waiting { events: &process.events, early: Vec::new() };
        match join::welcome(plan, process.net, options, log, &mut waiting) {
            Ok(Some(welcome)) => match process.work_for(welcome, kept.take(), waiting.early) {
                Ok(Ended::Over) => break Ok(()),
                Ok(Ended::MasterGone(stays)) => kept = Some(*stays),
                Err(error) => break Err(error),
            },
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    stop.disconnect();
    result
}

/// How a worker's time with one master ends, if nothing fails.
enum Ended {
    /// The job is over, or the worker has left.
    Over,
    /// The master is gone, and what it knew is in its journal: another one will want workers, and what
    /// this one has received.
    MasterGone(Box<Kept>),
}

/// What stays in a worker's process when its master changes: what it has acknowledged, or will, and those
/// who wait for it.
struct Kept {
    receivers: BTreeMap<SourceId, receive::Receiver>,
    receiving: BTreeSet<SourceId>,
    sessions: Sessions,
    replicas: ReplicaLog,
}

/// What a worker's process has, independent of its master.
struct Process<'p> {
    plan: &'static Plan,
    build: &'p dyn Fn(&JobSetup) -> Result<BuiltJob, String>,
    options: &'p WorkerOptions,
    log: &'p dyn Fn(WorkerNews),
    pool: BufferPool,
    blocks: BlockStore,
    net: &'p Net,
    sender: Sender<Event>,
    events: Inbox,
}

impl Process<'_> {
    /// Works for one master until that is over. `kept` is of the time with another one, `early` what
    /// happened since then.
    fn work_for(
        &self,
        welcome: Welcome,
        kept: Option<Kept>,
        early: Vec<Event>,
    ) -> Result<Ended, JobError> {
        let Self { plan, options, log, sender, .. } = self;
        let setup = welcome.setup;
        if options.reach.within().is_none() && std::env::set_current_dir(&setup.base).is_err() {
            let base = setup.base.display();
            let text =
                format!("there is no {base} on this host: sources must be named by absolute paths");
            log(WorkerNews::Warning(text));
        }
        let job = (self.build)(&setup).map_err(|why| ClusterError::Setup { why })?;
        // Without ports no client comes, and the master opens all that is read.
        let is_alone = options.reach.within().is_some();
        let mut inputs = Inputs::new(&job, &setup, !is_alone);
        let offers = if is_alone { Vec::new() } else { inputs.offers()? };
        let budget = Budget::new(options.memory);
        let receiver = budget.receiver(offers.len());
        inputs.receive_within(receiver);
        let limits = SessionLimits::default().within(receiver);
        let buffers = BufferPool::new(budget.buffers());
        let kernels = kernels(&setup, job, self.blocks.clone(), buffers);
        let queue = Queue::default();
        std::thread::scope(|scope| {
            let _close = CloseOnDrop(&queue);
            start_executors(scope, options.cores, &queue, &kernels, sender)?;
            let slots = options.cores as u32;
            // What was made here must be sent again if a worker is lost that has it.
            let retention = match &setup.saves {
                Some(_) => Retention::Released,
                None => Retention::Consumed,
            };
            let saver = setup.saves.as_deref().map(|url| {
                // Not made here: it may be one that this host should have mounted.
                let own = |own: &Durable| own.within("saves");
                let store = options.durable.as_ref().map_or_else(|| Durable::existing(url), own);
                let store = store.map_err(ClusterError::from)?;
                let saves = CheckpointStore::new(store, plan.hash);
                Saver::start(scope, saves, &kernels, self.pool.clone(), sender.clone())
            });
            let saver = saver.transpose()?;
            let (first, id) = (BatchSeq(1), welcome.worker);
            let worker = Worker::new(id, plan, &kernels, &queue, slots, retention, first);
            let mut joins_again = kept.is_some();
            let kept = match kept {
                Some(kept) => kept,
                None => {
                    let mut replicas = ReplicaLog::new(id).within(receiver);
                    if let Some(store) = &setup.ingest_log {
                        // A directory of it is made with its first object.
                        let store = ingest::open_store(store, &options.name, options.keeps_name)?;
                        let (log, has) = IngestLog::open(store, &options.name, sender.clone())?;
                        // What it has is held as by a worker that has run on.
                        joins_again = !has.is_empty();
                        replicas = replicas.logging(log, has, &self.blocks);
                    }
                    let sessions = Sessions::new(offers, limits);
                    let (receivers, receiving) = (BTreeMap::new(), BTreeSet::new());
                    Kept { receivers, receiving, sessions, replicas }
                }
            };
            let mut driver = Driver {
                kernels: &kernels,
                worker,
                net: self.net.clone(),
                pool: self.pool.clone(),
                id,
                master: welcome.peer,
                master_addr: welcome.addr,
                peers: Peers::new(id),
                joining: None,
                alone: false,
                inputs,
                held: VecDeque::new(),
                arrivals: Arrivals::default(),
                early: Vec::new(),
                plan,
                saver,
                sender: sender.clone(),
                receivers: kept.receivers,
                receiving: kept.receiving,
                received_all: false,
                to_open: Vec::new(),
                sessions: kept.sessions,
                replicas: kept.replicas,
                copies: Arrivals::default(),
                fetches: PendingFetches::default(),
                missing: Nowhere::default(),
                met: BTreeSet::new(),
                moving: Vec::new(),
                transfers: Transfers::default(),
                epoch: Epoch(0),
                load: (0, 0),
                stuck: false,
                every: welcome.heartbeat,
                silence: MasterSilence::new(host::now()),
                log: *log,
                leaving: false,
                hands_over: false,
                over: None,
            };
            if joins_again {
                driver.rejoin_replicas(id);
            }
            driver.run(options, early, &self.events)
        })
    }
}

/// The stages, and how outputs are to be encoded: as on the master, which opened them.
fn kernels(setup: &JobSetup, job: BuiltJob, blocks: BlockStore, buffers: BufferPool) -> Kernels {
    let setting = |index| setup.outputs.get(index).copied().unwrap_or_default();
    Kernels {
        outputs: (0..job.plan.outputs.len()).map(setting).collect(),
        stages: job.stages,
        buffers,
        blocks,
        partitions: setup.partitions.max(1),
    }
}

/// How a worker's process ends.
enum Over {
    /// As it should.
    Done(WorkerNews),
    /// Its master is gone, and how. Others will come if there is a journal.
    MasterGone {
        why: String,
    },
    Failed(ClusterError),
}

struct Driver<'e> {
    plan: &'static Plan,
    /// Where states are brought into safety.
    saver: Option<Saver>,
    kernels: &'e Kernels,
    worker: Worker<'e>,
    net: Net,
    pool: BufferPool,
    id: WorkerId,
    master: PeerId,
    master_addr: SocketAddr,
    peers: Peers,
    /// What the master is told when this worker can take part.
    joining: Option<ToMaster>,
    /// It was said that another worker cannot be reached.
    alone: bool,
    inputs: Inputs,
    /// What the master said after a placement that cannot be taken in yet.
    held: VecDeque<ToWorker>,
    /// Messages of other workers and their blocks.
    arrivals: Arrivals<(PeerId, Key), (ToPeer, Vec<Place>)>,
    /// What other workers said of an epoch whose placement has not been taken in yet.
    early: Vec<(ToPeer, Vec<Place>, Vec<KeptBlock>)>,
    /// Who is to hear of what happens here, for receivers.
    sender: Sender<Event>,
    receivers: BTreeMap<SourceId, receive::Receiver>,
    /// The sources for which something may still be taken in here.
    receiving: BTreeSet<SourceId>,
    /// Nothing new is to be taken in.
    received_all: bool,
    /// Sources whose receivers are to be opened here once the placement holds.
    to_open: Vec<SourceId>,
    /// Clients of the library.
    sessions: Sessions,
    replicas: ReplicaLog,
    /// Copies of other workers' received blocks and their lines.
    copies: Arrivals<(PeerId, BlockKey), Entry>,
    /// Tasks that read received blocks which are not here.
    fetches: PendingFetches,
    /// What the master was told that tasks wait for and no worker has.
    missing: Nowhere,
    /// Workers that were told what is held here, if there was anything to tell.
    met: BTreeSet<WorkerId>,
    /// State on its way to other workers.
    moving: Vec<Transfer>,
    /// What tasks made, on its way to other workers and the master.
    transfers: Transfers,
    /// The newest placement or recovery that was taken in.
    epoch: Epoch,
    /// What the master was told of the memory that blocks and buffers take here, and of the blocks in files.
    load: (u64, u64),
    /// It was said that blocks cannot be moved to files.
    stuck: bool,
    every: Duration,
    silence: MasterSilence,
    log: &'e dyn Fn(WorkerNews),
    /// It has asked to be let go.
    leaving: bool,
    /// It is to hand over what it holds of what clients have sent.
    hands_over: bool,
    over: Option<Over>,
}

impl Driver<'_> {
    fn run(
        mut self,
        options: &WorkerOptions,
        early: Vec<Event>,
        events: &Inbox,
    ) -> Result<Ended, JobError> {
        let (cores, memory) = (options.cores as u32, options.memory);
        self.say_held();
        self.tell_master(&WorkerNote::Ready { addr: self.net.local_addr(), cores, memory });
        early.into_iter().for_each(|event| self.happened(event));
        let mut beat = host::now();
        loop {
            self.turn();
            match self.over.take() {
                Some(Over::Done(news)) => {
                    self.say_farewell(events);
                    (self.log)(news);
                    return match self.lost_saves() {
                        Some(error) => Err(ClusterError::from(error).into()),
                        None => Ok(Ended::Over),
                    };
                }
                Some(Over::MasterGone { why }) => {
                    let master = self.master_addr;
                    if self.leaving || self.saver.is_none() {
                        return Err(ClusterError::MasterGone { master, why }.into());
                    }
                    (self.log)(WorkerNews::MasterGone { master, why });
                    self.net.close(self.master);
                    self.peers.part(&self.net);
                    let Self { receivers, receiving, sessions, replicas, .. } = self;
                    let kept = Kept { receivers, receiving, sessions, replicas };
                    return Ok(Ended::MasterGone(Box::new(kept)));
                }
                Some(Over::Failed(error)) => return Err(error.into()),
                None => {}
            }
            let look = self.worker.waits_for_room().then(|| host::now() + LOOK);
            if let Some(event) = events.next(Some(look.map_or(beat, |look| look.min(beat)))) {
                self.happened(event);
            }
            for event in std::iter::from_fn(|| events.ready()).take(AT_ONCE) {
                self.happened(event);
            }
            let now = host::now();
            if now >= beat {
                beat = now + self.every;
                self.show_life(events.take_turns());
            }
        }
    }

    /// Does everything that there is to do without waiting.
    fn turn(&mut self) {
        self.worker.begin_turn();
        loop {
            while let Some(asks) = self.worker.poll() {
                self.asked(asks);
            }
            if !self.worker.run_light() {
                return;
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Ran(ran) => self.worker.ran(ran),
            Event::Net(delivery) => self.heard(delivery.take()),
            Event::Received(source, delivery) => self.received(source, delivery),
            Event::Saved(saved, written) => self.written(saved, written),
            Event::Ingest(event) => self.ingested(event),
            Event::Loaded(saved, recovery, state) => self.loaded(&saved, recovery, state),
            Event::Stop => self.leave(),
            // A worker cuts no source and publishes nothing.
            Event::Cut { .. }
            | Event::Published { .. }
            | Event::Refused { .. }
            | Event::Journal(_)
            | Event::Savepoint(_)
            | Event::Ended { .. } => {}
        }
    }

    /// Asks the master to be let go; the first time.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            (self.log)(WorkerNews::Draining);
            self.tell_master(&WorkerNote::Leave);
        }
    }

    fn show_life(&mut self, turns: Turns) {
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let Turns { took, busy, shared } = turns;
        let (micros, busy_micros, shared_micros) = (micros(took), micros(busy), micros(shared));
        let engine = EngineTime { micros, busy_micros, shared_micros };
        self.send_master(&ToMaster::Heartbeat { engine });
        // Where no other master can take over, the connection to the master says early enough that it is lost.
        if self.saver.is_some()
            && let Some(silent) = self.silence.too_long(host::now())
        {
            let why = format!("it was silent for {} ms", silent.as_millis());
            self.over.get_or_insert(Over::MasterGone { why });
        }
        let StoreStats { memory, spilled, .. } = self.kernels.blocks.stats();
        let buffers = self.kernels.buffers.kept() + self.pool.kept();
        let load = (memory + buffers as u64, spilled);
        if load != self.load {
            self.load = load;
            let (memory, spilled) = load;
            self.tell_master(&WorkerNote::Load { memory, spilled });
        }
        if let Pressure::Stuck(why) = self.kernels.blocks.pressure()
            && !std::mem::replace(&mut self.stuck, true)
        {
            (self.log)(WorkerNews::Warning(why.to_string()));
        }
        self.say_turned_away();
        self.tidy_transfers();
        self.see_peers();
        self.peers.reconnect(&self.net);
        self.say_missing();
    }

    /// Waits until what was sent to other workers has arrived, as long as that takes a reasonable time.
    fn say_farewell(&mut self, events: &Inbox) {
        let until = host::now() + FAREWELL;
        let under_way = |t: &Transfer| !t.is_done() && !t.has_failed();
        while self.moving.iter().any(under_way) && host::now() < until {
            // Only to wait for a moment without being deaf: nothing that comes now changes anything.
            let _ = events.next(Some(host::now() + Duration::from_millis(5)));
        }
        std::mem::take(&mut self.moving).into_iter().for_each(Transfer::detach);
    }
}
