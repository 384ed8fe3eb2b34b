use proptest::prelude::*;

use super::*;
use crate::id::{
    Attempt, BatchSeq, BlockId, Epoch, Partition, SourceId, StageId, TailId, TaskId, WorkerId,
};
use crate::sched::message::{EngineTime, ToMaster, ToPeer, ToWorker};

fn place() -> ToWorker {
    let placement = (0..500).map(WorkerId).collect();
    ToWorker::Place { epoch: Epoch(7), placement, first: BatchSeq(1), start: BatchSeq(1) }
}

fn received(frame: &[u8]) -> Received {
    let (frame, len) = Frame::read(frame).unwrap();
    assert_eq!(len, FRAME_HEADER + frame.payload.len());
    let FrameKind::Message(kind) = frame.kind else { panic!("{:?}", frame.kind) };
    Received::new(kind, frame.payload)
}

#[test]
fn messages_come_back() {
    let message = received(&place().to_frame().unwrap());
    assert_eq!(message.kind(), MessageKind::ToWorker);
    assert_eq!(message.read::<ToWorker>().unwrap(), place());
    assert_eq!(Received::value(place()).read::<ToWorker>().unwrap(), place());
    let wrong = received(&place().to_frame().unwrap()).read::<ToMaster>().unwrap_err();
    assert_eq!(wrong, FrameError::Unexpected { found: FrameKind::Message(MessageKind::ToWorker) });
}

#[test]
fn the_same_message_has_the_same_bytes() {
    // The wire format may change only with the protocol version.
    let task = TaskId { batch: BatchSeq(300), stage: StageId(2), partition: Partition(1) };
    let done = ToPeer::Produced {
        epoch: Epoch(7),
        task,
        attempt: Attempt(0),
        blocks: vec![(TailId(1), Partition(4))],
    };
    let frame = done.to_frame().unwrap();
    assert_eq!(frame[..8], [0xd5, b'F', 1, 34, 10, 0, 0, 0]);
    assert_eq!(frame[FRAME_HEADER..], [0, 7, 0xac, 2, 2, 1, 0, 1, 1, 4]);
}

#[test]
fn nothing_may_follow_a_message() {
    let frame = ToMaster::Joined { slots: 4 }.to_frame().unwrap();
    let payload = [&frame[FRAME_HEADER..], &[0]].concat();
    assert!(Received::new(MessageKind::ToMaster, payload).read::<ToMaster>().is_err());
}

#[test]
fn every_bit_counts() {
    let frame = ToMaster::Placed { epoch: Epoch(1 << 40) }.to_frame().unwrap();
    for bit in 0..frame.len() * 8 {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::read(&damaged).is_err(), "bit {bit}");
    }
    for len in 0..frame.len() {
        let truncated = Frame::read(&frame[..len]).unwrap_err();
        assert_eq!(truncated, FrameError::Truncated { has: len });
    }
}

#[test]
fn a_length_is_judged_before_anything_is_allocated() {
    let mut frame = ToMaster::Placed { epoch: Epoch(1) }.to_frame().unwrap();
    frame[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Frame::read(&frame).unwrap_err();
    assert_eq!(error, FrameError::TooLong { claimed: u32::MAX, max: 1 << 20 });
    let long = ToWorker::Place {
        epoch: Epoch(1),
        placement: vec![WorkerId(u32::MAX); 4 << 20].into(),
        first: BatchSeq(1),
        start: BatchSeq(1),
    };
    assert!(matches!(long.to_frame().unwrap_err(), FrameError::TooLong { .. }));
}

#[test]
fn another_version_is_named() {
    let mut frame = Frame::empty(FrameKind::Goodbye);
    assert!(Frame::read(&frame).is_ok());
    frame[2] = 9;
    assert_eq!(Frame::read(&frame).unwrap_err(), FrameError::Version { found: 9 });
}

#[test]
fn a_hello_is_judged_by_what_must_agree() {
    let ours = Hello::new(Role::Master, "page_views", 1);
    let worker = Hello::new(Role::Worker, "page_views", 1);
    assert_eq!(ours.judge(&worker), Ok(()));
    assert_eq!(worker.judge(&worker), Ok(()));
    let refusal = |change: &dyn Fn(&mut Hello)| {
        let mut theirs = worker.clone();
        change(&mut theirs);
        ours.judge(&theirs).unwrap_err()
    };
    assert_eq!(refusal(&|h| h.plan = 2), Refusal::Plan { expected: 1, found: 2 });
    assert!(matches!(refusal(&|h| h.version = "9.9.9".into()), Refusal::Version { .. }));
    assert!(matches!(refusal(&|h| h.job = "x".into()), Refusal::Job { .. }));
    assert!(matches!(refusal(&|h| h.format = 0), Refusal::Format { .. }));
    assert_eq!(refusal(&|h| h.protocol = 2), Refusal::Protocol);
    assert!(matches!(refusal(&|h| h.role = Role::Master), Refusal::Pair { .. }));
}

#[test]
fn only_a_client_of_another_program_has_no_plan() {
    let worker = Hello::new(Role::Worker, "page_views", 1);
    let client = |plan| Hello::new(Role::Client, "page_views", plan);
    assert_eq!(worker.judge(&client(0)), Ok(()));
    assert_eq!(client(0).judge(&worker), Ok(()));
    assert_eq!(worker.judge(&client(2)), Err(Refusal::Plan { expected: 1, found: 2 }));
    let unplanned = Hello::new(Role::Worker, "page_views", 0);
    assert_eq!(worker.judge(&unplanned), Err(Refusal::Plan { expected: 1, found: 0 }));
}

#[test]
fn archives_are_little_endian_aligned_and_narrow() {
    assert_eq!(archive_format(), 1 | 8 << 4 | 32 << 8);
}

#[test]
fn refusals_come_back_and_fit_into_a_packet() {
    let text = "x".repeat(63);
    let all = [
        Refusal::Version { expected: text.clone(), found: text.clone() },
        Refusal::Plan { expected: u64::MAX, found: 0 },
        Refusal::Job { expected: text.clone(), found: text.clone() },
        Refusal::OtherAuthority { expected: text.clone(), found: text },
        Refusal::TokenUsedUp { uses: u32::MAX },
        Refusal::Role { claimed: Role::Master, certified: Role::Client },
    ];
    for refusal in all {
        let bytes = refusal.to_bytes();
        assert!(bytes.len() < 1000);
        assert_eq!(Refusal::from_bytes(&bytes), Some(refusal));
    }
}

#[test]
fn a_role_sends_only_its_own_messages() {
    use MessageKind as Kind;
    assert!(Kind::ToWorker.may_go(Role::Master, Role::Worker));
    for from in [Role::Worker, Role::Client] {
        assert!(!Kind::ToWorker.may_go(from, Role::Worker), "only a master places");
        assert!(!Kind::MasterNote.may_go(from, Role::Worker));
    }
    assert!(!Kind::ToMaster.may_go(Role::Client, Role::Master));
    assert!(!Kind::ToPeer.may_go(Role::Client, Role::Worker));
    assert!(Kind::Ask.may_go(Role::Client, Role::Master));
    assert!(Kind::ToReceiver.may_go(Role::Client, Role::Worker));
    assert!(!Kind::ToReceiver.may_go(Role::Worker, Role::Worker));
}

#[test]
fn every_kind_of_block_has_one_direction() {
    let (batch, stage, partition) = (BatchSeq(1), StageId(2), Partition(3));
    let (task, tail, attempt) = (TaskId { batch, stage, partition }, TailId(0), Attempt(0));
    let (source, number) = (SourceId(0), 1);
    let ways = [
        (
            BlockKind::Segment { id: BlockId { producer: task, tail, partition }, attempt },
            Role::Worker,
            Role::Worker,
        ),
        (BlockKind::TaskOutput { task, attempt }, Role::Worker, Role::Master),
        (BlockKind::Input { task }, Role::Master, Role::Worker),
        (BlockKind::State { stage, partition, tag: 7 }, Role::Worker, Role::Worker),
        (
            BlockKind::ReceivedBlock { receiver: WorkerId(1), source, number },
            Role::Worker,
            Role::Worker,
        ),
        (BlockKind::Append { number }, Role::Client, Role::Worker),
    ];
    let roles = [Role::Master, Role::Worker, Role::Client];
    for (from, to) in roles.iter().flat_map(|from| roles.map(|to| (*from, to))) {
        for (kind, sender, receiver) in ways {
            let is_its_way = (from, to) == (sender, receiver);
            assert_eq!(kind.may_go(from, to), is_its_way, "{} {from} {to}", kind.name());
        }
        let any = ways.iter().any(|(kind, ..)| kind.may_go(from, to));
        assert_eq!(BlockKind::any_may_go(from, to), any, "{from} {to}");
    }
}

#[test]
fn heartbeats_are_small() {
    let frame = ToMaster::Heartbeat { engine: EngineTime::default() }.to_frame().unwrap();
    assert!(frame.len() < 32, "{}", frame.len());
    assert!(MessageKind::ToMaster.may_go(Role::Worker, Role::Master));
    assert!(!MessageKind::ToMaster.may_go(Role::Client, Role::Master));
}

#[test]
fn a_join_does_not_show_its_secret() {
    let join = Join {
        hello: Hello::new(Role::Worker, "j", 1),
        name: "w".into(),
        secret: [171; 32],
        key: PublicKey([1; 32]),
    };
    assert!(!format!("{join:?}").contains("171"));
}

fn block_header() -> impl Strategy<Value = BlockHeader> {
    any::<(u64, u64, u16, u32, u16, u32, u32)>().prop_map(|(epoch, batch, stage, p, tail, q, n)| {
        let (batch, stage) = (BatchSeq(batch), StageId(stage));
        let producer = TaskId { batch, stage, partition: Partition(p) };
        let id = BlockId { producer, tail: TailId(tail), partition: Partition(q) };
        let kind = BlockKind::Segment { id, attempt: Attempt(n) };
        BlockHeader { epoch: Epoch(epoch), kind, piece: n }
    })
}

proptest! {
    #[test]
    fn any_block_header_fits_and_comes_back(header in block_header()) {
        let frame = encode(FrameKind::Block, &header).unwrap();
        let (read, _) = Frame::read(&frame).unwrap();
        prop_assert_eq!(decode::<BlockHeader>(FrameKind::Block, &read.payload).unwrap(), header);
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Frame::read(&bytes).is_err());
        // It may decode to anything.
        let _ = Refusal::from_bytes(&bytes);
        for kind in [MessageKind::ToWorker, MessageKind::ToMaster, MessageKind::ToPeer] {
            let message = || Received::new(kind, bytes.clone());
            let _ = (message().read::<ToWorker>(), message().read::<ToMaster>());
            let _ = message().read::<ToPeer>();
        }
        let _ = decode::<Hello>(FrameKind::Hello, &bytes);
        let _ = decode::<Join>(FrameKind::Join, &bytes);
        let _ = decode::<Renewed>(FrameKind::Renewed, &bytes);
    }

    #[test]
    fn a_header_with_garbage_in_it_is_an_error(
        mut bytes in prop::collection::vec(any::<u8>(), 16..64),
        kind in 0u8..60,
    ) {
        bytes[..4].copy_from_slice(&[0xd5, b'F', PROTOCOL, kind]);
        prop_assert!(Frame::read(&bytes).is_err());
    }
}
