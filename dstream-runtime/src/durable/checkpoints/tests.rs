//! Written states are read back; damaged or foreign objects are refused.

use std::fs;

use super::*;
use crate::block::RowsBuilder;

fn saved(objects: &[&str], after: u64) -> Saved {
    let objects = objects.iter().map(|object| (*object).to_owned()).collect();
    Saved { stage: StageId(2), partition: Partition(3), after: BatchSeq(after), objects }
}

fn rows(values: &[u64]) -> Block {
    let mut builder = RowsBuilder::<u64>::new(&BufferPool::new(0), 0);
    values.iter().for_each(|value| builder.push(*value).unwrap());
    builder.finish().unwrap()
}

fn decoder(tag: u64) -> Option<BlockDecoder> {
    (tag == 0 || tag == 5).then_some(Block::open_rows::<u64> as BlockDecoder)
}

struct Place {
    dir: tempfile::TempDir,
    saves: CheckpointStore,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Durable::open(dir.path().to_str().unwrap()).unwrap().within("saves").unwrap();
        let saves = CheckpointStore::new(store, 9);
        saves.retain(|_| true).unwrap();
        Self { dir, saves }
    }

    fn read(&self, saved: &Saved) -> Result<LoadedChain, CheckpointError> {
        self.saves.read(saved, &BufferPool::new(0), decoder)
    }

    /// Asserts that the object is refused with any byte changed and at any shorter length.
    fn assert_checked(&self, object: &str, saved: &Saved) {
        let path = self.dir.path().join("saves").join(object);
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(self.read(saved).is_err(), "{object}: {len}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert!(self.read(saved).is_err(), "{object}: {at}");
        }
        fs::remove_file(&path).unwrap();
        assert!(self.read(saved).is_err());
        fs::write(&path, &whole).unwrap();
        assert!(self.read(saved).is_ok());
    }
}

fn content(state: &SavedState) -> (Vec<(u64, u64)>, Vec<BatchSeq>) {
    let sum =
        |(tag, block): &(u64, crate::store::KeptBlock)| (*tag, block.get().unwrap().checksum());
    (state.parts.iter().map(sum).collect(), state.steps.clone())
}

#[test]
fn a_state_is_read_back_and_a_damaged_one_is_refused() {
    let place = Place::new();
    let saves = &place.saves;
    let state = SavedState::whole(vec![(0, rows(&[1, 2]).into()), (5, rows(&[3]).into())]);
    let a = saved(&["a"], 7);
    let link = saves.write(&a, &state, None).unwrap();
    let back = place.read(&a).unwrap();
    assert_eq!(back.link, link);
    let [whole] = &back.chain[..] else { panic!("one object") };
    assert_eq!(content(whole), content(&state));
    assert!(saves.write(&a, &state, None).is_ok(), "writing the same again is allowed");
    let less = SavedState::whole(vec![(5, rows(&[3]).into())]);
    assert!(saves.write(&a, &less, None).is_err(), "another state does not replace it");
    assert!(place.read(&saved(&["b"], 7)).is_err());
    assert!(place.read(&saved(&[], 7)).is_err());
    assert!(saves.write(&saved(&["../b"], 7), &less, None).is_err(), "names come from workers");
    let other = place.read(&saved(&["a"], 8)).unwrap_err().to_string();
    assert!(other.contains("another stage"), "{other}");
    place.assert_checked("a", &a);
    saves.remove("a");
    assert!(place.read(&a).is_err());
    saves.write(&saved(&["c"], 7), &state, None).unwrap();
    saves.write(&saved(&["d"], 7), &state, None).unwrap();
    saves.retain(|object| object == "d").unwrap();
    assert!(place.read(&saved(&["c"], 7)).is_err());
    assert!(place.read(&saved(&["d"], 7)).is_ok());
}

#[test]
fn only_objects_of_one_chain_are_a_state() {
    let place = Place::new();
    let write = |objects: &[&str], after: u64, value: u64, continues: Option<ChainLink>| {
        let steps = continues.iter().map(|_| BatchSeq(after)).collect();
        let state = SavedState { parts: vec![(0, rows(&[value]).into())], steps };
        place.saves.write(&saved(objects, after), &state, continues).unwrap()
    };
    let a = write(&["a"], 1, 10, None);
    let b = write(&["a", "b"], 2, 20, Some(a));
    write(&["a", "b", "c"], 4, 30, Some(b));
    let other = write(&["o"], 1, 11, None);
    write(&["o", "p"], 2, 20, Some(other));
    let chain = saved(&["a", "b", "c"], 4);
    let read = place.read(&chain).unwrap();
    let steps: Vec<_> = read.chain.iter().map(|state| state.steps.clone()).collect();
    assert_eq!(steps, [vec![], vec![BatchSeq(2)], vec![BatchSeq(4)]]);
    for object in ["a", "b", "c"] {
        place.assert_checked(object, &chain);
    }
    for (wrong, after) in [
        (&["b", "c"] as &[&str], 4),
        (&["a", "c"], 4),
        (&["a", "b"], 4),
        (&["a", "b", "c"], 5),
        (&["a", "p"], 2),
        (&["o", "b"], 2),
        (&["a", "a"], 1),
        (&["b", "a"], 1),
        (&["a", "b", "b"], 2),
    ] {
        assert!(place.read(&saved(wrong, after)).is_err(), "{wrong:?}");
    }
    assert!(place.read(&saved(&["o", "p"], 2)).is_ok());
}

#[test]
fn copies_have_other_names_and_the_same_content() {
    let (place, other) = (Place::new(), Place::new());
    let state = |value| SavedState::whole(vec![(0, rows(&[value]).into())]);
    let first = place.saves.write(&saved(&["a"], 1), &state(1), None).unwrap();
    let chain = saved(&["a", "b"], 2);
    let link = place.saves.write(&chain, &state(2), Some(first)).unwrap();
    let mut names = Vec::new();
    let copy = |names: &mut Vec<String>| {
        let name = |number| format!("copy-{number}");
        let pool = BufferPool::new(0);
        place.saves.copy(&chain, &other.saves, name, |name| names.push(name), (&pool, decoder))
    };
    assert!(copy(&mut names).unwrap() > 0);
    assert_eq!(names, ["copy-0", "copy-1"]);
    let read = other.read(&saved(&["copy-0", "copy-1"], 2)).unwrap();
    assert_eq!(read.link, link);
    fs::write(place.dir.path().join("saves/b"), b"").unwrap();
    names.clear();
    assert!(copy(&mut names).is_err());
    assert_eq!(names, ["copy-0"], "written objects are reported");
}
