//! Receipts without a network, for simulations: what the driver of a worker does with them ([`Node`]), and
//! what that of a master does ([`Desk`]), message by message. Of every connection, messages stay in order.

mod desk;

use super::batches::Released;
use super::handover::{HandedOver, Step};
use super::wanted::{Nowhere, Question, Wanted};
use super::*;
use crate::block::BufferPool;
use crate::sched::message::TaskInput;
use crate::sched::worker::RunTask;
use crate::store::StoreOptions;

pub(crate) use desk::Desk;

/// What workers tell each other about receipts.
#[derive(Clone)]
pub(crate) struct Told(Peer);

#[derive(Debug, Clone)]
enum Peer {
    Copy(Key, Entry),
    Copied(Key),
    Drop(Numbers),
    Holding(Vec<Numbers>),
    Want(Numbers),
    NotHere(Numbers),
    Hold(u64, Vec<Numbers>),
    Held(u64, Vec<Numbers>),
    Instead(Numbers, WorkerId),
}

/// What a worker tells its master about receipts.
#[derive(Clone)]
pub(crate) struct Note(Report);

#[derive(Debug, Clone)]
enum Report {
    Received(Receipt),
    Holds(Vec<Receipt>),
    Copied { taker: WorkerId, number: u64, by: WorkerId },
    HeldBy(Numbers, WorkerId),
    HandedOver(Vec<WorkerId>),
    Missing(Nowhere),
}

/// What a master answers, or says by itself.
#[derive(Clone)]
pub(crate) struct Answer(Word);

#[derive(Debug, Clone)]
enum Word {
    Registered(Key, Result<Registered, Refusal>),
    Forget(WorkerId, Spans),
    Spent(BatchSeq),
    Lost(WorkerId, Spans),
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

/// The source of all receipts.
pub(crate) const SOURCE: SourceId = SourceId(0);

/// Receipts in a worker's process.
pub(crate) struct Node {
    id: WorkerId,
    receipts: Receipts,
    wanted: Wanted,
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

/// Says what happens, if `DSTREAM_TRACE` is set: for whoever looks into one world.
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
        let (receipts, wanted) = (Receipts::new(id), Wanted::default());
        let (there, met) = (BTreeSet::new(), BTreeSet::new());
        let (missing, asks) = (Nowhere::default(), Vec::new());
        let (is_stopped, has_said) = (false, false);
        let promised = BTreeSet::new();
        Self {
            id,
            receipts,
            wanted,
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
        self.receipts.rejoined(id);
        (self.wanted, self.missing) = (Wanted::default(), Nowhere::default());
        self.there.clear();
        self.leaving.clear();
        self.met.clear();
        self.asks.clear();
        (self.is_stopped, self.has_said, self.hands_over) = (false, false, false);
        for note in self.receipts.holds() {
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
                && let Some(holding) = self.receipts.holding()
            {
                self.tell(worker, Peer::Holding(holding));
            }
            let questions = self.wanted.is_there(worker);
            self.ask(questions);
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
            let steps = self.receipts.hand_over(self.staying());
            self.hand(steps);
        }
    }

    fn go_on_handing_over(&mut self) {
        let steps = self.receipts.go_on_handing_over();
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

    /// It has handed over what it held, and nobody counts on it.
    pub(crate) fn has_handed_over(&self) -> bool {
        self.receipts.has_handed_over()
    }

    fn lost(&mut self, worker: WorkerId) {
        let other = self.second();
        if other.is_none() {
            self.promised.extend(self.receipts.lines.keys());
        }
        for key in self.receipts.orphaned(worker, other) {
            match other {
                Some(other) => self.copy(other, key),
                None => {
                    let settled = self.receipts.copied(key, None);
                    self.settle(key, settled);
                }
            }
        }
        self.report();
        self.met.remove(&worker);
        let questions = self.wanted.gone(worker, &self.all_there());
        self.ask(questions);
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
        for key in self.receipts.alone(other) {
            self.copy(other, key);
        }
    }

    fn settle_alone(&mut self) {
        for key in self.receipts.uncopied() {
            self.promised.insert(key);
            let settled = self.receipts.copied(key, None);
            self.settle(key, settled);
        }
        self.report();
    }

    fn copy(&mut self, to: WorkerId, key: Key) {
        if let Some(entry) = self.receipts.entry(key) {
            self.tell(to, Peer::Copy(key, entry));
        }
    }

    fn tell(&mut self, to: WorkerId, what: Peer) {
        if self.there.contains(&to) {
            self.asks.push(Asks::Peer(to, Told(what)));
        }
    }

    /// On the connection that somebody has, even if nobody has said yet who that is.
    fn reply(&mut self, to: WorkerId, what: Peer) {
        self.asks.push(Asks::Peer(to, Told(what)));
    }

    fn tell_master(&mut self, note: WorkerNote) {
        let report = match note {
            WorkerNote::Received { receipt, .. } => Report::Received(receipt),
            WorkerNote::Holds { receipts, .. } => {
                Report::Holds(receipts.into_iter().map(|(receipt, _)| receipt).collect())
            }
            WorkerNote::Copied { taker, number, by, .. } => Report::Copied { taker, number, by },
            other => panic!("{other:?}"),
        };
        self.asks.push(Asks::Master(Note(report)));
    }

    fn report(&mut self) {
        for note in self.receipts.reports() {
            self.tell_master(note);
        }
    }

    fn settle(&mut self, key: Key, settled: Settled) {
        if let Some(appended) = settled.append {
            self.safe(appended);
        }
        if let Some(copy) = settled.copy {
            self.dropped(vec![(copy, Numbers::one(key))]);
        }
    }

    fn safe(&mut self, Appended { client, number, .. }: Appended) {
        trace(|| format!("{}: {number} of {client:?} is safe", self.id));
        self.asks.push(Asks::Safe(client.0, number));
    }

    fn ask(&mut self, questions: Vec<Question>) {
        for (worker, numbers) in questions {
            self.tell(worker, Peer::Want(numbers));
        }
    }

    /// The master wants no more to be received here.
    pub(crate) fn stop_receiving(&mut self) {
        self.is_stopped = true;
    }

    /// Whether all that clients have sent here is safe, and nothing more is taken in; once.
    pub(crate) fn has_received_all(&mut self) -> bool {
        let all = self.is_stopped && !self.receipts.is_pending(SOURCE);
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
        let key = self.receipts.appended(append, copy, &self.store.clone());
        trace(|| format!("{}: {number} of {client:?} is {key:?}, copy {copy:?}", self.id));
        match copy {
            Some(copy) => self.copy(copy, key),
            None => {
                if self.receipts.is_placed {
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
            Peer::Copy(..) if self.receipts.has_handed_over() => {}
            Peer::Copy(key, entry) => {
                let lone = self.receipts.lone(Numbers::one(key));
                self.receipts.keep(key, entry, lines(), Some(by), &self.store);
                self.reply(by, Peer::Copied(key));
                if let Some(run) = self.wanted.came(key) {
                    self.asks.push(Asks::Start(run));
                }
                self.shared(lone, by);
                self.go_on_handing_over();
            }
            Peer::Copied(key) if self.there.contains(&by) => {
                self.promised.insert(key);
                if self.receipts.is_news(key, by) {
                    let (taker, source, number) = key;
                    self.tell_master(WorkerNote::Copied { taker, source, number, by });
                }
                let settled = self.receipts.copied(key, Some(by));
                self.settle(key, settled);
                self.report();
                let steps = self.receipts.handed_to(by, key);
                self.hand(steps);
            }
            Peer::Copied(_) => {}
            Peer::Hold(round, all) => {
                let all = self.receipts.of_these(&all);
                self.reply(by, Peer::Held(round, all));
            }
            Peer::Held(round, all) => {
                let steps = self.receipts.held_by(by, round, &all);
                self.hand(steps);
            }
            Peer::Instead(numbers, other) if self.there.contains(&other) => {
                for (key, settled) in self.receipts.instead(numbers, by, other) {
                    self.promised.insert(key);
                    self.settle(key, settled);
                }
                self.report();
            }
            Peer::Instead(..) => {}
            Peer::Drop(numbers) => {
                let by = Some(by).filter(|by| self.there.contains(by));
                let released = self.receipts.drop(numbers, by);
                self.released(released);
                self.go_on_handing_over();
            }
            Peer::Holding(all) => {
                let lone = all.into_iter().flat_map(|numbers| self.receipts.lone(numbers));
                self.shared(lone.collect(), by);
            }
            Peer::Want(numbers) => {
                let mut gaps = self.receipts.gaps(numbers);
                for key in self.receipts.held(numbers).collect::<Vec<_>>() {
                    if self.receipts.is_shared_with(key, by) {
                        continue;
                    }
                    match self.receipts.entry(key) {
                        Some(entry) => self.reply(by, Peer::Copy(key, entry)),
                        None => gaps.push(Numbers::one(key)),
                    }
                }
                gaps.into_iter().for_each(|gap| self.reply(by, Peer::NotHere(gap)));
            }
            Peer::NotHere(numbers) => {
                let questions = self.wanted.not_at(by, numbers, &self.all_there());
                self.ask(questions);
            }
        }
    }

    /// Another worker holds these, too.
    fn shared(&mut self, keys: Vec<Key>, by: WorkerId) {
        for key in keys {
            self.promised.insert(key);
            let settled = self.receipts.shared(key, by);
            self.settle(key, settled);
        }
        self.report();
    }

    /// The master says something.
    pub(crate) fn answered(&mut self, Answer(word): Answer) {
        trace(|| format!("{} is answered {word:?}", self.id));
        match word {
            Word::Registered(key, Ok(how)) => {
                let settled = self.receipts.registered(key, how);
                self.settle(key, settled);
            }
            Word::Registered(key, Err(why)) => {
                let mut settled = self.receipts.refused(key, &why);
                // The client sends again what is not acknowledged.
                settled.append = None;
                self.settle(key, settled);
            }
            Word::Forget(taker, spans) => {
                let others = self.receipts.forget(taker, SOURCE, spans);
                self.dropped(others);
                self.go_on_handing_over();
            }
            Word::Spent(before) => {
                let released = self.receipts.release(before);
                self.released(released);
                self.go_on_handing_over();
            }
            Word::Lost(taker, spans) => {
                self.receipts.lose(taker, SOURCE, &spans);
                for key in self.wanted.lost(taker, SOURCE, &spans) {
                    if let Some(run) = self.wanted.came(key) {
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
        self.receipts.begins(batch, inputs);
    }

    /// Batches before this one are over.
    pub(crate) fn release(&mut self, oldest: BatchSeq) {
        self.wanted.forget(oldest);
    }

    /// A placement has been taken in.
    pub(crate) fn placed(&mut self) {
        self.receipts.placed();
        self.copy_alone();
    }

    fn released(&mut self, Released { drop, safe }: Released) {
        self.dropped(drop);
        safe.into_iter().for_each(|append| self.safe(append));
    }

    fn dropped(&mut self, dropped: Vec<(WorkerId, Numbers)>) {
        for (to, numbers) in dropped {
            let to = if self.there.contains(&to) { vec![to] } else { self.all_there() };
            to.into_iter().for_each(|to| self.tell(to, Peer::Drop(numbers)));
        }
    }

    /// A task is ready but for what it reads.
    pub(crate) fn start(&mut self, run: RunTask) {
        let missing = self.receipts.missing(&run.ranges);
        if missing.is_empty() {
            return self.asks.push(Asks::Start(run));
        }
        let questions = self.wanted.want(run, &missing, &self.all_there());
        self.ask(questions);
    }

    /// What tasks wait for and no worker has is said, if that is news.
    pub(crate) fn say_missing(&mut self) {
        let missing = self.wanted.nowhere();
        if missing != self.missing {
            self.missing.clone_from(&missing);
            self.asks.push(Asks::Master(Note(Report::Missing(missing))));
        }
    }

    /// What is held here that must not be lost.
    pub(crate) fn promised(&self) -> impl Iterator<Item = (WorkerId, u64)> {
        let mine = |key: &Key| self.receipts.mine.contains_key(key);
        let keys = self.receipts.lines.keys();
        let keys = keys.filter(move |key| !mine(key) || self.promised.contains(key));
        keys.map(|(taker, _, number)| (*taker, *number))
    }

    /// What is held here, by who received it and its number.
    pub(crate) fn held(&self) -> impl Iterator<Item = (WorkerId, u64)> {
        self.receipts.lines.keys().map(|(taker, _, number)| (*taker, *number))
    }
}
