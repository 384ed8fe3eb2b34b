//! Blocks on the bulk connection.

use super::*;
use crate::block::{Block, BufferPool, Bytes, RowsBuilder};
use crate::id::{Attempt, BatchSeq, BlockId, Epoch, Partition, StageId, TailId, TaskId};
use crate::sched::message::ToPeer;
use crate::store::{BlockStore, StoreOptions};
use crate::wire::{BlockHeader, BlockKind};

fn task() -> TaskId {
    TaskId { batch: BatchSeq(1), stage: StageId(2), partition: Partition(0) }
}

pub(super) fn header(n: u32) -> BlockHeader {
    let producer = TaskId { batch: BatchSeq(1), stage: StageId(2), partition: Partition(n) };
    let id = BlockId { producer, tail: TailId(0), partition: Partition(n) };
    let kind = BlockKind::Segment { id, attempt: Attempt(0) };
    BlockHeader { epoch: Epoch(1), kind, piece: n }
}

/// A block of strings with a body of about `bytes` bytes, different for every seed.
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
    // Room for two blocks: the third waits until it is cancelled.
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
    // The cancelled one may have arrived before it was cancelled.
    while received(&two).0 != header(4) {}
    assert_eq!(one.net().stats().peers, 1);
}

#[test]
fn untaken_blocks_wait_at_the_sender() {
    let world = World::new();
    let mut options = world.options(Role::Worker, "w2");
    options.limits.untaken_blocks = 0; // The minimum: the longest block.
    let (one, two) = (world.node(Role::Worker, "w1"), Node::bind(options));
    let (to_two, _) = one.meet(&two);
    let large = block(20 << 20, 1);
    let transfers: Vec<_> =
        (0..8).map(|n| one.net().push_block(to_two, &header(n), &large).unwrap()).collect();
    // Three fill the room. The absence of a fourth event is shown by a thousand messages in both directions
    // meanwhile.
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
    // Taking them makes room for the others.
    drop(untaken);
    for _ in 3..8 {
        received(&two);
    }
}

#[test]
fn a_damaged_block_is_refused_and_its_sender_accused() {
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
    // Small ones, which are sent together, between large ones, which are not.
    let sizes = [10, 9000, 100, 1 << 20, 5, 5, 5, 3 << 20, 9 << 20, 20_000, 5 << 20, 6];
    let blocks: Vec<_> = (0..).zip(sizes).map(|(n, len)| (header(n), block(len, 7))).collect();
    let transfer = one.net().push_blocks(to_two, blocks.clone()).unwrap();
    for (header, block) in &blocks {
        let (h, b) = received(&two);
        assert_eq!(h, *header);
        assert!(b.body() == block.body());
    }
    assert!(!transfer.has_failed());
    let nothing = one.net().push_blocks::<Block>(to_two, []).unwrap();
    assert!(nothing.is_done());
}

#[test]
fn blocks_that_are_cancelled_together_end_at_the_one_under_way() {
    let world = World::new();
    let mut options = world.options(Role::Worker, "w2");
    options.limits.untaken_blocks = 0; // The minimum: the longest block.
    let (one, two) = (world.node(Role::Worker, "w1"), Node::bind(options));
    let (to_two, _) = one.meet(&two);
    let large = block(40 << 20, 1);
    let many: Vec<_> = (0..10).map(|n| (header(n), large.clone())).collect();
    let transfer = one.net().push_blocks(to_two, many).unwrap();
    let first = two.events.recv_timeout(DEADLINE).unwrap();
    // The second waits until the first is taken; it is cancelled by then.
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
fn of_a_block_that_is_cancelled_on_its_way_nothing_stays() {
    let world = World::new();
    let mut options = world.options(Role::Worker, "w2");
    // Room for one block: a cancelled block must give its room back.
    options.limits.untaken_blocks = 0;
    let (one, two) = (world.node(Role::Worker, "w1"), Node::bind(options));
    let (to_two, _) = one.meet(&two);
    let (large, small) = (block(crate::block::MAX_BODY - (1 << 20), 1), block(1000, 2));
    let mut cut = 0;
    // When the first arrives, the other has begun and takes far longer than a reset. Whether the reset was
    // in time shows in what arrives.
    for round in 0..10 {
        let pair = [(header(3 * round), small.clone()), (header(3 * round + 1), large.clone())];
        let transfer = one.net().push_blocks(to_two, pair).unwrap();
        assert_eq!(received(&two).0, header(3 * round));
        transfer.cancel();
        one.net().push_block(to_two, &header(3 * round + 2), &small).unwrap().detach();
        let mut came = Vec::new();
        while came.last() != Some(&header(3 * round + 2)) {
            came.push(received(&two).0);
        }
        cut += usize::from(came.len() == 1);
    }
    assert!(cut > 0, "no block was cancelled in time");
    // Room for a whole block, and no protocol error.
    one.net().push_block(to_two, &header(99), &large).unwrap().detach();
    assert_eq!(received(&two).0, header(99));
    assert_eq!(one.net().stats().peers, 1);
}

#[test]
fn blocks_that_wait_for_a_slow_peer_are_within_the_bound_of_their_store() {
    const BLOCKS: u32 = 40;
    const SIZE: usize = 4 << 20;
    let world = World::new();
    let mut options = world.options(Role::Worker, "w2");
    options.limits.untaken_blocks = 0; // The minimum: 64 MiB.
    let (one, two) = (world.node(Role::Worker, "w1"), Node::bind(options));
    let (to_two, _) = one.meet(&two);
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::new(StoreOptions::new(2 * SIZE as u64, dir.path()));
    // One pool per block, so that each gets its own buffer back.
    let pools: Vec<_> = (0..BLOCKS).map(|_| BufferPool::new(usize::MAX)).collect();
    let bytes = |n: u32| n.to_le_bytes().repeat(SIZE / 4 - 100);
    let transfers: Vec<_> = (0..BLOCKS)
        .map(|n| {
            let mut buffer = pools[n as usize].take(SIZE);
            buffer.bytes_mut().extend_from_slice(&bytes(n));
            let kept = store.keep(Block::raw(buffer));
            let transfer = one.net().push_blocks(to_two, [(header(n), kept)]).unwrap();
            // Let the store spill now and then.
            store.make_room();
            transfer
        })
        .collect();
    // Sixteen are at the receiver and two are being sent. Spilled blocks use no memory while they wait.
    assert!(store.stats().memory <= 2 * SIZE as u64);
    let free = pools.iter().filter(|pool| pool.kept() > 0).count();
    assert!(free >= 32, "{free} of {BLOCKS} are free");
    let mut seen = vec![false; BLOCKS as usize];
    for _ in 0..BLOCKS {
        let NetEvent::Block { header: h, bytes: got, .. } = two.next() else { panic!("no block") };
        let got = Block::open_raw(got).unwrap();
        assert!(got.raw_bytes().unwrap() == bytes(h.piece));
        assert!(!std::mem::replace(&mut seen[h.piece as usize], true));
    }
    assert!(transfers.iter().all(|transfer| transfer.unreadable().is_none()));
}

#[test]
fn each_kind_of_block_goes_in_one_direction() {
    let world = World::new();
    let (master, worker) = (world.master(), world.node(Role::Worker, "w"));
    let (to_master, to_worker) = worker.meet(&master);
    let client = world.node(Role::Client, "c");
    let (from_client, to_client) = client.meet(&worker);
    let with = |kind| BlockHeader { epoch: Epoch(1), kind, piece: 0 };
    let raw = || {
        let mut buffer = BufferPool::new(0).take(16);
        buffer.bytes_mut().extend_from_slice(b"some lines\n");
        Block::raw(buffer)
    };
    let part = with(BlockKind::TaskOutput { task: task(), attempt: Attempt(0) });
    let input = with(BlockKind::Input { task: task() });
    let append = with(BlockKind::Append { number: 1 });
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
