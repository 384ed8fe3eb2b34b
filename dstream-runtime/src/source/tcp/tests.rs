//! With real sockets on loopback.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::record::Format;
use crate::source::{Cut, OpenOptions, Source, SourceError, open};

const PATIENCE: Duration = Duration::from_secs(20);

fn listen(options: &str) -> (Box<dyn Source>, TcpStream) {
    let url = format!("tcp://127.0.0.1:0{options}");
    let source = open(&url, Format::Text, &OpenOptions::default()).unwrap();
    let client = connect(&*source);
    (source, client)
}

fn connect(source: &dyn Source) -> TcpStream {
    TcpStream::connect(source.local_addr().unwrap()).unwrap()
}

fn text(cut: &Cut, torn: &mut Vec<String>) -> String {
    let mut bytes = Vec::new();
    for input in &cut.inputs {
        let take = &mut |piece: crate::source::Piece<'_>| match piece.torn {
            Some(why) => torn.push(why.to_owned()),
            None => bytes.extend_from_slice(piece.bytes),
        };
        input.data.read(take).unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

/// Cuts until this number of bytes has come.
fn receive(source: &mut dyn Source, bytes: usize) -> String {
    let (mut got, start) = (String::new(), Instant::now());
    while got.len() < bytes {
        assert!(start.elapsed() < PATIENCE, "only {} bytes of {bytes} came", got.len());
        let cut = source.cut(4).unwrap();
        assert!(cut.inputs.len() <= 4 && !cut.ended);
        got.push_str(&text(&cut, &mut Vec::new()));
        std::thread::yield_now();
    }
    got
}

/// Cuts until it has ended.
fn drain(source: &mut dyn Source) -> (String, Vec<String>) {
    let (mut got, mut torn, start) = (String::new(), Vec::new(), Instant::now());
    loop {
        assert!(start.elapsed() < PATIENCE);
        let cut = source.cut(4).unwrap();
        got.push_str(&text(&cut, &mut torn));
        if cut.ended {
            return (got, torn);
        }
        std::thread::yield_now();
    }
}

#[test]
fn lines_of_several_clients() {
    let (mut source, mut one) = listen("");
    assert!(!source.bounded() && source.immediate());
    one.write_all(b"a\nb\nunfin").unwrap();
    assert_eq!(receive(&mut *source, 4), "a\nb\n");
    let mut two = connect(&*source);
    two.write_all(b"x\n").unwrap();
    assert_eq!(receive(&mut *source, 2), "x\n");
    one.write_all(b"ished\n").unwrap();
    assert_eq!(receive(&mut *source, 11), "unfinished\n");
    two.write_all(b"last").unwrap();
    drop(two);
    assert_eq!(receive(&mut *source, 4), "last");
    assert!(source.cut(4).unwrap().inputs.is_empty());
}

#[test]
fn what_the_kernel_holds_is_drained() {
    let (mut source, mut open_client) = listen("");
    let expected: String = (0..1000).map(|i| format!("line {i}\n")).collect();
    open_client.write_all(expected.as_bytes()).unwrap();
    source.stop();
    source.stop();
    let address = source.local_addr().unwrap();
    assert!(TcpStream::connect(address).is_err(), "the listener is closed");
    assert_eq!(drain(&mut *source), (expected, Vec::new()));
}

#[test]
fn an_unfinished_line_counts_when_the_client_has_closed_it() {
    let (mut source, mut open_client) = listen("");
    let mut closed_client = connect(&*source);
    open_client.write_all(b"whole\nhal").unwrap();
    closed_client.write_all(b"end").unwrap();
    closed_client.shutdown(Shutdown::Both).unwrap();
    source.stop();
    let (got, torn) = drain(&mut *source);
    assert!(got == "whole\nend" || got == "endwhole\n", "{got}");
    assert_eq!(torn.len(), 1);
    assert!(torn[0].contains("stopped"), "{torn:?}");
}

/// Ends a connection by a reset.
fn reset(client: TcpStream) {
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_reset_completes_no_line() {
    let (mut source, _first) = listen("");
    // Within a line, at a line end, and between the bytes of a character.
    for (sent, torn) in [
        (&b"y,12\ny,1200"[..], Some("connection broke")),
        (b"y,12\n", None),
        (b"y,12\ncaf\xc3", Some("connection broke")),
    ] {
        let mut client = connect(&*source);
        client.write_all(sent).unwrap();
        assert_eq!(receive(&mut *source, 5), "y,12\n");
        reset(client);
        let (mut more, mut letters, start) = (String::new(), Vec::new(), Instant::now());
        // What a later client sends comes after it.
        let mut next = connect(&*source);
        next.write_all(b"next").unwrap();
        drop(next);
        while more.is_empty() || letters.len() < usize::from(torn.is_some()) {
            assert!(start.elapsed() < PATIENCE, "{more:?} {letters:?}");
            more.push_str(&text(&source.cut(4).unwrap(), &mut letters));
            std::thread::yield_now();
        }
        assert_eq!(more, "next");
        assert!(letters.iter().all(|why| why.contains(torn.unwrap())), "{letters:?}");
    }
    assert!(source.cut(4).unwrap().inputs.is_empty());
}

#[test]
fn a_full_buffer_makes_clients_wait_and_loses_nothing() {
    let (mut source, client) = listen("?buffer=64KiB&max_line=1KiB");
    // More than the buffer and the kernel's together.
    let line = format!("{}\n", "x".repeat(999));
    let expected = line.repeat(20_000);
    let sent = expected.clone();
    let writer = std::thread::spawn(move || (&client).write_all(sent.as_bytes()));
    let (mut got, mut largest, start) = (String::new(), 0, Instant::now());
    while got.len() < expected.len() {
        assert!(start.elapsed() < PATIENCE);
        let taken = text(&source.cut(2).unwrap(), &mut Vec::new());
        largest = largest.max(taken.len());
        got.push_str(&taken);
        std::thread::yield_now();
    }
    writer.join().unwrap().unwrap();
    assert!(got == expected);
    assert!(largest <= 64 << 10, "{largest}");
}

#[test]
fn a_full_buffer_is_drained_cut_by_cut() {
    let (mut source, mut client) = listen("?buffer=64KiB&max_line=1KiB");
    let expected = format!("{}\n", "x".repeat(99)).repeat(2000);
    client.write_all(expected.as_bytes()).unwrap();
    source.stop();
    let (got, torn) = drain(&mut *source);
    // What was still on its way at the time of the stop is the client's to send again.
    assert!(!got.is_empty() && got.ends_with('\n') && expected.starts_with(&got));
    assert!(torn.len() <= 1);
}

#[test]
fn a_line_that_is_too_long_is_torn() {
    let (mut source, mut client) = listen("?max_line=10");
    client.write_all(b"0123456789\n01234567890\nok\n").unwrap();
    drop(client);
    source.stop();
    let (got, torn) = drain(&mut *source);
    assert_eq!(got, "0123456789\nok\n");
    assert_eq!(torn, ["a line of 12 bytes, longer than `max_line` allows"]);
}

#[test]
fn a_dropped_source_leaves_nothing_behind() {
    let (source, client) = listen("");
    let address = source.local_addr().unwrap();
    drop(source);
    assert!(TcpStream::connect(address).is_err());
    drop(client);
    let again = format!("tcp://{address}");
    assert!(open(&again, Format::Text, &OpenOptions::default()).is_ok());
}

#[test]
fn mistakes() {
    let fail = |url: &str| open(url, Format::Text, &OpenOptions::default()).err().unwrap();
    let (source, _client) = listen("");
    let taken = source.local_addr().unwrap().to_string();
    let error = fail(&format!("tcp://{taken}"));
    assert!(matches!(error, SourceError::Io { doing: "listen on", .. }));
    assert!(error.to_string().contains(&taken), "{error}");
    assert!(fail("tcp://localhost").to_string().contains("tcp://HOST:PORT"));
    assert!(fail("tcp://localhost:0?bufer=1MiB").to_string().contains("did you mean `buffer`?"));
    assert!(fail("tcp://localhost:0?buffer=1MiB&max_line=2MiB").to_string().contains("must fit"));
}
