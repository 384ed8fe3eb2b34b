//! The master's journal: what it decided, in objects that are created only if absent.
//!
//! Decides how a master takes over, how what it writes becomes durable, and what a later one goes on
//! from. It never knows what entries and snapshots mean.
//!
//! - `terms/NNNNNNNNNN`: a master begins by creating the object of the next term. The content is for people.
//! - `journal/NNNNNNNNNNNNNNNN`: entries, or a snapshot that stands for all before it. The first of a master
//!   closes what it went on from: an older one that still lives and wants to write under that number
//!   finds it taken.
//! - Numbers are used again once old objects are removed (an old master can write under one that is free
//!   again), so that alone fences nobody: what was put counts only if, behind that, there is still no object
//!   of the next term. That is what `Synced` says.
//!
//! Invariants: an entry that was said to be synced is among those that every later master is given, or
//! in its snapshot, unless objects are damaged, which is said; of two masters, none of what the older
//! one appends is synced once the newer one has opened the journal.

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

/// So often may others change what is being read before it is given up.
const TRIES: u32 = 100;

/// Why a master cannot go on from a journal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The store.
    #[error(transparent)]
    Store(#[from] DurableError),
    /// It is that of another program.
    #[error(
        "the journal in {url} is of a job with the plan {theirs:016x}, and this binary's plan is {ours:016x}\n  \
         help: go on with the binary that wrote it, or start anew with another --state"
    )]
    OtherPlan {
        /// Where it is.
        url: String,
        /// The plan's hash in it.
        theirs: u64,
        /// The plan's hash of this binary.
        ours: u64,
    },
    /// It was written in another way.
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
    /// So much is damaged that there is nothing to go on from.
    #[error(
        "the journal in {url} cannot be gone on from: {why}\n  help: bring the objects back from a backup, or start \
         anew with another --state"
    )]
    Unreadable {
        /// Where it is.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// A newer master has it.
    #[error("a newer master has taken over{}", match by { Some(by) => format!(": {by}"), None => String::new() })]
    Fenced {
        /// Which one.
        by: Option<String>,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
    /// There is no thread for writing.
    #[error("cannot start the thread that writes the journal: {0}")]
    Thread(String),
}

/// A journal that is open: what to go on from, and where to write.
pub struct Opened<E, S> {
    /// The term of this master: greater than that of all before it.
    pub term: u64,
    /// The newest snapshot.
    pub snapshot: Option<S>,
    /// What was appended behind it, with the numbers that it was appended by.
    pub entries: Vec<(u64, E)>,
    /// What is damaged and what is lost by it, for people.
    pub warnings: Vec<String>,
    /// The first that is written must be a snapshot, so that what is damaged is never read again.
    pub needs_snapshot: bool,
    /// Where to write.
    pub writer: Writer<E, S>,
}

/// Takes the journal over: a new term, and all that counts of what was written. `who` says to people
/// who this master is; `news` is called from the writing thread, and ends with it.
///
/// # Errors
/// When it is another job's, cannot be read, or a newer master takes over meanwhile. A journal that
/// cannot be gone on from is found out before a term is taken: whoever has it goes on.
pub fn open<E, S>(
    store: &Durable,
    plan: u64,
    who: &str,
    news: impl FnMut(JournalEvent) + Send + 'static,
) -> Result<Opened<E, S>, JournalError>
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
) -> Result<Opened<E, S>, JournalError>
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
            // The master before wrote one more.
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
        return Ok(Opened { term, snapshot, entries, warnings, needs_snapshot, writer });
    }
    Err(unreadable("other processes keep writing to it".to_owned()))
}

/// The newest snapshot, and what was appended behind it, with the numbers that it was appended by.
pub type Replayed<E, S> = (Option<S>, Vec<(u64, E)>);

/// What a later master would be given, without taking anything over.
///
/// # Errors
/// When it is another job's, or cannot be read.
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

/// What a body means.
enum Body<E, S> {
    Entries(Vec<(u64, E)>),
    Snapshot(S),
}

/// Reads what is there and was not read yet, and forgets what is not there any more.
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
                // The master before has put a snapshot meanwhile: it may be later than all that we saw.
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
        Err(error) => Err(format!("what it says makes no sense ({error})")),
    })
}

fn newest_term<T>(found: &BTreeMap<u64, Found<T>>) -> u64 {
    found.values().flatten().map(|(header, _)| header.term).max().unwrap_or(0)
}

/// Puts the first object of a term, which is empty. `false`: the number is taken.
fn close(store: &Durable, header: &Header) -> Result<bool, JournalError> {
    // No entries, as postcard says it.
    let body = [0];
    Ok(store.put_own(&object::name(header.seq), &[&header.seal(&body), &body])?)
}
