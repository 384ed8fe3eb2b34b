//! Fuzz targets: saved states and journal objects.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use super::checkpoints::{ChainLink, CheckpointStore};
use super::{Durable, DurableError, Put, Store, journal};
use crate::block::{Block, BlockDecoder, BufferPool, RowsBuilder};
use crate::exec::task::SavedState;
use crate::fuzzing::Target;
use crate::id::{BatchSeq, Partition, StageId};
use crate::sched::message::Saved;

pub(crate) const TARGETS: &[Target] = &[
    Target::new("saved_states", saved_states, saved_seeds),
    Target::new("journals", journal::fuzzing::journals, journal::fuzzing::seeds),
];

const PLAN: u64 = 9;

/// A store in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Store for Memory {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<Put, DurableError> {
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(name.to_owned(), parts.concat());
        Ok(Put::Created)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, DurableError> {
        let objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = objects.get(name).cloned();
        found.ok_or_else(|| DurableError::NotFound { object: name.to_owned() })
    }

    fn exists(&self, name: &str) -> Result<bool, DurableError> {
        self.get(name).map(|_| true)
    }

    fn list(&self, _: &str) -> Result<Vec<String>, DurableError> {
        let error = Arc::new(io::Error::other("not used"));
        Err(DurableError::Failed { object: String::new(), doing: "list", error })
    }

    fn remove(&self, _: &str) -> Result<(), DurableError> {
        Ok(())
    }

    fn make(&self, _: &str) -> Result<(), DurableError> {
        Ok(())
    }

    fn url(&self) -> &str {
        "memory://"
    }
}

fn saves() -> (Durable, CheckpointStore) {
    let store = Durable::of(Arc::new(Memory::default()));
    (store.clone(), CheckpointStore::new(store, PLAN))
}

fn saved() -> Saved {
    let (stage, partition, after) = (StageId(2), Partition(3), BatchSeq(7));
    Saved { stage, partition, after, objects: vec!["state".to_owned()] }
}

/// Decodes the bytes as an object, and as the table and the parts of an object with a valid checksum.
fn saved_states(bytes: &[u8]) {
    let (_, saves) = saves();
    open(&saves, bytes);
    if let Some((len, rest)) = bytes.split_first()
        && let Some((table, parts)) = rest.split_at_checked(usize::from(*len))
    {
        let (len, sum) = (table.len() as u32, xxh3_64(table));
        let head = [b"dstreamS", &len.to_le_bytes()[..], &sum.to_le_bytes()].concat();
        open(&saves, &[&head, table, parts].concat());
    }
}

fn open(saves: &CheckpointStore, bytes: &[u8]) {
    let decoder = |tag| match tag {
        0 => Some(Block::open_rows::<u64> as BlockDecoder),
        5 => Some(Block::open_keyed::<String, u64> as BlockDecoder),
        _ => None,
    };
    let continued = [None, Some(whole(saves))];
    let opened = continued
        .iter()
        .find_map(|link| saves.open(&saved(), *link, bytes, &BufferPool::new(0), decoder).ok());
    if let Some(opened) = opened {
        let blocks =
            opened.state.parts.iter().map(|(_, block)| block.get().expect("it is in memory"));
        let parts: Vec<u8> = blocks.flat_map(|block| block.to_bytes().to_vec()).collect();
        assert!(bytes.ends_with(&parts));
    }
}

fn state() -> SavedState {
    let mut rows = RowsBuilder::<u64>::new(&BufferPool::new(0), 0);
    [1, 2].into_iter().for_each(|value| rows.push(value).expect("it is small"));
    let block = rows.finish().expect("there are two");
    SavedState::whole(vec![(0, block.clone().into()), (0, block.into())])
}

/// Writes a whole state.
fn whole(saves: &CheckpointStore) -> ChainLink {
    saves.write(&saved(), &state(), None).expect("it can be written")
}

fn saved_seeds() -> Vec<Vec<u8>> {
    let (store, saves) = saves();
    let link = whole(&saves);
    let mut seeds = vec![store.get("state").expect("it was written")];
    let mut continues = saved();
    continues.objects.push("changes".to_owned());
    let changes = SavedState { steps: vec![BatchSeq(6), BatchSeq(7)], ..state() };
    saves.write(&continues, &changes, Some(link)).expect("it can be written");
    seeds.push(store.get("changes").expect("it was written"));
    let inner = |object: &Vec<u8>| {
        let len = u8::try_from(u32::from_le_bytes([object[8], object[9], object[10], object[11]]));
        [&[len.expect("a short table")], &object[20..]].concat()
    };
    let inner: Vec<_> = seeds.iter().map(inner).collect();
    seeds.extend(inner);
    seeds
}
