//! Stores in small directories, with real files.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::block::{Block, BufferPool, DecodeError, KeyedBuilder, RowsBuilder, keyed_schema};
use crate::exec::table::hash_key;
use crate::record::Record;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A block of `bytes` equal bytes.
fn filled(byte: u8, bytes: u64) -> Block {
    let mut buffer = BufferPool::new(0).take(bytes as usize);
    buffer.bytes_mut().resize(bytes as usize, byte);
    Block::raw(buffer)
}

fn options(memory: u64, dir: &TempDir) -> StoreOptions {
    StoreOptions { segment: MIB, ..StoreOptions::new(memory, dir.path()) }
}

fn in_memory(block: &KeptBlock) -> bool {
    match &block.0 {
        Storage::Free(_) => panic!("no store has it"),
        Storage::Stored(entry) => entry.in_memory().is_some(),
    }
}

/// Waits for an action of the spilling thread.
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn nothing_is_written_as_long_as_everything_fits() {
    let dir = TempDir::new().unwrap();
    let store = BlockStore::new(options(10 * KIB, &dir));
    let kept: Vec<_> = (0..10).map(|n| store.keep(filled(n, KIB))).collect();
    store.make_room();
    assert!(matches!(store.pressure(), Pressure::None));
    assert_eq!(store.stats(), StoreStats { memory: 10 * KIB, ..StoreStats::default() });
    let again = store.keep(kept[3].clone());
    assert_eq!(store.stats().memory, 10 * KIB, "a block is counted once");
    drop(kept);
    assert_eq!(store.stats().memory, KIB, "one has a handle left");
    drop(again);
    assert_eq!(store.stats(), StoreStats::default());
    assert!(store.0.spiller.lock().unwrap().is_none(), "and there was no need for a thread");
}

#[test]
fn a_flood_stays_within_the_bound_and_every_byte_comes_back() {
    const THREADS: u64 = 4;
    const BLOCKS: u64 = 120;
    const SIZE: u64 = 64 * KIB;
    let dir = TempDir::new().unwrap();
    let store = BlockStore::new(options(MIB, &dir));
    let (block, store_of) = (|thread, n| filled((thread * 31 + n) as u8, SIZE - n), &store);
    let pour = |thread| {
        let pour = move |n| {
            store_of.make_room();
            let kept = store_of.keep(block(thread, n));
            // Each other thread may exceed the bound by one block.
            assert!(store_of.stats().memory <= MIB + THREADS * SIZE);
            kept
        };
        (0..BLOCKS).map(pour).collect::<Vec<_>>()
    };
    let kept: Vec<Vec<KeptBlock>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || pour(t))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    store.make_room();
    let stats = store.stats();
    assert!(stats.memory <= MIB && stats.spilled > 20 * MIB && stats.disk > stats.spilled);
    for (thread, kept) in (0..).zip(&kept) {
        for (n, kept) in (0..).zip(kept) {
            let (found, expected) = (kept.get().unwrap(), block(thread, n));
            assert_eq!(found.raw_bytes(), expected.raw_bytes());
            assert_eq!(found.checksum(), expected.checksum());
        }
    }
    let after = store.stats();
    assert!(after.reads > 300 && after.reads <= after.spills, "read from the files");
    assert!(after.memory <= stats.memory, "and not brought back into memory");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files have no names");
    let reader = kept[1][2].get().unwrap();
    drop(kept);
    wait_until("the space of all files but the last is free", || store.stats().disk <= MIB);
    assert_eq!(store.stats().spilled, 0);
    assert_eq!(reader.raw_bytes().unwrap()[0], 33, "a held block stays readable");
}

#[test]
fn least_recently_used_blocks_spill_first() {
    let dir = TempDir::new().unwrap();
    let store = BlockStore::new(options(MIB, &dir));
    let mut kept: Vec<_> = (0..8).map(|n| store.keep(filled(n, MIB / 8))).collect();
    kept[0].get().unwrap();
    kept[3].get().unwrap();
    kept[1].get().unwrap();
    kept.push(store.keep(filled(8, MIB / 8)));
    // Spills down to seven eighths of the bound.
    store.make_room();
    drop(store);
    let spilled: Vec<_> = (0..9).filter(|n| !in_memory(&kept[*n])).collect();
    assert_eq!(spilled, [2, 4]);
    for (n, kept) in (0..).zip(&kept) {
        assert_eq!(kept.get().unwrap().raw_bytes().unwrap()[77], n);
    }
}

#[test]
fn typed_blocks_keep_their_types() {
    let dir = TempDir::new().unwrap();
    let store = BlockStore::new(options(0, &dir));
    let pool = BufferPool::new(0);
    let pairs = (0..100u64).map(|n| (format!("a key of some length {n}"), n));
    let pairs: Vec<(String, u64)> = pairs.collect();
    let mut rows = RowsBuilder::<(String, u64)>::new(&pool, 0);
    let mut keyed = KeyedBuilder::<u64>::new(&pool, None, 0);
    for (key, n) in &pairs {
        rows.push((key, *n)).unwrap();
        keyed.push(key.as_bytes(), hash_key(key.as_bytes()), *n).unwrap();
    }
    let (rows, keyed) = (rows.finish().unwrap(), keyed.finish(keyed_schema::<String, u64>()));
    let (rows, keyed) = (store.keep(rows), store.keep(keyed.unwrap()));
    store.make_room();
    assert!(!in_memory(&rows) && !in_memory(&keyed));
    let (rows, keyed) = (rows.get().unwrap(), keyed.get().unwrap());
    assert_eq!(rows.memory() + keyed.memory(), 0);
    let found = rows.rows::<(String, u64)>().unwrap().iter().map(<(String, u64)>::own);
    assert_eq!(found.collect::<Vec<_>>(), pairs);
    let found = keyed.keyed::<u64>().unwrap().iter().map(|row| (row.key.to_vec(), row.value));
    let expected = pairs.iter().map(|(key, n)| (key.clone().into_bytes(), *n));
    assert!(found.eq(expected));
    assert!(matches!(rows.rows::<String>(), Err(DecodeError::Type { .. })));
    assert!(matches!(keyed.keyed::<i64>(), Err(DecodeError::Type { .. })));
    // A spilled block is neither counted nor written again.
    let again = store.keep(rows.clone());
    assert_eq!(store.stats().memory, 0);
    assert_eq!(again.get().unwrap().to_bytes()[..], rows.to_bytes()[..]);
}

#[test]
fn a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room() {
    let dir = TempDir::new().unwrap();
    let store = BlockStore::new(StoreOptions { disk: 2 * MIB, ..options(MIB, &dir) });
    let mut kept = Vec::new();
    let mut keep = |n| kept.push(store.keep(filled(n, MIB / 8)));
    (0..64).for_each(&mut keep);
    wait_until("the disk is full", || matches!(store.pressure(), Pressure::Stuck(_)));
    store.make_room();
    let Pressure::Stuck(error) = store.pressure() else { panic!("still full") };
    assert!(matches!(error, SpillError::Limit { limit } if limit == 2 * MIB), "{error}");
    let stats = store.stats();
    assert!(stats.disk <= 2 * MIB && stats.memory >= 6 * MIB - MIB / 4, "{stats:?}");
    for (n, kept) in (0..).zip(&kept) {
        assert_eq!(kept.get().unwrap().raw_bytes().unwrap()[99], n);
    }
    // Drops some in memory and some in files, so that the rest fits.
    kept.drain(..16);
    kept.truncate(20);
    wait_until("there is room", || matches!(store.pressure(), Pressure::None));
    for (n, kept) in (16..).zip(&kept) {
        assert_eq!(kept.get().unwrap().raw_bytes().unwrap()[99], n);
    }
}

#[test]
fn errors_of_the_file_system_are_reported() {
    let dir = TempDir::new().unwrap();
    let stuck = |options: StoreOptions| {
        let store = BlockStore::new(options);
        let kept = store.keep(filled(7, KIB));
        store.make_room();
        let Pressure::Stuck(error) = store.pressure() else { panic!("it cannot be written") };
        assert_eq!(kept.get().unwrap().raw_bytes().unwrap()[5], 7);
        error.to_string()
    };
    // More than any disk has.
    let full = stuck(StoreOptions { segment: 1 << 60, ..options(0, &dir) });
    assert!(full.contains("cannot reserve room for a file"), "{full}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let none = stuck(StoreOptions::new(0, file.join("spill")));
    assert!(none.contains("cannot make the directory"), "{none}");
}

#[test]
fn a_block_larger_than_a_segment_gets_its_own() {
    let dir = TempDir::new().unwrap();
    let store = BlockStore::new(options(0, &dir));
    let kept: Vec<_> = (1..4).map(|n| store.keep(filled(n, 3 * MIB + 1))).collect();
    store.make_room();
    assert_eq!(store.stats().memory, 0);
    for (n, kept) in (1..).zip(&kept) {
        assert_eq!(kept.get().unwrap().raw_bytes().unwrap().last(), Some(&n));
    }
    assert!(store.stats().disk < 11 * MIB);
}
