//! Unacknowledged appends are sent again and counted once.

use super::cluster::*;
use crate::client::*;

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("line {n}\n")).collect()
}

#[test]
fn another_receiver_takes_over_when_one_dies() {
    let cluster = Cluster::new();
    let first = cluster.receiver("w1", Behaviour::Silent);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        // Registered, but the receiver dies before it acknowledges.
        views.send(lines(0, 30_000)).await.unwrap();
        cluster.wait_registered(views.client(), 1);
        let _second = cluster.receiver("w2", Behaviour::Take);
        drop(first);
        views.send(lines(30_000, 31_000)).await.unwrap();
        assert_eq!(views.flush().await.unwrap().records, 31_000);
        assert!(cluster.lines(views.client()) == lines(0, 31_000));
        let (again, through) = cluster.registry(|r| (r.again, r.through.clone()));
        assert!(again >= 1);
        assert_eq!(through, ["w1", "w2"]);
    });
}

#[test]
fn a_stream_waits_for_a_receiver_that_comes_later() {
    let cluster = Cluster::new();
    let first = cluster.receiver("w1", Behaviour::Hold);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        views.send(lines(0, 10)).await.unwrap();
        cluster.wait_held(1);
        drop(first);
        // It asks repeatedly while there is no receiver.
        cluster.wait_asked(4);
        views.send(lines(10, 20)).await.unwrap();
        let _second = cluster.receiver("w2", Behaviour::Take);
        assert_eq!(views.flush().await.unwrap().records, 20);
        assert_eq!(cluster.lines(views.client()), lines(0, 20));
    });
}

#[test]
fn a_receiver_that_leaves_sends_its_clients_elsewhere() {
    let cluster = Cluster::new();
    let first = cluster.receiver("w1", Behaviour::Hold);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut streams = Vec::new();
        for n in 0..5 {
            let mut stream = client.open("views").await.unwrap();
            stream.send(lines(n, n + 100)).await.unwrap();
            streams.push(stream);
        }
        cluster.wait_held(5);
        let _second = cluster.receiver("w2", Behaviour::Take);
        first.leave();
        for (n, stream) in streams.iter_mut().enumerate() {
            assert_eq!(stream.flush().await.unwrap().records, 100);
            assert_eq!(cluster.lines(stream.client()), lines(n, n + 100));
        }
    });
}

#[test]
fn a_receiver_lost_by_its_master_is_replaced_although_its_connection_stays() {
    let cluster = Cluster::new();
    let first = cluster.receiver("w1", Behaviour::Hold);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        views.send(lines(0, 100)).await.unwrap();
        cluster.wait_held(1);
        let _second = cluster.receiver("w2", Behaviour::Take);
        first.lost();
        assert_eq!(views.flush().await.unwrap().records, 100);
        assert_eq!(cluster.lines(views.client()), lines(0, 100));
    });
}

#[test]
fn a_slow_receiver_is_not_replaced() {
    let cluster = Cluster::new();
    let first = cluster.receiver("w1", Behaviour::Hold);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        views.send(lines(0, 100)).await.unwrap();
        cluster.wait_held(1);
        let _second = cluster.receiver("w2", Behaviour::Take);
        // One question for a receiver, the others whether it is still there.
        cluster.wait_asked(4);
        first.set(Behaviour::Take);
        assert_eq!(views.flush().await.unwrap().records, 100);
        assert_eq!(cluster.registry(|registry| registry.through.clone()), ["w1"]);
    });
}

#[test]
fn a_client_that_starts_again_goes_on_where_it_was() {
    let cluster = Cluster::new();
    let _worker = cluster.receiver("w1", Behaviour::Take);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        let id = views.client();
        for n in 0..5 {
            views.send(lines(n, n + 1)).await.unwrap();
            views.flush().await.unwrap();
        }
        assert_eq!(views.through(), 5);
        client.close().await;
        // It had recorded only three of them as safe.
        let client = Client::connect(cluster.options()).await.unwrap();
        let again = StreamOptions::new("views").go_on(id, 4);
        let mut views = client.open_with(again).await.unwrap();
        for n in 3..8 {
            views.send(lines(n, n + 1)).await.unwrap();
            views.flush().await.unwrap();
        }
        assert_eq!((views.through(), views.acknowledged().records), (8, 5));
        assert_eq!(cluster.lines(id), lines(0, 8));
        assert_eq!(cluster.registry(|registry| registry.again), 2);
        // A gap is refused with the expected number.
        let beyond = StreamOptions::new("views").go_on(id, 100);
        let mut views = client.open_with(beyond).await.unwrap();
        views.send("x\n").await.unwrap();
        let error = views.flush().await.unwrap_err();
        assert!(error.to_string().contains("9 comes next"), "{error}");
        assert!(views.send("y\n").await.is_err());
    });
}

#[test]
fn many_receivers_share_many_streams() {
    let cluster = Cluster::new();
    let workers =
        [cluster.receiver("w1", Behaviour::Take), cluster.receiver("w2", Behaviour::Take)];
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut streams = Vec::new();
        for n in 0..12 {
            // Fixed ids, so that their receivers are known.
            let options = StreamOptions::new("views").go_on(ClientId(n), 1);
            streams.push(client.open_with(options).await.unwrap());
        }
        for stream in &mut streams {
            stream.send("a\nb\n").await.unwrap();
            assert_eq!(stream.flush().await.unwrap().records, 2);
        }
        let through = cluster.registry(|registry| registry.through.clone());
        assert!(workers.len() == 2 && through.len() > 1, "{through:?}");
    });
}
