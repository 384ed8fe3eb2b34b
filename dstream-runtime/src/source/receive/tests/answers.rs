//! What clients are told of records that cannot be read, and clients that there is no place for.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{POST, ask, read_answer, send};
use super::*;
use crate::record::Record;
use crate::source::{Check, CsvRows, Decode, JsonLines, TextLines};

/// A receiver that knows its records, of which everything is safe at once.
fn knowing<D: Decode>(url: &str) -> (Receiver, mpsc::Receiver<String>) {
    let (told, took) = mpsc::channel();
    let deliver = Box::new(move |delivery| {
        if let Delivery::Received(received) = delivery {
            let _ = told.send(text(&received));
            drop(received.ack.done());
        }
    });
    let (check, schema) = (Some(Check::of::<D>()), Some(D::Record::SCHEMA));
    let options = OpenOptions { check, schema, ..OpenOptions::default() };
    (Receiver::open(url, D::FORMAT, &options, deliver).unwrap(), took)
}

fn connect(receiver: &Receiver) -> TcpStream {
    let stream = TcpStream::connect(receiver.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn told(client: &TcpStream, body: &[u8]) -> (u16, Value) {
    let (status, _, answer) = ask(client, POST, body);
    (status, serde_json::from_str(&answer).unwrap())
}

#[test]
fn every_record_that_is_refused_is_told() {
    let (receiver, took) = knowing::<JsonLines<u64>>("http://127.0.0.1:0/views");
    let client = connect(&receiver);
    assert_eq!(told(&client, b"1\n2\n\n3"), (200, json!({"accepted": 3})));
    let (status, said) = told(&client, b"1\n\nx\n-3\n4\n");
    assert_eq!((status, &said["accepted"], &said["refused_total"]), (207, &json!(2), &json!(2)));
    let refused = said["refused"].as_array().unwrap();
    assert_eq!((&refused[0]["index"], &refused[0]["line"]), (&json!(1), &json!(3)));
    assert_eq!((&refused[1]["index"], &refused[1]["line"]), (&json!(2), &json!(4)));
    let reason = refused[1]["reason"].as_str().unwrap();
    assert!(reason.contains("not a `u64`: ") && reason.contains("`-3`"), "{reason}");
    // A reason has the lines of the body, as `line` has.
    assert!(reason.contains(" at line 4 column "), "{reason}");
    // All that was refused goes on to be counted, once, where it is processed.
    assert_eq!([took.recv().unwrap(), took.recv().unwrap()], ["1\n2\n\n3\n", "1\n\nx\n-3\n4\n"]);
    let (status, said) = told(&client, "x\n".repeat(1000).as_bytes());
    assert_eq!((status, &said["accepted"], &said["refused_total"]), (400, &json!(0), &json!(1000)));
    assert_eq!(said["refused"].as_array().unwrap().len(), 20);
}

#[test]
fn lines_that_are_no_text_or_too_long_are_told() {
    let (receiver, took) = knowing::<TextLines>("http://127.0.0.1:0/views?max_line=10");
    let client = connect(&receiver);
    assert_eq!(told(&client, b"a\n\nb"), (200, json!({"accepted": 3})));
    let (status, said) = told(&client, b"good\n\xff\n12345678901\nlast\r\n");
    assert_eq!((status, &said["accepted"], &said["refused_total"]), (207, &json!(2), &json!(2)));
    let refused = said["refused"].as_array().unwrap();
    let places: Vec<_> = refused.iter().map(|r| (&r["index"], &r["line"])).collect();
    assert_eq!(places, [(&json!(1), &json!(2)), (&json!(2), &json!(3))]);
    assert!(refused[0]["reason"].as_str().unwrap().contains("not UTF-8"), "{said}");
    assert_eq!(took.recv().unwrap(), "a\n\nb\n");
    took.recv().unwrap();
    // Lines that end with carriage returns alone would be one.
    let (status, said) = told(&client, b"a\rb\rc\r");
    assert_eq!((status, &said["accepted"]), (400, &json!(0)));
    assert!(said["error"].as_str().unwrap().contains("tr '\\r' '\\n'"), "{said}");
    assert_eq!(told(&client, b"a\r").0, 200);
    assert_eq!(told(&client, b"a\rb\n").0, 200);
}

#[test]
fn an_array_is_its_elements() {
    let (receiver, took) = knowing::<JsonLines<u64>>("http://127.0.0.1:0/views");
    let client = connect(&receiver);
    assert_eq!(told(&client, b"[1, 2,\n 3]"), (200, json!({"accepted": 3})));
    assert_eq!(took.recv().unwrap().split_whitespace().collect::<Vec<_>>(), ["1", "2", "3"]);
    let (status, said) = told(&client, b"\n[\n  1,\n  {\"a\":\n 2},\n  \"x\", 4\n]\n");
    assert_eq!((status, &said["accepted"]), (207, &json!(2)));
    let places: Vec<_> =
        said["refused"].as_array().unwrap().iter().map(|r| (&r["index"], &r["line"])).collect();
    assert_eq!(places, [(&json!(1), &json!(4)), (&json!(2), &json!(6))]);
    let reason = said["refused"][1]["reason"].as_str().unwrap();
    assert!(reason.ends_with(" at line 6 column 5"), "{reason}");
    assert_eq!(took.recv().unwrap().lines().filter(|line| !line.trim().is_empty()).count(), 4);
    // What follows the last comma of an array that does not end may be cut off.
    let (status, said) = told(&client, b"[1,\n2");
    assert_eq!((status, &said["accepted"], &said["refused_total"]), (207, &json!(1), &json!(1)));
    assert_eq!((&said["refused"][0]["index"], &said["refused"][0]["line"]), (&json!(1), &json!(2)));
    assert!(
        said["refused"][0]["reason"].as_str().unwrap().contains("its `]` is missing"),
        "{said}"
    );
    assert_eq!(took.recv().unwrap().lines().next().unwrap().trim(), "1");
    assert_eq!(told(&client, b"[]"), (200, json!({"accepted": 0})));
    // Where an array is a record, each line is one.
    let (receiver, took) = knowing::<JsonLines<(u64, u64)>>("http://127.0.0.1:0/views");
    assert_eq!(told(&connect(&receiver), b"[1,2]\n[3,4]\n"), (200, json!({"accepted": 2})));
    assert_eq!(took.recv().unwrap(), "[1,2]\n[3,4]\n");
}

#[test]
fn rows_are_told_with_their_lines_and_lines_may_go_unread() {
    let (receiver, took) = knowing::<CsvRows<(u64, String)>>("http://127.0.0.1:0/views?header");
    let (status, said) = told(&connect(&receiver), b"n,word\n1,a\nx,b\n3,c\n");
    assert_eq!((status, &said["accepted"], &said["refused_total"]), (207, &json!(2), &json!(1)));
    assert_eq!((&said["refused"][0]["index"], &said["refused"][0]["line"]), (&json!(1), &json!(3)));
    assert_eq!(took.recv().unwrap(), "1,a\nx,b\n3,c\n");
    let (receiver, took) = knowing::<JsonLines<u64>>("http://127.0.0.1:0/views?validate=false");
    assert_eq!(told(&connect(&receiver), b"1\nx\n"), (200, json!({"accepted": 2})));
    assert_eq!(took.recv().unwrap(), "1\nx\n");
    let (receiver, _took) = knowing::<JsonLines<u64>>("http://127.0.0.1:0/views?max_line=3");
    let (status, said) = told(&connect(&receiver), b"1\n12345\n");
    assert_eq!((status, &said["refused"][0]["line"]), (207, &json!(2)));
    assert!(said["refused"][0]["reason"].as_str().unwrap().contains("`max_line` allows 3"));
}

#[test]
fn nothing_of_a_body_counts_that_ends_early() {
    let listening = open("http://127.0.0.1:0/views", Format::Text);
    let head = format!("{POST}\r\nHost: x\r\n");
    for body in [
        "Content-Length: 9\r\n\r\na\nb",
        "Content-Length: 9\r\n\r\na\nb\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\na\nb\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n9\r\na\nb\n",
    ] {
        let mut ended = listening.connect();
        ended.write_all(format!("{head}{body}").as_bytes()).unwrap();
        ended.shutdown(Shutdown::Write).unwrap();
        // It is over for the receiver too.
        let _ = ended.read_to_end(&mut Vec::new());
        let mut reset = listening.connect();
        reset.write_all(format!("{head}{body}").as_bytes()).unwrap();
        socket2::SockRef::from(&reset).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let client = listening.connect();
    send(&client, POST, b"last\n");
    let received = listening.next();
    assert_eq!(text(&received), "last\n");
    drop(received.ack.done());
    assert_eq!(read_answer(&client).0, 200);
    listening.receiver.stop();
    assert!(listening.rest().is_empty());
}

#[test]
fn idle_clients_give_way_the_longest_idle_first() {
    let (receiver, _took) = knowing::<JsonLines<u64>>("http://127.0.0.1:0/views?connections=3");
    let clients: Vec<_> = (0..3).map(|_| connect(&receiver)).collect();
    // The first has asked last.
    for client in [1, 2, 0] {
        assert_eq!(told(&clients[client], b"1\n").0, 200);
    }
    let fourth = connect(&receiver);
    assert_eq!(told(&fourth, b"1\n").0, 200);
    assert_eq!((&clients[1]).read(&mut [0]).unwrap(), 0, "it is closed in order");
    for client in [&clients[0], &clients[2], &fourth] {
        assert_eq!(told(client, b"1\n").0, 200);
    }
}

#[test]
fn clients_that_never_finish_a_request_give_way_too() {
    let (receiver, _took) = knowing::<JsonLines<u64>>("http://127.0.0.1:0/views?connections=2");
    for round in 0..10 {
        let mut slow = connect(&receiver);
        slow.write_all(b"POST /vie").unwrap();
        let _silent = connect(&receiver);
        let client = connect(&receiver);
        assert_eq!(told(&client, b"1\n").0, 200, "{round}");
        let mut rest = Vec::new();
        // Closed, or reset because it had sent something.
        let _ = slow.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

#[test]
fn a_client_is_told_if_all_others_are_busy() {
    let listening = open("http://127.0.0.1:0/views?connections=2", Format::Text);
    let busy = [listening.connect(), listening.connect()];
    busy.iter().for_each(|client| send(client, POST, b"a\n"));
    // As long as they are not told what became of their lines, they are busy.
    let mut held = Vec::new();
    while held.iter().map(|received: &Received| received.records).sum::<u64>() < 2 {
        held.push(listening.next());
    }
    let (status, head, answer) = read_answer(&listening.connect());
    assert!(status == 503 && head.contains("retry-after: 1"), "{head}");
    assert!(answer.contains("`connections`"), "{answer}");
    match listening.deliveries.recv_timeout(PATIENCE).unwrap() {
        Delivery::Warning(why) => assert!(why.contains("1 clients were turned away"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Said once: the next ones are counted.
    for _ in 0..5 {
        assert_eq!(read_answer(&listening.connect()).0, 503);
    }
    assert!(listening.deliveries.try_recv().is_err());
    held.into_iter().for_each(|received| drop(received.ack.done()));
    assert_eq!(read_answer(&busy[0]).0, 200);
    assert_eq!(ask(&listening.connect(), POST, b"").0, 200, "an idle one gives way");
}
