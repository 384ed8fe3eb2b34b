//! Messages and the end of peers.

use std::time::Duration;

use super::relay::Relay;
use super::*;
use crate::id::{BatchSeq, Epoch, WorkerId};
use crate::sched::message::{ToMaster, ToWorker};

#[test]
fn messages_keep_their_order_in_both_directions() {
    let world = World::new();
    let (master, worker) = (world.master(), world.node(Role::Worker, "w"));
    let (to_master, to_worker) = worker.meet(&master);
    for n in 0..5000 {
        worker.net().send(to_master, &ToMaster::Placed { epoch: Epoch(n) }).unwrap();
        let release = ToWorker::Release { epoch: Epoch(n), oldest: BatchSeq(n) };
        master.net().send(to_worker, &release).unwrap();
    }
    for n in 0..5000 {
        assert_eq!(master.message::<ToMaster>(), ToMaster::Placed { epoch: Epoch(n) });
        assert_eq!(worker.message::<ToWorker>().epoch(), Epoch(n));
    }
}

#[test]
fn the_longest_message_arrives() {
    let world = World::new();
    let (master, worker) = (world.master(), world.node(Role::Worker, "w"));
    let (_, to_worker) = worker.meet(&master);
    let placement = (0..200_000).map(|n| WorkerId(n + (1 << 28))).collect();
    let place =
        ToWorker::Place { epoch: Epoch(1), placement, first: BatchSeq(1), start: BatchSeq(1) };
    assert!(place.to_frame().unwrap().len() > 1_000_000);
    master.net().send(to_worker, &place).unwrap();
    assert_eq!(worker.message::<ToWorker>(), place);
}

#[test]
fn goodbye_comes_after_everything_else() {
    let world = World::new();
    let (master, worker) = (world.master(), world.node(Role::Worker, "w"));
    let (to_master, _) = worker.meet(&master);
    for n in 0..1000 {
        worker.net().send(to_master, &ToMaster::Placed { epoch: Epoch(n) }).unwrap();
    }
    worker.net().close(to_master);
    for n in 0..1000 {
        assert_eq!(master.message::<ToMaster>(), ToMaster::Placed { epoch: Epoch(n) });
    }
    assert_eq!(master.closed(), CloseReason::Bye);
    assert!(matches!(worker.closed(), CloseReason::Local | CloseReason::Bye));
    assert_eq!(worker.net().stats().peers + master.net().stats().peers, 0);
    let gone = worker.net().send(to_master, &ToMaster::Joined { slots: 1 });
    assert_eq!(gone, Err(SendError::Gone));
}

#[test]
fn an_endpoint_that_ends_says_goodbye_to_all_peers() {
    let world = World::new();
    let master = world.master();
    let workers: Vec<_> = (0..3).map(|n| world.node(Role::Worker, &format!("w{n}"))).collect();
    for worker in &workers {
        worker.meet(&master);
    }
    let events = master.events.clone();
    drop(master);
    for worker in &workers {
        assert_eq!(worker.closed(), CloseReason::Bye);
    }
    let left = events.try_iter().map(Delivery::take);
    assert_eq!(left.filter(|event| matches!(event, NetEvent::Closed { .. })).count(), 3);
}

#[test]
fn many_peers_of_one_process_are_told_apart() {
    let world = World::new();
    let master = world.master();
    let workers: Vec<_> = (0..8).map(|n| world.node(Role::Worker, &format!("w{n}"))).collect();
    let peers: Vec<_> = workers.iter().map(|worker| worker.meet(&master)).collect();
    for (n, (worker, (to_master, _))) in workers.iter().zip(&peers).enumerate() {
        worker.net().send(*to_master, &ToMaster::Joined { slots: n as u32 }).unwrap();
    }
    for _ in 0..8 {
        let NetEvent::Message { peer, message } = master.next() else { panic!("no message") };
        let n = peers.iter().position(|(_, there)| *there == peer).unwrap();
        assert_eq!(message.read::<ToMaster>().unwrap(), ToMaster::Joined { slots: n as u32 });
    }
}

#[test]
fn an_address_without_a_listener_is_unreachable() {
    let world = World::new();
    let worker = world.node(Role::Worker, "w");
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut options = world.options(Role::Worker, "w2");
    options.limits.handshake = Duration::from_millis(50);
    let hasty = Node::bind(options);
    hasty.net().connect(silent.local_addr().unwrap());
    assert_eq!(hasty.closed(), CloseReason::Unreachable);
    let id = worker.net().connect(silent.local_addr().unwrap());
    worker.net().close(id);
    assert_eq!(worker.closed(), CloseReason::Local);
}

#[test]
fn a_peer_that_is_cut_off_is_noticed_by_both() {
    let world = World::new();
    let node = |role, name| {
        let mut options = world.options(role, name);
        options.limits.silence = Duration::from_millis(400);
        options.limits.keep_alive = Duration::from_millis(100);
        Node::bind(options)
    };
    let (master, worker) = (node(Role::Master, "m"), node(Role::Worker, "w"));
    let relay = Relay::to(master.endpoint.local_addr());
    let to_master = worker.net().connect(relay.addr);
    assert_eq!(worker.connected().0, to_master);
    master.connected();
    relay.cut();
    assert_eq!(worker.closed(), CloseReason::Silent);
    assert_eq!(master.closed(), CloseReason::Silent);
}

#[test]
fn no_more_peers_than_there_is_room_for() {
    let world = World::new();
    let mut options = world.options(Role::Master, "m");
    options.limits.peers = 1;
    let master = Node::bind(options);
    let (first, second) = (world.node(Role::Worker, "w1"), world.node(Role::Worker, "w2"));
    let (to_master, _) = first.meet(&master);
    second.net().connect(master.endpoint.local_addr());
    let full = crate::wire::Refusal::Full { peers: 1 };
    assert_eq!(second.closed(), CloseReason::Refused(full.clone()));
    assert_eq!(master.refused(), full);
    first.net().close(to_master);
    assert_eq!(master.closed(), CloseReason::Bye);
    second.meet(&master);
}

#[test]
fn a_port_for_blocks_that_cannot_be_reached_is_named() {
    let world = World::new();
    let node = |role, name| {
        let mut options = world.options(role, name);
        options.limits.handshake = Duration::from_millis(400);
        Node::bind(options)
    };
    let (master, worker) = (node(Role::Master, "m"), node(Role::Worker, "w"));
    // The relay passes on the control port only.
    let elsewhere = std::net::Ipv4Addr::new(127, 0, 0, 2);
    let relay = Relay::at(elsewhere, master.endpoint.local_addr());
    worker.net().connect(relay.addr);
    let addr = (elsewhere, master.net().bulk_addr().port()).into();
    assert_eq!(worker.closed(), CloseReason::NoBulk { addr });
    assert_eq!(master.refused(), crate::wire::Refusal::Timeout);
    assert_eq!(master.net().stats().peers, 0);
}

#[test]
fn blocks_are_taken_at_the_port_that_was_asked_for() {
    let world = World::new();
    let first = world.node(Role::Worker, "w1");
    let taken = first.net().bulk_addr();
    let options = world.options(Role::Worker, "w2").with_bulk_port(taken.port());
    let error = Endpoint::bind(options, drop).unwrap_err();
    assert!(matches!(&error, NetError::Bind { addr, .. } if *addr == taken), "{error}");
}

/// A call whose handshake has ended, and which the driver does not know of yet.
fn handshaken(worker: &Node, master: &Node) -> (PeerId, super::super::peer::Links, trust::Subject) {
    let state = worker.net().quic();
    let (id, _) = state.call();
    let addr = master.endpoint.local_addr();
    let (tell, told) = crossbeam_channel::bounded(1);
    let calling = state.clone();
    state.control.runtime.spawn(async move {
        let ended = super::super::connect::handshake(&calling, id, addr).await;
        let _ = tell.send(ended);
    });
    let ended = told.recv_timeout(DEADLINE).expect("the handshake ends in time");
    let (subject, links) = ended.unwrap_or_else(|reason| panic!("{reason}"));
    (id, links, subject)
}

#[test]
fn a_call_that_is_closed_while_its_handshake_ends_leaves_no_connection() {
    let world = World::new();
    let (master, worker) = (world.master(), world.node(Role::Worker, "w"));
    let (id, links, subject) = handshaken(&worker, &master);
    master.connected();
    worker.net().close(id);
    let state = worker.net().quic();
    let slot = state.room.clone().try_acquire_owned().unwrap();
    super::super::peer::open(state, id, subject, links, slot);
    assert_eq!(worker.connected().0, id);
    assert!(matches!(worker.closed(), CloseReason::Local | CloseReason::Bye));
    assert_eq!(master.closed(), CloseReason::Bye);
}

#[test]
fn a_call_that_was_answered_is_not_given_up() {
    let world = World::new();
    let (master, worker) = (world.master(), world.node(Role::Worker, "w"));
    let (id, links, subject) = handshaken(&worker, &master);
    assert!(!worker.net().give_up(id), "the master has granted it");
    let state = worker.net().quic();
    let slot = state.room.clone().try_acquire_owned().unwrap();
    super::super::peer::open(state, id, subject, links, slot);
    assert_eq!(worker.connected().0, id);
    master.connected();
    assert!(!worker.net().give_up(id), "it is a peer");
}

#[test]
fn a_call_that_has_no_answer_is_given_up() {
    let world = World::new();
    let worker = world.node(Role::Worker, "w");
    // A socket that takes packets and says nothing.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let id = worker.net().connect(silent.local_addr().unwrap());
    assert!(worker.net().give_up(id));
    assert!(!worker.net().give_up(id), "it has been given up");
    assert_eq!(worker.closed(), CloseReason::Local);
}
