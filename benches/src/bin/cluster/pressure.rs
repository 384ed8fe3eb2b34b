//! Memory and delay under overload: with an output that is read slowly, or a worker with little processor
//! time.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dstream_bench::data;
use serde_json::Value;

use crate::started::{Started, streams, usages};

/// Sends more than the output takes
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds to send.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Bytes per second read from the output.
    #[arg(long, default_value_t = 2_000_000)]
    reads: u64,
    /// Batch interval.
    #[arg(long, default_value = "100ms")]
    interval: String,
    /// The `--memory` of each worker.
    #[arg(long, default_value = "64MiB")]
    memory: String,
    /// Seconds between two reports.
    #[arg(long, default_value_t = 10)]
    every: u64,
}

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut command = streams("grep")?;
    // Every line contains an `e`, so all of it is output.
    command.args(["--pattern", "e", "--sink", "matches=stdout:"]);
    command.args(["--source", "lines=tcp://127.0.0.1:0", "--interval", &options.interval]);
    command.args(["--memory", &options.memory, "--workers", "2"]);
    let mut job = Started::start(command)?;
    let listening = job.wait_for("listening")?;
    let state = listening["state"].as_str().ok_or("the job does not say where its state is")?;
    let address = job.address(2)?;
    let family = job.family();
    let out = job.out.take().ok_or("no output")?;
    let (done, sent, read) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut lines = Vec::new();
    data::write_words(1_000, 1, &mut lines)?;
    let mut peak = vec![0; family.len()];
    std::thread::scope(|scope| {
        scope.spawn(|| read_slowly(out, options.reads, &done, &read));
        let sender = scope.spawn(|| send(&address, &lines, &done, &sent));
        let start = Instant::now();
        let mut next = Duration::ZERO;
        let mut looked = Ok(());
        while looked.is_ok() && start.elapsed() < Duration::from_secs(options.seconds) {
            std::thread::sleep(Duration::from_millis(500));
            for (peak, usage) in peak.iter_mut().zip(usages(&family)) {
                *peak = usage.memory.max(*peak);
            }
            if start.elapsed() >= next {
                next += Duration::from_secs(options.every);
                let bytes = (sent.load(Ordering::Relaxed), read.load(Ordering::Relaxed));
                looked = look(state, start.elapsed(), &family, bytes);
            }
        }
        done.store(true, Ordering::Relaxed);
        let stopped = job.interrupt();
        sender.join().expect("the sender's own failure")?;
        looked.and(stopped)
    })?;
    for ((name, _), peak) in family.iter().zip(peak) {
        println!("{name}: at most {} MB", peak >> 20);
    }
    let ended = job.end_without_summary()?;
    println!("the job ended with {ended}");
    Ok(())
}

/// Prints a line of status.
fn look(
    state: &str,
    at: Duration,
    family: &[(String, u32)],
    (sent, read): (u64, u64),
) -> Result<(), Box<dyn Error>> {
    let mut command = streams("grep")?;
    command.args(["status", "--json", "--state", state]);
    let asked = Instant::now();
    let output = command.output()?;
    let status: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let memory: Vec<_> = family
        .iter()
        .zip(usages(family))
        .map(|((name, _), usage)| format!("{name} {} MB", usage.memory >> 20))
        .collect();
    println!(
        "{:4} s: {:6.1} MB sent, {:6.1} MB read; {}; delay {} ms, {}; asked in {:.0} ms",
        at.as_secs(),
        sent as f64 / 1e6,
        read as f64 / 1e6,
        memory.join(", "),
        status["delay_ms"],
        status["cause"],
        asked.elapsed().as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Sends as fast as lines are taken, until the job stops taking them.
fn send(address: &str, lines: &[u8], done: &AtomicBool, sent: &AtomicU64) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_write_timeout(Some(Duration::from_millis(200)))?;
    let mut from = 0;
    while !done.load(Ordering::Relaxed) {
        match stream.write(&lines[from..]) {
            Ok(n) => {
                sent.fetch_add(n as u64, Ordering::Relaxed);
                from = (from + n) % lines.len();
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_slowly(mut out: impl Read, rate: u64, done: &AtomicBool, read: &AtomicU64) {
    let start = Instant::now();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = out.read(&mut buffer) {
        let all = read.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
        // At the end, read everything.
        while !done.load(Ordering::Relaxed)
            && start.elapsed().as_secs_f64() < all as f64 / rate as f64
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
