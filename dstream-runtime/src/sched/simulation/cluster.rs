//! One master and its workers, and everything that is on its way between them. Workers are lost at any time,
//! with everything that they held, and some of them go on as zombies; the cluster as a whole may be one, too,
//! when another master has taken over (see [`outside`](super::outside)).
//!
//! Nothing may be asked of anybody that he does not hold; only what was lost runs again; what is made is what
//! is made without workers (see [`reference`](super::reference)).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Seed;
use super::network::{Network, Timed};
use super::outside::{Object, Outside};
use super::process::Process;
use super::reference::Reference;
use crate::driver::cluster::node::{Answer, Desk, Node, Note, SOURCE, Told};
use crate::id::*;
use crate::plan::{Plan, TailRow};
use crate::sched::attempt::is_speculative;
use crate::sched::master::{Cause, Outcome};
use crate::sched::message::*;
use crate::sched::*;
use crate::source::Range;
use crate::time::Timetable;

const WORKERS: usize = 14;
/// How long a worker may be silent, where time is simulated.
pub(super) const LEASE_MS: u64 = 400;
/// How long workers of another master's time have to come.
pub(super) const GRACE_MS: u64 = 3000;

#[derive(Clone)]
pub(super) enum Message {
    /// With the result of a task that makes an output.
    ToMaster(WorkerId, ToMaster, Option<u64>),
    /// With the contents of blocks, or of the state.
    ToPeer(WorkerId, WorkerId, ToPeer, Vec<u64>),
    /// Entries up to this one are on their way to the journal.
    Put(JournalSeq),
    Synced(JournalSeq),
    Fenced,
    /// A batch is on its way to the outputs.
    Show(BatchSeq, Vec<(TaskId, u64)>),
    Published(BatchSeq),
    Cut(BatchSeq, SourceId),
    ToWorker(WorkerId, ToWorker),
    /// It is time for a heartbeat.
    Beat(WorkerId),
    /// The master lives.
    Alive(WorkerId),
    /// The master has given a worker up.
    JoinAgain(WorkerId),
    /// A worker's connection to another one has ended; what it tells the master of that, and when that judges.
    Parted(WorkerId, WorkerId),
    Unreachable(WorkerId, WorkerId),
    Judge(WorkerId, WorkerId),
    /// A master that writes nothing sees whether it is the newest still.
    Look,
    /// About what clients push: between workers, to the master, and from there.
    Told(WorkerId, WorkerId, Told),
    Note(WorkerId, Note),
    Answer(WorkerId, Answer),
    /// Who can be reached.
    Crew(WorkerId, Vec<WorkerId>),
    /// Whoever was there with another master has had time to come.
    Grace(u64),
    Ran(WorkerId, TaskId, Attempt, u64),
    Saved(WorkerId, Saved, u64),
    Loaded(WorkerId, Saved, Epoch),
    Left(WorkerId),
    Tick(u64),
}

/// A source that counts, and ends.
#[derive(Clone)]
struct Source {
    position: u64,
    total: u64,
    /// It has said that nothing will follow, and was not told to stop.
    ended: bool,
}

/// What a job is like: the same for all its masters.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) plan: &'static Plan,
    pub(super) number: u64,
    pub(super) config: MasterConfig,
    /// How much each source brings.
    pub(super) totals: Vec<u64>,
    failing: u64,
    pub(super) churn: u64,
    bad_storage: u64,
    /// Whether time is simulated, and hosts and links with it.
    in_time: bool,
    /// Whether clients push the first source.
    pub(super) pushed: bool,
}

impl Job {
    pub(super) fn new(plan: &'static Plan, number: u64, seed: &mut Seed, live: bool) -> Self {
        let sources = plan.sources.len();
        let config = MasterConfig {
            partitions: 1 + seed.below(5) as u32,
            in_flight: 1 + seed.below(4) as u32,
            attempts: 100,
            workers: 1 + seed.below(4) as u32,
            lease_ms: None,
            checkpoint_ms: Some(100 * (1 + seed.below(6))),
            speculate: true,
            timetable: Timetable::new(0, 100),
            live: (0..sources).map(|_| live && seed.one_in(2)).collect(),
            first: BatchSeq(1 + seed.below(2) * seed.below(20)),
            term: 0,
        };
        Self {
            plan,
            number,
            totals: (0..sources).map(|_| seed.below(40)).collect(),
            config,
            failing: [0, 30][seed.below(2) as usize],
            churn: [20, 60, 150][seed.below(3) as usize],
            bad_storage: [0, 4][seed.below(2) as usize],
            in_time: false,
            pushed: false,
        }
    }

    /// A job whose time is simulated, on so many hosts.
    pub(super) fn in_time(plan: &'static Plan, number: u64, seed: &mut Seed, hosts: u32) -> Self {
        let mut job = Self::new(plan, number, seed, true);
        job.config.live.fill(true);
        job.config.lease_ms = Some(LEASE_MS);
        job.config.workers = job.config.workers.min(hosts);
        job.config.partitions = job.config.partitions.min(4);
        (job.failing, job.in_time) = (0, true);
        job.config.speculate = false;
        job.pushed = seed.one_in(2);
        if job.pushed {
            job.totals[0] = 0;
            // As with real masters: what is received counts batches from the first on, clients send to
            // workers that own something, and every worker does.
            job.config.first = BatchSeq(1);
            job.config.partitions = job.config.partitions.max(hosts + 1);
        }
        job
    }
}

pub(super) struct Cluster {
    pub(super) seed: Seed,
    pub(super) now: u64,
    pub(super) term: u32,
    job: Job,
    pub(super) master: MasterCore,
    pub(super) processes: BTreeMap<WorkerId, Process>,
    next: u32,
    pub(super) network: Network,
    /// Entries that are not durable, with who has ended by them.
    unsynced: VecDeque<(JournalSeq, JournalEntry, Vec<bool>)>,
    durable: JournalSeq,
    sources: Vec<Source>,
    /// Per batch which sources have ended.
    ended: BTreeMap<BatchSeq, Vec<bool>>,
    pub(super) stopped: bool,
    pub(super) reference: Reference,
    parts: BTreeMap<TaskId, u64>,
    pub(super) outcome: Option<Outcome>,
    pub(super) done: BTreeSet<TaskId>,
    pub(super) lost: BTreeSet<Partition>,
    /// The tasks that were to run on another worker too.
    pub(super) twice: BTreeSet<TaskId>,
    pub(super) cancelled: u32,
    /// What was on its way of second runs when another one counted.
    pub(super) given_up: u32,
    pub(super) helpers_lost: u32,
    pub(super) losses: u32,
    pub(super) zombies: u32,
    pub(super) again: u32,
    pub(super) loads: u32,
    /// States of which only what had changed was saved.
    pub(super) continued: u32,
    pub(super) saves: u32,
    pub(super) failing: u64,
    /// Workers whose connection to the master has ended.
    pub(super) closed: BTreeSet<WorkerId>,
    /// Workers between which nothing arrives any more.
    pub(super) parted: BTreeSet<(WorkerId, WorkerId)>,
    /// Hosts whose worker has gone.
    pub(super) departed: Vec<(usize, Option<Node>)>,
    /// Where the master keeps count of what clients push.
    pub(super) desk: Option<Desk>,
    /// What workers have of that.
    pub(super) nodes: BTreeMap<WorkerId, Node>,
    /// Who is connected, as the master sees it.
    pub(super) crew: BTreeSet<WorkerId>,
    /// What clients may be told.
    pub(super) safe: Vec<(u128, u64)>,
    /// Batches before this one are over, as far as everybody was told what to forget.
    pub(super) forgotten: BatchSeq,
    pub(super) is_placed: bool,
    pub(super) graces: u64,
    pub(super) unreadable: u32,
    /// The master's process has ended.
    pub(super) is_headless: bool,
    pub(super) refused_saves: u32,
    pub(super) damaged_loads: u32,
}

impl Cluster {
    /// A cluster that begins, or goes on from what is outside; in the latter case its workers come later.
    pub(super) fn new(job: &Job, outside: &Outside, past: &Past, now: u64, seed: u64) -> Self {
        let mut config = job.config.clone();
        config.term = outside.term;
        let master = match past.is_fresh() {
            true => MasterCore::new(job.plan, config),
            false => MasterCore::resume(job.plan, config, past, now).expect("the journal is whole"),
        };
        let first = job.config.first;
        let mut reference = Reference::new(job.plan, job.config.partitions, first, job.number);
        for (batch, inputs) in &outside.cuts {
            for (source, inputs) in (0..).map(SourceId).zip(inputs) {
                reference.cut(*batch, source, inputs.clone());
            }
        }
        let source = |(index, total): (usize, &u64)| {
            let position = past.position(SourceId(index as u16));
            let position = position.filter(|_| index > 0 || !job.pushed);
            let position =
                position.map_or([0; 8], |p| (**p).try_into().expect("it was written so"));
            let position = u64::from_le_bytes(position);
            Source { position, total: *total, ended: outside.ended[index] }
        };
        let mut cluster = Self {
            seed: Seed(seed),
            now,
            term: outside.term,
            master,
            processes: BTreeMap::new(),
            next: outside.term << 16,
            network: Network::Any(Vec::new()),
            closed: BTreeSet::new(),
            parted: BTreeSet::new(),
            departed: Vec::new(),
            desk: job.pushed.then(|| Desk::new(past.position(SOURCE).map(|p| &**p))),
            nodes: BTreeMap::new(),
            crew: BTreeSet::new(),
            safe: Vec::new(),
            forgotten: BatchSeq(0),
            is_placed: false,
            graces: 0,
            unreadable: 0,
            is_headless: false,
            refused_saves: 0,
            damaged_loads: 0,
            unsynced: VecDeque::new(),
            durable: JournalSeq(0),
            sources: job.totals.iter().enumerate().map(source).collect(),
            ended: BTreeMap::new(),
            stopped: false,
            reference,
            parts: BTreeMap::new(),
            outcome: None,
            done: BTreeSet::new(),
            lost: BTreeSet::new(),
            twice: BTreeSet::new(),
            cancelled: 0,
            given_up: 0,
            helpers_lost: 0,
            losses: 0,
            zombies: 0,
            again: 0,
            loads: 0,
            continued: 0,
            saves: 0,
            failing: job.failing,
            job: job.clone(),
        };
        if job.in_time {
            cluster.network = Network::Timed(Box::new(Timed::new(outside.term, now, seed)));
            cluster.network.push(Message::Look);
            return cluster;
        }
        let there = cluster.seed.below(u64::from(job.config.workers) + 1);
        (0..there).for_each(|_| cluster.join());
        cluster
    }

    pub(super) fn next_id(&mut self) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        id
    }

    fn join(&mut self) {
        let id = self.next_id();
        let Reference { plan, partitions, .. } = self.reference;
        let core = WorkerCore::new(id, plan, partitions, 1, Retention::Released);
        self.processes.insert(id, Process::new(core));
    }

    /// Something happens. False if nothing can.
    pub(super) fn step(&mut self, outside: &mut Outside, quiet: bool) -> bool {
        self.act(outside);
        if self.outcome.is_some() {
            return false;
        }
        if !quiet && self.seed.one_in(self.job.churn) {
            self.come_or_go();
            return true;
        }
        let told = self.processes.iter().filter(|(_, p)| !p.told.is_empty());
        let told: Vec<_> = told.map(|(worker, _)| *worker).collect();
        let choices = told.len() + self.network.any().len();
        if choices == 0 {
            let short = self.alive().is_empty() || self.needs_more();
            assert!(short, "nothing happens: {:?}", self.master.status(self.now));
            self.join();
            return true;
        }
        let at = self.seed.below(choices as u64) as usize;
        if let Some(worker) = told.get(at) {
            let (worker, process) = (*worker, self.processes.get_mut(worker).unwrap());
            let message = process.told.pop_front().unwrap();
            self.tell(worker, WorkerEvent::Master(message));
            return true;
        }
        let message = self.network.any().swap_remove(at - told.len());
        let doubles = matches!(message, Message::ToMaster(..) | Message::ToPeer(..));
        if doubles && self.seed.one_in(8) {
            self.network.push(message.clone());
        }
        self.deliver(outside, message);
        true
    }

    fn alive(&self) -> Vec<WorkerId> {
        self.processes.iter().filter(|(_, p)| !p.zombie).map(|(w, _)| *w).collect()
    }

    fn needs_more(&self) -> bool {
        matches!(self.master.status(self.now).cut, status::CutWait::Workers { .. })
    }

    /// The job is told to stop.
    pub(super) fn stop(&mut self) {
        self.master.handle(self.now, MasterEvent::Stop);
    }

    /// The master ends here and now. Some of what it was about to write down, or to show, is there all the
    /// same.
    pub(super) fn crash(&mut self, outside: &mut Outside) {
        self.act(outside);
        self.is_headless = true;
        let survive = self.seed.below(self.unsynced.len() as u64 + 1) as usize;
        for (_, entry, ended) in self.unsynced.drain(..survive).collect::<Vec<_>>() {
            outside.put(self.term, entry, &ended);
        }
        let mut shows = Vec::new();
        self.network.retain(|message| match message {
            Message::Show(batch, parts) => {
                shows.push((*batch, parts.clone()));
                false
            }
            _ => true,
        });
        for (batch, parts) in shows {
            if self.seed.one_in(2) {
                outside.show(batch, &self.reference.inputs(batch), parts);
            }
        }
    }

    fn come_or_go(&mut self) {
        let alive = self.alive();
        match self.seed.below(6) {
            0 | 1 if self.processes.len() < WORKERS => self.join(),
            2 if !alive.is_empty() => {
                let worker = alive[self.seed.below(alive.len() as u64) as usize];
                self.master.handle(self.now, MasterEvent::Drain(worker));
            }
            3 | 4 if !alive.is_empty() => {
                let worker = alive[self.seed.below(alive.len() as u64) as usize];
                self.losses += 1;
                self.network.push(Message::Left(worker));
                if self.seed.one_in(3) {
                    self.zombies += 1;
                    let process = self.processes.get_mut(&worker).unwrap();
                    process.zombie = true;
                    if self.seed.one_in(2) {
                        process.told.clear();
                        process.deaf = true;
                    }
                } else {
                    self.kill(worker);
                }
            }
            5 => {
                let zombies = self.processes.iter().filter(|(_, p)| p.zombie);
                let zombie = zombies.map(|(worker, _)| *worker).next();
                zombie.into_iter().for_each(|worker| self.kill(worker));
            }
            _ => {}
        }
    }

    /// A process ends; some of what it has sent still arrives.
    fn kill(&mut self, worker: WorkerId) {
        self.processes.remove(&worker);
        let kept = self.seed.below(3);
        let seed = &mut self.seed;
        self.network.retain(|message| match message {
            Message::ToPeer(from, ..) | Message::ToMaster(from, ..) if *from == worker => {
                kept == 0 || kept == 1 && seed.one_in(2)
            }
            _ => true,
        });
    }

    pub(super) fn act(&mut self, outside: &mut Outside) {
        while let Some(action) = self.master.poll() {
            assert!(self.outcome.is_none(), "{action:?} after the end");
            self.master_asks(outside, action);
        }
        for worker in self.processes.keys().copied().collect::<Vec<_>>() {
            while let Some(action) = self.processes.get_mut(&worker).and_then(|p| p.core.poll()) {
                self.worker_asks(worker, action);
            }
        }
    }

    fn master_asks(&mut self, outside: &mut Outside, action: MasterAction) {
        match action {
            MasterAction::Cut { batch, source } => self.network.push(Message::Cut(batch, source)),
            MasterAction::Tell(to, message) => {
                if let ToWorker::Recover(recover) = &message {
                    self.lost.extend(&recover.lost);
                }
                if let ToWorker::Speculate { task, .. } = &message {
                    self.twice.insert(*task);
                }
                if let ToWorker::Release { oldest, .. } = &message
                    && self.term == outside.term
                {
                    let needed = outside.oldest();
                    assert!(*oldest <= needed, "{oldest} is let go, and {needed} may be needed");
                }
                if self.job.in_time {
                    self.heed(&message);
                    return self.network.push(Message::ToWorker(to, message));
                }
                match self.processes.get_mut(&to) {
                    // A connection that is cut delivers a beginning of what was sent.
                    Some(process) if process.zombie && self.seed.one_in(2) => process.deaf = true,
                    Some(process) if !process.deaf => process.told.push_back(message),
                    _ => {}
                }
            }
            MasterAction::Persist(seq, entry) => {
                let ended = match &entry {
                    JournalEntry::Cut { batch, .. } => self.ended.remove(batch).unwrap_or_default(),
                    _ => Vec::new(),
                };
                self.unsynced.push_back((seq, entry, ended));
                self.network.push(Message::Put(seq));
            }
            MasterAction::Publish { batch, token } => {
                assert_eq!(token.batch(), batch);
                let parts = self.parts_of(batch);
                self.network.push(Message::Show(batch, parts));
            }
            MasterAction::SetTimer(at) => self.network.push(Message::Tick(at)),
            MasterAction::Dismiss(worker) if self.job.in_time => self.let_go(worker),
            MasterAction::Dismiss(worker) => self.kill(worker),
            MasterAction::Obsolete(object) => {
                let was_there = outside.storage.remove(&object).is_some();
                let is_old = self.term != outside.term;
                assert!(was_there || is_old, "{object} went before");
            }
            MasterAction::Evict(worker, _) => self.give_up(worker),
            MasterAction::StopSources => {
                self.stopped = true;
                if let Some(desk) = &mut self.desk {
                    desk.stop();
                    self.crew.iter().for_each(|worker| desk.closed(*worker));
                }
            }
            MasterAction::Refuse { .. }
            | MasterAction::Unneeded { .. }
            | MasterAction::Slow { .. } => {}
            MasterAction::Finish(outcome) => {
                let unreadable = matches!(outcome, Outcome::Failed(Cause::State { .. }));
                if self.term == outside.term && !(unreadable && self.damaged_loads > 0) {
                    assert_eq!(outcome, Outcome::Done);
                }
                let fenced = matches!(outcome, Outcome::Failed(Cause::Fenced { .. }));
                assert!(!fenced || self.master.poll().is_none(), "it goes on");
                self.outcome = Some(outcome);
            }
        }
    }

    /// What is published is exactly what a run without faults publishes.
    fn parts_of(&mut self, batch: BatchSeq) -> Vec<(TaskId, u64)> {
        let first = |batch| TaskId { batch, stage: StageId(0), partition: Partition(0) };
        let range = first(batch)..first(BatchSeq(batch.0 + 1));
        let got: Vec<_> =
            self.parts.range(range.clone()).map(|(task, part)| (*task, *part)).collect();
        let outputs = |task: &TaskId| has_output(self.reference.plan, *task);
        self.reference.up_to(batch);
        let expected = self.reference.results.range(range).filter(|(task, _)| outputs(task));
        let expected: Vec<_> = expected.map(|(task, result)| (*task, *result)).collect();
        assert_eq!(got, expected, "{batch}");
        got
    }

    pub(super) fn deliver(&mut self, outside: &mut Outside, message: Message) {
        let event = match message {
            Message::ToPeer(_, to, message, contents) => {
                return self.peer_hears(to, message, &contents);
            }
            Message::Ran(on, task, attempt, result) => return self.ran(on, task, attempt, result),
            Message::Saved(on, saved, value) => {
                let Saved { stage, partition, after, .. } = saved;
                let full = self.network.timed().is_some_and(|t| t.conditions.full > t.now);
                let event = if full || self.seed.one_in(self.job.bad_storage) {
                    self.refused_saves += 1;
                    WorkerEvent::NotSaved { stage, partition, after }
                } else {
                    let (name, before) = saved.objects.split_last().expect("it has a name");
                    let continues = before.last().cloned();
                    outside.storage.insert(name.clone(), Object { continues, value });
                    WorkerEvent::Saved(saved)
                };
                return self.tell(on, event);
            }
            Message::Loaded(on, saved, recovery) => {
                return self.loaded(outside, on, saved, recovery);
            }
            Message::ToMaster(from, ..) if self.closed.contains(&from) => return,
            // Who is gone does not join again under his number.
            Message::ToMaster(from, ToMaster::Joined { .. }, _)
                if self.processes.get(&from).is_none_or(|p| p.zombie) =>
            {
                return;
            }
            Message::ToMaster(from, message, part) => {
                if self.master.accepts(from, &message)
                    && let (ToMaster::TaskDone { task, .. }, Some(part)) = (&message, part)
                {
                    assert_eq!(self.parts.insert(*task, part), None, "{task} counts twice");
                }
                if let ToMaster::TaskDone { task, attempt, .. } = &message {
                    self.done.insert(*task);
                    // Its run counts from here on, and not everybody has heard of it.
                    let counts = is_speculative(*attempt) && self.master.accepts(from, &message);
                    if counts && self.helpers_lost < 3 && self.seed.one_in(2) {
                        (self.helpers_lost, self.losses) = (self.helpers_lost + 1, self.losses + 1);
                        self.kill(from);
                        self.network.push(Message::Left(from));
                    }
                }
                MasterEvent::Worker(from, message)
            }
            Message::Left(worker) => MasterEvent::Left(worker, "it was killed".into()),
            Message::Put(seq) => return self.put(outside, seq),
            Message::Synced(seq) => MasterEvent::Synced(seq),
            Message::Fenced => MasterEvent::Fenced { why: "another one".into() },
            Message::Show(batch, parts) => {
                outside.show(batch, &self.reference.inputs(batch), parts);
                return self.network.push(Message::Published(batch));
            }
            Message::Published(batch) => MasterEvent::Published { batch },
            Message::Cut(batch, source) => self.cut(batch, source),
            Message::Tick(at) => {
                self.now = self.now.max(at);
                MasterEvent::Tick
            }
            Message::ToWorker(to, message) => {
                return self.tell(to, WorkerEvent::Master(message));
            }
            Message::Beat(_)
            | Message::Alive(_)
            | Message::JoinAgain(_)
            | Message::Parted(..)
            | Message::Unreachable(..)
            | Message::Judge(..)
            | Message::Look
            | Message::Told(..)
            | Message::Note(..)
            | Message::Answer(..)
            | Message::Crew(..)
            | Message::Grace(_) => return,
        };
        match self.network.timed() {
            Some(timed) => self.now = timed.clock(),
            None => self.now += self.seed.below(20),
        }
        self.master.handle(self.now, event);
    }

    /// All entries up to one are written.
    fn put(&mut self, outside: &mut Outside, seq: JournalSeq) {
        while let Some((first, entry, ended)) =
            self.unsynced.pop_front_if(|(first, ..)| *first <= seq)
        {
            if !outside.put(self.term, entry, &ended) {
                // Nothing that comes after it is written either.
                self.unsynced.clear();
                return self.network.push(Message::Fenced);
            }
            self.durable = first;
        }
        if self.durable < seq {
            return;
        }
        self.network.push(Message::Synced(seq));
    }

    fn cut(&mut self, batch: BatchSeq, source: SourceId) -> MasterEvent {
        if let Some(desk) = self.desk.as_mut().filter(|_| source == SOURCE) {
            let cut = desk.cut(self.reference.partitions as usize);
            let crate::source::Cut { inputs, position, ended } =
                cut.unwrap_or_else(|error| panic!("{batch}: {error}"));
            let inputs: Vec<Vec<Range>> = inputs.into_iter().map(|input| input.ranges).collect();
            self.sources[0].ended = ended;
            let all_ended = self.sources.iter().map(|source| source.ended).collect();
            self.ended.insert(batch, all_ended);
            self.reference.cut(batch, source, inputs.clone());
            return MasterEvent::CutDone { batch, source, inputs, position, ended };
        }
        let (index, partitions) = (source.index(), u64::from(self.reference.partitions));
        let Source { mut position, total, ended } = self.sources[index];
        assert!(!ended, "{source} is asked again");
        let mut inputs = Vec::new();
        // What has been received when it is told to stop is little.
        let fresh = if self.stopped { 2 } else { partitions + 1 };
        for _ in 0..self.seed.below(fresh.min(partitions + 1)) {
            let end = (position + 1 + self.seed.below(3)).min(total);
            if position < end {
                inputs.push(vec![Range { split: "s".into(), start: position, end }]);
            }
            position = end;
        }
        let all = position == total;
        let ended = all || self.stopped && self.seed.one_in(2);
        self.sources[index].position = position;
        self.sources[index].ended = all && !self.stopped;
        let all_ended = self.sources.iter().map(|source| source.ended).collect();
        self.ended.insert(batch, all_ended);
        self.reference.cut(batch, source, inputs.clone());
        let position = Some(position.to_le_bytes().as_slice().into());
        MasterEvent::CutDone { batch, source, inputs, position, ended }
    }
}

pub(super) fn has_output(plan: &Plan, task: TaskId) -> bool {
    plan.stage(task.stage).tails.iter().any(|tail| matches!(tail, TailRow::Output(_)))
}
