//! Savepoints: named snapshots of a job, complete enough to start elsewhere.
//!
//! Decides the layout of a savepoint and when a job may start from one. Below its directory are:
//! - `ATTEMPT/sN-pN-N`: the objects of the saved states, as in [`CheckpointStore`]; each attempt has its own
//!   directory, so that leftovers of a failed one do not matter;
//! - `savepoint`: the folded journal, encoded like a journal object, written last.
//!
//! Callers ensure that their input is durable. Invariants: a savepoint exists completely or not at all; no
//! job changes or removes one; no part is used before all of it was read and verified.

use super::checkpoints::CheckpointError;
use super::journal::object::{Flaw, Header, Kind, decode};
use super::{CheckpointStore, Durable, DurableError};
use crate::block::{BlockDecoder, BufferPool};
use crate::id::{BatchSeq, StageId};
use crate::sched::Past;
use crate::sched::message::Saved;

/// The object that completes a savepoint.
const SAVEPOINT: &str = "savepoint";

/// Savepoints with the same default name.
const SAME: u32 = 1000;

/// Why a savepoint cannot be made or used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SavepointError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DurableError),
    /// The name is taken.
    #[error(
        "there is a savepoint {url} already, which stays as it is\n  help: choose another name"
    )]
    Taken {
        /// Its URL.
        url: String,
    },
    /// Not found.
    #[error(
        "there is no savepoint in {url}\n  help: `JOB savepoint` says where it has put one: name that \
         path or URL, or only its name if it lies in the same --state"
    )]
    Missing {
        /// The URL.
        url: String,
    },
    /// Damaged.
    #[error("the savepoint {url} is damaged: {why}\n  help: begin from another one")]
    Damaged {
        /// Its URL.
        url: String,
        /// The reason.
        why: String,
    },
    /// Another version of the format.
    #[error(
        "the savepoint {url} is of version {version} of its format, which this binary does not read\n  \
         help: begin with the binary that wrote it"
    )]
    Version {
        /// Its URL.
        url: String,
        /// Its version.
        version: u32,
    },
    /// It is of another program.
    #[error(
        "the savepoint {url} is of another program: a job with the plan {theirs:016x}, and this binary's plan is \
         {ours:016x}; a changed job cannot go on from old state (what differs is not written there)\n  \
         help: begin with the binary that wrote it, or without --from; functions that the job calls may change, its \
         own text and the records' fields may not"
    )]
    OtherPlan {
        /// Its URL.
        url: String,
        /// Its plan hash.
        theirs: u64,
        /// This binary's plan hash.
        ours: u64,
    },
    /// A saved state of the job cannot be read.
    #[error(
        "a saved state cannot be read ({why}), and {nothing}\n  help: try again a little later"
    )]
    Unreadable {
        /// The reason.
        why: String,
        /// The result of the fallback.
        nothing: String,
    },
    /// The content cannot be encoded.
    #[error(
        "the savepoint cannot be written ({why})\n  help: this is a bug of dstream: please report it"
    )]
    Form {
        /// The reason.
        why: String,
    },
}

/// A written savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenSavepoint {
    /// Its name.
    pub(crate) name: String,
    /// Its URL.
    pub(crate) url: String,
    /// The last published batch.
    pub(crate) published: BatchSeq,
    /// The last batch cut.
    pub(crate) cut: BatchSeq,
    /// Bytes of saved states.
    pub(crate) bytes: u64,
}

/// The name of a savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// Exactly this name; otherwise the write fails.
    Given(String),
    /// This name, or this name with a number.
    Like(String),
}

/// The directory of a savepoint in a state directory.
pub(crate) fn place(store: &Durable, name: &str) -> Result<Durable, DurableError> {
    if name.contains('/') {
        return Err(DurableError::Name { name: name.to_owned() });
    }
    store.within(&format!("savepoints/{name}"))
}

/// Writes a savepoint of `past`, which must be durable, and of the saved states that it names in `saves`. An
/// unreadable state is replaced by its predecessor. `attempt` must be unique.
///
/// # Errors
/// When the name is taken, or the store fails.
pub(crate) fn write(
    store: &Durable,
    saves: &CheckpointStore,
    name: Name,
    (plan, term, attempt): (u64, u64, &str),
    mut past: Past,
    decoders: impl Fn(StageId, u64) -> Option<BlockDecoder>,
) -> Result<WrittenSavepoint, SavepointError> {
    let (name, place) = free(store, name)?;
    let pool = BufferPool::new(0);
    // Check before copying, since the states of a group fall back together.
    past.fall_back_where(|saved| {
        let state = saves.read(saved, &pool, |tag| decoders(saved.stage, tag));
        Some(state.err()?.to_string())
    })
    .map_err(|(why, nothing)| SavepointError::Unreadable { why, nothing: nothing.to_string() })?;
    past.settle();
    let to = CheckpointStore::new(place.clone(), plan);
    let mut bytes = 0;
    let mut put = Vec::new();
    let written = past
        .relocate(|saved| {
            let before = put.len();
            bytes += copy(saves, saved, &to, &format!("{attempt}/"), &mut put, (&pool, &decoders))?;
            Ok(put[before..].to_vec())
        })
        .map_err(|error| match error {
            CheckpointError::Store(error) => SavepointError::Store(error),
            CheckpointError::Content { object, why } => {
                SavepointError::Damaged { url: object, why }
            }
        })
        .and_then(|()| seal(&place, plan, term, &past));
    if let Err(error) = written {
        // A leftover only takes up space.
        put.iter().for_each(|object| drop(place.remove(object)));
        return Err(error);
    }
    let (published, cut) = (past.published(), BatchSeq(past.next().0.saturating_sub(1)));
    Ok(WrittenSavepoint { name, url: place.url(), published, cut, bytes })
}

/// Finds a free place.
fn free(store: &Durable, name: Name) -> Result<(String, Durable), SavepointError> {
    let like = match name {
        Name::Given(name) => {
            let place = place(store, &name)?;
            return match place.exists(SAVEPOINT)? {
                true => Err(SavepointError::Taken { url: place.url() }),
                false => Ok((name, place)),
            };
        }
        Name::Like(name) => name,
    };
    let mut names = vec![like.clone()];
    names.extend((2..SAME).map(|number| format!("{like}-{number}")));
    for name in names {
        let place = place(store, &name)?;
        if !place.exists(SAVEPOINT)? {
            return Ok((name, place));
        }
    }
    Err(SavepointError::Taken { url: place(store, &like)?.url() })
}

fn seal(place: &Durable, plan: u64, term: u64, past: &Past) -> Result<(), SavepointError> {
    let body = postcard::to_extend(past, Vec::new())
        .map_err(|error| SavepointError::Form { why: error.to_string() })?;
    let head = Header { kind: Kind::Snapshot, plan, term, seq: 0, base: None }.seal(&body);
    match place.put_own(SAVEPOINT, &[&head, &body])? {
        true => Ok(()),
        false => Err(SavepointError::Taken { url: place.url() }),
    }
}

/// Reads a savepoint without its states.
///
/// # Errors
/// When it is missing, damaged, or of another program.
pub(crate) fn read(place: &Durable, plan: u64) -> Result<Past, SavepointError> {
    let url = place.url();
    let bytes = match place.get(SAVEPOINT) {
        Err(DurableError::NotFound { .. }) => return Err(SavepointError::Missing { url }),
        bytes => bytes?,
    };
    let (header, body) = match decode(0, &bytes) {
        Ok(parts) => parts,
        Err(Flaw::Damaged(why)) => {
            return Err(SavepointError::Damaged { url, why: why.to_owned() });
        }
        Err(Flaw::Version(version)) => return Err(SavepointError::Version { url, version }),
    };
    if header.plan != plan {
        return Err(SavepointError::OtherPlan { url, theirs: header.plan, ours: plan });
    }
    postcard::from_bytes(body).map_err(|error| SavepointError::Damaged {
        url,
        why: format!("its content cannot be decoded ({error})"),
    })
}

/// Copies the states of a savepoint into a job's own store; `past` then names the copies. `term` is the
/// job's master's and makes the names unique.
///
/// # Errors
/// When a state is unreadable, damaged, or cannot be written.
pub(crate) fn bring(
    place: &Durable,
    saves: &CheckpointStore,
    (plan, term): (u64, u64),
    past: &mut Past,
    decoders: impl Fn(StageId, u64) -> Option<BlockDecoder>,
) -> Result<(), SavepointError> {
    let (from, pool) = (CheckpointStore::new(place.clone(), plan), BufferPool::new(0));
    let damaged = |why: String| SavepointError::Damaged { url: place.url(), why };
    past.relocate(|saved| {
        // Workers' names begin with another letter.
        let (prefix, mut objects) = (format!("from{term}-"), Vec::new());
        match copy(&from, saved, saves, &prefix, &mut objects, (&pool, &decoders)) {
            Ok(_) => Ok(objects),
            Err(CheckpointError::Content { object, why }) => {
                Err(damaged(format!("{object}: {why}")))
            }
            Err(CheckpointError::Store(DurableError::NotFound { object })) => {
                Err(damaged(format!("{object} is missing")))
            }
            Err(CheckpointError::Store(error)) => Err(error.into()),
        }
    })
}

/// Copies a state, and adds the names of written objects to `put`.
fn copy(
    from: &CheckpointStore,
    saved: &Saved,
    to: &CheckpointStore,
    prefix: &str,
    put: &mut Vec<String>,
    (pool, decoders): (&BufferPool, &impl Fn(StageId, u64) -> Option<BlockDecoder>),
) -> Result<u64, CheckpointError> {
    let Saved { stage, partition, .. } = saved;
    let name = |number| format!("{prefix}s{}-p{}-{number}", stage.0, partition.0);
    let decoder = |tag| decoders(*stage, tag);
    from.copy(saved, to, name, |object| put.push(object), (pool, decoder))
}

#[cfg(test)]
mod tests;
