//! Workers that receive, a master that cuts, and clients that send again what was not acknowledged, while workers
//! are killed and the master is replaced: every append that was acknowledged counts once, none counts twice, what a
//! batch reads is held by some worker until the batch is complete, and in the end nothing is left.
//!
//! Messages between two processes stay in order; which is delivered next is decided by the test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::source::receive::PushSource;
use crate::source::{Position, Source};

/// The master, as one end of a line; workers are known by the number of their process.
const MASTER: usize = usize::MAX;
const PARTITIONS: usize = 4;

enum Said {
    Copy(Key, Entry),
    Copied(Key),
    Drop(BlockRange),
    Holding(Vec<BlockRange>),
    Note(WorkerNote),
    Registered(Key, Result<Registered, Refusal>),
    Forget(WorkerId, RangeSet),
}

struct Client {
    at: Option<usize>,
    sent: u64,
    acked: u64,
    /// Acknowledged beyond that, out of order.
    told: BTreeSet<u64>,
}

struct World {
    _dir: tempfile::TempDir,
    store: BlockStore,
    master: PushSource,
    term: u32,
    next: u32,
    nodes: BTreeMap<usize, ReplicaLog>,
    processes: usize,
    lines: BTreeMap<(usize, usize), VecDeque<Said>>,
    clients: Vec<Client>,
    /// Which append each received block is.
    content: BTreeMap<Key, (u128, u64)>,
    counted: BTreeMap<(u128, u64), u32>,
    journal: Option<Position>,
    placement: Vec<WorkerId>,
    /// By batch: per partition the ranges.
    batches: BTreeMap<u64, Vec<Vec<Range>>>,
    cut: u64,
}

impl World {
    fn new(workers: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = BlockStore::new(StoreOptions::new(1 << 20, dir.path()));
        let client = || Client { at: None, sent: 0, acked: 0, told: BTreeSet::new() };
        let mut world = Self {
            _dir: dir,
            store,
            master: source(),
            term: 1,
            next: 0,
            nodes: BTreeMap::new(),
            processes: 0,
            lines: BTreeMap::new(),
            clients: vec![client(), client()],
            content: BTreeMap::new(),
            counted: BTreeMap::new(),
            journal: None,
            placement: Vec::new(),
            batches: BTreeMap::new(),
            cut: 0,
        };
        (0..workers).for_each(|_| world.join());
        world.place();
        world
    }

    fn id(&mut self) -> WorkerId {
        self.next += 1;
        WorkerId(WorkerId::first_of(self.term.into()).0 | self.next)
    }

    fn join(&mut self) {
        let id = self.id();
        self.processes += 1;
        self.nodes.insert(self.processes, ReplicaLog::new(id));
        self.master.opened(id);
        self.alone();
    }

    /// A worker that owns something keeps it if it is there; the rest is spread.
    fn place(&mut self) {
        let ids: Vec<WorkerId> = self.nodes.values().map(|node| node.id).collect();
        let place = |at: usize| {
            let before = self.placement.get(at).filter(|owner| ids.contains(owner));
            before.copied().unwrap_or(ids[at % ids.len()])
        };
        let placement: Vec<WorkerId> = (0..PARTITIONS).map(place).collect();
        self.master.placed(&placement);
        // New owners read again, from now on, what the lost ones read.
        for (batch, inputs) in self.batches.clone() {
            for (at, ranges) in inputs.into_iter().enumerate() {
                if self.placement.get(at) != Some(&placement[at]) {
                    self.begin(placement[at], batch, &ranges);
                }
            }
        }
        self.placement = placement;
        for node in self.nodes.values_mut() {
            node.placed();
        }
        self.alone();
    }

    fn begin(&mut self, owner: WorkerId, batch: u64, ranges: &[Range]) {
        let process = self.process(owner).unwrap();
        for key in self.nodes[&process].missing(ranges) {
            let holder = self.nodes.iter().find_map(|(at, node)| Some((*at, node.copy_of(key)?)));
            let (from, (entry, lines)) = holder.unwrap_or_else(|| panic!("{key:?} is nowhere"));
            let other = self.nodes[&from].id;
            self.nodes.get_mut(&process).unwrap().keep(key, entry, lines, Some(other), &self.store);
        }
        for range in ranges {
            let (receiver, source) = crate::source::receive::receiver_of(&range.split).unwrap();
            let its_process = self.process(receiver).filter(|its| *its != process);
            if let Some(node) = its_process.and_then(|process| self.nodes.get_mut(&process)) {
                let numbers = BlockRange { receiver, source, from: range.start, to: range.end };
                node.taken(BatchSeq(batch), numbers);
            }
        }
        let input = TaskInput { source: SOURCE, partition: Partition(0), ranges: ranges.to_vec() };
        self.nodes.get_mut(&process).unwrap().begins(BatchSeq(batch), &[input]);
    }

    fn process(&self, id: WorkerId) -> Option<usize> {
        self.nodes.iter().find(|(_, node)| node.id == id).map(|(process, _)| *process)
    }

    fn second(&self, of: usize) -> Option<WorkerId> {
        let mut after = self.nodes.range(of + 1..).chain(self.nodes.range(..of));
        after.next().map(|(_, node)| node.id)
    }

    fn say(&mut self, from: usize, to: usize, said: Said) {
        self.lines.entry((from, to)).or_default().push_back(said);
    }

    fn say_to(&mut self, from: usize, to: WorkerId, said: Said) {
        if let Some(to) = self.process(to) {
            self.say(from, to, said);
        }
    }

    fn node(&mut self, process: usize) -> &mut ReplicaLog {
        self.nodes.get_mut(&process).unwrap()
    }

    fn copy(&mut self, from: usize, to: WorkerId, key: Key) {
        if let Some((entry, _)) = self.nodes[&from].copy_of(key) {
            self.say_to(from, to, Said::Copy(key, entry));
        }
    }

    fn alone(&mut self) {
        for process in self.nodes.keys().copied().collect::<Vec<_>>() {
            let Some(other) = self.second(process) else {
                for key in self.node(process).uncopied() {
                    let settled = self.node(process).copied(key, None);
                    self.settle(process, key, settled);
                }
                self.report(process);
                continue;
            };
            for key in self.node(process).alone(other) {
                self.copy(process, other, key);
            }
        }
    }

    fn report(&mut self, process: usize) {
        for note in self.node(process).reports() {
            self.say(process, MASTER, Said::Note(note));
        }
    }

    fn settle(&mut self, process: usize, key: Key, settled: Settled) {
        self.told(settled.append);
        if let Some(copy) = settled.copy {
            self.say_to(process, copy, Said::Drop(BlockRange::one(key)));
        }
        self.report(process);
    }

    fn told(&mut self, appended: impl IntoIterator<Item = Appended>) {
        for append in appended {
            // A client that has gone to another worker meanwhile does not hear it; that it is safe holds.
            let client = &mut self.clients[append.client.0 as usize];
            client.told.insert(append.number);
            while client.told.remove(&(client.acked + 1)) {
                client.acked += 1;
            }
        }
    }

    fn send(&mut self, client: usize, worker: usize) {
        let connected = self.clients[client].at.filter(|at| self.nodes.contains_key(at));
        let (at, first) = match connected {
            Some(at) => (at, self.clients[client].sent + 1),
            None => {
                let all: Vec<usize> = self.nodes.keys().copied().collect();
                let Some(at) = all.get(worker % all.len().max(1)) else { return };
                (*at, self.clients[client].acked + 1)
            }
        };
        let last = self.clients[client].sent.max(first - 1) + 1;
        (self.clients[client].at, self.clients[client].sent) = (Some(at), last);
        for number in first..=last {
            let copy = self.second(at);
            let (peer, id) = (PeerId(client as u64), ClientId(client as u128));
            let (source, lines) = (SOURCE, block());
            let append =
                Append { peer, source, client: id, number, lines, records: 1, header: None };
            let store = self.store.clone();
            let key = self.node(at).appended(append, copy, &store);
            self.content.insert(key, (client as u128, number));
            match copy {
                Some(copy) => self.copy(at, copy, key),
                None => self.report(at),
            }
        }
    }

    /// Delivers the next message of some line; false if there is none.
    fn deliver(&mut self, which: usize) -> bool {
        self.lines.retain(|_, line| !line.is_empty());
        let Some((from, to)) = self.lines.keys().nth(which % self.lines.len().max(1)).copied()
        else {
            return false;
        };
        let said = self.lines.get_mut(&(from, to)).and_then(VecDeque::pop_front).unwrap();
        match said {
            Said::Note(note) => self.master_hears(from, note),
            Said::Copy(key, entry) => {
                let (other, store) = (self.nodes[&from].id, self.store.clone());
                let lone = self.nodes[&to].lone(BlockRange::one(key));
                self.node(to).keep(key, entry, block(), Some(other), &store);
                self.say(to, from, Said::Copied(key));
                for key in lone {
                    let settled = self.node(to).shared(key, other);
                    self.settle(to, key, settled);
                }
            }
            Said::Copied(key) => {
                let by = self.nodes[&from].id;
                if self.node(to).is_news(key, by) {
                    let (receiver, source, number) = key;
                    let note = WorkerNote::Copied { source, receiver, number, by };
                    self.say(to, MASTER, Said::Note(note));
                }
                let settled = self.node(to).copied(key, Some(by));
                self.settle(to, key, settled);
            }
            Said::Drop(numbers) => {
                let by = self.nodes[&from].id;
                let released = self.node(to).drop(numbers, Some(by));
                self.released(to, released);
            }
            Said::Holding(all) => {
                let by = self.nodes[&from].id;
                for key in all.into_iter().flat_map(|n| self.nodes[&to].lone(n)).collect::<Vec<_>>()
                {
                    let settled = self.node(to).shared(key, by);
                    self.settle(to, key, settled);
                }
            }
            Said::Registered(key, how) => {
                let settled = match how {
                    Ok(how) => self.node(to).registered(key, how),
                    Err(why) => panic!("{key:?} {why}"),
                };
                self.settle(to, key, settled);
            }
            Said::Forget(receiver, spans) => {
                let drop = self.node(to).forget(receiver, SOURCE, spans);
                self.released(to, super::super::batches::Released { drop, safe: Vec::new() });
            }
        }
        true
    }

    fn master_hears(&mut self, from: usize, note: WorkerNote) {
        let by = self.nodes[&from].id;
        match note {
            WorkerNote::Received { mut received_block, .. } => {
                received_block.copy =
                    received_block.copy.filter(|copy| self.process(*copy).is_some());
                let how = match received_block.receiver == by {
                    true => self.master.register(received_block, 1),
                    false => Ok(self.master.reclaim(received_block, 1, by)),
                };
                let key = (received_block.receiver, SOURCE, received_block.number);
                self.say(MASTER, from, Said::Registered(key, how));
            }
            WorkerNote::Holds { blocks, .. } => {
                for (received_block, _) in blocks {
                    if self.master.reclaim(received_block, 1, by) == Registered::Known {
                        let key = (received_block.receiver, SOURCE, received_block.number);
                        self.say(MASTER, from, Said::Registered(key, Ok(Registered::Known)));
                    }
                }
            }
            WorkerNote::Copied { receiver, number, by, .. } => {
                if self.process(by).is_some() {
                    self.master.copied(receiver, number, by);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn released(&mut self, process: usize, released: super::super::batches::Released) {
        self.told(released.safe);
        for (to, numbers) in released.drop {
            let to: Vec<usize> = match self.process(to) {
                Some(to) => vec![to],
                None => self.nodes.keys().copied().filter(|other| *other != process).collect(),
            };
            to.into_iter().for_each(|to| self.say(process, to, Said::Drop(numbers)));
        }
    }

    fn cut(&mut self) {
        let cut = self.master.cut(PARTITIONS).unwrap_or_else(|error| panic!("{error}"));
        self.cut += 1;
        self.journal = cut.position;
        let inputs: Vec<Vec<Range>> = cut.inputs.into_iter().map(|input| input.ranges).collect();
        for range in inputs.iter().flatten() {
            let (receiver, source) = crate::source::receive::receiver_of(&range.split).unwrap();
            for number in range.start..range.end {
                let append = self.content[&(receiver, source, number)];
                let times = self.counted.entry(append).or_default();
                *times += 1;
                assert_eq!(*times, 1, "{append:?} counts twice");
            }
        }
        for (at, ranges) in inputs.iter().enumerate() {
            self.begin(self.placement[at], self.cut, ranges);
        }
        self.batches.insert(self.cut, inputs);
    }

    fn over(&mut self) {
        let oldest = self.batches.pop_first().map_or(self.cut, |(batch, _)| batch) + 1;
        for process in self.nodes.keys().copied().collect::<Vec<_>>() {
            let released = self.node(process).release(BatchSeq(oldest));
            self.released(process, released);
        }
        for (receiver, spans) in self.master.over(BatchSeq(oldest)) {
            for process in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.say(MASTER, process, Said::Forget(receiver, spans.clone()));
            }
        }
    }

    /// Some of what the worker had said still arrives.
    fn kill(&mut self, which: usize, arrives: usize) {
        if self.nodes.len() < 2 {
            return;
        }
        let process = *self.nodes.keys().nth(which % self.nodes.len()).unwrap();
        let id = self.nodes[&process].id;
        for turn in 0..arrives {
            self.lines.retain(|_, line| !line.is_empty());
            let from = self.lines.keys().enumerate().filter(|(_, (from, _))| *from == process);
            let from: Vec<usize> = from.map(|(at, _)| at).collect();
            if let Some(line) = from.get(turn % from.len().max(1)) {
                self.deliver(*line);
            }
        }
        self.nodes.remove(&process);
        self.lines.retain(|(from, to), _| *from != process && *to != process);
        self.master.gone(id);
        for at in self.nodes.keys().copied().collect::<Vec<_>>() {
            let other = self.second(at);
            for key in self.node(at).orphaned(id, other) {
                match other {
                    Some(other) => self.copy(at, other, key),
                    None => {
                        let settled = self.node(at).copied(key, None);
                        self.settle(at, key, settled);
                    }
                }
            }
            self.report(at);
        }
        self.place();
    }

    /// Another master goes on; workers join it again.
    fn replace_master(&mut self) {
        let mut master = source();
        if let Some(position) = &self.journal {
            master.resume(position).unwrap();
        }
        (self.master, self.term, self.next) = (master, self.term + 1, 0);
        self.lines.clear();
        let processes: Vec<usize> = self.nodes.keys().copied().collect();
        for process in &processes {
            let id = self.id();
            self.node(*process).rejoined(id);
            self.master.opened(id);
            for note in self.nodes[process].holds() {
                self.say(*process, MASTER, Said::Note(note));
            }
        }
        for process in &processes {
            let Some(holding) = self.nodes[process].holding() else { continue };
            for other in processes.iter().filter(|other| *other != process) {
                self.say(*process, *other, Said::Holding(holding.clone()));
            }
        }
        // Those are heard first that were said first.
        while self.lines.keys().any(|(_, to)| *to == MASTER) {
            let at = self.lines.keys().position(|(_, to)| *to == MASTER).unwrap();
            self.deliver(at);
            self.lines.retain(|_, line| !line.is_empty());
        }
        self.placement.clear();
        self.place();
    }

    fn settle_all(&mut self) {
        while self.deliver(0) {}
    }
}

fn source() -> PushSource {
    PushSource::open("tcp://0.0.0.0:1", SOURCE).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Send { client: usize, worker: usize },
    Deliver { which: usize, times: usize },
    Cut,
    Over,
    Kill { which: usize, arrives: usize },
    Join,
    Replace,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..2_usize, 0..4_usize).prop_map(|(client, worker)| Step::Send { client, worker }),
        12 => (0..16_usize, 1..5_usize).prop_map(|(which, times)| Step::Deliver { which, times }),
        3 => Just(Step::Cut),
        2 => Just(Step::Over),
        1 => (0..4_usize, 0..9_usize).prop_map(|(which, arrives)| Step::Kill { which, arrives }),
        1 => Just(Step::Join),
        1 => Just(Step::Replace),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn what_was_acknowledged_counts_once(steps in steps()) {
        let mut world = World::new(3);
        // What one loss takes is made good before the next.
        let mut is_whole = true;
        for step in steps {
            match step {
                Step::Send { client, worker } => world.send(client, worker),
                Step::Deliver { which, times } => {
                    let _ = (0..times).all(|_| world.deliver(which));
                }
                Step::Cut => world.cut(),
                Step::Over => world.over(),
                Step::Join => world.join(),
                Step::Kill { which, arrives } => {
                    if !is_whole {
                        world.settle_all();
                    }
                    world.kill(which, arrives);
                    is_whole = false;
                }
                Step::Replace => {
                    if !is_whole {
                        world.settle_all();
                    }
                    world.replace_master();
                    is_whole = false;
                }
            }
        }
        world.settle_all();
        for client in 0..2 {
            // Whatever was sent is acknowledged in the end, as one that is gone sends again.
            world.clients[client].at = None;
            world.send(client, 0);
        }
        world.settle_all();
        world.master.complete();
        // Every worker that has come owns something in the end.
        world.placement.clear();
        world.place();
        world.cut();
        for (client, of) in world.clients.iter().enumerate() {
            prop_assert_eq!(of.acked, of.sent);
            for number in 1..=of.acked {
                let times = world.counted.get(&(client as u128, number));
                prop_assert_eq!(times, Some(&1), "append {} of {}", number, client);
            }
        }
        // All batches are over: nothing is left, of whomever.
        for _ in 0..world.batches.len() + 1 {
            world.over();
            world.settle_all();
        }
        for node in world.nodes.values() {
            let left: Vec<&Key> = node.lines.keys().collect();
            prop_assert!(left.is_empty() && node.mine.is_empty(), "{} has {:?}", node.id, left);
            prop_assert_eq!(node.waiting, 0);
        }
    }
}
