//! A worker receives what clients push, and its engine needs time for that; tasks need hardly any.
//!
//! While it is starved its clients wait, so the job falls behind though no batch is late. Engines report at a steady rate,
//! and the receiver moves from a worker that the master calls slow, as the driver does it.

use std::collections::VecDeque;

use super::*;
use crate::source::Source;
use crate::source::receive::{PushSource, ReceivedBlock, receiver_of};

/// How often engines report, and clients send `SENT` blocks, in milliseconds.
const BEAT_MS: u64 = 100;
const SENT: u64 = 2;
/// How long the engine of a receiver takes for a block, and any engine for the rest that it does in a beat.
const RECEIVE_MS: u64 = 15;
const ENGINE_MS: u64 = 2;
/// From this slowness on, in thousandths, a worker receives nothing that another can.
const TAKES_ROLES: u32 = 2000;

/// A source with one receiver.
pub(super) struct Receiving {
    pub(super) source: PushSource,
    pub(super) receiver: WorkerId,
    slow: BTreeSet<WorkerId>,
    /// When what waits at clients was sent.
    waiting: VecDeque<u64>,
    /// For how long the receiver's engine has worked on the first of them, in milliseconds.
    spent: u64,
    /// When the received blocks of each worker were sent.
    sent: BTreeMap<WorkerId, Vec<u64>>,
    /// When the oldest of what each batch reads was sent.
    pub(super) oldest: BTreeMap<BatchSeq, u64>,
}

impl Receiving {
    pub(super) fn new(receiver: WorkerId) -> Self {
        let source = PushSource::open("tcp://0.0.0.0:1", SourceId(0)).expect("the URL is good");
        let (waiting, slow) = (VecDeque::new(), BTreeSet::new());
        let (sent, oldest) = (BTreeMap::new(), BTreeMap::new());
        Self { source, receiver, slow, waiting, spent: 0, sent, oldest }
    }

    /// What has been received is part of a batch.
    pub(super) fn cut(&mut self, batch: BatchSeq) -> Vec<Vec<Range>> {
        let cut = self.source.cut(PARTITIONS as usize).expect("it is cut");
        let inputs: Vec<_> = cut.inputs.into_iter().map(|input| input.ranges).collect();
        for range in inputs.iter().flatten() {
            let (receiver, _) = receiver_of(&range.split).expect("it names received blocks");
            let sent = self.sent[&receiver][range.start as usize - 1];
            let oldest = self.oldest.entry(batch).or_insert(sent);
            *oldest = sent.min(*oldest);
        }
        inputs
    }

    /// The master says how slow a worker is.
    pub(super) fn is_slow(&mut self, worker: WorkerId, factor: u32) {
        match factor >= TAKES_ROLES {
            true => self.slow.insert(worker),
            false => self.slow.remove(&worker),
        };
        let able = (0..WORKERS).map(WorkerId).find(|worker| !self.slow.contains(worker));
        if let Some(able) = able.filter(|_| self.slow.contains(&self.receiver)) {
            self.receiver = able;
        }
    }

    /// Clients have sent, and the receiver's engine had a processor for a time: for how much of it it had work.
    fn receive(&mut self, now: u64, had_ms: u64) -> u64 {
        self.waiting.extend((0..SENT).map(|_| now));
        let budget = self.spent + had_ms;
        let all = budget.min(self.waiting.len() as u64 * RECEIVE_MS);
        let (receiver, copy) = (self.receiver, WorkerId((self.receiver.0 + 1) % WORKERS));
        for sent in self.waiting.drain(..(all / RECEIVE_MS) as usize) {
            let all = self.sent.entry(receiver).or_default();
            all.push(sent);
            let number = all.len() as u64;
            let received_block =
                ReceivedBlock { receiver, number, copy: Some(copy), bytes: 1000, client: None };
            self.source.register(received_block, 1).expect("it is numbered");
        }
        let worked = all - self.spent;
        self.spent = all % RECEIVE_MS;
        worked
    }
}

impl World {
    /// Engines have worked for a while, and say so.
    pub(super) fn beat(&mut self) {
        let times: Vec<u64> = (0..WORKERS)
            .map(|worker| self.spell(WorkerId(worker)).map_or(1, |s| s.times))
            .collect();
        let Feed::Received(receiving) = &mut self.feed else { return };
        let receiver = receiving.receiver;
        let had_ms = (BEAT_MS / times[receiver.0 as usize]).saturating_sub(ENGINE_MS);
        let worked = receiving.receive(self.now, had_ms);
        for (worker, times) in (0..WORKERS).map(WorkerId).zip(times) {
            let busy = ENGINE_MS + if worker == receiver { worked } else { 0 };
            let vary = 100 + self.seed.below(50);
            let busy_micros = busy as u32 * 1000;
            // It lacks nothing where it has a processor.
            let micros = if times == 1 { busy_micros } else { (busy * times * vary * 10) as u32 };
            let engine = EngineTime { micros, busy_micros, shared_micros: 0 };
            let event = MasterEvent::Worker(worker, ToMaster::Heartbeat { engine });
            self.master.handle(self.now, event);
        }
        self.after(BEAT_MS, Event::Beat);
    }
}

#[test]
fn on_a_host_that_is_busy_the_receiver_stays() {
    for number in 1..=seeds(20) {
        let mut world = World::received(number);
        let receiver = WorkerId(world.seed.below(u64::from(WORKERS)) as u32);
        world.feed = Feed::Received(Receiving::new(receiver));
        let times = world.spells[0].times;
        world.spells = (0..WORKERS).map(|worker| slow(worker, 10_000, 60_000, times)).collect();
        world.run();
        assert_eq!((world.outcome, world.said), (Some(Outcome::Done), vec![]), "seed {number}");
        assert!(matches!(&world.feed, Feed::Received(of) if of.receiver == receiver));
    }
}
