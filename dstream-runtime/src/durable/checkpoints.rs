//! Saved states in the durable store. A state is a chain of objects: the first holds the whole state, each
//! later one the changes since its predecessor, which it names.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..12 | length of the table, little-endian |
//! | 12..20 | xxh3 of the table |
//! | | the table: plan, stage, partition, batch, what it continues, tag, length and checksum of each part |
//! | | the parts: blocks with their own headers and checksums |
//!
//! An object names its predecessor by the checksum of that one's table, which covers its whole content:
//! copies under other names still form a chain, and objects of different chains are refused. Names are never
//! reused.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Durable, DurableError};
use crate::block::{Block, BlockDecoder, BufferPool};
use crate::exec::task::SavedState;
use crate::id::{BatchSeq, Partition, StageId};
use crate::sched::message::Saved;

const MAGIC: &[u8; 8] = b"dstreamS";
const HEAD: usize = 20;

/// Identifies an object to its successor in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChainLink(u64);

/// The table of an object.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    plan: u64,
    stage: StageId,
    partition: Partition,
    after: BatchSeq,
    /// The predecessor; none for a whole state.
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

/// Why a state cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(transparent)]
    Store(#[from] DurableError),
    #[error("{object}: {why}")]
    Content { object: String, why: String },
}

/// A loaded state.
#[derive(Debug)]
pub(crate) struct LoadedChain {
    /// The whole state, then the changes in order.
    pub(crate) chain: Vec<SavedState>,
    /// The last object, for a successor to name.
    pub(crate) link: ChainLink,
}

/// A decoded object.
#[derive(Debug)]
pub(super) struct CheckpointObject {
    pub(super) state: SavedState,
    link: ChainLink,
    after: BatchSeq,
}

/// The saved states of a job.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointStore {
    store: Durable,
    plan: u64,
}

impl CheckpointStore {
    pub(crate) fn new(store: Durable, plan: u64) -> Self {
        Self { store, plan }
    }

    /// The URL of the store.
    pub(crate) fn url(&self) -> String {
        self.store.url()
    }

    /// Creates the directory, and removes the objects that `keep` rejects.
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

    /// Writes the last object of a chain whose others exist: the whole state, or, if it `continues` an
    /// object, the changes. The object is durable when this returns.
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
            // Names are never reused.
            false => Err(DurableError::Taken { object: self.store.url_of(object) }.into()),
        }
    }

    /// Loads a state. `decoder` returns the decoder of a part by its tag.
    ///
    /// # Errors
    /// When an object is unreadable, damaged, or of another state.
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

    /// Copies a complete chain to another store. `name` gives the new name of each object by its index;
    /// `written` gets every name written. Returns the total bytes.
    ///
    /// # Errors
    /// When an object is unreadable, damaged, or cannot be written.
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

    /// Reads the objects of a chain in order and calls `each` with index, bytes and content. Returns the
    /// last object's link.
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

    /// Decodes an object, which continues `continues` or is a whole state.
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
            return Err("it isn't a saved state".to_owned());
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
            return Err("it does not continue the object before it".to_owned());
        }
        let mut parts = Vec::with_capacity(table.parts.len());
        for Part { tag, len, checksum } in table.parts {
            let len = usize::try_from(len).map_err(|_| torn())?;
            let (block, after) = rest.split_at_checked(len).ok_or_else(torn)?;
            rest = after;
            let decoder = decoder(tag).ok_or("it has a part unknown to this stage")?;
            let mut buffer = pool.take(block.len());
            buffer.bytes_mut().extend_from_slice(block);
            let block = decoder(buffer.into()).map_err(|error| error.to_string())?;
            if block.checksum() != checksum {
                return Err("it has a part of another object".to_owned());
            }
            parts.push((tag, block.into()));
        }
        if !rest.is_empty() {
            return Err(torn());
        }
        let state = SavedState { parts, steps: table.steps };
        Ok(CheckpointObject { state, link: ChainLink(checksum), after: table.after })
    }

    /// Removes an object that is no longer needed.
    pub(crate) fn remove(&self, object: &str) {
        // A leftover only takes up space.
        let _ = self.store.remove(object);
    }
}

const ELSE: &str = "it is a state of another stage, partition or batch";

#[cfg(test)]
mod tests;
