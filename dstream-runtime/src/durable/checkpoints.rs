//! States in safety, in a store that all processes of the cluster reach: all of a state in one object, and what
//! has changed since in others, each of which says which one it continues.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..12 | length of the table, little-endian |
//! | 12..20 | xxh3 of the table |
//! | | the table: plan, stage, partition, batch, what it continues, tag, length and checksum of each part |
//! | | the parts: blocks with their own headers and checksums |
//!
//! An object is known to the next one by the checksum of its table, which says all that is in it: so objects may be
//! copied and called otherwise, and those that do not belong together are refused. Its name is never used again for
//! another one.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Durable, DurableError};
use crate::block::{Block, BlockDecoder, BufferPool};
use crate::exec::task::SavedState;
use crate::id::{BatchSeq, Partition, StageId};
use crate::sched::message::Saved;

const MAGIC: &[u8; 8] = b"dstreamS";
const HEAD: usize = 20;

/// What another object continues an object by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChainLink(u64);

/// What an object holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    plan: u64,
    stage: StageId,
    partition: Partition,
    after: BatchSeq,
    /// None for all of a state.
    continues: Option<ChainLink>,
    steps: Vec<BatchSeq>,
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    tag: u64,
    /// In bytes.
    len: u64,
    checksum: u64,
}

/// Why a state cannot be saved, or a saved one cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(transparent)]
    Store(#[from] DurableError),
    #[error("{object}: {why}")]
    Content { object: String, why: String },
}

/// A state that was read.
#[derive(Debug)]
pub(crate) struct LoadedChain {
    /// All of it, and then what had changed each time.
    pub(crate) chain: Vec<SavedState>,
    /// The last object, for one that continues it.
    pub(crate) link: ChainLink,
}

/// An object that was opened.
#[derive(Debug)]
pub(super) struct CheckpointObject {
    pub(super) state: SavedState,
    link: ChainLink,
    after: BatchSeq,
}

/// A job's saved states.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointStore {
    store: Durable,
    plan: u64,
}

impl CheckpointStore {
    pub(crate) fn new(store: Durable, plan: u64) -> Self {
        Self { store, plan }
    }

    /// Where they are.
    pub(crate) fn url(&self) -> String {
        self.store.url()
    }

    /// Makes the place for them, and removes the objects that nobody will load any more: what `keep` does not
    /// want.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) -> Result<(), DurableError> {
        self.store.make()?;
        for object in self.store.list("")? {
            if !keep(&object) {
                self.store.remove(&object)?;
            }
        }
        Ok(())
    }

    /// Writes the last object of a state, the others being there: all of the state, or, if it `continues`
    /// something, what has changed. It is in safety when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(
        &self,
        saved: &Saved,
        state: &SavedState,
        continues: Option<ChainLink>,
    ) -> Result<ChainLink, CheckpointError> {
        let object = saved.objects.last().map_or("", String::as_str);
        let wrong =
            |why: String| CheckpointError::Content { object: self.store.url_of(object), why };
        let blocks = state.parts.iter().map(|(tag, block)| {
            let block = block.get().map_err(|error| wrong(error.to_string()))?;
            Ok((*tag, block))
        });
        let blocks = blocks.collect::<Result<Vec<_>, CheckpointError>>()?;
        let part = |(tag, block): &(u64, Block)| Part {
            tag: *tag,
            len: block.byte_len() as u64,
            checksum: block.checksum(),
        };
        let table = Table {
            plan: self.plan,
            stage: saved.stage,
            partition: saved.partition,
            after: saved.after,
            continues,
            steps: state.steps.clone(),
            parts: blocks.iter().map(part).collect(),
        };
        let table = postcard::to_extend(&table, Vec::new()).map_err(|e| wrong(e.to_string()))?;
        let link = xxh3_64(&table);
        let mut head = Vec::with_capacity(HEAD + table.len());
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&(table.len() as u32).to_le_bytes());
        head.extend_from_slice(&link.to_le_bytes());
        head.extend_from_slice(&table);
        let mut parts: Vec<&[u8]> = vec![&head];
        for (_, block) in &blocks {
            parts.extend([block.header().as_slice(), block.body()]);
        }
        match self.store.put_own(object, &parts)? {
            true => Ok(ChainLink(link)),
            // Names are not used again.
            false => Err(DurableError::Taken { object: self.store.url_of(object) }.into()),
        }
    }

    /// Reads a state; its parts come through the decoders that `decoder` names by their tags.
    ///
    /// # Errors
    /// When an object cannot be read, is damaged, or is another one.
    pub(crate) fn read(
        &self,
        saved: &Saved,
        pool: &BufferPool,
        decoder: impl Fn(u64) -> Option<BlockDecoder>,
    ) -> Result<LoadedChain, CheckpointError> {
        let mut chain = Vec::with_capacity(saved.objects.len());
        let link = self.each(saved, pool, decoder, |_, _, state| {
            chain.push(state);
            Ok(())
        })?;
        Ok(LoadedChain { chain, link })
    }

    /// Brings a copy of a state to another place, if it is whole. `name` says what its objects are called there, by
    /// their numbers; `written` is told each. Returns how many bytes they have.
    ///
    /// # Errors
    /// When an object cannot be read, is damaged, or cannot be written.
    pub(crate) fn copy(
        &self,
        saved: &Saved,
        to: &Self,
        name: impl Fn(usize) -> String,
        mut written: impl FnMut(String),
        (pool, decoder): (&BufferPool, impl Fn(u64) -> Option<BlockDecoder>),
    ) -> Result<u64, CheckpointError> {
        let mut total = 0;
        self.each(saved, pool, decoder, |number, bytes, _| {
            let object = name(number);
            if !to.store.put_own(&object, &[bytes])? {
                return Err(DurableError::Taken { object: to.store.url_of(&object) }.into());
            }
            total += bytes.len() as u64;
            written(object);
            Ok(())
        })?;
        Ok(total)
    }

    /// Reads the objects of a state, one after the other, and gives each to `each`: its number, its bytes, and what
    /// is in it. Returns the last one's link.
    fn each(
        &self,
        saved: &Saved,
        pool: &BufferPool,
        decoder: impl Fn(u64) -> Option<BlockDecoder>,
        mut each: impl FnMut(usize, &[u8], SavedState) -> Result<(), CheckpointError>,
    ) -> Result<ChainLink, CheckpointError> {
        let wrong = |object: &str, why: &str| CheckpointError::Content {
            object: self.store.url_of(object),
            why: why.to_owned(),
        };
        let mut before: Option<(ChainLink, BatchSeq)> = None;
        for (number, object) in saved.objects.iter().enumerate() {
            let bytes = self.store.get(object)?;
            let continued = before.map(|(link, _)| link);
            let opened = self.open(saved, continued, &bytes, pool, &decoder);
            let CheckpointObject { state, link, after } =
                opened.map_err(|why| wrong(object, &why))?;
            let is_last = number + 1 == saved.objects.len();
            let is_later = before.is_none_or(|(_, before)| before <= after);
            if !is_later || after > saved.after || (is_last && after != saved.after) {
                return Err(wrong(object, ELSE));
            }
            each(number, &bytes, state)?;
            before = Some((link, after));
        }
        let nothing = || wrong("", "a saved state without an object");
        before.map(|(link, _)| link).ok_or_else(nothing)
    }

    /// What is in the bytes of an object that continues another one, or nothing.
    pub(super) fn open(
        &self,
        saved: &Saved,
        continues: Option<ChainLink>,
        bytes: &[u8],
        pool: &BufferPool,
        decoder: impl Fn(u64) -> Option<BlockDecoder>,
    ) -> Result<CheckpointObject, String> {
        let torn = || "it is torn".to_owned();
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or_else(torn)?;
        let (magic, numbers) = head.split_at(8);
        if magic != MAGIC {
            return Err("it is no saved state".to_owned());
        }
        let (len, checksum) = numbers.split_at(4);
        let len = u32::from_le_bytes(len.try_into().map_err(|_| torn())?) as usize;
        let checksum = u64::from_le_bytes(checksum.try_into().map_err(|_| torn())?);
        let (table, mut rest) = rest.split_at_checked(len).ok_or_else(torn)?;
        if xxh3_64(table) != checksum {
            return Err("it is damaged: its checksum differs".to_owned());
        }
        let table: Table = postcard::from_bytes(table).map_err(|_| torn())?;
        let right = (self.plan, saved.stage, saved.partition);
        if (table.plan, table.stage, table.partition) != right {
            return Err(ELSE.to_owned());
        }
        if table.continues != continues {
            return Err("it does not continue what stands before it".to_owned());
        }
        let mut parts = Vec::with_capacity(table.parts.len());
        for Part { tag, len, checksum } in table.parts {
            let len = usize::try_from(len).map_err(|_| torn())?;
            let (block, after) = rest.split_at_checked(len).ok_or_else(torn)?;
            rest = after;
            let decoder = decoder(tag).ok_or("it has a part that this stage does not know")?;
            let mut buffer = pool.take(block.len());
            buffer.bytes_mut().extend_from_slice(block);
            let block = decoder(buffer.into()).map_err(|error| error.to_string())?;
            if block.checksum() != checksum {
                return Err("it has a part of another one".to_owned());
            }
            parts.push((tag, block.into()));
        }
        if !rest.is_empty() {
            return Err(torn());
        }
        let state = SavedState { parts, steps: table.steps };
        Ok(CheckpointObject { state, link: ChainLink(checksum), after: table.after })
    }

    /// Nobody will load this object any more.
    pub(crate) fn remove(&self, object: &str) {
        // One that stays takes room and nothing else.
        let _ = self.store.remove(object);
    }
}

const ELSE: &str = "it is the state of something else";

#[cfg(test)]
mod tests;
