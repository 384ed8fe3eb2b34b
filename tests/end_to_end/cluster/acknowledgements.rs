//! How long clients of the library wait for their next acknowledgement when a worker is killed, or when two workers cannot
//! reach each other: the master says at once that a worker is gone, the connection to it would seconds later.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use dstream::client::{Client, ClientError, ClientOptions};
use rustix::process::Signal;

use super::crew::{ANY, Cluster, all_end};
use super::network::Network;
use super::pushed::block_on;
use crate::job::{Job, Running};
use crate::published::Published;

/// Streams of the client: some of them are taken in by any worker.
const STREAMS: usize = 12;
/// The aim is one second, on a machine that has time; a connection is given up after five seconds of silence.
const LONGEST: Duration = Duration::from_secs(2);
/// The same where two workers cannot reach each other, for acknowledgements and for batches: the aim is three seconds.
const LONGEST_CUT: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(120);

/// A view of a page that no other view is of.
fn view(round: usize, number: usize) -> String {
    format!("{{\"url\":\"page{round}x{number}\",\"user\":1}}")
}

/// Sends to all streams in turn; tells how long each acknowledgement took.
async fn send(
    token: PathBuf,
    master: SocketAddr,
    told: &Sender<(usize, Duration)>,
) -> Result<(), ClientError> {
    let client = Client::connect(ClientOptions::new("page_views", master, token)).await?;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(client.open("views").await?);
    }
    for round in 0.. {
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.send(view(round, number)).await?;
            let begun = Instant::now();
            stream.flush().await?;
            if told.send((round, begun.elapsed())).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The longest acknowledgement until a round has come, and which one has.
fn longest(heard: &Receiver<(usize, Duration)>, round: usize) -> (usize, Duration) {
    let mut longest = Duration::ZERO;
    loop {
        let (at, took) = heard.recv_timeout(PATIENCE).expect("it sends");
        longest = longest.max(took);
        if at >= round {
            return (at, longest);
        }
    }
}

fn counting(job: Job, source: &str) -> Job {
    let job = job.source("views", source);
    job.args(["--checkpoint", "2s", "--interval", "250ms"])
}

#[test]
fn a_client_of_a_killed_worker_goes_on_elsewhere_at_once() {
    let dir = Cluster::new("page_views");
    let mut master = counting(dir.master_at(ANY, 3), "tcp://127.0.0.1:0").start();
    let addr = master.listening();
    let crew = dir.crew(&["w1", "w2", "w3"], addr);
    let (told, heard) = channel();
    let token = dir.state().join("client.token");
    let sending = std::thread::spawn(move || block_on(send(token, addr, &told)));
    master.event("batch");
    let (round, _) = longest(&heard, 3);
    crew[0].signal(Signal::KILL);
    // Every stream has sent something since.
    let (_, took) = longest(&heard, round + 3);
    eprintln!("the longest acknowledgement took {} ms", took.as_millis());
    assert!(took < LONGEST, "{took:?}");
    drop(heard);
    sending.join().expect("it has sent").expect("all is acknowledged");
}

/// The longest time between two batches, until the job was recovering and has published some more.
fn longest_batch(master: &mut Running) -> Duration {
    let (mut last, mut longest, mut more) = (Instant::now(), Duration::ZERO, 0);
    while more < 4 {
        let before = master.events("batch").count();
        master.wait("a batch", |job| job.events("batch").count() > before);
        longest = longest.max(last.elapsed());
        last = Instant::now();
        more += usize::from(master.events("recovering").next().is_some());
    }
    longest
}

/// The links between hosts are cut in these directions while a client sends, which is on the master's host.
fn goes_on_without(cuts: &[(u8, u8)]) {
    let network = match Network::build(4) {
        Ok(network) => network,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let dir = Cluster::new("page_views");
    let any = "0.0.0.0:0".parse().expect("it is an address");
    let job = dir.as_master(network.example(1, "page_views"), any, 3);
    let job = counting(job, "tcp://0.0.0.0:0").files("counts", "csv", &dir.path("out"));
    let mut master = job.start();
    let addr = SocketAddr::from((Network::addr(1), master.listening().port()));
    let worker = |n: u8| {
        let (job, name) = (network.example(n, "page_views"), format!("w{n}"));
        let job = dir.as_stranger(job, &format!("of-{name}"), &name, addr);
        let job = job.args(["--token-file".as_ref(), dir.token().as_os_str()]);
        job.args(["--listen", "0.0.0.0:0"]).start()
    };
    let crew: Vec<_> = (2..=4).map(worker).collect();
    master.event("batch");
    let (told, heard) = channel();
    let (token, host) = (dir.state().join("client.token"), network.host_path(1));
    let sending = std::thread::spawn(move || {
        Network::enter(&host);
        block_on(send(token, addr, &told))
    });
    let (round, _) = longest(&heard, 3);
    cuts.iter().for_each(|(from, to)| network.cut(*from, *to));
    let batch = longest_batch(&mut master);
    let (last, took) = longest(&heard, round + 5);
    eprintln!(
        "{cuts:?}: the longest acknowledgement took {} ms, the longest batch {} ms",
        took.as_millis(),
        batch.as_millis()
    );
    assert!(took < LONGEST_CUT && batch < LONGEST_CUT, "{took:?}, {batch:?}");
    cuts.iter().for_each(|(from, to)| network.heal(*from, *to));
    drop(heard);
    sending.join().expect("it has sent").expect("all is acknowledged");
    dir.ask_by(network.example(1, "page_views"), &["stop"]).code(0);
    master.end().code(0);
    all_end(crew);
    // What was acknowledged counts once; nothing is known of the last round.
    let published = Published::read(&dir.path("out"));
    let mut lines = published.lines();
    lines.sort_unstable();
    for round in 0..last {
        for page in (0..STREAMS).map(|n| format!("page{round}x{n},1")) {
            let at = lines.partition_point(|line| *line < page.as_str());
            let times = lines[at..].iter().take_while(|line| **line == page).count();
            assert_eq!(times, 1, "{page}");
        }
    }
}

#[test]
fn a_client_goes_on_where_two_workers_cannot_reach_each_other() {
    goes_on_without(&[(3, 4), (4, 3)]);
}

#[test]
fn a_client_goes_on_where_a_worker_cannot_reach_another() {
    goes_on_without(&[(2, 3)]);
}
