//! Lifelines: how they begin and end, and what strangers do at their port.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use super::relay::Relay;
use super::*;
use crate::id::Epoch;
use crate::net::lifeline::STRANGERS;
use crate::sched::message::ToMaster;

/// Length of a worker's bytes on its lifeline.
const HELLO: usize = 24;

/// A worker that reaches its master over a relay, and the listener for its lifeline.
struct Far {
    master: Node,
    worker: Node,
    relay: Relay,
    lifelines: TcpListener,
}

impl Far {
    fn new(world: &World, master: BindOptions) -> Self {
        let (master, worker) = (Node::bind(master), world.node(Role::Worker, "w"));
        // TCP must have the same port number; take the next one if it is in use.
        let (relay, lifelines) = loop {
            let relay = Relay::to(master.endpoint.local_addr());
            if let Ok(lifelines) = TcpListener::bind(relay.addr) {
                break (relay, lifelines);
            }
        };
        Self { master, worker, relay, lifelines }
    }

    /// Connects both by QUIC; returns what each calls the other.
    fn meet(&self) -> (PeerId, PeerId) {
        let to_master = self.worker.net().connect(self.relay.addr);
        assert_eq!(self.worker.connected().0, to_master);
        (to_master, self.master.connected().0)
    }

    /// Accepts the worker's lifeline and reads its bytes.
    fn called(&self) -> (TcpStream, [u8; HELLO]) {
        let (mut from_worker, _) = self.lifelines.accept().unwrap();
        from_worker.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut hello = [0; HELLO];
        from_worker.read_exact(&mut hello).unwrap();
        (from_worker, hello)
    }

    /// Opens a lifeline to the master with those bytes.
    fn calls(&self, hello: &[u8]) -> TcpStream {
        says(self.master.endpoint.local_addr(), hello)
    }

    /// Asserts that the worker is still a peer.
    fn goes_on(&self, to_master: PeerId) {
        self.worker.net().send(to_master, &ToMaster::Placed { epoch: Epoch(7) }).unwrap();
        assert_eq!(self.master.message::<ToMaster>(), ToMaster::Placed { epoch: Epoch(7) });
    }

    fn ended(&self) -> PeerId {
        match self.master.next() {
            NetEvent::LifelineEnded { peer } => peer,
            other => panic!("{other:?}"),
        }
    }
}

fn says(addr: SocketAddr, hello: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(hello).unwrap();
    stream
}

/// Asserts that the other side closes silently.
fn assert_hung_up(mut stream: TcpStream) {
    match stream.read(&mut [0]) {
        Ok(said) => assert_eq!(said, 0),
        // It closed with unread bytes.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn the_end_of_a_lifeline_is_told_and_does_not_end_the_peer() {
    let world = World::new();
    let far = Far::new(&world, world.options(Role::Master, "m"));
    let (to_master, to_worker) = far.meet();
    let (from_worker, hello) = far.called();
    let to_there = far.calls(&hello);
    far.goes_on(to_master);
    to_there.shutdown(Shutdown::Both).unwrap();
    assert_eq!(far.ended(), to_worker);
    far.goes_on(to_master);
    drop(from_worker);
    far.goes_on(to_master);
    // The end is reported once.
    far.worker.net().close(to_master);
    assert!(matches!(far.master.next(), NetEvent::Closed { reason: CloseReason::Bye, .. }));
}

#[test]
fn a_lifeline_ends_with_its_peer_and_that_is_no_news() {
    let world = World::new();
    let far = Far::new(&world, world.options(Role::Master, "m"));
    let (to_master, _) = far.meet();
    let (mut from_worker, hello) = far.called();
    let to_there = far.calls(&hello);
    far.goes_on(to_master);
    far.worker.net().close(to_master);
    assert!(matches!(far.master.next(), NetEvent::Closed { reason: CloseReason::Bye, .. }));
    assert!(matches!(far.worker.closed(), CloseReason::Local | CloseReason::Bye));
    assert_eq!(from_worker.read(&mut [0]).unwrap(), 0);
    assert_hung_up(to_there);
    assert_eq!(far.master.events.try_iter().count(), 0);
}

#[test]
fn a_worker_is_told_that_its_lifeline_has_ended() {
    let world = World::new();
    let far = Far::new(&world, world.options(Role::Master, "m"));
    let (to_master, _) = far.meet();
    let (from_worker, hello) = far.called();
    let _to_there = far.calls(&hello);
    drop(from_worker);
    assert!(matches!(far.worker.next(), NetEvent::LifelineEnded { peer } if peer == to_master));
    far.goes_on(to_master);
}

#[test]
fn a_secret_counts_for_one_connection() {
    let world = World::new();
    let far = Far::new(&world, world.options(Role::Master, "m"));
    let (to_master, to_worker) = far.meet();
    let (_from_worker, hello) = far.called();
    let first = far.calls(&hello);
    // The order of two connections is certain only once the first is accepted.
    drop(first);
    assert_eq!(far.ended(), to_worker);
    assert_hung_up(far.calls(&hello));
    far.goes_on(to_master);
}

#[test]
fn a_lifeline_that_sends_more_than_its_name_is_closed() {
    let world = World::new();
    let far = Far::new(&world, world.options(Role::Master, "m"));
    let (to_master, to_worker) = far.meet();
    let (_from_worker, hello) = far.called();
    let long = far.calls(&[&hello[..], b"!"].concat());
    assert_eq!(far.ended(), to_worker);
    assert_hung_up(long);
    far.goes_on(to_master);
}

#[test]
fn a_worker_whose_lifeline_does_not_come_is_named() {
    let world = World::new();
    let mut options = world.options(Role::Master, "m");
    options.limits.handshake = Duration::from_millis(300);
    let far = Far::new(&world, options);
    let (to_master, to_worker) = far.meet();
    assert!(matches!(far.master.next(), NetEvent::NoLifeline { peer } if peer == to_worker));
    let (_from_worker, hello) = far.called();
    // Too late.
    assert_hung_up(far.calls(&hello));
    far.goes_on(to_master);
}

#[test]
fn strangers_are_disconnected_and_block_no_worker() {
    let world = World::new();
    let mut options = world.options(Role::Master, "m");
    options.limits.handshake = Duration::from_millis(500);
    let far = Far::new(&world, options);
    let master = far.master.endpoint.local_addr();
    for hello in [&b"GET / HTTP/1.1\r\nHost: master\r\n\r\n"[..], &[0; HELLO], &[0xff; 70_000]] {
        let mut stream = TcpStream::connect(master).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // The other side may close before everything is written.
        let _ = stream.write_all(hello);
        assert_hung_up(stream);
    }
    // More than the listener holds, and all too short.
    let slow: Vec<_> = (0..STRANGERS + 20).map(|_| says(master, b"dstr")).collect();
    slow.into_iter().for_each(assert_hung_up);
    let (to_master, to_worker) = far.meet();
    let (_from_worker, hello) = far.called();
    drop(far.calls(&hello));
    assert_eq!(far.ended(), to_worker);
    far.goes_on(to_master);
}

#[test]
fn there_are_lifelines_between_workers_and_masters_only() {
    let world = World::new();
    let (master, worker) = (world.master(), world.node(Role::Worker, "w"));
    TcpStream::connect(master.endpoint.local_addr()).unwrap();
    let refused = TcpStream::connect(worker.endpoint.local_addr()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_master_whose_port_is_taken_for_tcp_goes_on_without() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = world.options(Role::Master, "m");
    options.addr = taken.local_addr().unwrap();
    options.limits.handshake = Duration::from_millis(300);
    let master = Node::bind(options);
    let warning = master.endpoint.warnings().iter().find_map(|warning| match warning {
        NetWarning::NoLifelines { addr, .. } => Some(*addr),
        NetWarning::SmallBuffer(_) => None,
    });
    assert_eq!(warning, Some(taken.local_addr().unwrap()));
    let worker = world.node(Role::Worker, "w");
    let (to_master, _) = worker.meet(&master);
    worker.net().close(to_master);
    // No lifeline was promised, so none is missed.
    assert!(matches!(master.next(), NetEvent::Closed { reason: CloseReason::Bye, .. }));
}
