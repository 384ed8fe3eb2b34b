//! Fuzz target: what the drivers of a cluster tell each other.

use super::note::{MasterNote, PeerNote, WorkerNote, pack, unpack};
use super::{MasterFile, Question, Reply};
use crate::driver::worker::Leaving;
use crate::exec::task::{DeadLetter, DeadLetters};
use crate::fuzzing::{Target, chosen, values};
use crate::id::{OutputId, Partition, SourceId};
use crate::sink::Part;
use crate::wire::fuzzing::comes_back;
use crate::wire::{FrameKind, Message};

pub(crate) const TARGETS: &[Target] = &[Target::new("notes", notes, note_seeds)];

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
        Some((5, payload)) => task_output(payload),
        Some((6, payload)) => {
            if let Ok(file) = serde_json::from_slice::<MasterFile>(payload) {
                assert!(!file.reachable().ip().is_unspecified());
            }
        }
        _ => {}
    }
}

/// What leaves a job with a task: it does not come in a frame's bounds.
fn task_output(payload: &[u8]) {
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
