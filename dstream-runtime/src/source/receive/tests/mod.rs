//! Receivers with real sockets on loopback.

mod answers;
mod http;
mod push;
mod tcp;

use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use crate::block::{Block, Bytes};
use crate::record::Format;
use crate::source::receive::{Delivery, Received, Receiver};
use crate::source::{Input, OpenOptions};

const PATIENCE: Duration = Duration::from_secs(20);

/// A receiver, and what it delivers.
struct Listening {
    receiver: Receiver,
    deliveries: mpsc::Receiver<Delivery>,
}

fn open(url: &str, format: Format) -> Listening {
    let (told, deliveries) = mpsc::channel();
    let deliver = Box::new(move |delivery| drop(told.send(delivery)));
    let receiver = Receiver::open(url, format, &OpenOptions::default(), deliver).unwrap();
    Listening { receiver, deliveries }
}

impl Listening {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.receiver.local_addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The next lines.
    fn next(&self) -> Received {
        match self.deliveries.recv_timeout(PATIENCE).unwrap() {
            Delivery::Received(received) => received,
            other => panic!("{other:?}"),
        }
    }

    /// What comes until it has ended.
    fn rest(&self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Delivery::Received(received) = self.deliveries.recv_timeout(PATIENCE).unwrap() {
            all.push(received);
        }
        assert!(self.deliveries.recv_timeout(PATIENCE).is_err(), "nothing follows the end");
        all
    }
}

/// Split, position, header, text, and why it is torn.
type Line = (String, u64, Option<String>, String, Option<String>);

/// What another worker reads of it.
fn lines(received: &Received) -> Vec<Line> {
    let what = serde_json::from_str(&serde_json::to_string(&received.what).unwrap()).unwrap();
    let block = Block::open_raw(Bytes::from(received.lines.to_bytes())).unwrap();
    let input = Input::of_received_blocks(Vec::new(), vec![(what, block)]).unwrap();
    let mut lines = Vec::new();
    input
        .data
        .read(&mut |piece| {
            lines.push((
                piece.split.to_owned(),
                piece.position,
                piece.header.map(str::to_owned),
                String::from_utf8_lossy(piece.bytes).into_owned(),
                piece.torn.map(str::to_owned),
            ));
        })
        .unwrap();
    lines
}

fn text(received: &Received) -> String {
    lines(received).into_iter().filter(|line| line.4.is_none()).map(|line| line.3).collect()
}
