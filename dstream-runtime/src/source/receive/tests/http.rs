//! Lines that are posted.

use std::io::{BufRead, BufReader, Read, Write};

use super::*;
use crate::source;
use crate::source::receive::{Ack, ClientBatch, Refusal};

/// Status, head and body of the next answer.
pub(super) type Answer = (u16, String, String);

pub(super) fn read_answer(stream: &TcpStream) -> Answer {
    let mut reader = BufReader::with_capacity(1, stream);
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "no answer");
        head.push_str(&line.to_ascii_lowercase());
    }
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), head, String::from_utf8(body).unwrap())
}

pub(super) fn send(mut stream: &TcpStream, head: &str, body: &[u8]) {
    let length = body.len();
    write!(stream, "{head}\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").unwrap();
    stream.write_all(body).unwrap();
}

pub(super) fn ask(stream: &TcpStream, head: &str, body: &[u8]) -> Answer {
    send(stream, head, body);
    read_answer(stream)
}

pub(super) const POST: &str = "POST /views HTTP/1.1";

/// Acknowledges what comes, and keeps it.
fn taking(url: &str, format: Format) -> (Receiver, mpsc::Receiver<(String, u64)>) {
    let (told, took) = mpsc::channel();
    let deliver = Box::new(move |delivery| {
        if let Delivery::Received(received) = delivery {
            let _ = told.send((text(&received), received.records));
            drop(received.ack.done());
        }
    });
    (Receiver::open(url, format, &OpenOptions::default(), deliver).unwrap(), took)
}

fn connect(receiver: &Receiver) -> TcpStream {
    let stream = TcpStream::connect(receiver.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn lines_are_accepted_one_request_after_the_other() {
    let (receiver, took) = taking("http://127.0.0.1:0/views", Format::Json);
    let client = connect(&receiver);
    for (body, records, lines) in
        [("{}\n{}\n", 2, "{}\n{}\n"), ("1", 1, "1\n"), ("2\n\n3", 3, "2\n\n3\n")]
    {
        let (status, head, answer) = ask(&client, POST, body.as_bytes());
        assert_eq!((status, answer), (200, format!("{{\"accepted\": {records}}}\n")));
        assert!(head.contains("application/json"));
        assert_eq!(took.recv_timeout(PATIENCE).unwrap(), (lines.to_owned(), records));
    }
    assert_eq!(ask(&client, POST, b"").0, 200);
    let chunked = "POST /views?x=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\na\nb\r\n2\r\nc\n\r\n0\r\n\r\n";
    (&client).write_all(chunked.as_bytes()).unwrap();
    assert_eq!(read_answer(&client).2, "{\"accepted\": 2}\n");
    assert_eq!(took.recv_timeout(PATIENCE).unwrap(), ("a\nbc\n".to_owned(), 2));
}

#[test]
fn what_is_no_request_of_lines_is_told_why() {
    let url = "http://127.0.0.1:0/views?max_body=100KB&header";
    let (receiver, took) = taking(url, Format::Csv);
    let refused = |head: &str, body: &[u8]| {
        let (status, head, answer) = ask(&connect(&receiver), head, body);
        assert!(answer.starts_with("{\"accepted\":0,\"error\":\""), "{answer}");
        (status, head, answer)
    };
    assert_eq!(refused("POST /other HTTP/1.1", b"x").0, 404);
    let (status, head, _) = refused("PUT /views HTTP/1.1", b"x");
    assert!(status == 405 && head.contains("allow: post"), "{head}");
    let (status, head, answer) = refused(POST, &b"x\n".repeat(60_000));
    assert!(status == 413 && answer.contains("100000 bytes (`max_body`)"), "{answer}");
    assert!(head.contains("connection: close"));
    assert_eq!(refused(&format!("{POST}\r\nContent-Encoding: gzip"), b"x").0, 415);
    assert!(refused(POST, b"\n1\n").2.contains("header row"));
    assert!(refused(POST, b"\xff\n1\n").2.contains("not UTF-8"));
    let (status, _, answer) = refused(&format!("{POST}\r\nDstream-Client: a"), b"a\n1\n");
    assert!(status == 400 && answer.contains("belong together"), "{answer}");
    let numbered = format!("{POST}\r\nDstream-Client: a\r\nDstream-Batch: 0");
    assert_eq!(refused(&numbered, b"a\n1\n").0, 400);
    // A chunked body does not say how long it will be.
    let client = connect(&receiver);
    let head = format!("{POST}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("186A1\r\n{}\r\n", "x".repeat(100_001));
    let mut writer = client.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        // It may be told so before it has sent everything.
        let _ = writer.write_all((head + &chunk).as_bytes());
    });
    assert_eq!(read_answer(&client).0, 413);
    let client = connect(&receiver);
    let head = format!("{POST}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    (&client).write_all((head + "zz\r\nx\r\n").as_bytes()).unwrap();
    let (status, _, answer) = read_answer(&client);
    assert!(status == 400 && answer.contains("chunk size"), "{answer}");
    writing.join().unwrap();
    assert!(took.try_recv().is_err());
    assert_eq!(ask(&connect(&receiver), POST, b"a,b\n1,2\n").0, 200);
    assert_eq!(took.recv_timeout(PATIENCE).unwrap(), ("1,2\n".to_owned(), 1));
}

#[test]
fn garbage_ends_its_connection_and_nothing_else() {
    let (receiver, _took) = taking("http://127.0.0.1:0/views", Format::Text);
    let long = [b"POST /views HTTP/1.1\r\nX: ".to_vec(), b"x".repeat(1 << 20)].concat();
    let smuggled = b"POST /views HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\nlines";
    for garbage in [&b"\x16\x03\x01\x02\x00\x01"[..], &b"lines\n".repeat(1000), &long, smuggled] {
        let mut client = connect(&receiver);
        // It may be closed before all of it is sent.
        let _ = client.write_all(garbage);
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"));
    }
    let broken_off = connect(&receiver);
    (&broken_off).write_all(b"POST /views HTTP/1.1\r\nContent-Length: 9\r\n\r\nli").unwrap();
    drop(broken_off);
    assert_eq!(ask(&connect(&receiver), POST, b"line\n").0, 200);
}

#[test]
fn no_client_is_answered_before_the_lines_are_safe() {
    let listening = open("http://127.0.0.1:0/views", Format::Text);
    let clients: Vec<_> = (0..20).map(|_| listening.connect()).collect();
    clients.iter().for_each(|client| send(client, POST, b"a\nb\n"));
    let mut received = Vec::new();
    while received.iter().map(|received: &Received| received.records).sum::<u64>() < 40 {
        received.push(listening.next());
    }
    assert!(received.len() < 20, "small requests are delivered together");
    for client in &clients {
        client.set_nonblocking(true).unwrap();
        assert!((&*client).read(&mut [0]).is_err(), "answered too early");
        client.set_nonblocking(false).unwrap();
    }
    drop(received.into_iter().map(|received| received.ack).map(Ack::done).collect::<Vec<_>>());
    clients.iter().for_each(|client| assert_eq!(read_answer(client).0, 200));
}

#[test]
fn lost_and_refused_lines() {
    let listening = open("http://127.0.0.1:0/views", Format::Text);
    let client = listening.connect();
    send(&client, POST, b"a\n");
    drop(listening.next());
    let (status, head, answer) = read_answer(&client);
    assert!(status == 503 && head.contains("retry-after: 1"), "{head}");
    assert!(answer.contains("send them again"), "{answer}");
    send(&client, &format!("{POST}\r\nDstream-Client: me\r\nDstream-Batch: 7"), b"a\n");
    let received = listening.next();
    assert_eq!(received.client, Some(ClientBatch::named("me", 7)));
    received.ack.refuse(&Refusal::Gap { number: 7, expected: 2 });
    let (status, _, answer) = read_answer(&client);
    assert!(status == 409 && answer.contains("2 comes next"), "{answer}");
}

#[test]
fn a_full_buffer_is_said_and_room_is_waited_for() {
    let listening = open("http://127.0.0.1:0/views?buffer=64KiB", Format::Text);
    let body = b"x".repeat(60_000);
    let (one, two) = (listening.connect(), listening.connect());
    send(&one, POST, &body);
    let share = listening.next().ack.done();
    assert_eq!((read_answer(&one).0, share.bytes()), (200, 60_512));
    let (status, head, answer) = ask(&two, POST, &body);
    assert!(status == 503 && head.contains("retry-after: 1"), "{head}");
    assert!(answer.contains("until a batch has taken some"), "{answer}");
    drop(share);
    send(&one, POST, &body);
    drop(listening.next().ack.done());
    assert_eq!(read_answer(&one).0, 200);
}

#[test]
fn a_stopped_receiver_answers_those_who_have_asked() {
    let listening = open("http://127.0.0.1:0/views", Format::Text);
    let (asking, idle) = (listening.connect(), listening.connect());
    send(&asking, POST, b"a\n");
    let received = listening.next();
    listening.receiver.stop();
    listening.receiver.stop();
    assert_eq!((&idle).read(&mut [0]).unwrap(), 0, "an idle connection is closed");
    drop(received.ack.done());
    assert_eq!(read_answer(&asking).0, 200);
    assert!(listening.rest().is_empty());
    assert!(TcpStream::connect(listening.receiver.local_addr()).is_err());
}

#[test]
fn on_one_machine_it_is_a_source() {
    let options = OpenOptions::default();
    let url = "http://127.0.0.1:0?max_line=4";
    let mut source = source::open(url, Format::Text, &options).unwrap();
    assert!(!source.bounded() && source.immediate());
    let client = TcpStream::connect(source.local_addr().unwrap()).unwrap();
    assert_eq!(ask(&client, "POST / HTTP/1.1", b"a\nb\n").0, 200);
    assert_eq!(ask(&client, "POST / HTTP/1.1", b"too long\nc").0, 200);
    let cut = source.cut(4).unwrap();
    assert!(!cut.ended && cut.inputs.len() == 1);
    let (mut lines, mut torn) = (String::new(), 0);
    let read = &mut |piece: source::Piece<'_>| match piece.torn {
        Some(_) => torn += 1,
        None => lines.push_str(std::str::from_utf8(piece.bytes).unwrap()),
    };
    cut.inputs[0].data.read(read).unwrap();
    assert_eq!((lines.as_str(), torn), ("a\nb\nc\n", 1));
    assert!(source.cut(4).unwrap().inputs.is_empty());
    assert_eq!(ask(&client, "POST / HTTP/1.1", b"last\n").0, 200);
    source.stop();
    let cut = source.cut(4).unwrap();
    assert!(cut.inputs.len() == 1 && cut.ended);
}
