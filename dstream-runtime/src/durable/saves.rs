//! States in safety: one object each, in a store that all processes of the cluster reach.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..12 | length of the table, little-endian |
//! | 12..20 | xxh3 of the table |
//! | | the table: plan, stage, partition, batch, and tag and length of each part |
//! | | the parts: blocks with their own headers and checksums |
//!
//! Its name is never used again for another state.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Durable, DurableError, Put};
use crate::block::{BufferPool, Door};
use crate::exec::task::SavedState;
use crate::id::{BatchSeq, Partition, StageId};
use crate::sched::message::Saved;

const MAGIC: &[u8; 8] = b"dstreamS";
const HEAD: usize = 20;

/// What an object holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    plan: u64,
    stage: StageId,
    partition: Partition,
    after: BatchSeq,
    /// Tag and length in bytes of each part.
    parts: Vec<(u64, u64)>,
}

/// Why a state cannot be saved, or a saved one cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    #[error(transparent)]
    Store(#[from] DurableError),
    #[error("{object}: {why}")]
    Content { object: String, why: String },
}

/// A job's saved states.
#[derive(Debug, Clone)]
pub(crate) struct Saves {
    store: Durable,
    plan: u64,
}

impl Saves {
    pub(crate) fn new(store: Durable, plan: u64) -> Self {
        Self { store, plan }
    }

    /// Where they are.
    pub(crate) fn url(&self) -> String {
        self.store.url()
    }

    /// Makes the place for them, and removes those that nobody will load any more: what `keep` does not
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

    /// Writes a state; it is in safety when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, saved: &Saved, state: &SavedState) -> Result<(), SaveError> {
        let wrong =
            |why: String| SaveError::Content { object: self.store.url_of(&saved.object), why };
        let blocks = state.parts.iter().map(|(tag, block)| {
            let block = block.get().map_err(|error| wrong(error.to_string()))?;
            Ok((*tag, block))
        });
        let blocks = blocks.collect::<Result<Vec<_>, SaveError>>()?;
        let table = Table {
            plan: self.plan,
            stage: saved.stage,
            partition: saved.partition,
            after: saved.after,
            parts: blocks.iter().map(|(tag, block)| (*tag, block.byte_len() as u64)).collect(),
        };
        let table = postcard::to_extend(&table, Vec::new()).map_err(|e| wrong(e.to_string()))?;
        let mut head = Vec::with_capacity(HEAD + table.len());
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&(table.len() as u32).to_le_bytes());
        head.extend_from_slice(&xxh3_64(&table).to_le_bytes());
        head.extend_from_slice(&table);
        let mut parts: Vec<&[u8]> = vec![&head];
        for (_, block) in &blocks {
            parts.extend([block.header().as_slice(), block.body()]);
        }
        match self.store.put_if_absent(&saved.object, &parts)? {
            Put::Created => Ok(()),
            // Ours, if the store tried twice: names are not used again.
            Put::Exists if self.store.get(&saved.object)? == parts.concat() => Ok(()),
            Put::Exists => {
                let object = self.store.url_of(&saved.object);
                Err(DurableError::Taken { object }.into())
            }
        }
    }

    /// Reads a state; its parts come through the doors that `door` names by their tags.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is another one.
    pub(crate) fn read(
        &self,
        saved: &Saved,
        pool: &BufferPool,
        door: impl Fn(u64) -> Option<Door>,
    ) -> Result<SavedState, SaveError> {
        let bytes = self.store.get(&saved.object)?;
        let object = || self.store.url_of(&saved.object);
        self.open(saved, &bytes, pool, door)
            .map_err(|why| SaveError::Content { object: object(), why })
    }

    /// The state in these bytes.
    pub(super) fn open(
        &self,
        saved: &Saved,
        bytes: &[u8],
        pool: &BufferPool,
        door: impl Fn(u64) -> Option<Door>,
    ) -> Result<SavedState, String> {
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
        let right = (self.plan, saved.stage, saved.partition, saved.after);
        if (table.plan, table.stage, table.partition, table.after) != right {
            return Err("it is the state of something else".to_owned());
        }
        let mut parts = Vec::with_capacity(table.parts.len());
        for (tag, len) in table.parts {
            let len = usize::try_from(len).map_err(|_| torn())?;
            let (block, after) = rest.split_at_checked(len).ok_or_else(torn)?;
            rest = after;
            let door = door(tag).ok_or("it has a part that this stage does not know")?;
            let mut buffer = pool.take(block.len());
            buffer.bytes_mut().extend_from_slice(block);
            let block = door(buffer.into()).map_err(|error| error.to_string())?;
            parts.push((tag, block.into()));
        }
        if rest.is_empty() { Ok(SavedState { parts }) } else { Err(torn()) }
    }

    /// Nobody will load this any more.
    pub(crate) fn remove(&self, saved: &Saved) {
        if !saved.object.is_empty() {
            // One that stays takes room and nothing else.
            let _ = self.store.remove(&saved.object);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::block::{Block, RowsBuilder};

    fn saved(object: &str) -> Saved {
        let (stage, partition, after) = (StageId(2), Partition(3), BatchSeq(7));
        Saved { stage, partition, after, object: object.to_owned() }
    }

    fn rows(values: &[u64]) -> Block {
        let mut builder = RowsBuilder::<u64>::new(&BufferPool::new(0), 0);
        values.iter().for_each(|value| builder.push(*value).unwrap());
        builder.finish().unwrap()
    }

    #[test]
    fn a_state_comes_back_as_it_was_and_a_damaged_one_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = Durable::open(dir.path().to_str().unwrap()).unwrap().within("saves").unwrap();
        let saves = Saves::new(store, 9);
        saves.retain(|_| true).unwrap();
        let state = SavedState { parts: vec![(0, rows(&[1, 2]).into()), (5, rows(&[3]).into())] };
        saves.write(&saved("a"), &state).unwrap();
        let pool = BufferPool::new(0);
        let door = |tag| (tag == 0 || tag == 5).then_some(Block::open_rows::<u64> as Door);
        let back = saves.read(&saved("a"), &pool, door).unwrap();
        let checksum = |state: &SavedState| {
            let sum = |(tag, block): &(u64, crate::store::KeptBlock)| {
                (*tag, block.get().unwrap().checksum())
            };
            state.parts.iter().map(sum).collect::<Vec<_>>()
        };
        assert_eq!(checksum(&back), checksum(&state));
        assert!(saves.write(&saved("a"), &state).is_ok(), "the same again is no harm");
        let less = SavedState { parts: vec![(5, rows(&[3]).into())] };
        assert!(saves.write(&saved("a"), &less).is_err(), "another one does not take its place");
        assert!(saves.read(&saved("b"), &pool, door).is_err());
        assert!(saves.write(&saved("../b"), &less).is_err(), "names come from workers");
        let other = Saved { after: BatchSeq(8), ..saved("a") };
        assert!(
            saves.read(&other, &pool, door).unwrap_err().to_string().contains("something else")
        );
        let path = dir.path().join("saves/a");
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(saves.read(&saved("a"), &pool, door).is_err(), "{len}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert!(saves.read(&saved("a"), &pool, door).is_err(), "{at}");
        }
        saves.remove(&saved("a"));
        assert!(!path.exists());
        saves.write(&saved("c"), &state).unwrap();
        saves.write(&saved("d"), &state).unwrap();
        saves.retain(|object| object == "d").unwrap();
        assert!(saves.read(&saved("c"), &pool, door).is_err());
        assert!(saves.read(&saved("d"), &pool, door).is_ok());
    }
}
