//! The thread that writes a journal.
//!
//! Decides which entries share an object (those appended while the previous one was written, up to a bound),
//! how a failing store is retried, and when a write counts. Appending never waits. Invariants: entries
//! become durable in the order of appending; after `Fenced` or `Failed` nothing is synced.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::object::{self, Header, Kind};
use super::terms;
use crate::durable::{Durable, DurableError};
use crate::host::InFlightJobs;

/// Bytes of entries per object; a larger entry gets its own object.
const OBJECT_MAX: usize = 8 << 20;

/// Events of a journal's writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalEvent {
    /// Everything appended up to that entry is durable.
    Synced(u64),
    /// Another master has taken over; this one must stop.
    Fenced {
        /// That master.
        by: Option<String>,
    },
    /// A write failed and is being retried.
    Failing {
        /// The store's error.
        why: String,
        /// How long it is retried at most.
        retry_for: Duration,
    },
    /// The store failed for good; this master must stop.
    Failed(String),
}

/// Interval at which an idle master checks that it is still the newest: otherwise a replaced one that never
/// writes would keep its workers waiting.
const LOOK: Duration = Duration::from_secs(2);

/// Retries of a failing store.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryTimes {
    /// Pause after the first failure; doubled after each.
    pub(super) first: Duration,
    /// Longest pause.
    pub(super) most: Duration,
    /// Failures shorter than this are not reported.
    pub(super) quiet: Duration,
    /// Retries end after this.
    pub(super) total: Duration,
}

impl Default for RetryTimes {
    fn default() -> Self {
        let (first, most) = (Duration::from_millis(50), Duration::from_secs(2));
        Self { first, most, quiet: Duration::from_secs(1), total: Duration::from_secs(30) }
    }
}

/// Where a master starts to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) plan: u64,
    pub(super) term: u64,
    pub(super) next: u64,
    pub(super) base: Option<u64>,
    pub(super) needs_snapshot: bool,
}

/// Writes a master's decisions.
///
/// Dropping it stops the thread without writing waiting entries; see [`close`](Self::close).
pub struct Writer<E, S> {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    writes: PhantomData<fn(E, S)>,
}

impl<E: Serialize, S: Serialize> Writer<E, S> {
    pub(super) fn start(
        store: Durable,
        at: Position,
        retry: RetryTimes,
        news: Box<dyn FnMut(JournalEvent) + Send>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = Thread { store, shared: Arc::clone(&shared), at, retry, news, unwritten: 0 };
        let builder = std::thread::Builder::new().name("dstream-journal".to_owned());
        let thread = Some(builder.spawn(move || thread.run())?);
        Ok(Self { shared, thread, writes: PhantomData })
    }

    /// Appends an entry with a higher number than all before; `Synced` follows.
    pub fn append(&self, seq: u64, entry: &E) {
        self.push(postcard::to_extend(&(seq, entry), Vec::new()), Kind::Entries, seq);
    }

    /// Writes a snapshot, which replaces everything appended before. Once it is durable, objects older than
    /// the previous snapshot are removed.
    pub fn snapshot(&self, snapshot: &S) {
        self.push(postcard::to_extend(snapshot, Vec::new()), Kind::Snapshot, 0);
    }

    fn push(&self, bytes: postcard::Result<Vec<u8>>, kind: Kind, seq: u64) {
        let mut state = self.shared.state();
        match bytes {
            _ if state.over => return,
            Ok(bytes) => {
                state.bytes += bytes.len();
                self.shared.in_flight.begin(1);
                state.items.push_back(Item { kind, bytes, seq });
            }
            Err(error) => state.broken = Some(format!("an entry cannot be written ({error})")),
        }
        drop(state);
        self.shared.news.notify_one();
    }
}

impl<E, S> Writer<E, S> {
    /// Bytes appended and not durable yet.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.shared.state().bytes
    }

    /// Waits until everything appended is durable or has failed.
    pub fn close(mut self) {
        self.end(|state| state.closing = true);
    }

    fn end(&mut self, how: impl FnOnce(&mut State)) {
        how(&mut self.shared.state());
        self.shared.news.notify_one();
        self.shared.in_flight.yield_turn();
        if let Some(thread) = self.thread.take() {
            // The thread ends by itself; the panic hook has reported a panic of `news`.
            let _ = thread.join();
        }
    }
}

impl<E, S> Drop for Writer<E, S> {
    fn drop(&mut self) {
        self.end(|state| state.stopped = true);
    }
}

/// One entry or snapshot, as bytes.
struct Item {
    kind: Kind,
    bytes: Vec<u8>,
    /// The entry's number.
    seq: u64,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// Bytes of the items and of the write in progress.
    bytes: usize,
    /// An error that makes further writes useless.
    broken: Option<String>,
    /// No more items: write the rest, then end.
    closing: bool,
    /// End now.
    stopped: bool,
    /// Nothing more will be written.
    over: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
    in_flight: InFlightJobs,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Code under this lock does not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for items; returns those of one object, or none after a quiet interval.
    fn next(&self) -> Result<Option<Vec<Item>>, End> {
        let idle = |state: &mut State| {
            let quiet = state.items.is_empty() && state.broken.is_none();
            quiet && !state.closing && !state.stopped
        };
        let state = self.news.wait_timeout_while(self.state(), LOOK, idle);
        let (state, waited) = state.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Ok(None);
        }
        drop(state);
        self.in_flight.wait_for_turn();
        let mut state = self.state();
        if state.stopped {
            return Err(End::Stopped);
        }
        if let Some(why) = state.broken.take() {
            return Err(End::Failed(why));
        }
        let mut group: Vec<Item> = Vec::new();
        let mut bytes = 0;
        while let Some(item) = state.items.front() {
            bytes += item.bytes.len();
            let alone = item.kind == Kind::Snapshot || bytes > OBJECT_MAX;
            if alone && !group.is_empty() {
                break;
            }
            group.extend(state.items.pop_front());
            if alone {
                break;
            }
        }
        if group.is_empty() { Err(End::Stopped) } else { Ok(Some(group)) }
    }

    /// Sleeps; returns `true` if stopped.
    fn pause(&self, pause: Duration) -> bool {
        let waited = self.news.wait_timeout_while(self.state(), pause, |state| !state.stopped);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }
}

/// Why writing ended.
enum End {
    Stopped,
    Fenced(Option<String>),
    Failed(String),
}

struct Thread {
    store: Durable,
    shared: Arc<Shared>,
    at: Position,
    retry: RetryTimes,
    news: Box<dyn FnMut(JournalEvent) + Send>,
    /// Items of a group that failed.
    unwritten: usize,
}

impl Thread {
    fn run(mut self) {
        let end = loop {
            if let Err(end) = self.one() {
                break end;
            }
        };
        let mut state = self.shared.state();
        state.over = true;
        let never = std::mem::take(&mut state.items).len();
        drop(state);
        match end {
            End::Stopped => {}
            End::Fenced(by) => (self.news)(JournalEvent::Fenced { by }),
            End::Failed(why) => (self.news)(JournalEvent::Failed(why)),
        }
        self.shared.in_flight.end(never + self.unwritten);
    }

    /// Writes one object.
    fn one(&mut self) -> Result<(), End> {
        let Some(group) = self.shared.next()? else { return self.look() };
        let written = self.write_group(&group);
        match written {
            Ok(()) => self.shared.in_flight.end(group.len()),
            // Accounted for when the end is reported.
            Err(_) => self.unwritten = group.len(),
        }
        written
    }

    fn write_group(&mut self, group: &[Item]) -> Result<(), End> {
        let kind = group.first().map_or(Kind::Entries, |item| item.kind);
        if self.at.needs_snapshot && kind == Kind::Entries {
            let why = "the journal is damaged, and an entry was appended before a snapshot; this is a bug of \
                       dstream: please report it";
            return Err(End::Failed(why.to_owned()));
        }
        let mut body = Vec::new();
        if kind == Kind::Entries {
            let count = postcard::to_extend(&(group.len() as u64), body);
            body = count.map_err(|error| End::Failed(error.to_string()))?;
        }
        group.iter().for_each(|item| body.extend_from_slice(&item.bytes));
        self.write(kind, &body)?;
        self.shared.state().bytes -= group.iter().map(|item| item.bytes.len()).sum::<usize>();
        match kind {
            Kind::Entries => {
                if let Some(last) = group.last() {
                    (self.news)(JournalEvent::Synced(last.seq));
                }
            }
            Kind::Snapshot => {
                if let Some(before) = self.at.base {
                    self.remove_older_than(before);
                }
                self.at.base = Some(self.at.next - 1);
                self.at.needs_snapshot = false;
            }
        }
        Ok(())
    }

    /// Checks whether another master has taken over.
    fn look(&self) -> Result<(), End> {
        // Check again later if the store does not answer.
        match terms::has_successor(&self.store, self.at.term) {
            Ok(true) => Err(End::Fenced(terms::by(&self.store, self.at.term + 1))),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    fn write(&mut self, kind: Kind, body: &[u8]) -> Result<(), End> {
        let Position { plan, term, next: seq, base, .. } = self.at;
        let head = Header { kind, plan, term, seq, base }.seal(body);
        let (name, store) = (object::name(seq), self.store.clone());
        // An earlier attempt may have succeeded without an answer; its object counts as durable only now
        // that the store confirms it.
        let ours = self.patiently(|| store.put_own(&name, &[&head, body]))?;
        // The object counts only if no master had taken over once it existed.
        if self.patiently(|| terms::has_successor(&store, term))? {
            return Err(End::Fenced(terms::by(&store, term + 1)));
        }
        if !ours {
            let object = store.url_of(&name);
            let why = format!(
                "{object}: something else has its name, and no newer master has taken over; let only \
                 masters write there"
            );
            return Err(End::Failed(why));
        }
        self.at.next += 1;
        Ok(())
    }

    /// Retries until it succeeds or fails for good.
    fn patiently<T>(
        &mut self,
        mut attempt: impl FnMut() -> Result<T, DurableError>,
    ) -> Result<T, End> {
        let (started, mut pause) = (Instant::now(), self.retry.first);
        let mut told = false;
        loop {
            let error = match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if error.is_final() || started.elapsed() >= self.retry.total {
                return Err(End::Failed(error.to_string()));
            }
            if started.elapsed() >= self.retry.quiet && !std::mem::replace(&mut told, true) {
                let (why, retry_for) = (error.to_string(), self.retry.total);
                (self.news)(JournalEvent::Failing { why, retry_for });
            }
            if self.shared.pause(pause) {
                return Err(End::Stopped);
            }
            pause = (pause * 2).min(self.retry.most);
        }
    }

    /// Removes objects that are not needed even if the newest snapshot is damaged.
    fn remove_older_than(&self, before: u64) {
        // Leftovers are removed after the next snapshot.
        for name in self.store.list("journal/").unwrap_or_default() {
            if object::number(&name).is_some_and(|seq| seq < before)
                && self.store.remove(&name).is_err()
            {
                return;
            }
        }
    }
}
