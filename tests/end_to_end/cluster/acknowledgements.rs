//! How long clients of the library wait for their next acknowledgement when a worker is killed: the master says at once
//! that it is gone, the connection to it would seconds later.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use dstream::client::{Client, ClientError, ClientOptions};
use rustix::process::Signal;

use super::crew::{ANY, Cluster};
use super::pushed::block_on;

/// Streams of the client: some of them are taken in by any worker.
const STREAMS: usize = 12;
/// A connection is given up after five seconds of silence. The aim is one second, on a machine that has time.
const LONGEST: Duration = Duration::from_secs(4);

/// Sends to all streams in turn; tells how long each acknowledgement took.
async fn send(
    token: PathBuf,
    master: std::net::SocketAddr,
    told: &Sender<(usize, Duration)>,
) -> Result<(), ClientError> {
    let client = Client::connect(ClientOptions::new("word_count", master, token)).await?;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(client.open("lines").await?);
    }
    for round in 0.. {
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.send(format!("word{round}x{number}")).await?;
            let begun = Instant::now();
            stream.flush().await?;
            if told.send((round, begun.elapsed())).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[test]
fn a_client_of_a_killed_worker_goes_on_elsewhere_at_once() {
    let dir = Cluster::new("word_count");
    let job = dir.master_at(ANY, 3).source("lines", "tcp://127.0.0.1:0").sink("windowed", "none:");
    let mut master = job.args(["--checkpoint", "2s"]).start();
    let addr = master.listening();
    let crew = dir.crew(&["w1", "w2", "w3"], addr);
    let (told, heard) = channel();
    let token = dir.state().join("client.token");
    let sending = std::thread::spawn(move || block_on(send(token, addr, &told)));
    master.event("batch");
    let until = |round: usize| {
        let mut longest = Duration::ZERO;
        loop {
            let (at, took) = heard.recv_timeout(Duration::from_secs(120)).expect("it sends");
            longest = longest.max(took);
            if at >= round {
                return (at, longest);
            }
        }
    };
    let (round, _) = until(3);
    crew[0].signal(Signal::KILL);
    // Every stream has sent something since.
    let (_, longest) = until(round + 3);
    eprintln!("the longest acknowledgement took {} ms", longest.as_millis());
    assert!(longest < LONGEST, "{longest:?}");
    drop(heard);
    sending.join().expect("it has sent").expect("all is acknowledged");
}
