//! The master's journal: its decisions, in objects that are created only if absent.
//!
//! Decides how a master takes over, how entries become durable, and which of them a successor gets. It does
//! not know what entries and snapshots mean.
//!
//! - `terms/NNNNNNNNNN`: a master creates the object of the next term first. Its text is informative.
//! - `journal/NNNNNNNNNNNNNNNN`: entries, or a snapshot that replaces all before it. The first object of a
//!   master closes the journal that it replayed: an older master that still runs finds the number taken.
//! - Numbers become free when old objects are removed, and an old master could write under one. So an object
//!   counts only if, after it was put, the next term's object still does not exist. `Synced` reports that.
//!
//! Invariants: every later master gets a synced entry, alone or in its snapshot, unless objects are damaged,
//! which is reported; once a newer master has opened the journal, no entry of an older one is synced.

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
pub(super) mod object;
mod replay;
mod terms;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::writer::{JournalEvent, Writer};

use self::object::{Flaw, Header, Kind};
use self::replay::{Found, Replay, replay};
use self::writer::{Position, RetryTimes};
use super::{Durable, DurableError};

/// Retries of a read that others' changes disturbed.
const TRIES: u32 = 100;

/// Why a master cannot resume from a journal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DurableError),
    /// The journal is of another program.
    #[error(
        "the journal in {url} is of another program: a job with the plan {theirs:016x}, and this binary's plan is \
         {ours:016x}; a changed job cannot go on from old state (what differs is not written there)\n  \
         help: go on with the binary that wrote it, or start anew with another --state; functions that the job \
         calls may change, its own text and the records' fields may not"
    )]
    OtherPlan {
        /// The journal's URL.
        url: String,
        /// Its plan hash.
        theirs: u64,
        /// This binary's plan hash.
        ours: u64,
    },
    /// Another version of the format.
    #[error(
        "{object} is of version {version} of the journal's format, which this binary does not read\n  \
         help: go on with the binary that wrote it, or start anew with another --state"
    )]
    Version {
        /// The object.
        object: String,
        /// Its version.
        version: u32,
    },
    /// The journal is damaged beyond use.
    #[error(
        "cannot resume from the journal in {url}: {why}\n  help: bring the objects back from a backup, or start \
         anew with another --state"
    )]
    Unreadable {
        /// The journal's URL.
        url: String,
        /// The reason.
        why: String,
    },
    /// A newer master has taken over.
    #[error("a newer master has taken over{}", match by { Some(by) => format!(": {by}"), None => String::new() })]
    Fenced {
        /// That master.
        by: Option<String>,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
    /// The writing thread cannot be started.
    #[error("cannot start the thread that writes the journal: {0}")]
    Thread(String),
}

/// An open journal: what to resume from, and the writer.
pub struct OpenJournal<E, S> {
    /// The term of this master, greater than all before.
    pub term: u64,
    /// The newest snapshot.
    pub snapshot: Option<S>,
    /// The entries after it, with their numbers.
    pub entries: Vec<(u64, E)>,
    /// Damaged objects and what is lost with them, as text.
    pub warnings: Vec<String>,
    /// The first write must be a snapshot, so that damaged objects are never read again.
    pub needs_snapshot: bool,
    /// The writer.
    pub writer: Writer<E, S>,
}

/// Takes over the journal: takes a new term, and replays everything that counts. `who` names this master in
/// texts; `news` is called on the writing thread.
///
/// # Errors
/// When the journal is another job's, is unreadable, or a newer master takes over meanwhile. An unreadable
/// journal is detected before a term is taken, so its current master goes on.
pub fn open<E, S>(
    store: &Durable,
    plan: u64,
    who: &str,
    news: impl FnMut(JournalEvent) + Send + 'static,
) -> Result<OpenJournal<E, S>, JournalError>
where
    E: Serialize + DeserializeOwned,
    S: Serialize + DeserializeOwned,
{
    open_with(store, plan, who, RetryTimes::default(), Box::new(news))
}

fn open_with<E, S>(
    store: &Durable,
    plan: u64,
    who: &str,
    retry: RetryTimes,
    news: Box<dyn FnMut(JournalEvent) + Send>,
) -> Result<OpenJournal<E, S>, JournalError>
where
    E: Serialize + DeserializeOwned,
    S: Serialize + DeserializeOwned,
{
    let unreadable = |why| JournalError::Unreadable { url: store.url(), why };
    let mut found = BTreeMap::new();
    read(store, plan, &mut found)?;
    replay(&found).map_err(unreadable)?;
    let term = terms::take(store, newest_term(&found), who)?;
    for _ in 0..TRIES {
        read(store, plan, &mut found)?;
        let newest = newest_term(&found);
        if newest > term {
            return Err(JournalError::Fenced { by: terms::by(store, newest) });
        }
        let replay = replay(&found).map_err(unreadable)?;
        let seq = replay.highest.map_or(0, |highest| highest + 1);
        let header = Header { kind: Kind::Entries, plan, term, seq, base: replay.base };
        if !close(store, &header)? {
            // The previous master wrote one more object.
            continue;
        }
        if terms::has_successor(store, term)? {
            return Err(JournalError::Fenced { by: terms::by(store, term + 1) });
        }
        let (snapshot, entries) = said(&replay, &mut found);
        let needs_snapshot = !replay.warnings.is_empty();
        let at = Position { plan, term, next: seq + 1, base: replay.base, needs_snapshot };
        let writer = Writer::start(store.clone(), at, retry, news)
            .map_err(|error| JournalError::Thread(error.to_string()))?;
        let warnings = replay.warnings;
        return Ok(OpenJournal { term, snapshot, entries, warnings, needs_snapshot, writer });
    }
    Err(unreadable("other processes keep writing to it".to_owned()))
}

/// The newest snapshot, and the entries after it, with their numbers.
pub type Replayed<E, S> = (Option<S>, Vec<(u64, E)>);

/// Replays the journal without taking it over.
///
/// # Errors
/// When it is another job's, or unreadable.
pub fn look<E, S>(store: &Durable, plan: u64) -> Result<Replayed<E, S>, JournalError>
where
    E: DeserializeOwned,
    S: DeserializeOwned,
{
    let mut found = BTreeMap::new();
    read(store, plan, &mut found)?;
    let replay =
        replay(&found).map_err(|why| JournalError::Unreadable { url: store.url(), why })?;
    Ok(said(&replay, &mut found))
}

fn said<E, S>(replay: &Replay, found: &mut BTreeMap<u64, Found<Body<E, S>>>) -> Replayed<E, S> {
    let mut take = |seq: &u64| Some(found.remove(seq)?.ok()?.1);
    let snapshot = match replay.base.as_ref().and_then(&mut take) {
        Some(Body::Snapshot(snapshot)) => Some(snapshot),
        _ => None,
    };
    let entries = replay.entries.iter().filter_map(take).filter_map(|body| match body {
        Body::Entries(entries) => Some(entries),
        Body::Snapshot(_) => None,
    });
    (snapshot, entries.flatten().collect())
}

/// The content of an object.
enum Body<E, S> {
    Entries(Vec<(u64, E)>),
    Snapshot(S),
}

/// Reads new objects, and forgets removed ones.
fn read<E, S>(
    store: &Durable,
    plan: u64,
    found: &mut BTreeMap<u64, Found<Body<E, S>>>,
) -> Result<(), JournalError>
where
    E: DeserializeOwned,
    S: DeserializeOwned,
{
    'list: for _ in 0..TRIES {
        let names = store.list("journal/")?;
        let numbers: Vec<u64> = names.iter().filter_map(|name| object::number(name)).collect();
        found.retain(|seq, _| numbers.binary_search(seq).is_ok());
        for seq in numbers {
            if found.contains_key(&seq) {
                continue;
            }
            let bytes = match store.get(&object::name(seq)) {
                Ok(bytes) => bytes,
                // The previous master has put a snapshot meanwhile, possibly after everything seen so far.
                Err(DurableError::NotFound { .. }) => continue 'list,
                Err(error) => return Err(error.into()),
            };
            found.insert(seq, understand(store, plan, seq, &bytes)?);
        }
        return Ok(());
    }
    let why = "objects vanish while they are read".to_owned();
    Err(JournalError::Unreadable { url: store.url(), why })
}

fn understand<E: DeserializeOwned, S: DeserializeOwned>(
    store: &Durable,
    plan: u64,
    seq: u64,
    bytes: &[u8],
) -> Result<Found<Body<E, S>>, JournalError> {
    let (header, body) = match object::decode(seq, bytes) {
        Ok(parts) => parts,
        Err(Flaw::Damaged(why)) => return Ok(Err(why.to_owned())),
        Err(Flaw::Version(version)) => {
            return Err(JournalError::Version {
                object: store.url_of(&object::name(seq)),
                version,
            });
        }
    };
    if header.plan != plan {
        let (url, theirs) = (store.url(), header.plan);
        return Err(JournalError::OtherPlan { url, theirs, ours: plan });
    }
    let body = match header.kind {
        Kind::Entries => postcard::from_bytes(body).map(Body::Entries),
        Kind::Snapshot => postcard::from_bytes(body).map(Body::Snapshot),
    };
    Ok(match body {
        Ok(body) => Ok((header, body)),
        Err(error) => Err(format!("its content cannot be decoded ({error})")),
    })
}

fn newest_term<T>(found: &BTreeMap<u64, Found<T>>) -> u64 {
    found.values().flatten().map(|(header, _)| header.term).max().unwrap_or(0)
}

/// Puts the first object of a term, without entries. Returns `false` if the number is taken.
fn close(store: &Durable, header: &Header) -> Result<bool, JournalError> {
    // Postcard's encoding of no entries.
    let body = [0];
    Ok(store.put_own(&object::name(header.seq), &[&header.seal(&body), &body])?)
}
