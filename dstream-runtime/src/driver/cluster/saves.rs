//! States in safety: one file each, in a directory that all processes of the cluster share.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..12 | length of the table, little-endian |
//! | 12..20 | xxh3 of the table |
//! | | the table: plan, stage, partition, batch, and tag and length of each part |
//! | | the parts: blocks with their own headers and checksums |
//!
//! A file appears whole, under a name that is never used again, and is never changed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::block::{BufferPool, Door};
use crate::exec::task::SavedState;
use crate::id::{BatchSeq, Partition, StageId};
use crate::sched::message::Saved;

const MAGIC: &[u8; 8] = b"dstreamS";
const HEAD: usize = 20;

/// What a file holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    plan: u64,
    stage: StageId,
    partition: Partition,
    after: BatchSeq,
    /// Tag and length in bytes of each part.
    parts: Vec<(u64, u64)>,
}

/// Why a saved state cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{}: {why}", path.display())]
    Content { path: PathBuf, why: String },
}

/// The directory of a job's saved states.
#[derive(Debug, Clone)]
pub(super) struct Saves {
    dir: PathBuf,
    plan: u64,
}

impl Saves {
    pub(super) fn new(dir: &Path, plan: u64) -> Self {
        Self { dir: dir.to_owned(), plan }
    }

    /// Where they are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory, for its owner only, and removes what an earlier run has left in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn create(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        for entry in fs::read_dir(&self.dir)?.flatten() {
            // What cannot be removed is in nobody's way: names are not used again.
            let _ = fs::remove_file(entry.path());
        }
        Ok(())
    }

    /// Writes a state; it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, saved: &Saved, state: &SavedState) -> io::Result<()> {
        let blocks = state.parts.iter().map(|(tag, block)| {
            let block = block.get().map_err(io::Error::other)?;
            Ok((*tag, block))
        });
        let blocks = blocks.collect::<io::Result<Vec<_>>>()?;
        let table = Table {
            plan: self.plan,
            stage: saved.stage,
            partition: saved.partition,
            after: saved.after,
            parts: blocks.iter().map(|(tag, block)| (*tag, block.byte_len() as u64)).collect(),
        };
        let table = postcard::to_extend(&table, Vec::new()).map_err(io::Error::other)?;
        let (path, beside) =
            (self.path(&saved.object), self.path(&format!("{}.new", saved.object)));
        let mut file = io::BufWriter::new(File::create_new(&beside)?);
        file.write_all(MAGIC)?;
        file.write_all(&(table.len() as u32).to_le_bytes())?;
        file.write_all(&xxh3_64(&table).to_le_bytes())?;
        file.write_all(&table)?;
        for (_, block) in &blocks {
            block.write_to(&mut file)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// Reads a state; its parts come through the doors that `door` names by their tags.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is another one.
    pub(super) fn read(
        &self,
        saved: &Saved,
        pool: &BufferPool,
        door: impl Fn(u64) -> Option<Door>,
    ) -> Result<SavedState, LoadError> {
        let path = self.path(&saved.object);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => return Err(LoadError::File { path, error }),
        };
        self.open(saved, &bytes, pool, door).map_err(|why| LoadError::Content { path, why })
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
    pub(super) fn remove(&self, saved: &Saved) {
        if !saved.object.is_empty() {
            // One that stays takes room and nothing else.
            let _ = fs::remove_file(self.path(&saved.object));
        }
    }

    fn path(&self, object: &str) -> PathBuf {
        // Names come from workers: they must not lead out of the directory.
        let name: String =
            object.chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).collect();
        self.dir.join(name)
    }
}

#[cfg(test)]
mod tests {
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
        let saves = Saves::new(&dir.path().join("saves"), 9);
        saves.create().unwrap();
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
        assert!(saves.read(&saved("b"), &pool, door).is_err());
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
    }
}
