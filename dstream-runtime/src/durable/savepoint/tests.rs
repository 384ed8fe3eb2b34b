//! Savepoints of a job with two partitions, one saved and one in its initial state.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::block::{Block, RowsBuilder};
use crate::durable::checkpoints::ChainLink;
use crate::exec::task::SavedState;
use crate::id::Partition;
use crate::sched::message::JournalEntry;

const PLAN: u64 = 9;
const STAGE: StageId = StageId(1);

struct Place {
    dir: tempfile::TempDir,
    store: Durable,
    saves: CheckpointStore,
}

/// The state after an odd batch is that after batch 1 and the changes since.
fn saved(partition: u32, after: u64) -> Saved {
    let mut objects = vec![format!("s1-p{partition}-b{after}")];
    if after % 2 == 1 && after > 1 {
        objects.insert(0, format!("s1-p{partition}-b1"));
    }
    Saved { stage: STAGE, partition: Partition(partition), after: BatchSeq(after), objects }
}

fn decoders(stage: StageId, tag: u64) -> Option<BlockDecoder> {
    (stage == STAGE && tag == 0).then_some(Block::open_rows::<u64> as BlockDecoder)
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Durable::open(dir.path().to_str().unwrap()).unwrap();
        let saves = CheckpointStore::new(store.within("saves").unwrap(), PLAN);
        Self { dir, store, saves }
    }

    fn save(&self, saved: &Saved, continues: Option<ChainLink>) -> ChainLink {
        let mut builder = RowsBuilder::<u64>::new(&BufferPool::new(0), 0);
        builder.push(saved.after.0).unwrap();
        let state = SavedState::whole(vec![(0, builder.finish().unwrap().into())]);
        self.saves.write(saved, &state, continues).unwrap()
    }

    fn write(&self, name: Name, past: &Past) -> Result<WrittenSavepoint, SavepointError> {
        write(&self.store, &self.saves, name, (PLAN, 3, "m3-1"), past.clone(), decoders)
    }

    fn within(&self, name: &str) -> Durable {
        place(&self.store, name).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let names = self.store.list("savepoints/").unwrap().into_iter();
        names.map(|name| self.dir.path().join(name)).collect()
    }
}

fn named(name: &str) -> Name {
    Name::Given(name.to_owned())
}

/// Batches up to 5, with 4 published; partition 0 is saved after batches 2 and 3.
fn past(place: &Place) -> Past {
    let groups = (0..2).map(|p| vec![(STAGE, Partition(p))]).collect();
    let (zero_ms, first) = (1_000, BatchSeq(1));
    let mut entries =
        vec![JournalEntry::Start { zero_ms, interval_ms: 100, partitions: 2, first, groups }];
    for batch in 1..6 {
        entries.push(JournalEntry::Cut {
            epoch: crate::id::Epoch(1),
            batch: BatchSeq(batch),
            inputs: vec![Vec::new()],
            positions: vec![Some([batch as u8].as_slice().into())],
            reach: vec![crate::source::Reach::Live],
        });
    }
    entries.push(JournalEntry::Published { batch: BatchSeq(4) });
    let first = place.save(&saved(0, 1), None);
    for (after, continues) in [(2, None), (3, Some(first))] {
        place.save(&saved(0, after), continues);
        entries.push(JournalEntry::Saved { states: vec![saved(0, after)] });
    }
    let mut past = Past::default();
    entries.iter().for_each(|entry| past.apply(entry));
    past
}

#[test]
fn a_job_starts_elsewhere_from_a_savepoint() {
    let (one, other) = (Place::new(), Place::new());
    let past = past(&one);
    let pinned = one.write(named("a"), &past).unwrap();
    assert_eq!((pinned.published, pinned.cut), (BatchSeq(4), BatchSeq(5)));
    let place = Durable::existing(&pinned.url).unwrap();
    let mut begun = read(&place, PLAN).unwrap();
    bring(&place, &other.saves, (PLAN, 1), &mut begun, decoders).unwrap();
    let states: Vec<_> = begun.saved_states().cloned().collect();
    let objects = vec!["from1-s1-p0-0".to_owned(), "from1-s1-p0-1".to_owned()];
    assert_eq!(states, [Saved { objects, ..saved(0, 3) }]);
    // Neither the old job nor the savepoint is needed any more.
    drop(one);
    let pool = BufferPool::new(0);
    let read = other.saves.read(&states[0], &pool, |tag| decoders(STAGE, tag)).unwrap();
    let blocks = read.chain.iter().map(|state| state.parts[0].1.get().unwrap());
    let rows = |block: Block| block.rows::<u64>().unwrap().iter().collect::<Vec<_>>();
    assert_eq!(blocks.map(rows).collect::<Vec<_>>(), [[1], [3]]);
    assert_eq!((begun.next(), begun.published()), (BatchSeq(6), BatchSeq(4)));
    assert_eq!(begun.position(crate::id::SourceId(0)), past.position(crate::id::SourceId(0)));
    // The other partition contains nothing of them.
    assert_eq!(begun.batches().count(), 5);
}

#[test]
fn names_are_used_once() {
    let place = Place::new();
    let past = past(&place);
    place.write(named("a"), &past).unwrap();
    let before: Vec<_> = place.files().iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(matches!(place.write(named("a"), &past), Err(SavepointError::Taken { .. })));
    let after: Vec<_> = place.files().iter().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(before, after);
    assert_eq!(place.write(Name::Like("a".to_owned()), &past).unwrap().name, "a-2");
    assert_eq!(place.write(Name::Like("b".to_owned()), &past).unwrap().name, "b");
    assert!(
        place.write(named("../a"), &past).is_err() && place.write(named("a/b"), &past).is_err()
    );
}

#[test]
fn a_damaged_state_falls_back_to_the_one_before() {
    let place = Place::new();
    let past = past(&place);
    fs::write(place.dir.path().join("saves/s1-p0-b1"), b"").unwrap();
    place.write(named("a"), &past).unwrap();
    let begun = read(&place.within("a"), PLAN).unwrap();
    assert_eq!(begun.saved_states().map(|saved| saved.after.0).collect::<Vec<_>>(), [2]);
    let mut worse = past.clone();
    worse.settle();
    let error = place.write(named("b"), &worse).unwrap_err();
    assert!(matches!(error, SavepointError::Unreadable { .. }), "{error}");
    assert!(matches!(read(&place.within("b"), PLAN), Err(SavepointError::Missing { .. })));
}

/// Reads a savepoint and starts from it.
fn begin(place: &Durable) -> Result<(), SavepointError> {
    let mut begun = read(place, PLAN)?;
    bring(place, &Place::new().saves, (PLAN, 1), &mut begun, decoders)
}

fn assert_damaged(place: &Durable, what: &Path) {
    match begin(place) {
        Err(SavepointError::Damaged { url, .. }) => assert_eq!(url, place.url()),
        other => panic!("{}: {other:?}", what.display()),
    }
}

#[test]
fn any_change_to_a_savepoint_is_detected() {
    let place = Place::new();
    place.write(named("a"), &past(&place)).unwrap();
    let at = place.within("a");
    let files = place.files();
    assert_eq!(files.len(), 3, "{files:?}");
    for path in files {
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_damaged(&at, &path);
        }
        for byte in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[byte] ^= 4;
            fs::write(&path, &flipped).unwrap();
            assert_damaged(&at, &path);
        }
        fs::remove_file(&path).unwrap();
        match path.ends_with(SAVEPOINT) {
            true => assert!(matches!(begin(&at), Err(SavepointError::Missing { .. }))),
            false => assert_damaged(&at, &path),
        }
        fs::write(&path, &whole).unwrap();
    }
    begin(&at).unwrap();
    let other = read(&at, PLAN + 1).unwrap_err().to_string();
    assert!(other.contains(&at.url()) && other.contains("this binary's plan"), "{other}");
}
