//! Measures the transport: blocks beside a bare quinn stream, and calls while blocks fill the link.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use dstream_bench::net::dstream::{Latency, Pair};
use dstream_bench::net::{BenchResult, bare, client, dstream, gigabits};

/// Measures the transport between two processes on loopback.
#[derive(Parser)]
struct Options {
    /// MiB per run.
    #[arg(long, default_value_t = 2048)]
    mib: u64,
    /// Runs of each, alternating, of which the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Records that a client sends.
    #[arg(long, default_value_t = 10_000_000)]
    records: usize,
    /// Calls per measurement.
    #[arg(long, default_value_t = 5000)]
    calls: usize,
    #[command(subcommand)]
    other: Option<Process>,
}

/// What the other process does.
#[derive(Subcommand)]
enum Process {
    /// The receiver of a bare stream.
    #[command(hide = true)]
    BareReceive,
    /// A receiver of blocks.
    #[command(hide = true)]
    Receive {
        /// The authority's directory.
        dir: PathBuf,
    },
    /// A receiver of what clients append.
    #[command(hide = true)]
    Append {
        /// The master's directory.
        dir: PathBuf,
    },
    /// A receiver of blocks that opens each.
    #[command(hide = true)]
    Open {
        /// The authority's directory.
        dir: PathBuf,
    },
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() -> BenchResult<()> {
    let options = Options::parse();
    match options.other {
        Some(Process::BareReceive) => bare::receive(),
        Some(Process::Receive { dir }) => dstream::receive(&dir, false),
        Some(Process::Open { dir }) => dstream::receive(&dir, true),
        Some(Process::Append { dir }) => client::receive(&dir),
        None => measure(&options),
    }
}

fn measure(options: &Options) -> BenchResult<()> {
    let (bytes, dir) = (options.mib << 20, tempfile::tempdir()?);
    let (taken, opened) = (Pair::start(dir.path(), false)?, Pair::start(dir.path(), true)?);
    let (mut plain, mut blocks, mut through) = (Vec::new(), Vec::new(), Vec::new());
    // Alternating, so that whatever else the machine does hits all alike.
    let runs = options.runs.max(1);
    for _ in 0..runs {
        plain.push(bare::send(bytes)?);
        blocks.push(taken.blocks(bytes)?);
        through.push(opened.blocks(bytes)?);
    }
    let plain = gigabits(bytes, median(plain));
    println!("bare quinn stream            {plain:6.2} Gbit/s");
    for (name, times) in [("blocks", blocks), ("blocks, through the door", through)] {
        let rate = gigabits(bytes, median(times));
        println!("{name:28} {rate:6.2} Gbit/s  {:.2} of bare", rate / plain);
    }
    for together in [1, 64] {
        let rates = (0..runs).map(|_| opened.small(together)).collect::<BenchResult<Vec<_>>>()?;
        let name = format!("blocks of 4 KiB, {together} in a push");
        println!("{name:32} {:8.0} a second", middle(rates));
    }
    let show = |name: &str, latency: Latency| {
        let Latency { p50, p99, max } = latency;
        println!("{name:28} p50 {p50:?}, p99 {p99:?}, max {max:?}");
    };
    show("calls, idle", taken.calls(options.calls, false)?);
    show("calls, link full", taken.calls(options.calls, true)?);
    let sent = client::send(dir.path(), options.records, options.calls)?;
    println!("client, records of 100 bytes  {:8.0} a second", sent.rate);
    println!("client, one by one            p50 {:?}, p99 {:?}", sent.p50, sent.p99);
    Ok(())
}
