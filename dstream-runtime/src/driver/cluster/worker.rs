//! The driver of a worker's process.
//!
//! One engine thread owns the worker half, the connections' state and everything that waits for
//! something; executor threads run tasks; the network's thread delivers what comes. Messages of the
//! master are taken in order, and a placement only once every worker that it names can be reached, so
//! that nothing which the core wants to send has to wait for a connection.

mod colleagues;
mod door;
mod inputs;
mod join;
mod receipts;
mod receiving;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use self::colleagues::Colleagues;
use self::door::Key;
use self::inputs::Inputs;
pub(super) use self::receipts::Dropped;
use self::receipts::Receipts;
use super::arrivals::Arrivals;
use super::note::{Freight, INLINE, Label, Luggage, MasterNote, PeerNote, Place, WorkerNote, pack};
use super::{ClusterError, JobSetup, WorkerNews, WorkerOptions, raw};
use crate::block::{Block, BufferPool};
use crate::client::{SessionLimits, Sessions};
use crate::driver::error::JobError;
use crate::driver::master::print_limit;
use crate::driver::stop::StopHandle;
use crate::driver::worker::task::Kernels;
use crate::driver::worker::{Asks, Leaving, Queue, Segment, Worker, start_executors};
use crate::driver::{BUFFERS_KEPT, CloseOnDrop, Event};
use crate::exec::job::BuiltJob;
use crate::exec::task::{OutputSetting, SavedState};
use crate::id::{Epoch, Partition, SourceId, StageId, WorkerId};
use crate::net::{BindOptions, CloseReason, Delivery, Endpoint, Net, NetEvent, PeerId, Transfer};
use crate::plan::Plan;
use crate::sched::Retention;
use crate::sched::message::{ToMaster, ToPeer, ToWorker};
use crate::source::{Carried, receive};
use crate::store::{BlockStore, KeptBlock, Pressure, StoreOptions, StoreStats};
use crate::wire::{BlockHeader, Cargo, Heartbeat, MessageKind, Received};

/// How long a worker that may go waits for what it has sent to arrive.
const FAREWELL: Duration = Duration::from_secs(10);

/// See [`serve_worker`](super::serve_worker).
pub(super) fn serve(
    plan: &'static Plan,
    build: &dyn Fn(&JobSetup) -> Result<BuiltJob, String>,
    options: &WorkerOptions,
    log: &dyn Fn(WorkerNews),
    stop: &StopHandle,
) -> Result<(), JobError> {
    let (sender, events) = unbounded();
    if stop.connect(sender.clone()) {
        return Ok(());
    }
    let Some(identity) = join::identity(plan, options, log, &events)? else {
        return Ok(());
    };
    let mut bind = BindOptions::new(identity, plan.hash);
    (bind.addr, bind.public) = (options.listen, options.public);
    let pool = bind.pool.clone();
    let delivered = sender.clone();
    // The engine ends before its endpoint does: nobody is there for what comes after that.
    let deliver = move |delivery: Delivery| drop(delivered.send(Event::Net(delivery)));
    let endpoint = Endpoint::bind(bind, deliver).map_err(ClusterError::from)?;
    for warning in endpoint.warnings() {
        log(WorkerNews::Warning(warning.to_string()));
    }
    let Some(welcome) = join::welcome(endpoint.net(), options, log, &events)? else {
        return Ok(());
    };
    let setup = welcome.setup;
    let job = build(&setup).map_err(|why| ClusterError::Setup { why })?;
    let inputs = Inputs::new(&job, &setup)?;
    let offers = inputs.offers()?;
    let kernels = kernels(&setup, job, options);
    let queue = Queue::default();
    let result = std::thread::scope(|scope| {
        let _close = CloseOnDrop(&queue);
        start_executors(scope, options.cores, &queue, &kernels, &sender)?;
        let (slots, retention) = (options.cores as u32, Retention::Consumed);
        let first = crate::id::BatchSeq(1);
        let worker = Worker::new(welcome.worker, plan, &kernels, &queue, slots, retention, first);
        let driver = Driver {
            kernels: &kernels,
            worker,
            net: endpoint.net().clone(),
            pool,
            id: welcome.worker,
            master: welcome.peer,
            master_addr: welcome.addr,
            colleagues: Colleagues::new(welcome.worker),
            inputs,
            held: Default::default(),
            arrivals: Arrivals::default(),
            early: Vec::new(),
            plan,
            sender: sender.clone(),
            receivers: BTreeMap::new(),
            receiving: BTreeSet::new(),
            received_all: false,
            sessions: Sessions::new(offers, SessionLimits::default()),
            receipts: Receipts::new(welcome.worker),
            copies: Arrivals::default(),
            moving: Vec::new(),
            beat: Heartbeat { number: 0, heard: 0, epoch: Epoch(0) },
            load: StoreStats::default(),
            stuck: false,
            every: welcome.heartbeat,
            log,
            leaving: false,
            over: None,
        };
        driver.run(options, &events)
    });
    stop.disconnect();
    result
}

/// The stages, and how outputs are to be encoded: as on the master, which opened them.
fn kernels(setup: &JobSetup, job: BuiltJob, options: &WorkerOptions) -> Kernels {
    let setting = |(index, row)| OutputSetting {
        format: setup.formats.get(index).copied().flatten(),
        limit: print_limit(&job, index, row),
        preview: setup.preview,
    };
    Kernels {
        outputs: job.plan.outputs.iter().enumerate().map(setting).collect(),
        stages: job.stages,
        buffers: BufferPool::new(BUFFERS_KEPT),
        blocks: BlockStore::new(StoreOptions::new(options.memory, &options.spill)),
        partitions: setup.partitions.max(1),
    }
}

/// How a worker's process ends.
enum Over {
    /// As it should.
    Done(WorkerNews),
    Failed(ClusterError),
}

struct Driver<'e> {
    plan: &'static Plan,
    kernels: &'e Kernels,
    worker: Worker<'e>,
    net: Net,
    pool: BufferPool,
    id: WorkerId,
    master: PeerId,
    master_addr: std::net::SocketAddr,
    colleagues: Colleagues,
    inputs: Inputs,
    /// What the master said after a placement that cannot be taken in yet.
    held: std::collections::VecDeque<ToWorker>,
    /// Messages of other workers and their blocks.
    arrivals: Arrivals<(PeerId, Key), (ToPeer, Vec<Place>)>,
    /// What other workers said of an epoch whose placement has not been taken in yet.
    early: Vec<(ToPeer, Vec<Place>, Vec<Block>)>,
    /// Who is to hear of what happens here, for receivers.
    sender: Sender<Event>,
    receivers: BTreeMap<SourceId, receive::Receiver>,
    /// The sources for which something may still be taken in here.
    receiving: BTreeSet<SourceId>,
    /// Nothing new is to be taken in.
    received_all: bool,
    /// Clients of the library.
    sessions: Sessions,
    receipts: Receipts,
    /// Copies of other workers' receipts and their lines.
    copies: Arrivals<(PeerId, SourceId, u64), Carried>,
    /// State on its way to other workers.
    moving: Vec<Transfer>,
    beat: Heartbeat,
    /// What the master was told of the blocks that are kept here.
    load: StoreStats,
    /// It was said that blocks cannot be moved to files.
    stuck: bool,
    every: Duration,
    log: &'e dyn Fn(WorkerNews),
    /// It has asked to be let go.
    leaving: bool,
    over: Option<Over>,
}

impl Driver<'_> {
    fn run(mut self, options: &WorkerOptions, events: &Receiver<Event>) -> Result<(), JobError> {
        let (cores, memory) = (options.cores as u32, options.memory);
        self.tell_master(&WorkerNote::Ready { addr: self.net.local_addr(), cores, memory });
        let mut beat = Instant::now();
        loop {
            self.turn();
            match self.over.take() {
                Some(Over::Done(news)) => {
                    self.say_farewell(events);
                    (self.log)(news);
                    return Ok(());
                }
                Some(Over::Failed(error)) => return Err(error.into()),
                None => {}
            }
            match events.recv_deadline(beat) {
                Ok(event) => self.happened(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            while let Ok(event) = events.try_recv() {
                self.happened(event);
            }
            let now = Instant::now();
            if now >= beat {
                beat = now + self.every;
                self.show_life();
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
            Event::Stop => self.leave(),
            // A worker cuts no source and publishes nothing.
            Event::Cut { .. } | Event::Published { .. } => {}
        }
    }

    /// Asks the master to be let go; the first time.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            (self.log)(WorkerNews::Draining);
            self.tell_master(&WorkerNote::Leave);
        }
    }

    fn show_life(&mut self) {
        self.beat.number += 1;
        let beat = self.beat;
        self.send_master(&beat);
        let load = self.kernels.blocks.stats();
        if load != self.load {
            self.load = load;
            let (memory, spilled) = (load.memory, load.spilled);
            self.tell_master(&WorkerNote::Load { memory, spilled });
        }
        if let Pressure::Stuck(why) = self.kernels.blocks.pressure()
            && !std::mem::replace(&mut self.stuck, true)
        {
            (self.log)(WorkerNews::Warning(why.to_string()));
        }
        self.moving.retain(|transfer| !transfer.is_done() && !transfer.has_failed());
        self.colleagues.reconnect(&self.net);
    }

    fn tell_master(&mut self, note: &WorkerNote) {
        self.send_master(note);
    }

    /// What cannot be sent was for a master that is gone: its `Closed` is on its way.
    fn send_master<M: crate::wire::Message>(&mut self, message: &M) {
        if let Err(crate::net::SendError::Frame(error)) = self.net.send(self.master, message) {
            let why = format!("a message does not fit into a frame: {error}");
            self.over = Some(Over::Failed(ClusterError::Broken { why }));
        }
    }

    fn asked(&mut self, asks: Asks) {
        match asks {
            Asks::Read(run) => {
                if let Some(run) = self.inputs.hold(run) {
                    self.start(run);
                }
            }
            Asks::Report(message, leaving) => self.report(message, leaving),
            Asks::Tell(to, message, segments) => {
                let task = match &message {
                    ToPeer::Produced { task, attempt, .. } => Some((*task, *attempt)),
                    ToPeer::State { .. } | ToPeer::Want { .. } => None,
                };
                let blocks = segments.into_iter().map(|segment| {
                    let Segment { tail, partition, block } = segment;
                    (Place::Segment(tail, partition), block)
                });
                let cargo = |place| match (task, place) {
                    (Some((producer, attempt)), Place::Segment(tail, partition)) => {
                        let id = crate::id::BlockId { producer, tail, partition };
                        Some(Cargo::Segment { id, attempt })
                    }
                    _ => None,
                };
                let transfer = self.send_peer(to, message, blocks.collect(), &cargo);
                if let Some(transfer) = transfer {
                    transfer.detach();
                }
            }
            Asks::Move { to, epoch, stage, partition } => {
                match self.worker.give_up(stage, partition) {
                    Ok(saved) => self.hand_over(to, epoch, stage, partition, saved),
                    Err(error) => {
                        let why =
                            format!("the state of {stage}, {partition} cannot be moved: {error}");
                        self.over = Some(Over::Failed(ClusterError::Broken { why }));
                    }
                }
            }
        }
    }

    fn start(&mut self, run: crate::sched::worker::RunTask) {
        let opened = match run.ranges.first() {
            // A partition whose owner has received nothing.
            None => self.receipts.open(&[]),
            Some(range) if receive::taker_of(&range.split).is_some() => {
                self.receipts.open(&run.ranges)
            }
            Some(_) => self.inputs.open(&run),
        };
        match opened {
            Ok(input) => self.worker.start(run, Some(input)),
            Err(error) => self.worker.refuse(&run, &error.into()),
        }
    }

    fn hand_over(
        &mut self,
        to: WorkerId,
        epoch: Epoch,
        stage: StageId,
        partition: Partition,
        saved: SavedState,
    ) {
        let blocks = saved.parts.into_iter().map(|(tag, block)| (Place::State(tag), block));
        let message = ToPeer::State { epoch, stage, partition };
        let cargo = |place| match place {
            Place::State(tag) => Some(Cargo::State { stage, partition, tag }),
            Place::Segment(..) => None,
        };
        let transfer = self.send_peer(to, message, blocks.collect(), &cargo);
        self.moving.extend(transfer);
    }

    fn report(&mut self, message: ToMaster, leaving: Leaving) {
        let task = match &message {
            ToMaster::TaskDone { task, attempt, epoch, .. } => Some((*task, *attempt, *epoch)),
            _ => None,
        };
        let (Some((task, attempt, epoch)), Some(bytes)) = (task, pack(leaving)) else {
            return self.send_master(&message);
        };
        if bytes.len() <= INLINE {
            return self.tell_master(&WorkerNote::Done { message, luggage: Luggage::Here(bytes) });
        }
        let tail = crate::id::TailId(0);
        let cargo = Cargo::Part { task, tail, attempt };
        let header = |piece| BlockHeader { epoch, cargo, piece };
        let blocks = raw::pieces(&self.pool, &bytes).into_iter().zip(0..);
        let blocks: Vec<_> = blocks.map(|(block, piece)| (header(piece), block)).collect();
        let luggage = Luggage::Sent(blocks.len() as u32);
        self.tell_master(&WorkerNote::Done { message, luggage });
        if let Ok(transfer) = self.net.push_blocks(self.master, &blocks) {
            transfer.detach();
        }
    }

    /// Sends a message and its blocks to another worker. One that cannot be reached any more is said to
    /// be so when its connection ends.
    fn send_peer(
        &mut self,
        to: WorkerId,
        message: ToPeer,
        blocks: Vec<(Place, KeptBlock)>,
        cargo: &dyn Fn(Place) -> Option<Cargo>,
    ) -> Option<Transfer> {
        let peer = self.colleagues.peer(to)?;
        let read = |(place, kept): (Place, KeptBlock)| kept.get().map(|block| (place, block));
        let blocks: Vec<(Place, Block)> = match blocks.into_iter().map(read).collect() {
            Ok(blocks) => blocks,
            Err(error) => {
                let why = format!("a block cannot be read back from its file: {error}");
                self.over = Some(Over::Failed(ClusterError::Broken { why }));
                return None;
            }
        };
        let epoch = match &message {
            ToPeer::Produced { epoch, .. }
            | ToPeer::State { epoch, .. }
            | ToPeer::Want { epoch, .. } => *epoch,
        };
        let label =
            |(place, block): &(Place, Block)| Label { place: *place, len: block.byte_len() as u32 };
        let labels: Vec<Label> = blocks.iter().map(label).collect();
        let total: usize = labels.iter().map(|label| label.len as usize).sum();
        let is_here = total <= INLINE;
        let mut here = Vec::with_capacity(if is_here { total } else { 0 });
        if is_here {
            for (_, block) in &blocks {
                here.extend_from_slice(block.header());
                here.extend_from_slice(block.body());
            }
        }
        let freight = Freight { labels, here, is_here };
        if self.net.send(peer, &PeerNote::Said { message, freight }).is_err() || is_here {
            return None;
        }
        let blocks: Vec<_> = blocks
            .into_iter()
            .zip(0..)
            .filter_map(|((place, block), piece)| {
                Some((BlockHeader { epoch, cargo: cargo(place)?, piece }, block))
            })
            .collect();
        self.net.push_blocks(peer, &blocks).ok()
    }

    fn heard(&mut self, event: NetEvent) {
        match event {
            NetEvent::Message { peer, message } if peer == self.master => {
                self.master_said(&message)
            }
            NetEvent::Message { peer, message } if message.kind() == MessageKind::ToReceiver => {
                self.client_said(peer, &message);
            }
            NetEvent::Message { peer, message } => self.peer_said(peer, &message),
            NetEvent::Block { peer, header, bytes, .. } => self.block_came(peer, header, bytes),
            NetEvent::Connected { peer, subject, .. } => {
                if self.colleagues.connected(peer, &subject) {
                    let hello = PeerNote::Hello { worker: self.id };
                    // If it is gone already, its `Closed` follows.
                    let _ = self.net.send(peer, &hello);
                    self.take_held();
                }
            }
            NetEvent::Closed { peer, reason } if peer == self.master => {
                let (master, why) = (self.master_addr, reason.to_string());
                let news = match reason {
                    CloseReason::Bye if self.leaving => Over::Done(WorkerNews::Drained),
                    _ => Over::Failed(ClusterError::MasterGone { master, why }),
                };
                self.over.get_or_insert(news);
            }
            NetEvent::Closed { peer, reason } => {
                self.arrivals.forget(|(of, _)| *of == peer);
                self.copies.forget(|(of, ..)| *of == peer);
                self.sessions.gone(peer);
                if let Some(worker) = self.colleagues.closed(peer) {
                    let other = self.colleagues.second();
                    let (again, settled) = self.receipts.lost(worker, other);
                    for (source, number, what, lines) in again {
                        if let Some(other) = other {
                            self.send_copy(other, source, number, what, lines);
                        }
                    }
                    for (source, number, settled) in settled {
                        self.settle(source, number, settled);
                    }
                    let why = reason.to_string();
                    self.tell_master(&WorkerNote::Unreachable { worker, why });
                }
            }
            NetEvent::RenewalFailed { why, .. } => {
                let message = format!("the certificate was not renewed: {why}");
                (self.log)(WorkerNews::Warning(message));
            }
            NetEvent::Refused { .. }
            | NetEvent::AuthorityFailed { .. }
            | NetEvent::Joined { .. }
            | NetEvent::Renewed { .. } => {}
        }
    }

    fn master_said(&mut self, message: &Received) {
        let read = match message.kind() {
            MessageKind::ToWorker => message.read().map(|message| self.take(message)),
            MessageKind::MasterNote => message.read().map(|note| self.noted(note)),
            MessageKind::Heartbeat => message.read().map(|beat: Heartbeat| {
                self.beat.heard = beat.number;
            }),
            _ => Ok(()),
        };
        if let Err(error) = read {
            self.net.accuse(self.master, &error.to_string());
        }
    }

    fn noted(&mut self, note: MasterNote) {
        match note {
            MasterNote::Crew(crew) => {
                self.colleagues.learn(crew, &self.net);
                self.take_held();
            }
            MasterNote::Input { task, carried, pieces } => {
                let ready = self.inputs.announced(task, carried, pieces);
                ready.into_iter().for_each(|run| self.start(run));
            }
            MasterNote::Unreadable { task, why } => self.inputs.unreadable(task, why),
            MasterNote::Receive { source, listens } => self.receive(source, listens),
            MasterNote::StopReceiving => self.stop_receiving(),
            MasterNote::Registered { source, number, how } => self.registered(source, number, how),
            MasterNote::Dismissed => self.over = Some(Over::Done(WorkerNews::Drained)),
            MasterNote::Over => self.over = Some(Over::Done(WorkerNews::Over)),
            MasterNote::Dismiss { why } => {
                let refused = ClusterError::Refused { master: self.master_addr, why };
                self.over = Some(Over::Failed(refused));
            }
            MasterNote::Welcome { .. } => {}
        }
    }

    fn take(&mut self, message: ToWorker) {
        self.held.push_back(message);
        self.take_held();
    }

    /// Takes in what the master said, up to a placement that names workers which cannot be reached yet.
    fn take_held(&mut self) {
        while let Some(message) = self.held.front() {
            if let ToWorker::Place { placement, epoch, first, .. } = message {
                if !self.colleagues.reaches(placement) {
                    return;
                }
                let mine = placement.iter().filter(|owner| **owner == self.id).count() as u32;
                self.beat.epoch = *epoch;
                (self.log)(WorkerNews::Placed { epoch: *epoch, first: *first, partitions: mine });
            }
            if let ToWorker::Begin { batch, ranges, .. } = message {
                self.receipts.begins(*batch, ranges);
            }
            if let ToWorker::Begin { oldest, .. } | ToWorker::Release { oldest, .. } = message {
                self.inputs.forget(*oldest);
                let dropped = self.receipts.release(*oldest);
                self.tell_dropped(dropped);
            }
            if let Some(message) = self.held.pop_front() {
                self.worker.master_said(message);
            }
            for (message, places, blocks) in std::mem::take(&mut self.early) {
                self.pass_on(message, &places, blocks);
            }
        }
    }

    /// Waits until what was sent to other workers has arrived, as long as that takes a reasonable time.
    fn say_farewell(&mut self, events: &Receiver<Event>) {
        let until = Instant::now() + FAREWELL;
        let under_way = |t: &Transfer| !t.is_done() && !t.has_failed();
        while self.moving.iter().any(under_way) && Instant::now() < until {
            // Only to wait for a moment without being deaf: nothing that comes now changes anything.
            let _ = events.recv_timeout(Duration::from_millis(5));
        }
        std::mem::take(&mut self.moving).into_iter().for_each(Transfer::detach);
    }
}
