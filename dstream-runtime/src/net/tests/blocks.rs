//! Blocks on the bulk connection.

use super::*;
use crate::block::{Block, BufferPool, Bytes, RowsBuilder};
use crate::id::{Attempt, BatchSeq, BlockId, Epoch, Partition, StageId, TailId, TaskId};
use crate::sched::message::ToPeer;
use crate::wire::{BlockHeader, Cargo};

fn task() -> TaskId {
    TaskId { batch: BatchSeq(1), stage: StageId(2), partition: Partition(0) }
}

pub(super) fn header(n: u32) -> BlockHeader {
    let producer = TaskId { batch: BatchSeq(1), stage: StageId(2), partition: Partition(n) };
    let id = BlockId { producer, tail: TailId(0), partition: Partition(n) };
    let cargo = Cargo::Segment { id, attempt: Attempt(0) };
    BlockHeader { epoch: Epoch(1), cargo, piece: n }
}

/// A block of strings with a body of about that many bytes, different for every seed.
pub(super) fn block(bytes: usize, seed: u64) -> Block {
    const LINE: usize = 4096;
    let mut state = seed | 1;
    let text: String = (0..2 * LINE)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + (state >> 60) as u8)
        })
        .collect();
    let lines = bytes.div_ceil(LINE + 8).max(1);
    let mut rows = RowsBuilder::<String>::new(&BufferPool::new(0), bytes + LINE);
    for n in 0..lines {
        let from = n * 7 % LINE;
        rows.push(&text[from..from + bytes.min(LINE)]).unwrap();
    }
    rows.finish().unwrap()
}

pub(super) fn received(node: &Node) -> (BlockHeader, Block) {
    match node.next() {
        NetEvent::Block { header, bytes, .. } => {
            (header, Block::open_rows::<String>(bytes).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn workers(world: &World) -> (Node, Node, PeerId) {
    let (one, two) = (world.node(Role::Worker, "w1"), world.node(Role::Worker, "w2"));
    let (to_two, _) = one.meet(&two);
    (one, two, to_two)
}

#[test]
fn the_largest_block_arrives_byte_for_byte() {
    let world = World::new();
    let (one, two, to_two) = workers(&world);
    let sent = block(crate::block::MAX_BODY - (1 << 20), 1);
    assert!(sent.byte_len() > 60 << 20);
    let transfer = one.net().push_block(to_two, &header(3), &sent).unwrap();
    let NetEvent::Block { header: h, preamble, bytes, .. } = two.next() else { panic!("no block") };
    assert_eq!((h, preamble.records), (header(3), sent.records()));
    let got = Block::open_rows::<String>(bytes).unwrap();
    assert_eq!(got.header(), sent.header());
    assert!(got.body() == sent.body());
    assert!(!transfer.has_failed());
}

#[test]
fn many_blocks_and_messages_beside_them_all_arrive() {
    let world = World::new();
    let (one, two, to_two) = workers(&world);
    let blocks: Vec<_> = (0..100).map(|n| block(n * 3000, n as u64)).collect();
    for (n, block) in blocks.iter().enumerate() {
        one.net().push_block(to_two, &header(n as u32), block).unwrap().detach();
        let produced = ToPeer::Produced {
            epoch: Epoch(n as u64),
            task: task(),
            attempt: Attempt(0),
            blocks: Vec::new(),
        };
        one.net().send(to_two, &produced).unwrap();
    }
    let (mut seen, mut messages) = (vec![false; 100], 0);
    while messages < 100 || seen.contains(&false) {
        match two.next() {
            NetEvent::Message { message, .. } => {
                let Ok(ToPeer::Produced { epoch, .. }) = message.read() else { panic!() };
                assert_eq!(epoch, Epoch(messages));
                messages += 1;
            }
            NetEvent::Block { header, bytes, .. } => {
                let n = header.piece as usize;
                let got = Block::open_rows::<String>(bytes).unwrap();
                assert!(got.body() == blocks[n].body() && !std::mem::replace(&mut seen[n], true));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_cancelled_block_makes_way_for_the_next() {
    let world = World::new();
    let mut options = world.options(Role::Worker, "w2");
    // Room for two of the blocks: the third waits until it is given up.
    options.limits.untaken_blocks = 0;
    let (one, two) = (world.node(Role::Worker, "w1"), Node::bind(options));
    let (to_two, _) = one.meet(&two);
    let (large, small) = (block(40 << 20, 1), block(1000, 2));
    one.net().push_block(to_two, &header(1), &large).unwrap().detach();
    let NetEvent::Block { bytes: first, .. } = two.events.recv_timeout(DEADLINE).unwrap().take()
    else {
        panic!("no block")
    };
    drop(first);
    let cancelled = one.net().push_block(to_two, &header(2), &large).unwrap();
    cancelled.cancel();
    drop(one.net().push_block(to_two, &header(3), &large).unwrap());
    one.net().push_block(to_two, &header(4), &small).unwrap().detach();
    // Whether a cancelled one got through before it was cancelled is a matter of time.
    while received(&two).0 != header(4) {}
    assert_eq!(one.net().stats().peers, 1);
}

#[test]
fn blocks_that_nobody_takes_wait_at_the_sender() {
    let world = World::new();
    let mut options = world.options(Role::Worker, "w2");
    options.limits.untaken_blocks = 0; // The least there can be: the longest block.
    let (one, two) = (world.node(Role::Worker, "w1"), Node::bind(options));
    let (to_two, _) = one.meet(&two);
    let large = block(20 << 20, 1);
    let transfers: Vec<_> =
        (0..8).map(|n| one.net().push_block(to_two, &header(n), &large).unwrap()).collect();
    // Three of them fill the room. A fourth would have been announced by an event; that none is can only
    // be seen by what else happens meanwhile: a thousand messages back and forth.
    let untaken: Vec<_> = (0..3).map(|_| two.events.recv_timeout(DEADLINE).unwrap()).collect();
    for n in 0..1000 {
        let produced = ToPeer::Produced {
            epoch: Epoch(n),
            task: task(),
            attempt: Attempt(0),
            blocks: Vec::new(),
        };
        one.net().send(to_two, &produced).unwrap();
        assert_eq!(two.message::<ToPeer>(), produced);
    }
    let done = transfers.iter().filter(|transfer| transfer.is_done()).count();
    assert!(done <= 4, "{done} of 8 got through, and there is room for 3");
    // Taken, they make room for the others.
    drop(untaken);
    for _ in 3..8 {
        received(&two);
    }
}

#[test]
fn a_damaged_block_is_stopped_at_the_door_and_its_sender_accused() {
    let world = World::new();
    let (one, two, to_two) = workers(&world);
    let sent = block(100_000, 1);
    one.net().push_block(to_two, &header(0), &sent).unwrap().detach();
    let NetEvent::Block { peer, bytes, .. } = two.next() else { panic!("no block") };
    let Bytes::Buffer(mut buffer) = bytes else { panic!("no buffer") };
    buffer.bytes_mut()[5000] ^= 1;
    let error = Block::open_rows::<String>(Bytes::Buffer(buffer)).unwrap_err();
    two.net().accuse(peer, &error.to_string());
    assert_eq!(two.closed(), CloseReason::Violation(error.to_string()));
    assert_eq!(one.closed(), CloseReason::Accused(error.to_string()));
}

#[test]
fn blocks_pushed_together_arrive_in_order() {
    let world = World::new();
    let (one, two, to_two) = workers(&world);
    // Small ones, which travel together, between large ones, which do not.
    let sizes = [10, 9000, 100, 1 << 20, 5, 5, 5, 3 << 20, 9 << 20, 20_000, 5 << 20, 6];
    let blocks: Vec<_> = (0..).zip(sizes).map(|(n, len)| (header(n), block(len, 7))).collect();
    let transfer = one.net().push_blocks(to_two, &blocks).unwrap();
    for (header, block) in &blocks {
        let (h, b) = received(&two);
        assert_eq!(h, *header);
        assert!(b.body() == block.body());
    }
    assert!(!transfer.has_failed());
    let nothing = one.net().push_blocks(to_two, &[]).unwrap();
    assert!(nothing.is_done());
}

#[test]
fn blocks_that_are_cancelled_together_end_at_the_one_under_way() {
    let world = World::new();
    let mut options = world.options(Role::Worker, "w2");
    options.limits.untaken_blocks = 0; // The least there can be: the longest block.
    let (one, two) = (world.node(Role::Worker, "w1"), Node::bind(options));
    let (to_two, _) = one.meet(&two);
    let large = block(40 << 20, 1);
    let many: Vec<_> = (0..10).map(|n| (header(n), large.clone())).collect();
    let transfer = one.net().push_blocks(to_two, &many).unwrap();
    let first = two.events.recv_timeout(DEADLINE).unwrap();
    // The second waits until the first is taken; by then nobody wants it any more.
    transfer.cancel();
    one.net().push_block(to_two, &header(99), &block(1000, 2)).unwrap().detach();
    drop(first);
    let mut seen = 1;
    while received(&two).0 != header(99) {
        seen += 1;
    }
    assert!(seen < 10, "{seen} of 10 got through");
    assert_eq!(one.net().stats().peers, 1);
}

#[test]
fn every_cargo_goes_its_way_only() {
    let world = World::new();
    let (master, worker) = (world.master(), world.node(Role::Worker, "w"));
    let (to_master, to_worker) = worker.meet(&master);
    let client = world.node(Role::Client, "c");
    let (from_client, to_client) = client.meet(&worker);
    let with = |cargo| BlockHeader { epoch: Epoch(1), cargo, piece: 0 };
    let raw = || {
        let mut buffer = BufferPool::new(0).take(16);
        buffer.bytes_mut().extend_from_slice(b"some lines\n");
        Block::raw(buffer)
    };
    let part = with(Cargo::Luggage { task: task(), attempt: Attempt(0) });
    let input = with(Cargo::Input { task: task() });
    let append = with(Cargo::Append { number: 1 });
    for (from, peer, to, header) in [
        (&worker, to_master, &master, part),
        (&master, to_worker, &worker, input),
        (&client, from_client, &worker, append),
    ] {
        from.net().push_block(peer, &header, &raw()).unwrap().detach();
        let NetEvent::Block { header: h, bytes, .. } = to.next() else { panic!("no block") };
        assert_eq!(h, header);
        assert_eq!(Block::open_raw(bytes).unwrap().raw_bytes().unwrap(), b"some lines\n");
    }
    for (from, peer, header) in [
        (&worker, to_master, append),
        (&worker, to_master, header(0)),
        (&master, to_worker, part),
        (&client, from_client, input),
        (&worker, to_client, part),
    ] {
        let error = from.net().push_block(peer, &header, &raw()).unwrap_err();
        assert!(matches!(error, SendError::Push { .. }), "{error}");
    }
}

#[test]
fn a_transfer_to_a_peer_that_goes_fails() {
    let world = World::new();
    let (one, two, to_two) = workers(&world);
    let large = block(60 << 20, 1);
    let transfers: Vec<_> =
        (0..8).map(|n| one.net().push_block(to_two, &header(n), &large).unwrap()).collect();
    drop(two);
    assert_eq!(one.closed(), CloseReason::Bye);
    drop(one);
    assert!(transfers.iter().any(Transfer::has_failed));
    assert!(transfers.iter().all(|transfer| transfer.has_failed() || transfer.is_done()));
}
