//! How fast records of 100 bytes are taken in by a receiver on one worker and copied to another.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use dstream_bench::data;

use crate::started::{Started, streams, usages};

/// Measures how fast records are taken in.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Ways to send: `tcp`, `http`.
    #[arg(long, value_delimiter = ',', default_value = "tcp,http")]
    ways: Vec<String>,
    /// Workers; 0 is one process, and one copy.
    #[arg(long, value_delimiter = ',', default_value = "0,2")]
    workers: Vec<u32>,
    /// Who send at a time.
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Seconds to send.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Length of a batch.
    #[arg(long, default_value = "200ms")]
    interval: String,
    /// Runs of each, in turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// Lines of a request, or of a write.
const TOGETHER: u64 = 5_000;

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut lines = Vec::new();
    data::write_words(TOGETHER, 1, &mut lines)?;
    for way in &options.ways {
        for _ in 0..options.runs {
            for workers in &options.workers {
                one(options, way, *workers, &lines)?;
            }
        }
    }
    Ok(())
}

fn one(options: &Options, way: &str, workers: u32, lines: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut command = streams("grep")?;
    command.args(["--source", &format!("lines={way}://127.0.0.1:0")]);
    command.args(["--interval", &options.interval, "--workers", &workers.to_string()]);
    let job = Started::start(command)?;
    let address = job.address(workers)?;
    let family = job.family();
    let (start, before) = (Instant::now(), usages(&family));
    let until = start + Duration::from_secs(options.seconds);
    let sent = std::thread::scope(|scope| {
        let client = || match way {
            "http" => post(&address, lines, until),
            _ => write(&address, lines, until),
        };
        let clients: Vec<_> = (0..options.clients).map(|_| scope.spawn(client)).collect();
        let sent = clients.into_iter().map(|client| client.join().expect("a client's failure"));
        sent.sum::<std::io::Result<u64>>()
    })?;
    let used = usages(&family);
    let took = start.elapsed().as_secs_f64();
    job.interrupt()?;
    let summary = job.end()?;
    let took_in = summary["records"].as_u64().unwrap_or_default();
    let cpu = family.iter().zip(before.iter().zip(&used)).map(|((name, _), (before, after))| {
        format!("{name} {:.0} %", (after.cpu - before.cpu) / took * 100.0)
    });
    println!(
        "{way} to {workers} workers, {} clients: {:.2}M records/s ({sent} sent, {took_in} in results; {})",
        options.clients,
        sent as f64 / took / 1e6,
        cpu.collect::<Vec<_>>().join(", "),
    );
    Ok(())
}

/// Writes lines as fast as they are taken in; nobody says that they were.
fn write(address: &str, lines: &[u8], until: Instant) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    let mut sent = 0;
    while Instant::now() < until {
        stream.write_all(lines)?;
        sent += TOGETHER;
    }
    Ok(sent)
}

/// Posts lines, and waits for each answer: by then two workers have them.
fn post(address: &str, lines: &[u8], until: Instant) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let head =
        format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", lines.len());
    let mut sent = 0;
    while Instant::now() < until {
        stream.write_all(head.as_bytes())?;
        stream.write_all(lines)?;
        let (mut length, mut line, mut first) = (0, String::new(), String::new());
        loop {
            line.clear();
            answers.read_line(&mut line)?;
            let text = line.trim().to_ascii_lowercase();
            if first.is_empty() {
                first.clone_from(&text);
            }
            if let Some(n) = text.strip_prefix("content-length:") {
                length = n.trim().parse().unwrap_or(0);
            }
            if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body)?;
        if !first.contains(" 20") {
            let why = format!("{first}: {}", String::from_utf8_lossy(&body));
            return Err(std::io::Error::other(why));
        }
        sent += TOGETHER;
    }
    Ok(sent)
}
