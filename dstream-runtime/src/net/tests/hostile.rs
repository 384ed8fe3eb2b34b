//! Peers that break the protocol and strangers that waste time; well-behaved peers are unaffected.

use std::net::UdpSocket;
use std::time::Duration;

use quinn::{ClientConfig, Connection, RecvStream, SendStream};

use super::super::connect::dial;
use super::super::endpoint_state::Configs;
use super::super::frames::{expect, say};
use super::super::socket;
use super::super::trust::{ALPN_CONTROL, WallClock, join_config};
use super::relay::Relay;
use super::*;
use crate::block::HEADER_LEN;
use crate::id::Epoch;
use crate::sched::message::{ToMaster, ToWorker};
use crate::wire::{
    Attach, BlockHeader, BlockKind, Frame, FrameKind, Hello, Message, Refusal, Session, Welcome,
    encode,
};

/// A process with a valid certificate that sends arbitrary bytes.
struct Rogue {
    node: Node,
    target: std::net::SocketAddr,
    bulk: std::net::SocketAddr,
}

/// Its two connections after the handshake.
struct Inside {
    control: Connection,
    bulk: Connection,
    send: SendStream,
    _recv: RecvStream,
}

impl Rogue {
    fn new(world: &World, role: Role, target: &Node) -> Self {
        let (target, bulk) = (target.endpoint.local_addr(), target.net().bulk_addr());
        Self { node: world.node(role, "rogue"), target, bulk }
    }

    fn run<T>(&self, what: impl Future<Output = T>) -> T {
        let deadline = async { tokio::time::timeout(DEADLINE, what).await.expect("in time") };
        self.node.net().quic().control.runtime.block_on(deadline)
    }

    async fn dial(&self, config: ClientConfig) -> Connection {
        dial(&self.node.net().quic().control, config, self.target).await.unwrap()
    }

    async fn control(&self) -> Connection {
        self.dial(self.node.net().quic().configs().control.client.clone()).await
    }

    async fn bulk(&self) -> Connection {
        let state = &self.node.net().quic();
        dial(&state.bulk, state.configs().bulk.client.clone(), self.bulk).await.unwrap()
    }

    async fn enter(&self) -> Inside {
        let state = &self.node.net().quic();
        let control = self.control().await;
        let (mut send, mut recv) = control.open_bi().await.unwrap();
        say(&mut send, FrameKind::Hello, &state.hello).await.unwrap();
        let welcome: Welcome = expect(&mut recv, FrameKind::Welcome).await.unwrap();
        assert_eq!(welcome.bulk, self.bulk.port());
        let bulk = self.bulk().await;
        let (mut ask, _answer) = bulk.open_bi().await.unwrap();
        say(&mut ask, FrameKind::Attach, &Attach { session: welcome.session }).await.unwrap();
        Inside { control, bulk, send, _recv: recv }
    }
}

/// A master and a connected, honest worker.
struct Honest {
    world: World,
    master: Node,
    worker: Node,
    to_master: PeerId,
}

impl Honest {
    fn new() -> Self {
        let world = World::new();
        let (master, worker) = (world.master(), world.node(Role::Worker, "honest"));
        let (to_master, _) = worker.meet(&master);
        Self { world, master, worker, to_master }
    }

    /// Asserts that the honest worker is still connected and heard.
    fn goes_on(&self) {
        self.worker.net().send(self.to_master, &ToMaster::Joined { slots: 7 }).unwrap();
        assert_eq!(self.master.message::<ToMaster>(), ToMaster::Joined { slots: 7 });
    }

    /// Lets a rogue worker in and write `bytes`; returns the master's close reason and the rogue's.
    fn hears(&self, bytes: &[u8]) -> (CloseReason, CloseReason) {
        let rogue = Rogue::new(&self.world, Role::Worker, &self.master);
        let told = rogue.run(async {
            let mut inside = rogue.enter().await;
            // The other side may close before everything is written.
            let _ = inside.send.write_all(bytes).await;
            inside.control.closed().await
        });
        self.master.connected();
        (self.master.closed(), told.into())
    }
}

fn pseudo_random(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let step = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}

#[test]
fn garbage_on_the_ports_is_ignored() {
    let honest = Honest::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..5000 {
        let mut bytes = pseudo_random(n % 1500, n as u64);
        // Some of it looks like the first packet of a QUIC handshake.
        if n % 3 == 0 && n % 1500 > 20 {
            bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
        }
        for port in [honest.master.endpoint.local_addr(), honest.master.net().bulk_addr()] {
            socket.send_to(&bytes, port).unwrap();
        }
    }
    honest.goes_on();
    // A new worker needs both ports.
    let late = honest.world.node(Role::Worker, "late");
    let (to_master, _) = late.meet(&honest.master);
    late.net().close(to_master);
    assert_eq!(honest.master.closed(), CloseReason::Bye);
    honest.goes_on();
    assert_eq!(honest.master.net().stats().peers, 1);
}

#[test]
fn garbage_after_a_valid_handshake_ends_that_connection_only() {
    let honest = Honest::new();
    for seed in 0..3 {
        let (reason, told) = honest.hears(&pseudo_random(100_000, seed));
        let CloseReason::Violation(why) = reason else { panic!("{reason:?}") };
        assert_eq!(told, CloseReason::Accused(why));
    }
    honest.goes_on();
}

#[test]
fn a_frame_that_claims_4_gib_is_refused_before_anything_is_allocated() {
    let honest = Honest::new();
    let mut frame = Frame::empty(FrameKind::Message(crate::wire::MessageKind::ToMaster));
    frame[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let (reason, _) = honest.hears(&frame);
    assert!(reason.to_string().contains("claims 4294967295 bytes"), "{reason}");
    honest.goes_on();
}

#[test]
fn a_damaged_message_is_not_delivered() {
    let honest = Honest::new();
    let mut frame = encode(
        FrameKind::Message(crate::wire::MessageKind::ToMaster),
        &ToMaster::Placed { epoch: Epoch(9) },
    )
    .unwrap();
    *frame.last_mut().unwrap() ^= 4;
    let (reason, _) = honest.hears(&frame);
    assert!(reason.to_string().contains("checksum"), "{reason}");
    honest.goes_on();
}

#[test]
fn a_worker_cannot_place() {
    let honest = Honest::new();
    let release = ToWorker::Release { epoch: Epoch(1), oldest: crate::id::BatchSeq(1) };
    let (reason, _) = honest.hears(&release.to_frame().unwrap());
    assert!(reason.to_string().contains("a worker must not send ToWorker to a master"), "{reason}");
    honest.goes_on();
}

#[test]
fn a_broken_handshake_is_refused() {
    let honest = Honest::new();
    let rogue = Rogue::new(&honest.world, Role::Worker, &honest.master);
    let first = |bytes: Vec<u8>| -> CloseReason {
        rogue.run(async {
            let control = rogue.control().await;
            let (mut send, _recv) = control.open_bi().await.unwrap();
            // The other side may close before everything is written.
            let _ = send.write_all(&bytes).await;
            control.closed().await.into()
        })
    };
    let mut huge = Frame::empty(FrameKind::Goodbye);
    huge[3] = 1;
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let attach = Attach { session: Session([0; 16]) };
    for bytes in [
        pseudo_random(200_000, 1),
        huge,
        Frame::empty(FrameKind::Goodbye),
        encode(FrameKind::Attach, &attach).unwrap(),
    ] {
        let refusal = honest.master_refuses(first(bytes));
        assert!(matches!(refusal, Refusal::Malformed { .. }), "{refusal:?}");
    }
    // A session that was never issued.
    let told = rogue.run(async {
        let bulk = rogue.bulk().await;
        let (mut send, _recv) = bulk.open_bi().await.unwrap();
        say(&mut send, FrameKind::Attach, &attach).await.unwrap();
        bulk.closed().await
    });
    let refusal = honest.master_refuses(told.into());
    assert!(refusal.to_string().contains("unknown session"), "{refusal}");
    honest.goes_on();
}

impl Honest {
    /// The refusal, which both sides report alike.
    fn master_refuses(&self, told: CloseReason) -> Refusal {
        let refusal = self.master.refused();
        assert_eq!(told, CloseReason::Refused(refusal.clone()));
        refusal
    }
}

#[test]
fn without_a_certificate_there_is_nothing_but_joining() {
    let honest = Honest::new();
    let rogue = Rogue::new(&honest.world, Role::Worker, &honest.master);
    let wall = WallClock(honest.world.wall());
    let (mut tls, _) = join_config(honest.world.authority.fingerprint(), &wall).unwrap();
    tls.alpn_protocols = vec![ALPN_CONTROL.to_vec()];
    let config = socket::client(tls.clone(), socket::transport(&Limits::default())).unwrap();
    let hello = Hello::new(Role::Worker, "job", PLAN);
    let told = rogue.run(async {
        let control = rogue.dial(config).await;
        // The other side may close before it reads anything.
        if let Ok((mut send, _recv)) = control.open_bi().await {
            let _ = say(&mut send, FrameKind::Hello, &hello).await;
        }
        control.closed().await
    });
    assert_eq!(honest.master_refuses(told.into()), Refusal::NoCertificate);
    // Nor for a process that speaks another protocol.
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let config = socket::client(tls, socket::transport(&Limits::default())).unwrap();
    let told = rogue.run(dial(&rogue.node.net().quic().control, config, rogue.target)).unwrap_err();
    assert_eq!(honest.master_refuses(told), Refusal::Protocol);
    honest.goes_on();
}

#[test]
fn each_port_has_its_own_protocol() {
    let honest = Honest::new();
    let rogue = Rogue::new(&honest.world, Role::Worker, &honest.master);
    let state = &rogue.node.net().quic();
    let (control, bulk) =
        (state.configs().control.client.clone(), state.configs().bulk.client.clone());
    for (port, config, addr) in
        [(&state.bulk, control, rogue.bulk), (&state.control, bulk, rogue.target)]
    {
        let told = rogue.run(dial(port, config, addr)).unwrap_err();
        assert_eq!(honest.master_refuses(told), Refusal::Protocol);
    }
    honest.goes_on();
}

#[test]
fn a_silent_caller_is_disconnected() {
    let world = World::new();
    let mut options = world.options(Role::Master, "m");
    options.limits.handshake = Duration::from_millis(300);
    let master = Node::bind(options);
    let rogue = Rogue::new(&world, Role::Worker, &master);
    for bulk in [false, true] {
        let told = rogue.run(async {
            let connection = if bulk { rogue.bulk().await } else { rogue.control().await };
            connection.closed().await
        });
        assert_eq!(CloseReason::from(told), CloseReason::Refused(Refusal::Timeout));
        assert_eq!(master.refused(), Refusal::Timeout);
    }
    assert_eq!(master.net().stats().handshakes, 0);
}

/// How a worker closes on a block changed by `change`.
fn block_told(change: impl FnOnce(&mut Vec<u8>)) -> CloseReason {
    told_of(Role::Worker, super::blocks::header(1), change)
}

/// How a worker closes on such a block of a process of that role.
fn told_of(role: Role, header: BlockHeader, change: impl FnOnce(&mut Vec<u8>)) -> CloseReason {
    let world = World::new();
    let worker = world.node(Role::Worker, "w");
    let rogue = Rogue::new(&world, role, &worker);
    let mut bytes = encode(FrameKind::Block, &header).unwrap();
    let frame = bytes.len();
    let block = super::blocks::block(10_000, 3);
    bytes.extend_from_slice(block.header());
    bytes.extend_from_slice(block.body());
    let mut tail = bytes.split_off(frame);
    change(&mut tail);
    bytes.append(&mut tail);
    let _inside = rogue.run(async {
        let inside = rogue.enter().await;
        let mut stream = inside.bulk.open_uni().await.unwrap();
        // The other side may close before everything is written.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.finish();
        inside.bulk.closed().await;
        inside
    });
    worker.connected();
    // A whole block is delivered, whatever follows it.
    loop {
        match worker.next_of_peers() {
            NetEvent::Block { .. } => {}
            NetEvent::Closed { reason, .. } => return reason,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_block_is_as_long_as_it_says_and_never_too_long() {
    let says = |change: fn(&mut Vec<u8>), text: &str| {
        let reason = block_told(change);
        assert!(matches!(&reason, CloseReason::Violation(why) if why.contains(text)), "{reason}");
    };
    says(|block| block.push(0), "cut off after 1 bytes");
    says(|block| block.truncate(block.len() - 1), "too early");
    says(|block| block.truncate(HEADER_LEN - 1), "cut off");
    says(|block| block.clear(), "too early");
    says(|block| block[0] ^= 1, "no block");
    says(|block| claim(block, 4 << 30), "none is that long");
}

/// Makes the preamble claim a body of that length, with a valid checksum.
fn claim(block: &mut [u8], len: u64) {
    block[24..32].copy_from_slice(&len.to_le_bytes());
    let checksum = xxhash_rust::xxh3::xxh3_64(&block[..56]);
    block[56..HEADER_LEN].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn a_role_pushes_only_its_own_blocks() {
    let pushed = |role, kind| {
        let header = BlockHeader { epoch: Epoch(1), kind, piece: 0 };
        let reason = told_of(role, header, |_| {});
        let CloseReason::Violation(why) = reason else { panic!("{reason}") };
        why
    };
    let append = BlockKind::Append { number: 1 };
    assert_eq!(pushed(Role::Worker, append), "a worker must not push an append to a worker");
    let segment = super::blocks::header(1).kind;
    assert_eq!(pushed(Role::Client, segment), "a client must not push a segment to a worker");
    assert_eq!(pushed(Role::Master, segment), "a master must not push a segment to a worker");
}

#[test]
fn a_clients_block_is_short() {
    let append = BlockHeader { epoch: Epoch(0), kind: BlockKind::Append { number: 1 }, piece: 0 };
    let len = Limits::default().client_block as u64 + 1;
    let reason = told_of(Role::Client, append, |block| claim(block, len));
    let bound = format!("a block of {len} bytes; it may have {}", len - 1);
    assert_eq!(reason, CloseReason::Violation(bound));
}

#[test]
fn a_client_cannot_open_more_than_it_may() {
    let honest = Honest::new();
    let rogue = Rogue::new(&honest.world, Role::Client, &honest.master);
    // A master takes no blocks, so it grants no QUIC stream for one.
    let outcome = rogue.run(async {
        let inside = rogue.enter().await;
        let open = inside.bulk.open_uni();
        let never = tokio::time::timeout(Duration::from_millis(50), open).await.is_err();
        (never, inside)
    });
    assert!(outcome.0);
    honest.master.connected();
    honest.goes_on();
}

#[test]
fn a_peer_that_does_not_read_is_given_up() {
    let world = World::new();
    let mut options = world.options(Role::Master, "m");
    options.limits.unsent_messages = 4 << 20;
    let limit = options.limits.unsent_messages;
    let (master, worker) = (Node::bind(options), world.node(Role::Worker, "w"));
    let (_, to_worker) = worker.meet(&master);
    // The worker's driver takes nothing: 20 MiB of messages fill its room, and some more are in flight.
    let placement = vec![crate::id::WorkerId(1); 100_000].into();
    let place = ToWorker::Place {
        epoch: Epoch(1),
        placement,
        first: crate::id::BatchSeq(1),
        start: crate::id::BatchSeq(1),
    };
    let len = place.to_frame().unwrap().len();
    let mut sent = 0;
    let refused = loop {
        match master.net().send(to_worker, &place) {
            Ok(()) => sent += len,
            Err(error) => break error,
        }
    };
    let SendError::Slow { unsent } = refused else { panic!("{refused}") };
    assert!(unsent <= limit + len);
    assert!(sent < limit + (40 << 20), "{sent} bytes were taken for a peer that reads nothing");
    assert_eq!(master.closed(), CloseReason::Slow);
}

/// A thousand unfinished handshakes at that port of a master; then an honest worker connects.
fn half_open(port: fn(&Net) -> std::net::SocketAddr, of: fn(&Configs) -> ClientConfig) {
    let world = World::new();
    let master = world.master();
    let relay = Relay::to(port(master.net()));
    relay.one_way();
    let crowd = world.node(Role::Worker, "crowd");
    let state = &crowd.net().quic();
    let _half_open: Vec<_> = (0..1000)
        .map(|_| {
            let _inside = state.control.runtime.enter();
            let config = of(&state.configs());
            state.control.quinn.connect_with(config, relay.addr, "dstream").unwrap()
        })
        .collect();
    // They have arrived once the master asks newcomers to prove their address.
    let mut rounds: u64 = 0;
    while master.net().stats().retried < 500 {
        std::thread::yield_now();
        rounds += 1;
        assert!(rounds < 1 << 32, "{:?}", master.net().stats());
    }
    assert!(master.net().stats().handshakes <= Limits::default().retry_above);
    let worker = world.node(Role::Worker, "w");
    let (to_master, _) = worker.meet(&master);
    worker.net().send(to_master, &ToMaster::Joined { slots: 1 }).unwrap();
    assert_eq!(master.message::<ToMaster>(), ToMaster::Joined { slots: 1 });
}

#[test]
fn a_thousand_half_open_handshakes_block_no_worker() {
    half_open(Net::local_addr, |configs| configs.control.client.clone());
}

#[test]
fn nor_do_they_at_the_port_for_blocks() {
    half_open(Net::bulk_addr, |configs| configs.bulk.client.clone());
}
