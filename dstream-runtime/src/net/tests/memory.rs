//! Endpoints of one process that reach each other by memory.

use super::*;
use crate::block::{Block, BufferPool};
use crate::id::{Attempt, BatchSeq, Epoch, Partition, StageId, TaskId};
use crate::sched::message::{ToMaster, ToWorker};
use crate::store::KeptBlock;
use crate::wire::{BlockHeader, BlockKind};

/// A master and a worker in one process, and what each calls the other.
struct Pair {
    world: World,
    network: MemoryNetwork,
    master: Node,
    worker: Node,
    to_master: PeerId,
    to_worker: PeerId,
}

fn near(world: &World, network: &MemoryNetwork, role: Role, name: &str) -> Node {
    let mut options = world.options(role, name);
    options.network = Some(network.clone());
    if role == Role::Master {
        options = options.with_authority(world.authority.clone());
    }
    Node::bind(options)
}

fn pair() -> Pair {
    let (world, network) = (World::new(), MemoryNetwork::default());
    let master = near(&world, &network, Role::Master, "m");
    let worker = near(&world, &network, Role::Worker, "w");
    let (to_master, to_worker) = worker.meet(&master);
    Pair { world, network, master, worker, to_master, to_worker }
}

fn input() -> BlockHeader {
    let task = TaskId { batch: BatchSeq(1), stage: StageId(0), partition: Partition(0) };
    BlockHeader { epoch: Epoch(1), kind: BlockKind::Input { task }, piece: 0 }
}

fn block(bytes: &[u8]) -> Block {
    let mut buffer = BufferPool::new(0).take(bytes.len());
    buffer.bytes_mut().extend_from_slice(bytes);
    Block::raw(buffer)
}

#[test]
fn messages_and_blocks_come_in_order_in_both_directions() {
    let Pair { master, worker, to_master, to_worker, .. } = pair();
    assert!(worker.net().passes_values(to_master) && master.net().passes_values(to_worker));
    for n in 0..5000 {
        worker.net().send(to_master, &ToMaster::Placed { epoch: Epoch(n) }).unwrap();
        let release = ToWorker::Release { epoch: Epoch(n), oldest: BatchSeq(n) };
        master.net().send(to_worker, &release).unwrap();
        let sent = block(&n.to_le_bytes());
        assert!(master.net().push_block(to_worker, &input(), &sent).unwrap().is_done());
    }
    for n in 0..5000_u64 {
        assert_eq!(master.message::<ToMaster>(), ToMaster::Placed { epoch: Epoch(n) });
        assert_eq!(worker.message::<ToWorker>().epoch(), Epoch(n));
        let NetEvent::Handed { peer, header, block } = worker.next() else { panic!("a block") };
        assert_eq!((peer, header), (to_master, input()));
        assert_eq!(block.get().unwrap().body(), n.to_le_bytes());
    }
}

#[test]
fn a_block_is_the_one_that_was_sent() {
    let Pair { master, worker, to_worker, .. } = pair();
    let sent = block(b"lines");
    master
        .net()
        .push_blocks(to_worker, [(input(), KeptBlock::from(sent.clone()))])
        .unwrap()
        .cancel();
    let NetEvent::Handed { block, .. } = worker.next() else { panic!("a block") };
    assert_eq!(block.get().unwrap().body().as_ptr(), sent.body().as_ptr());
}

#[test]
fn goodbye_comes_after_everything_else_and_is_the_last() {
    let Pair { master, worker, to_master, to_worker, .. } = pair();
    for n in 0..1000 {
        worker.net().send(to_master, &ToMaster::Placed { epoch: Epoch(n) }).unwrap();
    }
    worker.net().close(to_master);
    worker.net().close(to_master);
    for n in 0..1000 {
        assert_eq!(master.message::<ToMaster>(), ToMaster::Placed { epoch: Epoch(n) });
    }
    assert_eq!((master.closed(), worker.closed()), (CloseReason::Bye, CloseReason::Local));
    assert_eq!(worker.net().stats().peers + master.net().stats().peers, 0);
    let gone = worker.net().send(to_master, &ToMaster::Joined { slots: 1 });
    assert_eq!(gone, Err(SendError::Gone));
    let gone = master.net().push_block(to_worker, &input(), &block(b"late")).err();
    assert_eq!(gone, Some(SendError::Gone));
    assert!(master.events.is_empty() && worker.events.is_empty());
}

#[test]
fn an_endpoint_that_ends_says_goodbye_and_is_not_found_any_more() {
    let Pair { master, worker, to_master, .. } = pair();
    let (addr, events) = (master.endpoint.local_addr(), master.events.clone());
    drop(master);
    assert_eq!(worker.closed(), CloseReason::Bye);
    let left = events.try_iter().map(Delivery::take);
    assert_eq!(left.filter(|event| matches!(event, NetEvent::Closed { .. })).count(), 1);
    let again = worker.net().connect(addr);
    assert!(again != to_master && !worker.net().passes_values(again));
    worker.net().close(again);
}

#[test]
fn roles_and_accusations_hold_as_over_the_network() {
    let Pair { master, worker, to_master, to_worker, .. } = pair();
    let wrong =
        worker.net().send(to_master, &ToWorker::Release { epoch: Epoch(1), oldest: BatchSeq(1) });
    assert!(matches!(wrong, Err(SendError::Role { .. })), "{wrong:?}");
    let kind = BlockKind::TaskOutput {
        task: TaskId { batch: BatchSeq(1), stage: StageId(0), partition: Partition(0) },
        attempt: Attempt(0),
    };
    let header = BlockHeader { kind, ..input() };
    let wrong = master.net().push_block(to_worker, &header, &block(b"")).err();
    assert!(matches!(wrong, Some(SendError::Push { .. })), "{wrong:?}");
    master.net().accuse(to_worker, "nonsense");
    assert_eq!(master.closed(), CloseReason::Violation("nonsense".to_owned()));
    assert_eq!(worker.closed(), CloseReason::Accused("nonsense".to_owned()));
}

#[test]
fn a_master_serves_a_worker_by_memory_and_others_by_the_network() {
    let Pair { world, network, master, worker, to_worker, .. } = pair();
    let client = world.node(Role::Client, "c");
    let (_, to_client) = client.meet(&master);
    let far = world.node(Role::Worker, "far");
    let (from_far, to_far) = far.meet(&master);
    assert!(!master.net().passes_values(to_client) && !far.net().passes_values(from_far));
    assert_eq!(master.net().stats().peers, 3);
    for peer in [to_worker, to_far] {
        let release = ToWorker::Release { epoch: Epoch(7), oldest: BatchSeq(1) };
        master.net().send(peer, &release).unwrap();
    }
    assert_eq!(worker.message::<ToWorker>(), far.message::<ToWorker>());
    // Two workers of one process, too.
    let second = near(&world, &network, Role::Worker, "w2");
    let (there, _) = second.meet(&worker);
    assert!(second.net().passes_values(there));
}

#[test]
fn a_peer_that_does_not_take_its_messages_is_closed() {
    let (world, network) = (World::new(), MemoryNetwork::default());
    let mut options = world.options(Role::Master, "m").with_authority(world.authority.clone());
    (options.network, options.limits.untaken_events) = (Some(network.clone()), 100);
    let master = Node::bind(options);
    let worker = near(&world, &network, Role::Worker, "w");
    let (to_master, _) = worker.meet(&master);
    let sent = (0..).take_while(|n| {
        worker.net().send(to_master, &ToMaster::Placed { epoch: Epoch(*n) }).is_ok()
    });
    let sent = sent.count();
    assert_eq!((sent, worker.closed()), (100, CloseReason::Slow));
    for n in 0..sent as u64 {
        assert_eq!(master.message::<ToMaster>(), ToMaster::Placed { epoch: Epoch(n) });
    }
    assert_eq!(master.closed(), CloseReason::Slow);
}

#[test]
fn a_worker_s_certificate_is_renewed_by_the_master_of_its_process() {
    let Pair { world, worker, master: _there, .. } = pair();
    let before = worker.net().identity().unwrap().valid_until();
    world.pass(worker.net().identity().unwrap().renew_at().saturating_sub(world.now()));
    worker.net().quic().renew.notify_one();
    loop {
        match worker.next() {
            NetEvent::Renewed { until } => break assert!(until > before),
            NetEvent::RenewalFailed { why, .. } => panic!("{why}"),
            _ => {}
        }
    }
}

#[test]
fn endpoints_without_ports_reach_each_other_and_no_process() {
    let network = MemoryNetwork::default();
    let within = |role, name: &str| {
        let (tell, events) = unbounded();
        let subject = trust::Subject { role, job: "job".to_owned(), name: name.to_owned() };
        let deliver = move |delivery| drop(tell.send(delivery));
        Node { endpoint: Endpoint::within(&network, subject, deliver), events }
    };
    let (master, worker) = (within(Role::Master, "m"), within(Role::Worker, "w"));
    assert_ne!(master.net().local_addr(), worker.net().local_addr());
    let (to_master, _) = worker.meet(&master);
    worker.net().send(to_master, &ToMaster::Joined { slots: 1 }).unwrap();
    assert_eq!(master.message::<ToMaster>(), ToMaster::Joined { slots: 1 });
    // A port where other processes may listen.
    let nowhere = worker.net().connect("127.0.0.1:9".parse().unwrap());
    let NetEvent::Closed { peer, reason } = worker.next() else { panic!("it is not closed") };
    assert_eq!((peer, reason), (nowhere, CloseReason::Unreachable));
    drop(master);
    assert_eq!(worker.closed(), CloseReason::Bye);
}
