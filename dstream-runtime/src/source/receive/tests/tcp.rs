//! Lines over TCP, on a worker.

use std::io::Write;

use super::*;

#[test]
fn lines_of_clients_with_their_splits_and_headers() {
    let listening = open("tcp://127.0.0.1:0?header&max_line=10", Format::Csv);
    let mut one = listening.connect();
    one.write_all(b"a,b\n1,2\n3,").unwrap();
    let first = listening.next();
    assert_eq!((text(&first).as_str(), first.records), ("1,2\n", 1));
    let (split, position, header, ..) = lines(&first).remove(0);
    assert!(split.starts_with("connection 1 from 127.0.0.1:"), "{split}");
    assert_eq!((position, header.as_deref()), (4, Some("a,b")));
    one.write_all(b"4\n0123456789x\n5,6\n").unwrap();
    drop(one);
    listening.connect().write_all(b"c\n7").unwrap();
    listening.receiver.stop();
    let rest = listening.rest();
    let all: Vec<_> = rest.iter().flat_map(lines).collect();
    assert_eq!(rest.iter().map(|received| received.records).sum::<u64>(), 4);
    let of = |header: &str| -> Vec<_> {
        let lines = all.iter().filter(|line| line.2.as_deref() == Some(header));
        lines.map(|line| (line.1, line.3.as_str(), line.4.is_some())).collect()
    };
    assert_eq!(of("a,b"), [(8, "3,4\n", false), (12, "0123456789x\n", true), (24, "5,6\n", false)]);
    assert_eq!(of("c"), [(2, "7", false)]);
}

#[test]
fn a_reset_completes_no_line() {
    let listening = open("tcp://127.0.0.1:0", Format::Text);
    for sent in [&b"y,12\ny,1200"[..], b"y,12\ncaf\xc3"] {
        let mut client = listening.connect();
        client.write_all(sent).unwrap();
        assert_eq!(text(&listening.next()), "y,12\n");
        socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        let torn = listening.next();
        assert_eq!((text(&torn).as_str(), torn.records), ("", 1));
        let (_, position, _, bytes, why) = lines(&torn).remove(0);
        assert_eq!((position, bytes), (5, String::from_utf8_lossy(&sent[5..]).into_owned()));
        assert!(why.is_some_and(|why| why.contains("connection broke")));
    }
    // A clean end completes the last line.
    listening.connect().write_all(b"y,1200").unwrap();
    assert_eq!(text(&listening.next()), "y,1200");
}

#[test]
fn what_is_not_given_back_keeps_sockets_from_being_read() {
    // More than is delivered at once, and less: then lines that were received together are divided.
    for bound in [64 << 10, 1 << 20] {
        holds_no_more_than(bound);
    }
}

fn holds_no_more_than(bound: usize) {
    let url = format!("tcp://127.0.0.1:0?buffer={bound}B&max_line=1KiB");
    let listening = open(&url, Format::Text);
    let expected = format!("{}\n", "x".repeat(999)).repeat(20_000);
    let (sent, client) = (expected.clone(), listening.connect());
    let writer = std::thread::spawn(move || (&client).write_all(sent.as_bytes()));
    let (mut got, mut shares, mut held) = (String::new(), Vec::new(), 0);
    while got.len() < expected.len() {
        let received = match listening.deliveries.try_recv() {
            Ok(Delivery::Received(received)) => received,
            Ok(other) => panic!("{other:?}"),
            // Nothing more comes before something is given back.
            Err(_) if held > bound / 2 => {
                (shares, held) = (Vec::new(), 0);
                continue;
            }
            Err(_) => listening.next(),
        };
        got.push_str(&text(&received));
        held += received.lines.body().len();
        assert!(held <= bound, "{held} bytes are held");
        shares.push(received.ack.done());
    }
    writer.join().unwrap().unwrap();
    assert!(got == expected);
    drop(shares);
}

#[test]
fn lost_lines_make_room_too() {
    let listening = open("tcp://127.0.0.1:0?buffer=64KiB&max_line=1KiB", Format::Text);
    let mut client = listening.connect();
    let sent = format!("{}\n", "x".repeat(999)).repeat(2000);
    let writer = std::thread::spawn(move || client.write_all(sent.as_bytes()));
    let mut records = 0;
    while records < 2000 {
        records += listening.next().records;
    }
    writer.join().unwrap().unwrap();
}

#[test]
fn mistakes() {
    let fail = |url: &str| {
        let deliver = Box::new(|_: Delivery| ());
        let options = OpenOptions::default();
        Receiver::open(url, Format::Text, &options, deliver).err().unwrap().to_string()
    };
    assert!(fail("file:///x").contains("(known: `tcp`, `http`)"));
    assert!(fail("tcp://localhost").contains("tcp://HOST:PORT"));
    let large = fail("tcp://localhost:0?max_line=100MiB&buffer=1GiB");
    assert!(large.contains("where lines travel between workers"), "{large}");
    assert!(fail("http://localhost/x").contains("http://HOST:PORT/PATH"));
    assert!(fail("http://localhost:0?max_body=1GiB").contains("must fit into the `buffer`"));
    assert!(fail("http://localhost:0?max_bodi=1GiB").contains("did you mean `max_body`?"));
    let taken = open("http://127.0.0.1:0", Format::Text);
    let address = taken.receiver.local_addr().to_string();
    assert!(fail(&format!("http://{address}")).starts_with(&format!("cannot listen on {address}")));
}
