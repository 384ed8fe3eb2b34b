//! Clients that break the protocol or do not read; the receiver and other clients go on.

use super::cluster::*;
use crate::client::*;
use crate::id::Epoch;
use crate::net::{BindOptions, CloseReason, Endpoint, Net, NetEvent, PeerId};
use crate::wire::{BlockHeader, BlockKind, ToClient, ToReceiver};

/// A client that sends arbitrary messages.
struct Rogue {
    events: crossbeam_channel::Receiver<NetEvent>,
    endpoint: Endpoint,
    peer: PeerId,
}

impl Rogue {
    fn new(cluster: &Cluster, worker: &Worker) -> Self {
        let (tell, events) = crossbeam_channel::unbounded();
        let options = BindOptions::new(cluster.client("rogue"), 0);
        let deliver = move |delivery: crate::net::Delivery| drop(tell.send(delivery.take()));
        let endpoint = Endpoint::bind(options, deliver).unwrap();
        let peer = endpoint.net().connect(worker.addr());
        let rogue = Self { events, endpoint, peer };
        assert!(matches!(rogue.next(), NetEvent::Connected { .. }));
        rogue
    }

    fn net(&self) -> &Net {
        self.endpoint.net()
    }

    fn next(&self) -> NetEvent {
        self.events.recv_timeout(DEADLINE).expect("in time")
    }

    fn open(&self) {
        let open = ToReceiver::Open {
            stream: "views".to_owned(),
            client: ClientId(666),
            first: 1,
            header: None,
        };
        self.net().send(self.peer, &open).unwrap();
        let NetEvent::Message { message, .. } = self.next() else { panic!("no answer") };
        assert!(matches!(message.read().unwrap(), ToClient::Opened { .. }));
    }

    fn push(&self, number: u64, lines: &[u8]) {
        let header = BlockHeader { epoch: Epoch(0), kind: BlockKind::Append { number }, piece: 0 };
        self.net().push_block(self.peer, &header, &raw(lines)).unwrap().detach();
    }

    /// Why the receiver closed the connection.
    fn accused(&self) -> String {
        loop {
            match self.next() {
                NetEvent::Closed { reason: CloseReason::Accused(why), .. } => return why,
                NetEvent::Message { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Asserts that an honest client gets through.
fn goes_on(cluster: &Cluster) {
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        views.send("a\nb\n").await.unwrap();
        assert_eq!(views.flush().await.unwrap().records, 2);
    });
}

#[test]
fn a_client_that_breaks_the_protocol_is_disconnected() {
    let cluster = Cluster::new();
    let worker = cluster.receiver("w1", Behaviour::Take);
    let told = |act: &dyn Fn(&Rogue)| {
        let rogue = Rogue::new(&cluster, &worker);
        act(&rogue);
        rogue.accused()
    };
    assert!(told(&|rogue| rogue.push(1, b"a\n")).contains("is not open"));
    assert!(
        told(&|rogue| {
            rogue.open();
            rogue.push(1, b"torn");
        })
        .contains("line break")
    );
    assert!(
        told(&|rogue| {
            rogue.open();
            rogue.push(1 << 20, b"a\n");
        })
        .contains("is missing")
    );
    assert!(
        told(&|rogue| {
            rogue.open();
            rogue.push(1, &vec![b'\n'; (1 << 20) + 1]);
        })
        .contains("it may have")
    );
    goes_on(&cluster);
}

#[test]
fn a_client_cannot_send_more_than_its_window() {
    let cluster = Cluster::new();
    let worker = cluster.receiver("w1", Behaviour::Hold);
    let rogue = Rogue::new(&cluster, &worker);
    rogue.open();
    let lines = vec![b'\n'; 1 << 20];
    (1..=9).for_each(|number| rogue.push(number, &lines));
    assert!(rogue.accused().contains("without being acknowledged"));
    // Exactly what was promised was taken in.
    assert!(cluster.held_bytes() <= 8 << 20);
    worker.set(Behaviour::Take);
    goes_on(&cluster);
}

#[test]
fn a_client_that_asks_and_does_not_read_is_given_up() {
    let cluster = Cluster::new();
    let worker = cluster.receiver("w1", Behaviour::Take);
    let (tell, events) = crossbeam_channel::unbounded();
    let mut options = BindOptions::new(cluster.client("deaf"), 0);
    // Its events are never taken, so its windows fill up.
    options.limits.untaken_messages = 0;
    let deliver = move |delivery: crate::net::Delivery| drop(tell.send(delivery));
    let endpoint = Endpoint::bind(options, deliver).unwrap();
    let peer = endpoint.net().connect(worker.addr());
    let first = events.recv_timeout(DEADLINE).unwrap().take();
    assert!(matches!(first, NetEvent::Connected { .. }));
    let open = ToReceiver::Open {
        stream: "unknown".to_owned(),
        client: ClientId(1),
        first: 1,
        header: None,
    };
    // Each is answered, until too many answers wait.
    while endpoint.net().send(peer, &open).is_ok() {
        while endpoint.net().unsent(peer) > 1 << 20 {
            std::thread::yield_now();
        }
    }
    goes_on(&cluster);
}
