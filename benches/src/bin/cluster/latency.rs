//! Latency from a client's send to the published result.
//!
//! A client sends lines with their time of sending; the job counts lines by that time (a shuffle) and writes
//! the counts to a pipe. A row read from the pipe gives the latency of its lines.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use crate::sender::{Inlet, Way};
use crate::started::{Started, streams, usages};

/// Measures the latency from a record to its result
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Numbers of workers; 0 is one process.
    #[arg(long, value_delimiter = ',', default_value = "0,2")]
    workers: Vec<u32>,
    /// Protocols.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "client,tcp")]
    ways: Vec<Way>,
    /// Batch interval.
    #[arg(long, default_value = "10ms")]
    interval: String,
    /// Records per second.
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// Measured seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Partitions of every dataset.
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// Runs of each case, in turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// Warm-up, not measured.
const WARM: Duration = Duration::from_secs(3);

/// Interval of sends.
const TICK: Duration = Duration::from_millis(1);

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    for _ in 0..options.runs {
        for way in &options.ways {
            for workers in options.workers.iter().filter(|workers| way.reaches(**workers)) {
                one(options, *way, *workers)?;
            }
        }
    }
    Ok(())
}

fn one(options: &Options, way: Way, workers: u32) -> Result<(), Box<dyn Error>> {
    let mut command = streams("send_times")?;
    let source = format!("lines={}", way.url());
    command.args(["--source", &source, "--sink", "counts=csv+stdout:?header=false"]);
    command.args(["--interval", &options.interval, "--workers", &workers.to_string()]);
    command.args(["--partitions", &options.partitions.to_string()]);
    let mut job = Started::start(command)?;
    let inlet = Inlet::of(&job, "send_times", way, workers)?;
    let family = job.family();
    let out = job.out.take().ok_or("no output")?;
    let origin = Instant::now();
    let length = WARM + Duration::from_secs(options.seconds);
    let (sent, rows, used) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(out, origin));
        let sender = scope.spawn(|| send(&inlet, options.rate, origin, length));
        std::thread::sleep(WARM);
        let before = usages(&family);
        let sent = sender.join().expect("the sender's own failure");
        let after = usages(&family);
        // Lines in flight have a second to arrive.
        std::thread::sleep(Duration::from_secs(1));
        let stopped = job.interrupt();
        let rows = reader.join().expect("the reader's own failure");
        let used: Vec<_> = before.iter().zip(&after).map(|(b, a)| a.cpu - b.cpu).collect();
        stopped.and(Ok((sent?, rows, used)))
    })?;
    job.end_without_summary()?;
    let (from, to) = (WARM.as_micros() as u64, length.as_micros() as u64);
    let mut delays: Vec<(u64, u64)> = rows
        .iter()
        .filter(|row| (from..to).contains(&row.sent))
        .map(|row| (row.seen.saturating_sub(row.sent), row.records))
        .collect();
    delays.sort_unstable();
    let total: u64 = delays.iter().map(|(_, records)| records).sum();
    let all: u64 = rows.iter().map(|row| row.records).sum();
    let at = |share: f64| {
        let mut left = (total as f64 * share) as u64;
        let found = delays.iter().find(|(_, records)| {
            let is_here = left < *records;
            left = left.saturating_sub(*records);
            is_here
        });
        found.or(delays.last()).map_or(f64::NAN, |(delay, _)| *delay as f64 / 1e3)
    };
    let cpu = family
        .iter()
        .zip(&used)
        .map(|((name, _), cpu)| format!("{name} {:.0} %", cpu / options.seconds as f64 * 100.0));
    println!(
        "{way:?} to {workers} workers, batches of {}, {} records/s: p50 {:6.1} ms  p90 {:6.1} ms  p99 {:6.1} ms  max {:6.1} ms  \
         ({all} of {sent} came out; {})",
        options.interval,
        total / options.seconds.max(1),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        cpu.collect::<Vec<_>>().join(", "),
    );
    Ok(())
}

/// Sends `rate` lines per second; returns their number.
fn send(inlet: &Inlet, rate: u64, origin: Instant, length: Duration) -> std::io::Result<u64> {
    let mut sender = inlet.connect()?;
    let (mut sent, mut lines) = (0, Vec::new());
    let start = Instant::now();
    while origin.elapsed() < length {
        let due = (start.elapsed() + TICK).as_micros() as u64 * rate / 1_000_000;
        let now = origin.elapsed().as_micros();
        lines.clear();
        for _ in sent..due {
            writeln!(lines, "{now:016} {:>82}", "x")?;
        }
        sent = sent.max(due);
        sender.send(&lines)?;
        std::thread::sleep(TICK);
    }
    sender.end()?;
    Ok(sent)
}

/// The number of lines of one sending time, with the time of the result; in microseconds.
struct Row {
    sent: u64,
    seen: u64,
    records: u64,
}

fn read(out: impl std::io::Read, origin: Instant) -> Vec<Row> {
    let lines = BufReader::new(out).lines().map_while(Result::ok);
    let row = |line: String| {
        let (sent, records) = line.split_once(',')?;
        let seen = origin.elapsed().as_micros() as u64;
        Some(Row { sent: sent.parse().ok()?, seen, records: records.parse().ok()? })
    };
    lines.filter_map(row).collect()
}
