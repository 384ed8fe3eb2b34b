//! Posted records: the responses, and what becomes of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::job::{Job, Running};
use crate::published::Published;

/// Posts a body; returns status and content of the response.
fn post(address: SocketAddr, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("it is a socket");
    let length = body.len();
    write!(stream, "POST /views HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
        .expect("it receives");
    answer(stream)
}

fn answer(stream: TcpStream) -> (u16, Value) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).expect("it answers") > 0, "no answer");
        head.push_str(&line.to_ascii_lowercase());
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).expect("it has a length")];
    reader.read_exact(&mut body).expect("the body is as long");
    let status = head[9..12].parse().expect("it has a status");
    (status, serde_json::from_slice(&body).expect("it is JSON"))
}

fn receiving(dir: &std::path::Path, options: &str) -> (Running, SocketAddr) {
    let job = Job::example("page_views")
        .source("views", format_args!("http://127.0.0.1:0/views{options}"));
    let job =
        job.files("counts", "csv", &dir.join("out")).files("views.dead", "json", &dir.join("dead"));
    let job = job.args(["--interval", "20ms", "--log", "json", "--summary", "json"]);
    let mut job = job.start();
    let address = job.address();
    (job, address)
}

#[test]
fn refused_records_are_reported_and_counted_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (job, address) = receiving(dir.path(), "");
    let body =
        "[{\"url\":\"/a\",\"user\":1},\n {\"url\":\"/a\"},\n {\"url\":\"/a\",\"user\":2}, 7]";
    let (status, said) = post(address, body);
    assert_eq!((status, &said["accepted"], &said["refused_total"]), (207, &json!(2), &json!(2)));
    let refused = said["refused"].as_array().expect("a list");
    assert_eq!(refused.len(), 2);
    assert_eq!((&refused[0]["index"], &refused[0]["line"]), (&json!(1), &json!(2)));
    assert_eq!((&refused[1]["index"], &refused[1]["line"]), (&json!(3), &json!(3)));
    assert!(
        refused[0]["reason"]
            .as_str()
            .is_some_and(|why| why.contains("not a `PageView`: `user`: the field is missing")),
        "{said}"
    );
    assert_eq!(post(address, "{\"url\":\"/b\",\"user\":1}\n"), (200, json!({"accepted": 1})));
    let (status, said) = post(address, "nonsense\n");
    assert_eq!((status, &said["accepted"], &said["refused_total"]), (400, &json!(0), &json!(1)));
    let (status, said) = post(address, "[{\"url\":");
    assert_eq!((status, &said["refused_total"]), (400, &json!(1)));
    job.signal(Signal::TERM);
    let done = job.end().code(0);
    let summary = done.summary();
    let source = &summary["sources"][0];
    assert_eq!((&source["records"], &source["dead_letters"]), (&json!(3), &json!(4)), "{summary}");
    let dead = Published::read(&dir.path().join("dead"));
    assert_eq!(dead.lines().len(), 4);
    assert!(dead.lines().iter().all(|line| line.contains("request ")), "{dead:?}");
}

#[test]
fn a_client_that_breaks_off_leaves_nothing_and_idle_ones_shut_out_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let (job, address) = receiving(dir.path(), "?connections=50");
    let connect = || TcpStream::connect(address).expect("it listens");
    let idle: Vec<TcpStream> = (0..50).map(|_| connect()).collect();
    let record = "{\"url\":\"/a\",\"user\":1}\n";
    for n in 0..20 {
        let mut broken = connect();
        let head = "POST /views HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
        broken.write_all(format!("{head}{record}{record}").as_bytes()).expect("it receives");
        drop(broken);
        assert_eq!(post(address, record), (200, json!({"accepted": 1})), "{n}");
    }
    drop(idle);
    job.signal(Signal::TERM);
    let done = job.end().code(0);
    let summary = done.summary();
    assert_eq!(summary["sources"][0]["records"], 20, "{}", done.said());
    assert_eq!(summary["sources"][0]["dead_letters"], 0);
}
