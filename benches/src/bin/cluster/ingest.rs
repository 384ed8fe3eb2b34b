//! Throughput of a receiver on one worker with copies on another, for records of 100 bytes.

use std::error::Error;
use std::time::{Duration, Instant};

use dstream_bench::data;

use crate::sender::{Inlet, Way};
use crate::started::{Started, streams, usages};

/// Measures ingest
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Protocols.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "client,http,tcp")]
    ways: Vec<Way>,
    /// Numbers of workers; 0 is one process with one copy.
    #[arg(long, value_delimiter = ',', default_value = "0,2")]
    workers: Vec<u32>,
    /// Concurrent clients.
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Seconds to send.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Batch interval.
    #[arg(long, default_value = "200ms")]
    interval: String,
    /// Runs of each case, in turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// Lines per request or write.
const TOGETHER: u64 = 5_000;

/// The result of a run.
pub(crate) struct Taken {
    /// Records per second acknowledged or received at the end.
    pub(crate) rate: f64,
    /// Seconds of processor time per second, over all processes of the job.
    pub(crate) cpu: f64,
}

impl Options {
    /// Options for that many clients and seconds.
    pub(crate) fn of(clients: usize, seconds: u64) -> Self {
        let (ways, workers, interval) = (Vec::new(), Vec::new(), "200ms".to_owned());
        Self { ways, workers, clients, seconds, interval, runs: 1 }
    }
}

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    for way in &options.ways {
        for _ in 0..options.runs {
            for workers in options.workers.iter().filter(|workers| way.reaches(**workers)) {
                one(options, *way, *workers)?;
            }
        }
    }
    Ok(())
}

/// One run, with two threads for tasks.
pub(crate) fn one(options: &Options, way: Way, workers: u32) -> Result<Taken, Box<dyn Error>> {
    let mut lines = Vec::new();
    data::write_words(TOGETHER, 1, &mut lines)?;
    let mut command = streams("grep")?;
    command.args(["--source", &format!("lines={}", way.url())]);
    command.args(["--interval", &options.interval, "--workers", &workers.to_string()]);
    command.args(["--cores", "2"]);
    let job = Started::start(command)?;
    let inlet = Inlet::of(&job, "grep", way, workers)?;
    let family = job.family();
    let (start, before) = (Instant::now(), usages(&family));
    let until = start + Duration::from_secs(options.seconds);
    let sent = std::thread::scope(|scope| {
        let client = || inlet.connect()?.send_until(&lines, until);
        let clients: Vec<_> = (0..options.clients).map(|_| scope.spawn(client)).collect();
        let sent = clients.into_iter().map(|client| client.join().expect("a client's failure"));
        sent.sum::<std::io::Result<u64>>()
    })?;
    let sent = sent * TOGETHER;
    let used = usages(&family);
    let took = start.elapsed().as_secs_f64();
    job.interrupt()?;
    let summary = job.end()?;
    let took_in = summary["records"].as_u64().unwrap_or_default();
    let cpu: Vec<f64> =
        before.iter().zip(&used).map(|(before, after)| (after.cpu - before.cpu) / took).collect();
    let by_process =
        family.iter().zip(&cpu).map(|((name, _), cpu)| format!("{name} {:.0} %", cpu * 100.0));
    println!(
        "{way:?} to {workers} workers, {} clients: {:.2}M records/s ({sent} sent, {took_in} in results; {})",
        options.clients,
        sent as f64 / took / 1e6,
        by_process.collect::<Vec<_>>().join(", "),
    );
    Ok(Taken { rate: sent as f64 / took, cpu: cpu.iter().sum() })
}
