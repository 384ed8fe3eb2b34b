//! Fuzz targets: frames and their payloads.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Attach, BlockHeader, FRAME_HEADER, Frame, FrameHeader, FrameKind, Hello, Issued, Join, LONGEST,
    Message, MessageKind, Refusal, Renew, Renewed, Role, ToClient, ToReceiver, Welcome, decode,
    encode,
};
use crate::fuzzing::{Target, chosen, values};
use crate::sched::message::{ToMaster, ToPeer, ToWorker};

pub(crate) const TARGETS: &[Target] = &[
    Target::new("frames", frames, frame_seeds),
    Target::new("handshakes", handshakes, handshake_seeds),
    Target::new("messages", messages, message_seeds),
];

/// Reads frames in a row, as a connection does.
fn frames(bytes: &[u8]) {
    if let Some(Ok(header)) = bytes.first_chunk::<FRAME_HEADER>().map(FrameHeader::read) {
        assert!(header.len <= header.kind.max_len() && header.len <= LONGEST);
    }
    let mut rest = bytes;
    while let Ok((frame, len)) = Frame::read(rest) {
        assert!(frame.payload.len() <= frame.kind.max_len());
        let again = Frame::seal(frame.kind, |room| [room, frame.payload].concat());
        assert_eq!(again.expect("it is no longer than it was"), rest[..len]);
        rest = &rest[len..];
    }
}

fn frame_seeds() -> Vec<Vec<u8>> {
    let messages = values::<ToPeer>().into_iter().map(|payload| {
        Frame::seal(FrameKind::Message(MessageKind::ToPeer), |room| [room, payload].concat())
    });
    let hello = encode(FrameKind::Hello, &Hello::new(Role::Worker, "job", 7));
    let mut seeds: Vec<Vec<u8>> = messages.chain([hello]).flatten().collect();
    seeds.push(Frame::empty(FrameKind::Goodbye));
    seeds.push(seeds.concat());
    seeds
}

/// A payload that decodes is encoded and decoded to the same value.
pub(crate) fn comes_back<T: Serialize + DeserializeOwned>(
    kind: FrameKind,
    payload: &[u8],
) -> Option<T> {
    if payload.len() > kind.max_len() {
        return None;
    }
    let value: T = decode(kind, payload).ok()?;
    let frame = encode(kind, &value).expect("it is no longer than it was");
    assert!(frame.len() <= FRAME_HEADER + payload.len());
    let again: T = decode(kind, &frame[FRAME_HEADER..]).expect("it was written");
    assert_eq!(encode(kind, &again), Ok(frame));
    Some(value)
}

fn message<M: Message>(payload: &[u8]) {
    comes_back::<M>(FrameKind::Message(M::KIND), payload);
}

/// Handshakes of strangers.
fn handshakes(bytes: &[u8]) {
    let Some((choice, payload)) = bytes.split_first() else { return };
    match choice {
        0 => {
            if let Some(hello) = comes_back::<Hello>(FrameKind::Hello, payload) {
                judged(&hello);
            }
        }
        1 => {
            if let Some(welcome) = comes_back::<Welcome>(FrameKind::Welcome, payload) {
                judged(&welcome.hello);
            }
        }
        2 => drop(comes_back::<Attach>(FrameKind::Attach, payload)),
        3 => {
            if let Some(join) = comes_back::<Join>(FrameKind::Join, payload) {
                judged(&join.hello);
                let _ = super::check_name(&join.name);
            }
        }
        4 => drop(comes_back::<Issued>(FrameKind::Issued, payload)),
        5 => drop(comes_back::<Renew>(FrameKind::Renew, payload)),
        6 => drop(comes_back::<Renewed>(FrameKind::Renewed, payload)),
        7 => {
            if let Some(header) = comes_back::<BlockHeader>(FrameKind::Block, payload) {
                assert!(!header.kind.name().is_empty());
            }
        }
        _ => {
            if let Some(refusal) = Refusal::from_bytes(payload) {
                let bytes = refusal.to_bytes();
                assert_eq!(Refusal::from_bytes(&bytes), Some(refusal));
            }
        }
    }
}

/// A refusal fits into the reason of a closed connection, whatever the hello says.
fn judged(hello: &Hello) {
    for role in [Role::Master, Role::Worker, Role::Client] {
        if let Err(refusal) = Hello::new(role, "job", 7).judge(hello) {
            assert!(refusal.to_bytes().len() < 1000);
        }
    }
}

fn handshake_seeds() -> Vec<Vec<u8>> {
    let hello = postcard::to_allocvec(&Hello::new(Role::Worker, "job", 7)).ok();
    let hellos = chosen(0, values::<Hello>().into_iter().chain(hello).collect());
    hellos
        .chain(chosen(1, values::<Welcome>()))
        .chain(chosen(2, values::<Attach>()))
        .chain(chosen(3, values::<Join>()))
        .chain(chosen(4, values::<Issued>()))
        .chain(chosen(5, values::<Renew>()))
        .chain(chosen(6, values::<Renewed>()))
        .chain(chosen(7, values::<BlockHeader>()))
        .chain(chosen(8, values::<Refusal>()))
        .collect()
}

/// Messages of cores, and of clients and receivers.
fn messages(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, payload)) => message::<ToWorker>(payload),
        Some((1, payload)) => message::<ToMaster>(payload),
        Some((2, payload)) => message::<ToPeer>(payload),
        Some((3, payload)) => message::<ToReceiver>(payload),
        Some((4, payload)) => message::<ToClient>(payload),
        _ => {}
    }
}

fn message_seeds() -> Vec<Vec<u8>> {
    chosen(0, values::<ToWorker>())
        .chain(chosen(1, values::<ToMaster>()))
        .chain(chosen(2, values::<ToPeer>()))
        .chain(chosen(3, values::<ToReceiver>()))
        .chain(chosen(4, values::<ToClient>()))
        .collect()
}
