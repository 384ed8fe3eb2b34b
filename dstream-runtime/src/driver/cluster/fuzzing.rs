//! Fuzz targets: what the drivers of a cluster tell each other, and what they find on disks.

use xxhash_rust::xxh3::xxh3_64;

use super::note::{MasterNote, PeerNote, WorkerNote, pack, unpack};
use super::saves::Saves;
use super::{MasterFile, Question, Reply};
use crate::block::{Block, BufferPool, Door, RowsBuilder};
use crate::driver::worker::Leaving;
use crate::exec::task::{DeadLetter, DeadLetters, SavedState};
use crate::fuzzing::{Target, chosen, values};
use crate::id::{BatchSeq, OutputId, Partition, SourceId, StageId};
use crate::sched::message::Saved;
use crate::sink::Part;
use crate::wire::fuzzing::comes_back;
use crate::wire::{FrameKind, Message};

pub(crate) const TARGETS: &[Target] = &[
    Target::new("notes", notes, note_seeds),
    Target::new("saved_states", saved_states, saved_seeds),
];

fn message<M: Message>(payload: &[u8]) {
    comes_back::<M>(FrameKind::Message(M::KIND), payload);
}

fn notes(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, payload)) => message::<MasterNote>(payload),
        Some((1, payload)) => message::<WorkerNote>(payload),
        Some((2, payload)) => message::<PeerNote>(payload),
        Some((3, payload)) => message::<Question>(payload),
        Some((4, payload)) => message::<Reply>(payload),
        Some((5, payload)) => luggage(payload),
        Some((6, payload)) => {
            if let Ok(file) = serde_json::from_slice::<MasterFile>(payload) {
                assert!(!file.reachable().ip().is_unspecified());
            }
        }
        _ => {}
    }
}

/// What leaves a job with a task: it does not come in a frame's bounds.
fn luggage(payload: &[u8]) {
    if let Some(leaving) = unpack(payload)
        && let Some(bytes) = pack(leaving)
    {
        let again = unpack(&bytes).expect("it was packed");
        assert_eq!(pack(again), Some(bytes));
    }
}

fn note_seeds() -> Vec<Vec<u8>> {
    let letter = DeadLetter {
        split: "views.json".to_owned(),
        position: 7,
        reason: "no JSON".to_owned(),
        text: "{".to_owned(),
    };
    let part = Part {
        partition: Partition(3),
        records: 2,
        bytes: b"a,1\nb,2\n".to_vec().into(),
        header: b"key,n".as_slice().into(),
    };
    let leaving = Leaving {
        parts: vec![(OutputId(1), part, b"a,1".to_vec())],
        dead: Some((SourceId(2), DeadLetters { count: 9, first: vec![letter] })),
    };
    let file = br#"{"job":"counts","plan":"00ff","listen":"[::]:7077","pid":7}"#;
    chosen(0, values::<MasterNote>())
        .chain(chosen(1, values::<WorkerNote>()))
        .chain(chosen(2, values::<PeerNote>()))
        .chain(chosen(3, values::<Question>()))
        .chain(chosen(4, values::<Reply>()))
        .chain(chosen(5, pack(leaving).into_iter().collect()))
        .chain(chosen(6, vec![file.to_vec()]))
        .collect()
}

const PLAN: u64 = 9;

fn saved() -> Saved {
    let (stage, partition, after) = (StageId(2), Partition(3), BatchSeq(7));
    Saved { stage, partition, after, object: "state".to_owned() }
}

/// A file with a state: the bytes as they are, and as the table and the parts of one whose checksum is
/// right.
fn saved_states(bytes: &[u8]) {
    open_state(bytes);
    if let Some((len, rest)) = bytes.split_first()
        && let Some((table, parts)) = rest.split_at_checked(usize::from(*len))
    {
        let (len, sum) = (table.len() as u32, xxh3_64(table));
        open_state(
            &[b"dstreamS", &len.to_le_bytes()[..], &sum.to_le_bytes(), table, parts].concat(),
        );
    }
}

fn open_state(bytes: &[u8]) {
    let saves = Saves::new("saves".as_ref(), PLAN);
    let door = |tag| match tag {
        0 => Some(Block::open_rows::<u64> as Door),
        5 => Some(Block::open_keyed::<String, u64> as Door),
        _ => None,
    };
    if let Ok(state) = saves.open(&saved(), bytes, &BufferPool::new(0), door) {
        let blocks = state.parts.iter().map(|(_, block)| block.get().expect("it is in memory"));
        let parts: Vec<u8> = blocks.flat_map(|block| block.to_bytes().to_vec()).collect();
        assert!(bytes.ends_with(&parts));
    }
}

fn saved_seeds() -> Vec<Vec<u8>> {
    let mut rows = RowsBuilder::<u64>::new(&BufferPool::new(0), 0);
    [1, 2].into_iter().for_each(|value| rows.push(value).expect("it is small"));
    let block = rows.finish().expect("there are two");
    let state = SavedState { parts: vec![(0, block.clone().into()), (0, block.into())] };
    let dir = tempfile::tempdir().expect("a directory");
    let saves = Saves::new(dir.path(), PLAN);
    saves.write(&saved(), &state).expect("it can be written");
    let whole = std::fs::read(dir.path().join("state")).expect("it was written");
    let len = u8::try_from(u32::from_le_bytes([whole[8], whole[9], whole[10], whole[11]]));
    let inner = [&[len.expect("a short table")], &whole[20..]].concat();
    vec![whole, inner]
}
