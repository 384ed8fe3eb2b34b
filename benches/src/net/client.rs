//! The client library with a receiver that only acknowledges: its highest throughput.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::unbounded;
use dstream_runtime::block::{Block, BufferPool};
use dstream_runtime::client::{
    Access, AppendStream, Client, ClientOptions, ClientTarget, Offer, SessionEffect, SessionLimits,
    Sessions,
};
use dstream_runtime::driver::cluster::{Question, ReceiverStatus, Reply};
use dstream_runtime::id::SourceId;
use dstream_runtime::net::trust::Authority;
use dstream_runtime::net::{BindOptions, Delivery, Endpoint, Net, NetEvent};
use dstream_runtime::record::Format;
use dstream_runtime::wire::{BlockKind, Role};

use super::{BenchResult, Other, say_and_wait};

/// Bytes of a record, with its line break.
const RECORD: usize = 100;

/// In the other process: a master that names one receiver, and that receiver.
///
/// # Errors
/// When no port can be opened.
pub fn receive(dir: &Path) -> BenchResult<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let authority = Authority::open(&dir.join("authority"), "bench", now)?;
    let (tell, events) = unbounded();
    let deliver = move |delivery: Delivery| drop(tell.send(delivery));
    let identity = authority.identity(Role::Worker, "receiver", now)?;
    let receiver = Endpoint::bind(BindOptions::new(identity, 1), deliver)?;
    let url = format!("dstream://{}", receiver.local_addr());
    let net = receiver.net().clone();
    std::thread::spawn(move || {
        let offer = Offer {
            stream: "lines".to_owned(),
            source: SourceId(0),
            format: Format::Text,
            header: false,
        };
        let mut sessions = Sessions::new(vec![offer], SessionLimits::default());
        let pool = BufferPool::new(64 << 20);
        for delivery in events {
            let asks = heard(&mut sessions, delivery.take(), &pool);
            act(&mut sessions, &net, asks);
        }
    });
    let (tell, events) = unbounded();
    let deliver = move |delivery: Delivery| drop(tell.send(delivery));
    let identity = authority.identity(Role::Master, "master", now)?;
    let master = Endpoint::bind(BindOptions::new(identity, 1), deliver)?;
    let net = master.net().clone();
    std::thread::spawn(move || {
        for delivery in events {
            let NetEvent::Message { peer, message } = delivery.take() else { continue };
            let Ok(Question::Receivers { stream }) = message.read() else { continue };
            let (worker, url) = ("receiver".to_owned(), url.clone());
            let status = ReceiverStatus {
                stream,
                worker,
                url,
                records: 0,
                waiting: 0,
                turned_away: 0,
                error: None,
            };
            // The client may have gone.
            let _ = net.send(peer, &Reply::Receivers(vec![status]));
        }
    });
    say_and_wait(&master.local_addr().to_string())
}

fn heard(sessions: &mut Sessions, event: NetEvent, pool: &BufferPool) -> Vec<SessionEffect> {
    match event {
        NetEvent::Message { peer, message } => {
            message.read().map(|said| sessions.said(peer, said, pool)).unwrap_or_default()
        }
        NetEvent::Block { peer, header, bytes, .. } => {
            match (header.kind, Block::open_raw(bytes)) {
                (BlockKind::Append { number }, Ok(lines)) => sessions.block(peer, number, lines),
                _ => Vec::new(),
            }
        }
        NetEvent::Closed { peer, .. } => {
            sessions.gone(peer);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn act(sessions: &mut Sessions, net: &Net, asks: Vec<SessionEffect>) {
    for ask in asks {
        match ask {
            // The client may have gone.
            SessionEffect::Tell(peer, message) => drop(net.send(peer, &message)),
            SessionEffect::Accuse(peer, why) => net.accuse(peer, &why),
            SessionEffect::Take(append) => {
                let safe = sessions.safe(append.peer, append.client, append.number);
                act(sessions, net, safe);
            }
        }
    }
}

/// The results.
pub struct Sent {
    /// Acknowledged records per second.
    pub rate: f64,
    /// Latency from send to acknowledgement of a single record: the median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

/// Sends that many records, then `calls` single ones.
///
/// # Errors
/// When the connection breaks.
pub fn send(dir: &Path, records: usize, calls: usize) -> BenchResult<Sent> {
    let path = dir.to_str().ok_or("a directory that is no text")?;
    let other = Other::start(&["append", path])?;
    let master: SocketAddr = other.hello.parse()?;
    let target = ClientTarget {
        job: "bench".to_owned(),
        plan: 1,
        masters: vec![master],
        access: Access::Authority { state: dir.to_owned() },
        name: "sender".to_owned(),
        patience: Duration::from_secs(10),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let client = Client::connect(ClientOptions::at(target)).await?;
        let mut lines = client.open("lines").await?;
        let rate = all(&mut lines, records).await?;
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            lines.send("x\n").await?;
            lines.flush().await?;
            times.push(start.elapsed());
        }
        client.close().await;
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        Ok(Sent { rate, p50: at(0.5), p99: at(0.99) })
    })
}

/// Record by record, like a program.
async fn all(lines: &mut AppendStream, records: usize) -> BenchResult<f64> {
    let mut record = [b'r'; RECORD];
    record[RECORD - 1] = b'\n';
    let start = Instant::now();
    for _ in 0..records {
        lines.send(&record).await?;
    }
    lines.flush().await?;
    Ok(records as f64 / start.elapsed().as_secs_f64())
}
