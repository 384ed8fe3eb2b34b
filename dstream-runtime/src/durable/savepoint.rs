//! Savepoints: all that a job needs to begin again somewhere else, under a name.
//!
//! Decides how one lies in a durable store and when it may be begun from. Below its own place there are
//! - `ATTEMPT/sN-pN-N`: the objects of the saved states, each as [`CheckpointStore`] has them; a directory per attempt, so
//!   that what one that failed has left is in nobody's way;
//! - `savepoint`: what the journal says, in one piece and in the form of a journal's object. It is put last.
//!
//! It never knows whether what it is given is durable elsewhere, or which job asks. Invariants: a savepoint is
//! there wholly or not at all; no job changes or removes one; nothing of one is used before all that it holds
//! was read and found to be what was written.

use super::checkpoints::CheckpointError;
use super::journal::object::{Flaw, Header, Kind, decode};
use super::{CheckpointStore, Durable, DurableError};
use crate::block::{BlockDecoder, BufferPool};
use crate::id::{BatchSeq, StageId};
use crate::sched::Past;
use crate::sched::message::Saved;

/// The object that makes a savepoint.
const SAVEPOINT: &str = "savepoint";

/// So many savepoints may have the name that is given where nobody names one.
const SAME: u32 = 1000;

/// Why a savepoint cannot be made, or not be begun from.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SavepointError {
    /// The store.
    #[error(transparent)]
    Store(#[from] DurableError),
    /// There is one of that name.
    #[error(
        "there is a savepoint {url} already, which stays as it is\n  help: choose another name"
    )]
    Taken {
        /// Where it is.
        url: String,
    },
    /// There is none.
    #[error(
        "there is no savepoint in {url}\n  help: `JOB savepoint` says where it has put one: name that \
         path or URL, or only its name if it lies in the same --state"
    )]
    Missing {
        /// Where it was looked for.
        url: String,
    },
    /// It is not what was written.
    #[error("the savepoint {url} is damaged: {why}\n  help: begin from another one")]
    Damaged {
        /// Where it is.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// It was written in another way.
    #[error(
        "the savepoint {url} is of version {version} of its format, which this binary does not read\n  \
         help: begin with the binary that wrote it"
    )]
    Version {
        /// Where it is.
        url: String,
        /// Its version.
        version: u32,
    },
    /// It is that of another program.
    #[error(
        "the savepoint {url} is of a job with the plan {theirs:016x}, and this binary's plan is {ours:016x}\n  \
         help: begin with the binary that wrote it"
    )]
    OtherPlan {
        /// Where it is.
        url: String,
        /// The plan's hash in it.
        theirs: u64,
        /// The plan's hash of this binary.
        ours: u64,
    },
    /// A state that belongs into it cannot be read where the job has it.
    #[error(
        "a saved state cannot be read ({why}), and {nothing}\n  help: try again a little later"
    )]
    Unreadable {
        /// Why.
        why: String,
        /// What else was looked for.
        nothing: String,
    },
    /// What is to be written makes no sense.
    #[error(
        "the savepoint cannot be written ({why})\n  help: this is a bug of dstream: please report it"
    )]
    Form {
        /// Why.
        why: String,
    },
}

/// A savepoint that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pinned {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) url: String,
    /// The last batch that was visible.
    pub(crate) published: BatchSeq,
    /// The last one that had been cut.
    pub(crate) cut: BatchSeq,
    /// Bytes of saved states.
    pub(crate) bytes: u64,
}

/// What a savepoint is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// So, or it is not written.
    Given(String),
    /// So, or so with a number behind it.
    Like(String),
}

/// Where the savepoints of a state directory are.
pub(crate) fn place(store: &Durable, name: &str) -> Result<Durable, DurableError> {
    if name.contains('/') {
        return Err(DurableError::Name { name: name.to_owned() });
    }
    store.within(&format!("savepoints/{name}"))
}

/// Writes what a job has come to: `past`, all of which is durable, and the states that it names in `saves`.
/// Where one of them cannot be read, the one before is used. `attempt` is never used again.
///
/// # Errors
/// When there is one of that name, or the store fails.
pub(crate) fn write(
    store: &Durable,
    saves: &CheckpointStore,
    name: Name,
    (plan, term, attempt): (u64, u64, &str),
    mut past: Past,
    decoders: impl Fn(StageId, u64) -> Option<BlockDecoder>,
) -> Result<Pinned, SavepointError> {
    let (name, place) = free(store, name)?;
    let pool = BufferPool::new(0);
    // Looked at before anything is copied, since the states of a group go together.
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
        // What stays takes room and nothing else.
        put.iter().for_each(|object| drop(place.remove(object)));
        return Err(error);
    }
    let (published, cut) = (past.published(), BatchSeq(past.next().0.saturating_sub(1)));
    Ok(Pinned { name, url: place.url(), published, cut, bytes })
}

/// A place where there is none yet.
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

/// Reads what a savepoint says, and nothing of the states.
///
/// # Errors
/// When there is none, or none that this program can begin from.
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
        why: format!("what it says makes no sense ({error})"),
    })
}

/// Brings the states of a savepoint to where a job keeps its own; `past` names them there from here on.
/// `term` is that of the job's master: no other one has used it.
///
/// # Errors
/// When one of them cannot be read, is damaged, or cannot be written.
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
        // Workers number theirs, and those begin with another letter.
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

/// Copies a state, and adds the names that its objects have there to `put`, as far as they are written.
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
