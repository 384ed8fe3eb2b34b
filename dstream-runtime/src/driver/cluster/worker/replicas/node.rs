//! Received blocks without a network, for simulations: what the driver of a worker does with them ([`Node`]), and
//! what that of a master does ([`Desk`]), message by message. On every connection, messages stay in order.

mod desk;

use super::batches::Released;
use super::fetches::{FetchRequest, Nowhere, PendingFetches};
use super::handover::{HandedOver, Step};
use super::*;
use crate::block::BufferPool;
use crate::sched::message::TaskInput;
use crate::sched::worker::RunTask;
use crate::store::StoreOptions;

pub(crate) use desk::Desk;

/// What workers tell each other about received blocks.
#[derive(Clone)]
pub(crate) struct Told(Peer);

#[derive(Debug, Clone)]
enum Peer {
    Copy(Key, Entry),
    Copied(Key),
    Drop(BlockRange),
    Holding(Vec<BlockRange>),
    Want(BlockRange),
    NotFound(BlockRange),
    Hold(u64, Vec<BlockRange>),
    Held(u64, Vec<BlockRange>),
    Instead(BlockRange, WorkerId),
}

/// What a worker tells its master about received blocks.
#[derive(Clone)]
pub(crate) struct Note(Report);

#[derive(Debug, Clone)]
enum Report {
    Received(ReceivedBlock),
    Holds(Vec<ReceivedBlock>),
    Copied { receiver: WorkerId, number: u64, by: WorkerId },
    HeldBy(BlockRange, WorkerId),
    HandedOver(Vec<WorkerId>),
    Missing(Nowhere),
}

/// What a master answers, or says by itself.
#[derive(Clone)]
pub(crate) struct Answer(Word);

#[derive(Debug, Clone)]
enum Word {
    Registered(Key, Result<Registered, Refusal>),
    Forget(WorkerId, RangeSet),
    Spent(BatchSeq),
    Lost(WorkerId, RangeSet),
    HandOver,
}

impl Answer {
    /// A worker is to hand over what it holds.
    pub(crate) fn hand_over() -> Self {
        Self(Word::HandOver)
    }
}

impl Note {
    /// Who has all that a worker held, if that is what it says.
    pub(crate) fn handed_over(&self) -> Option<&[WorkerId]> {
        match &self.0 {
            Report::HandedOver(to) => Some(to),
            _ => None,
        }
    }
}

/// What a node wants to be done.
pub(crate) enum Asks {
    Peer(WorkerId, Told),
    Master(Note),
    /// A client may be told that this append is safe.
    Safe(u128, u64),
    /// A task has everything that it reads.
    Start(RunTask),
}

/// The source of all received blocks.
pub(crate) const SOURCE: SourceId = SourceId(0);

/// Received blocks in a worker's process.
pub(crate) struct Node {
    id: WorkerId,
    replicas: ReplicaLog,
    fetches: PendingFetches,
    there: BTreeSet<WorkerId>,
    /// Of them, who is about to leave.
    leaving: BTreeSet<WorkerId>,
    /// It is to hand over what it holds.
    hands_over: bool,
    met: BTreeSet<WorkerId>,
    store: BlockStore,
    /// What the master was told that tasks wait for and no worker has.
    missing: Nowhere,
    /// What a client may have been told to be safe: another worker had it, or there was none.
    promised: BTreeSet<Key>,
    /// Nothing new is to be taken in.
    is_stopped: bool,
    /// It was said that all has been received.
    has_said: bool,
    asks: Vec<Asks>,
}

/// Prints what happens, if `DSTREAM_TRACE` is set, for a look into one world.
pub(crate) fn trace(what: impl FnOnce() -> String) {
    static WANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("DSTREAM_TRACE").is_some()) {
        eprintln!("{}", what());
    }
}

fn lines() -> Block {
    let mut buffer = BufferPool::new(0).take(2);
    buffer.bytes_mut().extend_from_slice(b"x\n");
    Block::raw(buffer)
}

impl Node {
    pub(crate) fn new(id: WorkerId) -> Self {
        // So little is held that nothing is ever moved to files.
        let store = BlockStore::new(StoreOptions::new(1 << 20, std::path::Path::new("unused")));
        let (replicas, fetches) = (ReplicaLog::new(id), PendingFetches::default());
        let (there, met) = (BTreeSet::new(), BTreeSet::new());
        let (missing, asks) = (Nowhere::default(), Vec::new());
        let (is_stopped, has_said) = (false, false);
        let promised = BTreeSet::new();
        Self {
            id,
            replicas,
            fetches,
            there,
            leaving: BTreeSet::new(),
            hands_over: false,
            met,
            store,
            missing,
            promised,
            is_stopped,
            has_said,
            asks,
        }
    }

    /// What is to be done, in order.
    pub(crate) fn take(&mut self) -> Vec<Asks> {
        std::mem::take(&mut self.asks)
    }

    /// Its process joins again, under another id.
    pub(crate) fn rejoined(&mut self, id: WorkerId) {
        trace(|| {
            format!("{} is {id} now, and holds {:?}", self.id, self.held().collect::<Vec<_>>())
        });
        self.id = id;
        self.replicas.rejoined(id);
        (self.fetches, self.missing) = (PendingFetches::default(), Nowhere::default());
        self.there.clear();
        self.leaving.clear();
        self.met.clear();
        self.asks.clear();
        (self.is_stopped, self.has_said, self.hands_over) = (false, false, false);
        for note in self.replicas.holds() {
            self.tell_master(note);
        }
    }

    /// Who can be reached, and who of them is about to leave.
    pub(crate) fn learn(
        &mut self,
        there: impl IntoIterator<Item = WorkerId>,
        leaving: BTreeSet<WorkerId>,
    ) {
        self.leaving = leaving;
        let there: BTreeSet<WorkerId> =
            there.into_iter().filter(|other| *other != self.id).collect();
        let before = std::mem::replace(&mut self.there, there);
        for gone in before.difference(&self.there.clone()) {
            self.lost(*gone);
        }
        self.copy_alone();
        for worker in self.there.clone() {
            if self.met.insert(worker)
                && let Some(holding) = self.replicas.holding()
            {
                self.tell(worker, Peer::Holding(holding));
            }
            let requests = self.fetches.is_there(worker);
            self.ask(requests);
        }
        self.hand_over();
    }

    /// The connection to a worker has ended.
    pub(crate) fn unreachable(&mut self, worker: WorkerId) {
        if self.there.remove(&worker) {
            self.lost(worker);
            self.hand_over();
        }
    }

    fn staying(&self) -> BTreeSet<WorkerId> {
        self.there.difference(&self.leaving).copied().collect()
    }

    fn hand_over(&mut self) {
        if self.hands_over {
            let steps = self.replicas.hand_over(self.staying());
            self.hand(steps);
        }
    }

    fn go_on_handing_over(&mut self) {
        let steps = self.replicas.go_on_handing_over();
        self.hand(steps);
    }

    fn hand(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Ask(to, round, all) => self.tell(to, Peer::Hold(round, all)),
                Step::Copy(to, key) => self.copy(to, key),
                Step::Over(HandedOver { to, holders, instead }) => {
                    for (to, numbers, by) in instead {
                        self.tell(to, Peer::Instead(numbers, by));
                    }
                    for (by, numbers) in holders {
                        self.asks.push(Asks::Master(Note(Report::HeldBy(numbers, by))));
                    }
                    self.asks.push(Asks::Master(Note(Report::HandedOver(to))));
                }
            }
        }
    }

    /// It has handed over what it held, and does not count as a holder.
    pub(crate) fn has_handed_over(&self) -> bool {
        self.replicas.has_handed_over()
    }

    fn lost(&mut self, worker: WorkerId) {
        let other = self.second();
        if other.is_none() {
            self.promised.extend(self.replicas.lines.keys());
        }
        for key in self.replicas.orphaned(worker, other) {
            match other {
                Some(other) => self.copy(other, key),
                None => {
                    let settled = self.replicas.copied(key, None);
                    self.settle(key, settled);
                }
            }
        }
        self.report();
        self.met.remove(&worker);
        let requests = self.fetches.gone(worker, &self.all_there());
        self.ask(requests);
    }

    fn all_there(&self) -> Vec<WorkerId> {
        self.there.iter().copied().collect()
    }

    fn second(&self) -> Option<WorkerId> {
        let after = self.there.range(self.id..).chain(self.there.range(..self.id));
        after.copied().find(|other| !self.leaving.contains(other))
    }

    fn copy_alone(&mut self) {
        let Some(other) = self.second() else { return self.settle_alone() };
        for key in self.replicas.alone(other) {
            self.copy(other, key);
        }
    }

    fn settle_alone(&mut self) {
        for key in self.replicas.uncopied() {
            self.promised.insert(key);
            let settled = self.replicas.copied(key, None);
            self.settle(key, settled);
        }
        self.report();
    }

    fn copy(&mut self, to: WorkerId, key: Key) {
        if let Some(entry) = self.replicas.entry(key) {
            self.tell(to, Peer::Copy(key, entry));
        }
    }

    fn tell(&mut self, to: WorkerId, what: Peer) {
        if self.there.contains(&to) {
            self.asks.push(Asks::Peer(to, Told(what)));
        }
    }

    /// On the connection to a worker, even if that has not said yet which worker it is.
    fn reply(&mut self, to: WorkerId, what: Peer) {
        self.asks.push(Asks::Peer(to, Told(what)));
    }

    fn tell_master(&mut self, note: WorkerNote) {
        let report = match note {
            WorkerNote::Received { received_block, .. } => Report::Received(received_block),
            WorkerNote::Holds { blocks, .. } => Report::Holds(
                blocks.into_iter().map(|(received_block, _)| received_block).collect(),
            ),
            WorkerNote::Copied { receiver, number, by, .. } => {
                Report::Copied { receiver, number, by }
            }
            other => panic!("{other:?}"),
        };
        self.asks.push(Asks::Master(Note(report)));
    }

    fn report(&mut self) {
        for note in self.replicas.reports() {
            self.tell_master(note);
        }
    }

    fn settle(&mut self, key: Key, settled: Settled) {
        if let Some(appended) = settled.append {
            self.safe(appended);
        }
        if let Some(copy) = settled.copy {
            self.dropped(vec![(copy, BlockRange::one(key))]);
        }
    }

    fn safe(&mut self, Appended { client, number, .. }: Appended) {
        trace(|| format!("{}: {number} of {client:?} is safe", self.id));
        self.asks.push(Asks::Safe(client.0, number));
    }

    fn ask(&mut self, requests: Vec<FetchRequest>) {
        for (worker, numbers) in requests {
            self.tell(worker, Peer::Want(numbers));
        }
    }

    /// The master wants no more to be received here.
    pub(crate) fn stop_receiving(&mut self) {
        self.is_stopped = true;
    }

    /// Whether all that clients have sent here is safe, and nothing more is taken in; once.
    pub(crate) fn has_received_all(&mut self) -> bool {
        let all = self.is_stopped && !self.replicas.is_pending(SOURCE);
        all && !std::mem::replace(&mut self.has_said, true)
    }

    /// A client appends something here, and calls it `number`; it is told to go elsewhere if nothing new is
    /// taken in.
    pub(crate) fn append(&mut self, client: u128, number: u64) -> Option<(WorkerId, u64)> {
        if self.is_stopped {
            return None;
        }
        let copy = self.second();
        let (peer, lines) = (PeerId(client as u64), lines());
        let client = ClientId(client);
        let append =
            Append { peer, source: SOURCE, client, number, lines, records: 1, header: None };
        let key = self.replicas.appended(append, copy, &self.store.clone());
        trace(|| format!("{}: {number} of {client:?} is {key:?}, copy {copy:?}", self.id));
        match copy {
            Some(copy) => self.copy(copy, key),
            None => {
                if self.replicas.is_placed {
                    self.promised.insert(key);
                }
                self.report();
            }
        }
        Some((key.0, key.2))
    }

    /// Another worker says something.
    pub(crate) fn heard(&mut self, by: WorkerId, Told(what): Told) {
        trace(|| format!("{} hears of {by}: {what:?}", self.id));
        match what {
            Peer::Copy(..) if self.replicas.has_handed_over() => {}
            Peer::Copy(key, entry) => {
                let lone = self.replicas.lone(BlockRange::one(key));
                self.replicas.keep(key, entry, lines(), Some(by), &self.store);
                self.reply(by, Peer::Copied(key));
                if let Some(run) = self.fetches.came(key) {
                    self.asks.push(Asks::Start(run));
                }
                self.shared(lone, by);
                self.go_on_handing_over();
            }
            Peer::Copied(key) if self.there.contains(&by) => {
                self.promised.insert(key);
                if self.replicas.is_news(key, by) {
                    let (receiver, source, number) = key;
                    self.tell_master(WorkerNote::Copied { receiver, source, number, by });
                }
                let settled = self.replicas.copied(key, Some(by));
                self.settle(key, settled);
                self.report();
                let steps = self.replicas.handed_to(by, key);
                self.hand(steps);
            }
            Peer::Copied(_) => {}
            Peer::Hold(round, all) => {
                let all = self.replicas.of_these(&all);
                self.reply(by, Peer::Held(round, all));
            }
            Peer::Held(round, all) => {
                let steps = self.replicas.held_by(by, round, &all);
                self.hand(steps);
            }
            Peer::Instead(numbers, other) if self.there.contains(&other) => {
                for (key, settled) in self.replicas.instead(numbers, by, other) {
                    self.promised.insert(key);
                    self.settle(key, settled);
                }
                self.report();
            }
            Peer::Instead(..) => {}
            Peer::Drop(numbers) => {
                let by = Some(by).filter(|by| self.there.contains(by));
                let released = self.replicas.drop(numbers, by);
                self.released(released);
                self.go_on_handing_over();
            }
            Peer::Holding(all) => {
                let lone = all.into_iter().flat_map(|numbers| self.replicas.lone(numbers));
                self.shared(lone.collect(), by);
            }
            Peer::Want(numbers) => {
                let mut gaps = self.replicas.gaps(numbers);
                for key in self.replicas.held(numbers).collect::<Vec<_>>() {
                    if self.replicas.is_shared_with(key, by) {
                        continue;
                    }
                    match self.replicas.entry(key) {
                        Some(entry) => self.reply(by, Peer::Copy(key, entry)),
                        None => gaps.push(BlockRange::one(key)),
                    }
                }
                gaps.into_iter().for_each(|gap| self.reply(by, Peer::NotFound(gap)));
            }
            Peer::NotFound(numbers) => {
                let requests = self.fetches.not_at(by, numbers, &self.all_there());
                self.ask(requests);
            }
        }
    }

    /// Another worker holds these, too.
    fn shared(&mut self, keys: Vec<Key>, by: WorkerId) {
        for key in keys {
            self.promised.insert(key);
            let settled = self.replicas.shared(key, by);
            self.settle(key, settled);
        }
        self.report();
    }

    /// The master says something.
    pub(crate) fn answered(&mut self, Answer(word): Answer) {
        trace(|| format!("{} is answered {word:?}", self.id));
        match word {
            Word::Registered(key, Ok(how)) => {
                let settled = self.replicas.registered(key, how);
                self.settle(key, settled);
            }
            Word::Registered(key, Err(why)) => {
                let mut settled = self.replicas.refused(key, &why);
                // The client sends again what is not acknowledged.
                settled.append = None;
                self.settle(key, settled);
            }
            Word::Forget(receiver, spans) => {
                let others = self.replicas.forget(receiver, SOURCE, spans);
                self.dropped(others);
                self.go_on_handing_over();
            }
            Word::Spent(before) => {
                let released = self.replicas.release(before);
                self.released(released);
                self.go_on_handing_over();
            }
            Word::Lost(receiver, spans) => {
                self.replicas.lose(receiver, SOURCE, &spans);
                for key in self.fetches.lost(receiver, SOURCE, &spans) {
                    if let Some(run) = self.fetches.came(key) {
                        self.asks.push(Asks::Start(run));
                    }
                }
            }
            Word::HandOver => {
                self.hands_over = true;
                self.hand_over();
            }
        }
    }

    /// Batches begin that read these here.
    pub(crate) fn begins(&mut self, batch: BatchSeq, inputs: &[TaskInput]) {
        self.replicas.begins(batch, inputs);
    }

    /// Batches before this one are over.
    pub(crate) fn release(&mut self, oldest: BatchSeq) {
        self.fetches.forget(oldest);
    }

    /// A placement has been taken in.
    pub(crate) fn placed(&mut self) {
        self.replicas.placed();
        self.copy_alone();
    }

    fn released(&mut self, Released { drop, safe }: Released) {
        self.dropped(drop);
        safe.into_iter().for_each(|append| self.safe(append));
    }

    fn dropped(&mut self, dropped: Vec<(WorkerId, BlockRange)>) {
        for (to, numbers) in dropped {
            let to = if self.there.contains(&to) { vec![to] } else { self.all_there() };
            to.into_iter().for_each(|to| self.tell(to, Peer::Drop(numbers)));
        }
    }

    /// A task is ready but for what it reads.
    pub(crate) fn start(&mut self, run: RunTask) {
        let missing = self.replicas.missing(&run.ranges);
        if missing.is_empty() {
            return self.asks.push(Asks::Start(run));
        }
        let requests = self.fetches.want(run, &missing, &self.all_there());
        self.ask(requests);
    }

    /// What tasks wait for and no worker has is said, if that is news.
    pub(crate) fn say_missing(&mut self) {
        let missing = self.fetches.nowhere();
        if missing != self.missing {
            self.missing.clone_from(&missing);
            self.asks.push(Asks::Master(Note(Report::Missing(missing))));
        }
    }

    /// What is held here that must not be lost.
    pub(crate) fn promised(&self) -> impl Iterator<Item = (WorkerId, u64)> {
        let mine = |key: &Key| self.replicas.mine.contains_key(key);
        let keys = self.replicas.lines.keys();
        let keys = keys.filter(move |key| !mine(key) || self.promised.contains(key));
        keys.map(|(receiver, _, number)| (*receiver, *number))
    }

    /// What is held here, by who received it and its number.
    pub(crate) fn held(&self) -> impl Iterator<Item = (WorkerId, u64)> {
        self.replicas.lines.keys().map(|(receiver, _, number)| (*receiver, *number))
    }
}
