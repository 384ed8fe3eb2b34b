//! The thread that writes a journal.
//!
//! Decides what goes into one object (all that was appended while the one before was on its way, up to a
//! bound), how often a failing store is tried, and when what was written counts. Appending never
//! waits. Invariants: entries become durable in the order in which they were appended; after `Fenced`
//! or `Failed` nothing is ever synced.

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

/// Entries of one object, in bytes; an entry that alone is larger is an object of its own.
const OBJECT_MAX: usize = 8 << 20;

/// What a journal's writer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalEvent {
    /// All that was appended up to the entry of that number is durable.
    Synced(u64),
    /// Another master has taken over; this one must stop.
    Fenced {
        /// Which one.
        by: Option<String>,
    },
    /// The store does not take what is to be written, and is tried on.
    Failing {
        /// What it says.
        why: String,
        /// For how long it is tried at most.
        retry_for: Duration,
    },
    /// The store does not take anything any more; this master must stop.
    Failed(String),
}

/// A master that has nothing to write sees so often whether it is the newest still: it may never write again,
/// and its workers would wait with it.
const LOOK: Duration = Duration::from_secs(2);

/// How long a failing store is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryTimes {
    /// The pause behind the first failure; each is twice as long as the one before.
    pub(super) first: Duration,
    /// No pause is longer.
    pub(super) most: Duration,
    /// Before that nobody is told.
    pub(super) quiet: Duration,
    /// After so long it is given up.
    pub(super) total: Duration,
}

impl Default for RetryTimes {
    fn default() -> Self {
        let (first, most) = (Duration::from_millis(50), Duration::from_secs(2));
        Self { first, most, quiet: Duration::from_secs(1), total: Duration::from_secs(30) }
    }
}

/// Where a master begins to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) plan: u64,
    pub(super) term: u64,
    pub(super) next: u64,
    pub(super) base: Option<u64>,
    pub(super) needs_snapshot: bool,
}

/// Where a master writes what it decides.
///
/// Dropping it stops the thread without writing what waits; see [`close`](Self::close).
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

    /// Appends an entry, whose number is greater than those before; `Synced` follows.
    pub fn append(&self, seq: u64, entry: &E) {
        self.push(postcard::to_extend(&(seq, entry), Vec::new()), Kind::Entries, seq);
    }

    /// Writes a snapshot, which stands for all that was appended before. When it is durable, objects older
    /// than the snapshot before it are removed.
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
    /// Bytes that were appended and are not durable yet.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.shared.state().bytes
    }

    /// Waits until all that was appended is durable, or it is given up.
    pub fn close(mut self) {
        self.end(|state| state.closing = true);
    }

    fn end(&mut self, how: impl FnOnce(&mut State)) {
        how(&mut self.shared.state());
        self.shared.news.notify_one();
        self.shared.in_flight.yield_turn();
        if let Some(thread) = self.thread.take() {
            // It ends by itself; a panic of `news` was its owner's and is told by the panic hook.
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
    /// Of an entry.
    seq: u64,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// Of the items, and of what is being written.
    bytes: usize,
    /// What makes it useless to go on.
    broken: Option<String>,
    /// No more will come: write what is there, and end.
    closing: bool,
    /// End now.
    stopped: bool,
    /// Nothing will be written any more.
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
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to write; the items of one object, none if there was nothing for a while.
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

    /// Waits that long; `true` if it is stopped.
    fn pause(&self, pause: Duration) -> bool {
        let waited = self.news.wait_timeout_while(self.state(), pause, |state| !state.stopped);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }
}

/// Why nothing more is written.
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
    /// Items of a group that could not be written.
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
            // Done when the end is told.
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

    /// Sees whether another master has taken over.
    fn look(&self) -> Result<(), End> {
        // A store that does not answer is asked again.
        match terms::has_successor(&self.store, self.at.term) {
            Ok(true) => Err(End::Fenced(terms::by(&self.store, self.at.term + 1))),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    fn write(&mut self, kind: Kind, body: &[u8]) -> Result<(), End> {
        let Position { plan, term, next: seq, base, .. } = self.at;
        let head = Header { kind, plan, term, seq, base }.seal(body);
        let (name, store) = (object::name(seq), self.store.clone());
        // What an attempt has put that came through and was not said is durable only now that the store says
        // that it exists.
        let ours = self.patiently(|| store.put_own(&name, &[&head, body]))?;
        // What was put counts only if nobody had taken over when it was there.
        if self.patiently(|| terms::has_successor(&store, term))? {
            return Err(End::Fenced(terms::by(&store, term + 1)));
        }
        if !ours {
            let object = store.url_of(&name);
            let why = format!(
                "{object}: something else has its name, and no newer master has taken over; let nobody but \
                 masters write there"
            );
            return Err(End::Failed(why));
        }
        self.at.next += 1;
        Ok(())
    }

    /// Tries until it is done or given up.
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

    /// Nobody reads these any more: not even if the newest snapshot is damaged.
    fn remove_older_than(&self, before: u64) {
        // What stays is removed behind the next snapshot.
        for name in self.store.list("journal/").unwrap_or_default() {
            if object::number(&name).is_some_and(|seq| seq < before)
                && self.store.remove(&name).is_err()
            {
                return;
            }
        }
    }
}
