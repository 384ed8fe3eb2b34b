//! What the second copy of pushed records costs: the client library to a cluster of one worker, which is alone
//! with what it takes in, and to one of two.
//!
//! Both have the same number of threads, and grep sends nothing from worker to worker: what differs is the copy,
//! and that there is a second process.

use std::error::Error;

use dstream_bench::runs::Spread;

use crate::ingest::{self, Taken};
use crate::sender::Way;

/// Measures what the second copy of pushed records costs.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds to send.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Who send at a time.
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Runs of each, in turns.
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
