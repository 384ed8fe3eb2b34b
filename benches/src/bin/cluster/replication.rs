//! The cost of the second copy of pushed records: the client library with a cluster of one worker, which
//! keeps the only copy, and with one of two.
//!
//! Both use the same number of threads, and grep sends nothing between workers, so they differ only in the
//! copy and the second process.

use std::error::Error;

use dstream_bench::runs::Spread;

use crate::ingest::{self, Taken};
use crate::sender::Way;

/// Measures the cost of the second copy of pushed records
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds to send.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Concurrent clients.
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Runs of each case, in turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let ingest = ingest::Options::of(options.clients, options.seconds);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        one.push(ingest::one(&ingest, Way::Client, 1)?);
        two.push(ingest::one(&ingest, Way::Client, 2)?);
    }
    let ratio = |value: fn(&Taken) -> f64| {
        Spread::of(one.iter().zip(&two).map(|(one, two)| value(two) / value(one)).collect())
    };
    let (rate, cpu) = (ratio(|taken| taken.rate), ratio(|taken| taken.cpu / taken.rate));
    println!(
        "two copies beside one: {:.2} x the records per second ({:.2}–{:.2}), {:.2} x the processor time per \
         record ({:.2}–{:.2})",
        rate.median, rate.min, rate.max, cpu.median, cpu.min, cpu.max,
    );
    Ok(())
}
