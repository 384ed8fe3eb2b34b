//! Sent records arrive in order, once, and no faster than they are taken.

use std::task::Poll;
use std::time::Duration;

use super::cluster::*;
use crate::client::*;
use crate::record::Format;

fn line(n: usize) -> String {
    format!("{{\"n\":{n},\"pad\":\"{}\"}}\n", "x".repeat(n % 90))
}

#[test]
fn lines_arrive_in_order_and_are_acknowledged() {
    let cluster = Cluster::new();
    let _worker = cluster.receiver("w1", Behaviour::Take);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        assert_eq!(views.format(), Format::Json);
        let mut all = String::new();
        for n in 0..5000 {
            all.push_str(&line(n));
            views.send(line(n)).await.unwrap();
        }
        // The missing line break is added.
        views.send("\"last\"").await.unwrap();
        all.push_str("\"last\"\n");
        let done = views.flush().await.unwrap();
        assert_eq!((done.records, done.bytes), (5001, all.len() as u64));
        assert_eq!(done, views.acknowledged());
        assert!(done.batches >= 1 && done.batches == views.through());
        assert!(cluster.lines(views.client()) == all);
        assert_eq!(views.flush().await.unwrap(), done);
        client.close().await;
        assert!(matches!(views.send("x").await, Err(ClientError::Ended { .. })));
    });
}

#[test]
fn large_sends_are_cut_into_appends_at_line_breaks() {
    let cluster = Cluster::new();
    let _worker = cluster.receiver("w1", Behaviour::Take);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        let all: String = (0..100_000).map(line).collect();
        assert!(all.len() > 5 << 20);
        views.send(&all).await.unwrap();
        // A line of the largest size among others.
        let long = format!("{}\n", "y".repeat(views.longest() - 1));
        views.send(&long).await.unwrap();
        views.send("after\n").await.unwrap();
        let done = views.flush().await.unwrap();
        assert_eq!(done.records, 100_002);
        assert!(done.batches > 20, "{done:?}");
        assert!(cluster.lines(views.client()) == format!("{all}{long}after\n"));
        let too_long = views.send(format!("a\nb{long}c\n")).await.unwrap_err();
        assert!(matches!(too_long, ClientError::LongLine { .. }), "{too_long}");
        assert_eq!(views.flush().await.unwrap().records, 100_003);
    });
}

#[test]
fn a_sender_waits_while_nothing_is_acknowledged() {
    let cluster = Cluster::new();
    let worker = cluster.receiver("w1", Behaviour::Hold);
    run(async {
        let mut options = cluster.options();
        options.unacknowledged = 2 << 20;
        let client = Client::connect(options).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        let block: String = (0..1000).map(line).collect();
        let mut sent = 0;
        let waits = loop {
            let mut send = Box::pin(views.send(&block));
            // Room is counted, so whether it waits is known at once.
            match futures_poll(send.as_mut()).await {
                Poll::Ready(done) => done.unwrap(),
                Poll::Pending => break sent,
            }
            sent += block.len();
        };
        assert!(waits <= 2 << 20 && waits + block.len() > 2 << 20, "{waits}");
        assert_eq!(views.acknowledged(), Acknowledged::default());
        cluster.wait_held(2);
        assert!(cluster.held_bytes() <= waits);
        worker.set(Behaviour::Take);
        // The waiting call was dropped without sending anything.
        views.send(&block).await.unwrap();
        let done = views.flush().await.unwrap();
        assert_eq!(done.bytes as usize, sent + block.len());
    });
}

/// Polls once.
async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[test]
fn a_receiver_with_a_small_window_gets_no_more_than_that() {
    let cluster = Cluster::new();
    let limits = SessionLimits { memory: 1 << 20, window: 64 << 10, longest: 64 << 10 };
    let worker = cluster.limited("w1", Behaviour::Hold, limits);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        let all: String = (0..20_000).map(line).collect();
        views.send(&all).await.unwrap();
        cluster.wait_held(1);
        assert!(cluster.held_bytes() <= 64 << 10);
        worker.set(Behaviour::Take);
        assert_eq!(views.flush().await.unwrap().records, 20_000);
        assert!(cluster.lines(views.client()) == all);
    });
}

#[test]
fn typed_records_are_written_as_the_stream_reads_them() {
    let cluster = Cluster::new();
    let _worker = cluster.receiver("w1", Behaviour::Take);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut views = client.open("views").await.unwrap();
        views.send_records(&[("/a\nb".to_owned(), 1u64), ("/".to_owned(), 2)]).await.unwrap();
        assert_eq!(views.flush().await.unwrap().records, 2);
        assert_eq!(
            cluster.lines(views.client()),
            "{\"key\":\"/a\\nb\",\"value\":1}\n{\"key\":\"/\",\"value\":2}\n"
        );
        // CSV by column names, which these records do not have.
        let mut table = client.open("table").await.unwrap();
        let error = table.send_records(&[(1u64, 2u64)]).await.unwrap_err();
        assert!(error.to_string().contains("send a struct"), "{error}");
    });
}

#[test]
fn the_first_line_of_csv_is_its_header() {
    let cluster = Cluster::new();
    let _worker = cluster.receiver("w1", Behaviour::Take);
    run(async {
        let client = Client::connect(cluster.options()).await.unwrap();
        let mut table = client.open("table").await.unwrap();
        assert_eq!(table.format(), Format::Csv);
        table.send("name,n\r\n").await.unwrap();
        table.send("a,1\nb,2\n").await.unwrap();
        assert_eq!(table.flush().await.unwrap().records, 2);
        assert_eq!(cluster.lines(table.client()), "a,1\nb,2\n");
        let header = cluster.registry(|registry| registry.headers[&table.client()].clone());
        assert_eq!(header.as_deref(), Some("name,n"));
    });
}

#[test]
fn refusals_give_reasons() {
    let cluster = Cluster::new();
    run(async {
        let mut options = cluster.options();
        options.target.patience = Duration::from_millis(200);
        let client = Client::connect(options.clone()).await.unwrap();
        let none = client.open("views").await.unwrap_err();
        assert!(matches!(none, ClientError::NoReceiver { .. }), "{none}");
        let worker = cluster.receiver("w1", Behaviour::Take);
        let unknown = client.open("clicks").await.unwrap_err();
        assert!(unknown.to_string().contains("they can be to: views, table"), "{unknown}");
        drop(worker);
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        options.target.masters = vec![silent.local_addr().unwrap()];
        let error = Client::connect(options.clone()).await.unwrap_err();
        assert!(matches!(error, ClientError::NoMaster { .. }), "{error}");
        options.target.masters = vec![cluster.master];
        options.target.plan = 8;
        let error = Client::connect(options).await.unwrap_err();
        assert!(error.to_string().contains("another plan"), "{error}");
    });
}

#[test]
fn a_file_is_sent_from_the_command_line() {
    let cluster = Cluster::new();
    let _worker = cluster.receiver("w1", Behaviour::Take);
    let all: String = (0..60_000).map(line).collect();
    let target = cluster.options().target;
    let mut last = Acknowledged::default();
    let mut progress = |so_far: &Acknowledged| {
        assert!(so_far.records >= last.records);
        last = *so_far;
    };
    // The last line lacks its line break.
    let text = &all.as_bytes()[..all.len() - 1];
    let done = send(&target, "views", ("log", &mut &text[..]), &mut progress).unwrap();
    assert_eq!((done, done.records, done.bytes as usize), (last, 60_000, all.len()));
    let lines = cluster.registry(|registry| registry.lines.values().next().cloned());
    assert!(lines.unwrap() == all.as_bytes());
    let nothing = send(&target, "views", ("log", &mut &b""[..]), &mut |_| {}).unwrap();
    assert_eq!(nothing, Acknowledged::default());
}

#[test]
fn a_line_that_is_too_long_stops_sending_at_its_number() {
    let cluster = Cluster::new();
    let _worker = cluster.receiver("w1", Behaviour::Take);
    let target = cluster.options().target;
    let longest = 1 << 20;
    let line = |len: usize| "x".repeat(len - 1) + "\n";
    let most = line(longest) + &line(longest - 1) + &line(longest);
    let sent = send(&target, "views", ("log", &mut most.as_bytes()), &mut |_| {}).unwrap();
    assert_eq!((sent.records, sent.bytes), (3, 3 * longest as u64 - 1));
    let before = |count: usize| -> String { (0..count).map(self::line).collect() };
    for (head, long, len) in [
        (before(0), line(longest + 1), "1048577"),
        (before(3), line(longest + 1) + "behind\n", "1048577"),
        (before(20_000), line(2 * longest) + "behind\n", "2097152"),
        // Without its line break.
        (before(1), "x".repeat(longest), "1048576"),
        (before(2), "x".repeat(3 << 20), "more than "),
    ] {
        let text = head.clone() + &long;
        let known = cluster.registry(|registry| registry.lines.len());
        let error = send(&target, "views", ("log", &mut text.as_bytes()), &mut |_| {}).unwrap_err();
        let count = head.lines().count();
        let error = error.to_string();
        let lines = if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
        assert!(error.contains(&format!("log:{}: a line of ", count + 1)), "{error}");
        assert!(error.contains(&format!("The {lines} before it were acknowledged")), "{error}");
        assert!(error.contains(len) || error.contains("more than "), "{error}");
        // What was acknowledged is what is before the line.
        let taken = cluster.registry(|registry| registry.lines.clone());
        let new = taken.len() - known;
        assert_eq!(new, usize::from(count > 0));
        assert!(count == 0 || taken.values().any(|lines| *lines == head.as_bytes()));
    }
}
