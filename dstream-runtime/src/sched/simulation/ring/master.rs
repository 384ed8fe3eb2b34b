//! A master's process: its core, its members, and what it keeps where the next master finds it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep_until;

use super::words::{Order, Report};
use super::{INTERVAL_MS, Job, LEASE_MS, Seed};
use crate::id::*;
use crate::net::simulation::{Host, Network};
use crate::net::{Delivery, Net, NetEvent, PeerId};
use crate::plan::Plan;
use crate::sched::master::Outcome;
use crate::sched::message::*;
use crate::sched::simulation::reference::Reference;
use crate::sched::simulation::reference::has_output;
use crate::sched::*;
use crate::source::Range;
use crate::time::Timetable;
use crate::wire::Role;

/// What happens here, later.
enum Local {
    Cut(BatchSeq, SourceId),
    /// Entries up to this one are written.
    Put(JournalSeq),
    Synced(JournalSeq),
    Show(BatchSeq, Vec<(TaskId, u64)>),
    Published(BatchSeq),
    /// Two workers had lost each other.
    Judge(WorkerId, WorkerId),
}

struct Member {
    peer: PeerId,
    host: Host,
    is_ready: bool,
}

/// A source that counts, and ends.
#[derive(Clone, Copy)]
struct Source {
    position: u64,
    ended: bool,
}

pub(super) struct Master {
    job: Arc<Job>,
    network: Arc<Network>,
    net: Net,
    seed: Seed,
    term: u32,
    core: MasterCore,
    next: u32,
    members: BTreeMap<WorkerId, Member>,
    agenda: BTreeMap<(u64, u64), Local>,
    noted: u64,
    timer: Option<u64>,
    unsynced: VecDeque<(JournalSeq, JournalEntry, Vec<bool>)>,
    sources: Vec<Source>,
    /// Per batch which sources have ended.
    ended: BTreeMap<BatchSeq, Vec<bool>>,
    parts: BTreeMap<TaskId, u64>,
}

/// A master that begins now, or goes on from what the one before has left.
fn core(job: &Job, seed: &mut Seed, term: u32, past: &Past, now: u64) -> MasterCore {
    let config = MasterConfig {
        partitions: job.partitions,
        in_flight: 1 + seed.below(4) as u32,
        attempts: 100,
        workers: job.workers,
        lease_ms: Some(LEASE_MS),
        checkpoint_ms: Some(INTERVAL_MS * (1 + seed.below(5))),
        speculate: false,
        timetable: Timetable::new(0, INTERVAL_MS),
        live: vec![true; job.plan.sources.len()],
        first: BatchSeq(1),
        term,
    };
    match past.is_fresh() {
        true => MasterCore::new(job.plan, config),
        false => MasterCore::resume(job.plan, config, past, now).expect("the journal is whole"),
    }
}

impl Master {
    pub(super) fn new(job: &Arc<Job>, network: &Arc<Network>, net: &Net, seed: u64) -> Self {
        let mut seed = Seed(seed | 1);
        let mut kept = job.kept();
        let term = kept.outside.next_term();
        let past = kept.outside.past();
        let partitions = past.partitions().unwrap_or(job.partitions);
        let mut reference = Reference::new(job.plan, partitions, BatchSeq(1), job.number);
        for (batch, inputs) in &kept.outside.cuts {
            for (source, inputs) in (0..).map(SourceId).zip(inputs) {
                reference.cut(*batch, source, inputs.clone());
            }
        }
        let ends = kept.outside.ended.clone();
        let source = |(index, ended): (u16, &bool)| {
            let position = past.position(SourceId(index));
            let position =
                position.map_or([0; 8], |p| (**p).try_into().expect("it was written so"));
            Source { position: u64::from_le_bytes(position), ended: *ended }
        };
        let sources = (0..).zip(&ends).map(source).collect();
        kept.references.insert(term, reference);
        drop(kept);
        Self {
            core: core(job, &mut seed, term, &past, network.now()),
            job: job.clone(),
            network: network.clone(),
            net: net.clone(),
            seed,
            term,
            next: WorkerId::first_of(term.into()).0,
            members: BTreeMap::new(),
            agenda: BTreeMap::new(),
            noted: 0,
            timer: None,
            unsynced: VecDeque::new(),
            sources,
            ended: BTreeMap::new(),
            parts: BTreeMap::new(),
        }
    }

    fn note(&mut self, ms: u64, local: Local) {
        self.noted += 1;
        self.agenda.insert((self.network.now() + ms, self.noted), local);
    }

    fn soon(&mut self, local: Local) {
        let ms = 1 + self.seed.below(8);
        self.note(ms, local);
    }

    fn handle(&mut self, event: MasterEvent) {
        self.core.handle(self.network.now(), event);
    }

    /// Lives until it is aborted.
    pub(super) async fn live(mut self, mut events: UnboundedReceiver<Delivery>) {
        loop {
            self.turn();
            self.network.sleep(0).await;
            let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let next = [agenda, self.timer].into_iter().flatten().min().unwrap_or(u64::MAX >> 20);
            tokio::select! {
                biased;
                delivery = events.recv() => {
                    let Some(delivery) = delivery else { return };
                    self.heard(delivery.take());
                }
                () = sleep_until(self.network.at(next)) => {
                    if self.timer.is_some_and(|timer| timer <= next) {
                        self.timer = None;
                        self.handle(MasterEvent::Tick);
                    } else if let Some((_, local)) = self.agenda.pop_first() {
                        self.happens(local);
                    }
                }
            }
        }
    }

    fn heard(&mut self, event: NetEvent) {
        self.job.tell_of(&event, self.network.now(), 0);
        match event {
            NetEvent::Connected { peer, subject, addr } if subject.role == Role::Worker => {
                let worker = WorkerId(self.next);
                self.next += 1;
                let host = crate::net::simulation::host(addr);
                self.members.insert(worker, Member { peer, host, is_ready: false });
                let _ = self.net.send(peer, &Order::Welcome(worker));
            }
            NetEvent::Message { peer, message } => {
                let Some(worker) = self.worker(peer) else { return };
                match message.read().expect("workers say what they should") {
                    Report::Ready => {
                        self.members.entry(worker).and_modify(|member| member.is_ready = true);
                        self.tell_crew();
                    }
                    Report::Said(message, part) => self.said(worker, peer, message, part),
                    Report::Unreachable(other) => {
                        self.note(2 * LEASE_MS, Local::Judge(worker, other));
                    }
                }
            }
            NetEvent::Closed { peer, reason } => {
                if let Some(worker) = self.worker(peer) {
                    self.gone(worker, reason.to_string());
                }
            }
            _ => {}
        }
    }

    fn worker(&self, peer: PeerId) -> Option<WorkerId> {
        let member = self.members.iter().find(|(_, member)| member.peer == peer);
        member.map(|(worker, _)| *worker)
    }

    fn said(&mut self, worker: WorkerId, peer: PeerId, message: ToMaster, part: Option<u64>) {
        match &message {
            ToMaster::Heartbeat => {
                let _ = self.net.send(peer, &Order::Alive);
            }
            ToMaster::Joined { .. } => self.job.hit("a worker joins"),
            ToMaster::TaskDone { task, .. } => {
                if let Some(part) = part.filter(|_| self.core.accepts(worker, &message)) {
                    assert_eq!(self.parts.insert(*task, part), None, "{task} counts twice");
                }
            }
            _ => {}
        }
        self.handle(MasterEvent::Worker(worker, message));
    }

    /// Everybody hears who is there.
    fn tell_crew(&self) {
        let ready = || self.members.iter().filter(|(_, member)| member.is_ready);
        let crew: Vec<_> = ready().map(|(worker, member)| (*worker, member.host)).collect();
        for (_, member) in ready() {
            let _ = self.net.send(member.peer, &Order::Crew(crew.clone()));
        }
    }

    fn gone(&mut self, worker: WorkerId, why: String) {
        self.job.hit("a worker is gone");
        self.members.remove(&worker);
        self.handle(MasterEvent::Left(worker, why));
        self.tell_crew();
    }

    fn evict(&mut self, worker: WorkerId, why: &str) {
        if let Some(member) = self.members.get(&worker) {
            self.job.hit("a worker is evicted");
            let _ = self.net.send(member.peer, &Order::JoinAgain);
            self.net.close(member.peer);
            self.gone(worker, why.to_owned());
        }
    }

    fn happens(&mut self, local: Local) {
        match local {
            Local::Cut(batch, source) => self.cut(batch, source),
            Local::Put(seq) => self.put(seq),
            Local::Synced(seq) => self.handle(MasterEvent::Synced(seq)),
            Local::Show(batch, parts) => {
                let mut kept = self.job.kept();
                let inputs = kept.reference(self.term).inputs(batch);
                kept.outside.show(batch, &inputs, parts);
                drop(kept);
                self.job.hit("published");
                self.job.mark(&[2, batch.0]);
                self.soon(Local::Published(batch));
            }
            Local::Published(batch) => self.handle(MasterEvent::Published { batch }),
            Local::Judge(one, other) => {
                if self.members.contains_key(&one) && self.members.contains_key(&other) {
                    self.evict(one, "it and another worker have lost each other");
                }
            }
        }
    }

    /// All entries up to one are written.
    fn put(&mut self, seq: JournalSeq) {
        let mut kept = self.job.kept();
        while let Some((_, entry, ended)) = self.unsynced.pop_front_if(|(first, ..)| *first <= seq)
        {
            assert!(kept.outside.put(self.term, entry, &ended), "there is one master");
        }
        drop(kept);
        self.soon(Local::Synced(seq));
    }

    fn cut(&mut self, batch: BatchSeq, source: SourceId) {
        let Source { mut position, ended } = self.sources[source.index()];
        let total = self.job.totals[source.index()];
        assert!(!ended, "{source} is asked again");
        let mut inputs = Vec::new();
        for _ in 0..self.seed.below(u64::from(self.job.partitions) + 1) {
            let end = (position + 1 + self.seed.below(3)).min(total);
            if position < end {
                inputs.push(vec![Range { split: "s".into(), start: position, end }]);
            }
            position = end;
        }
        let ended = position == total;
        self.sources[source.index()] = Source { position, ended };
        let all = self.sources.iter().map(|source| source.ended).collect();
        self.ended.insert(batch, all);
        self.job.kept().reference(self.term).cut(batch, source, inputs.clone());
        let position = Some(position.to_le_bytes().as_slice().into());
        self.handle(MasterEvent::CutDone { batch, source, inputs, position, ended });
    }

    fn turn(&mut self) {
        while let Some(action) = self.core.poll() {
            self.asked(action);
        }
    }

    fn asked(&mut self, action: MasterAction) {
        match action {
            MasterAction::Cut { batch, source } => self.soon(Local::Cut(batch, source)),
            MasterAction::Tell(to, message) => {
                if let ToWorker::Release { oldest, .. } = &message {
                    let needed = self.job.kept().outside.oldest();
                    assert!(*oldest <= needed, "{oldest} is let go, and {needed} may be needed");
                }
                if let ToWorker::Recover(_) = &message {
                    self.job.hit("a recovery");
                }
                if let Some(member) = self.members.get(&to) {
                    // What cannot be sent was for a worker that is gone: its `Closed` is on its way.
                    let _ = self.net.send(member.peer, &message);
                }
            }
            MasterAction::Persist(seq, entry) => {
                let ended = match &entry {
                    JournalEntry::Cut { batch, .. } => self.ended.remove(batch).unwrap_or_default(),
                    _ => Vec::new(),
                };
                self.unsynced.push_back((seq, entry, ended));
                self.soon(Local::Put(seq));
            }
            MasterAction::Publish { batch, token } => {
                assert_eq!(token.batch(), batch);
                let parts = self.parts_of(batch);
                self.soon(Local::Show(batch, parts));
            }
            MasterAction::SetTimer(at) => self.timer = Some(at),
            MasterAction::Obsolete(object) => {
                let was_there = self.job.kept().outside.storage.remove(&object).is_some();
                assert!(was_there, "{object} went before");
            }
            MasterAction::Evict(worker, why) => self.evict(worker, &why),
            MasterAction::Finish(outcome) => {
                assert_eq!(outcome, Outcome::Done);
                let mut kept = self.job.kept();
                assert_eq!(
                    kept.outside.published.len(),
                    kept.outside.cuts.len(),
                    "all is published"
                );
                assert_eq!(kept.outside.reached, self.job.totals, "all is read");
                kept.is_over = true;
            }
            MasterAction::Dismiss(_)
            | MasterAction::StopSources
            | MasterAction::Refuse { .. }
            | MasterAction::Unneeded { .. }
            | MasterAction::Slow { .. } => {}
        }
    }

    /// What is published is exactly what a run without faults publishes.
    fn parts_of(&self, batch: BatchSeq) -> Vec<(TaskId, u64)> {
        let plan: &Plan = self.job.plan;
        let first = |batch| TaskId { batch, stage: StageId(0), partition: Partition(0) };
        let range = first(batch)..first(BatchSeq(batch.0 + 1));
        let got: Vec<_> =
            self.parts.range(range.clone()).map(|(task, part)| (*task, *part)).collect();
        let mut kept = self.job.kept();
        let reference = kept.reference(self.term);
        reference.up_to(batch);
        let expected = reference.results.range(range).filter(|(task, _)| has_output(plan, **task));
        let expected: Vec<_> = expected.map(|(task, result)| (*task, *result)).collect();
        assert_eq!(got, expected, "{batch}");
        got
    }
}
