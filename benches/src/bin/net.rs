//! Benchmarks of the transport: blocks compared with a bare quinn stream, and round trips while blocks fill
//! the link.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use dstream_bench::net::dstream::{Latency, Pair};
use dstream_bench::net::{BenchResult, TransferCost, bare, client, dstream};

/// Measures the transport between two processes on loopback
#[derive(Parser)]
struct Options {
    /// MiB per run.
    #[arg(long, default_value_t = 2048)]
    mib: u64,
    /// Runs of each case, alternating; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Records sent by a client.
    #[arg(long, default_value_t = 10_000_000)]
    records: usize,
    /// Round trips per measurement.
    #[arg(long, default_value_t = 5000)]
    calls: usize,
    /// Only blocks, a bare stream, and round trips.
    #[arg(long)]
    short: bool,
    #[command(subcommand)]
    other: Option<Process>,
}

/// The other process.
#[derive(Subcommand)]
enum Process {
    /// Receives a bare stream.
    #[command(hide = true)]
    BareReceive,
    /// Receives blocks
    #[command(hide = true)]
    Receive {
        /// The authority's directory.
        dir: PathBuf,
    },
    /// Receives a client's appends
    #[command(hide = true)]
    Append {
        /// The master's directory.
        dir: PathBuf,
    },
    /// Receives and decodes blocks
    #[command(hide = true)]
    Open {
        /// The authority's directory.
        dir: PathBuf,
    },
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
    let dir = tempfile::tempdir()?;
    let (taken, opened) = (Pair::start(dir.path(), false)?, Pair::start(dir.path(), true)?);
    measure_blocks(options, &taken, &opened)?;
    measure_calls(options, &taken)?;
    if options.short {
        return Ok(());
    }
    for together in [1, 64] {
        let rates =
            (0..options.runs).map(|_| opened.small(together)).collect::<BenchResult<Vec<_>>>()?;
        let name = format!("blocks of 4 KiB, {together} in a push");
        println!("{name:32} {:8.0} a second", middle(rates));
    }
    let sent = client::send(dir.path(), options.records, options.calls)?;
    println!("client, records of 100 bytes  {:8.0} a second", sent.rate);
    println!("client, one by one            p50 {:?}, p99 {:?}", sent.p50, sent.p99);
    Ok(())
}

fn measure_blocks(options: &Options, taken: &Pair, opened: &Pair) -> BenchResult<()> {
    let bytes = options.mib << 20;
    let (mut plain, mut blocks, mut through) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that other load affects all alike; blocks are compared with the bare stream of the same
    // turn.
    for _ in 0..options.runs {
        plain.push(bare::send(bytes)?);
        blocks.push(taken.blocks(bytes)?);
        if !options.short {
            through.push(opened.blocks(bytes)?);
        }
    }
    let kinds = [("bare quinn stream", &plain), ("blocks", &blocks), ("blocks, decoded", &through)];
    for (name, all) in kinds.into_iter().filter(|(_, all)| !all.is_empty()) {
        let of = |what: fn(&TransferCost) -> f64| middle(all.iter().map(what).collect());
        let beside = |what: fn(&TransferCost) -> f64| {
            let mut shares: Vec<_> =
                all.iter().zip(&plain).map(|(took, bare)| what(took) / what(bare)).collect();
            shares.sort_unstable_by(f64::total_cmp);
            (shares[shares.len() / 2], shares[0], shares[shares.len() - 1])
        };
        let ((share, least, most), (cost, ..)) =
            (beside(TransferCost::rate), beside(TransferCost::cost));
        println!(
            "{name:28} {:6.2} Gbit/s  {share:.2} of bare ({least:.2}-{most:.2}); \
             {:.3} s of processor time per GB, {cost:.2} of bare",
            of(TransferCost::rate),
            of(TransferCost::cost),
        );
    }
    Ok(())
}

fn measure_calls(options: &Options, taken: &Pair) -> BenchResult<()> {
    for (name, loaded) in [("calls, idle", false), ("calls, link full", true)] {
        let mut all = Vec::new();
        for _ in 0..options.runs {
            all.push(taken.calls(options.calls, loaded)?);
        }
        let of = |which: fn(&Latency) -> Duration| {
            let mut times: Vec<_> = all.iter().map(which).collect();
            times.sort_unstable();
            times[times.len() / 2]
        };
        let (p50, p99, max) = (of(|l| l.p50), of(|l| l.p99), of(|l| l.max));
        let each: Vec<_> =
            all.iter().map(|l| format!("{:.1}", l.p99.as_secs_f64() * 1e3)).collect();
        println!("{name:28} p50 {p50:?}, p99 {p99:?} ({} ms), max {max:?}", each.join(" "));
    }
    Ok(())
}
